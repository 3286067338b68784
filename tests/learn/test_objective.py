"""Losses together: weights over time, taps that come off again, adapters that train and are dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn import predictions, taps, train
from edgekd.learn.data.made import Made
from edgekd.learn.data.made_text import MadeText
from edgekd.learn.feed import Feed
from edgekd.learn.objective import Objective, Term, check_layers, make_terms
from edgekd.learn.teacher import wrap
from edgekd.spec.recipe import Augment, Schedule, Teacher
from edgekd.tasks import Heads
from edgekd.tasks.classification import Classification
from edgekd.tasks.tagging import Tagging

HINT = {"kind": "hint", "student_layers": ["features.0"], "teacher_layers": ["features.1"]}
KL = {"kind": "kl"}


def network(width: int) -> nn.Module:
    torch.manual_seed(width)
    made: nn.Module = plugins.build("models", {"kind": "convnet", "width": width, "depth": 2}, "m").build((1, 8, 8), 4)
    return made


def task(*tables: dict[str, Any], epochs: int = 3, **more: Any) -> train.TrainingJob:
    data = Made((8, 8, 1), classes=4, train=80, validation=32, test=16).load()
    feed = Feed(data, data.preprocess, Augment(flip=True, crop=1, views=2), seed=3)
    teacher = network(12)

    def says(view: int) -> Any:
        return predictions.predict_view(teacher, feed, view)

    live = (teacher.eval(), feed)
    return train.TrainingJob(
        make_terms(tables), feed, Schedule(epochs=epochs, batch_size=16), 5, says, live=live, **more
    )


def test_a_weight_goes_in_a_straight_line() -> None:
    term = Term("kl", None, weight=1.0, final_weight=0.2, start=0.25, stop=0.75)
    assert [round(term.weight_at(s), 6) for s in (0, 0.25, 0.5, 0.75, 0.8, 1)] == [0, 1, 0.6, 0.2, 0, 0]
    assert Term("kl", None, weight=0.5, final_weight=0.5).weight_at(1.0) == 0.5


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "kl", "final_weight": -1}, "losses[0].final_weight"),
        ({"kind": "kl", "start": 0.5, "stop": 0.5}, "losses[0].stop"),
        ({"kind": "kl", "weight": 0}, "every weight is 0"),
        ({"kind": "hint"}, "'hint' needs 'student_layers'"),
        ({**HINT, "student_layers": []}, "losses[0].student_layers"),
        ({"kind": "dist", "beta": -1.0}, "losses[0].beta"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(table: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        make_terms([table])
    assert said in str(caught.value)


def test_two_of_a_kind_have_two_names() -> None:
    assert [term.name for term in make_terms([KL, KL, HINT])] == ["kl", "kl #2", "hint"]


def test_a_layer_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(RecipeError, match=r"losses\[0\].teacher_layers.*'features.9'.*did you mean 'features.1'"):
        check_layers(make_terms([{**HINT, "teacher_layers": ["features.9"]}]), network(8), network(12))


def test_of_many_layers_the_nearest_are_listed() -> None:
    keys = {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [3, 3], "layer_type": "basic"}
    table = {"kind": "transformers", "name": "ResNetForImageClassification", "config": keys}
    module = plugins.build("models", table, "m").build((3, 16, 16), 4)
    taps.check(module, ["resnet.encoder.stages.1", "classifier.1"], "here")
    with pytest.raises(RecipeError) as caught:
        taps.check(module, ["encoder.stages.1"], "losses[0].student_layers")
    text = str(caught.value)
    assert "did you mean 'resnet.encoder.stages.1'" in text and text.count("resnet.") <= taps.LISTED + 1
    assert f"the nearest of {len(list(module.module.named_modules())) - 1}" in text


def test_a_wrapped_teacher_is_tapped_by_its_own_paths() -> None:
    inner = network(8)
    wrapped = wrap(inner, Teacher(model={}, classes=(2, 0)))
    with taps.tapped(wrapped, ["features.0", ""]) as found:
        logits = wrapped(torch.ones(2, 1, 8, 8))
    assert torch.equal(found[""], logits) and found[""].shape == (2, 2)
    assert found["features.0"].shape == (2, 8, 8, 8)


def test_taps_come_off_even_when_something_fails() -> None:
    module = network(8)
    with pytest.raises(ZeroDivisionError), taps.tapped(module, ["features.0", ""]) as found:
        logits = module(torch.zeros(2, 1, 8, 8))
        assert torch.equal(found[""], logits) and found["features.0"].shape == (2, 8, 8, 8)
        raise ZeroDivisionError
    assert not any(part._forward_hooks for part in module.modules())


def test_all_sorts_of_losses_together_learn() -> None:
    relations = [{"kind": kind, "weight": 0.01} for kind in ("relational", "triplet", "contrastive")]
    layers = [{**HINT, "kind": kind} for kind in ("attention_transfer", "similarity_preserving")]
    responses = [{"kind": kind} for kind in ("kl", "decoupled_kl", "dist", "cross_entropy")]
    student, job = network(8), task(HINT, *relations, *layers, *responses, epochs=4)
    history = train.fit(student, job)
    assert len(history[0]["losses"]) == 10
    assert history[-1]["losses"]["hint"] < history[0]["losses"]["hint"]
    assert history[-1]["losses"]["kl"] < history[0]["losses"]["kl"]
    assert not any(part._forward_hooks for net in (student, job.live[0]) for part in net.modules())  # type: ignore[index]
    assert set(student.state_dict()) == set(network(8).state_dict()), "adapters are dropped"


def test_adapters_resume_with_the_same_bits(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(event: dict[str, Any]) -> None:
        if event.get("epoch") == 1 and "loss" in event:
            raise Killed

    tables = (HINT, KL, {"kind": "contrastive", "memory": 32})
    whole, resumed = network(8), network(8)
    train.fit(whole, task(*tables))
    with pytest.raises(Killed):
        train.fit(network(8), task(*tables, progress=kill), tmp_path)
    train.fit(resumed, task(*tables), tmp_path)
    pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_network_without_layers_keeps_the_losses_on_its_output() -> None:
    graph = torch.export.export(network(8).eval(), (torch.zeros(2, 1, 8, 8),)).module()
    assert [t.name for t in Objective(make_terms([HINT, KL]), graph).terms] == ["kl"]
    with pytest.raises(RecipeError, match="add one on the outputs"):
        Objective(make_terms([HINT]), graph)


def test_the_teacher_is_not_trained() -> None:
    job = task(HINT, KL)
    assert job.live is not None
    before = {name: value.clone() for name, value in job.live[0].state_dict().items()}
    train.fit(network(8), job)
    assert all(torch.equal(before[name], value) for name, value in job.live[0].state_dict().items())


def test_a_loss_with_labels_sees_the_samples_that_have_one() -> None:
    objective = Objective(make_terms([{"kind": "cross_entropy"}, KL]), network(8))
    logits, teacher = torch.randn(6, 4), torch.randn(6, 4)
    y = torch.tensor([1, -1, 2, -1, -1, 0])
    _, parts = objective(logits, teacher, y, 0.0)
    told = y >= 0
    assert parts["cross_entropy"] == torch.nn.functional.cross_entropy(logits[told], y[told])
    _, whole = objective(logits, teacher, torch.zeros(6, dtype=torch.int64), 0.0)
    assert parts["kl"] == whole["kl"]
    _, none = objective(logits, teacher, torch.full((6,), -1), 0.0)
    assert none["cross_entropy"] == 0


def test_labels_of_two_samples_are_mixed_by_their_shares() -> None:
    """The cross entropy with both labels at once: torch's own, of shares of classes."""
    objective = Objective(make_terms([{"kind": "cross_entropy", "label_smoothing": 0.1}, KL]), network(8))
    logits, teacher, share = torch.randn(6, 4), torch.randn(6, 4), torch.rand(6)
    y, other = torch.randint(0, 4, (6,)), torch.randint(0, 4, (6,))
    both = share[:, None] * torch.eye(4)[y] + (1 - share)[:, None] * torch.eye(4)[other]
    _, parts = objective(logits, teacher, y, 0.0, weighed=[(y, share), (other, 1 - share)])
    _, plain = objective(logits, teacher, y, 0.0)
    wanted = torch.nn.functional.cross_entropy(logits, both, label_smoothing=0.1)
    assert torch.allclose(parts["cross_entropy"], wanted) and parts["kl"] == plain["kl"]
    some_known = torch.tensor([1, -1, 2, -1, -1, 0])
    none = torch.full((6,), -1)
    _, parts = objective(logits, teacher, some_known, 0.0, weighed=[(some_known, share), (none, 1 - share)])
    known = some_known >= 0
    each = torch.nn.functional.cross_entropy(logits[known], some_known[known], reduction="none", label_smoothing=0.1)
    assert torch.allclose(parts["cross_entropy"], (share[known] * each).sum() / share[known].sum())
    _, parts = objective(logits, teacher, none, 0.0, weighed=[(none, share), (none, 1 - share)])
    assert parts["cross_entropy"] == 0


def test_each_head_mixes_labels_of_its_own() -> None:
    objective = Objective(make_terms([{"kind": "decoupled_kl"}], heads=Heads({"a": 3, "b": 2})), network(8))
    logits, teacher, share = torch.randn(6, 5), torch.randn(6, 5), torch.rand(6, 2)
    y, other = (torch.stack([torch.randint(0, 3, (6,)), torch.randint(0, 2, (6,))], dim=1) for _ in range(2))
    _, parts = objective(logits, teacher, y, 0.0, weighed=[(y, share), (other, 1 - share)])
    loss, (s, t) = objective.terms[1].loss, (logits[:, 3:], teacher[:, 3:])
    by_hand = share[:, 1] * loss.per_sample(s, t, y[:, 1]) + (1 - share[:, 1]) * loss.per_sample(s, t, other[:, 1])
    assert torch.allclose(parts["decoupled_kl (b)"], by_hand.mean())


def test_weights_of_classes_are_torchs() -> None:
    objective = Objective(make_terms([{"kind": "cross_entropy"}]), network(8))
    logits, y, classes = torch.randn(6, 4), torch.randint(0, 4, (6,)), torch.tensor([1.0, 0.0, 5.0, 0.5])
    _, parts = objective(logits, None, y, 0.0, weighed=[(y, classes[y])])
    assert torch.allclose(parts["cross_entropy"], torch.nn.functional.cross_entropy(logits, y, weight=classes))


def test_where_only_labels_teach_those_samples_come_again_and_again() -> None:
    one = task({"kind": "cross_entropy"})
    few = one.feed.with_labels(10)
    labels = few.labels("train")
    assert labels is not None and (labels >= 0).sum() == 10
    alone = Objective(make_terms([{"kind": "cross_entropy"}]), network(8))
    order = train._order(alone, labels, None, 80, np.random.default_rng(0))
    assert len(order) == 80 and set(order) == set(np.flatnonzero(labels >= 0))
    both = Objective(make_terms([{"kind": "cross_entropy"}, KL]), network(8))
    assert sorted(train._order(both, labels, None, 80, np.random.default_rng(0))) == list(range(80))
    assert one.feed.labels("validation") is few.labels("validation")


def test_a_loss_with_a_teacher_sees_the_samples_that_it_answers() -> None:
    objective = Objective(make_terms([{"kind": "cross_entropy"}, KL, {"kind": "decoupled_kl"}]), network(8))
    logits, teacher = torch.randn(6, 4), torch.randn(6, 4)
    labels = torch.tensor([1, -1, 2, 3, -1, 0])
    missing = teacher.clone()
    missing[[2, 4]] = torch.nan
    total, parts = objective(logits, missing, labels, 0.0)
    _, known = objective(logits[[0, 1, 3, 5]], teacher[[0, 1, 3, 5]], labels[[0, 1, 3, 5]], 0.0)
    _, both = objective(logits[[0, 3, 5]], teacher[[0, 3, 5]], labels[[0, 3, 5]], 0.0)
    assert torch.isfinite(total) and parts["kl"] == known["kl"] and parts["decoupled_kl"] == both["decoupled_kl"]
    _, none = objective(logits, torch.full_like(teacher, torch.nan), labels, 0.0)
    assert none["kl"] == 0 and none["cross_entropy"] > 0


def test_where_only_the_teacher_teaches_the_samples_that_it_answers_come_again_and_again() -> None:
    says = np.zeros((80, 4), np.float32)
    says[5:] = np.nan
    rng = np.random.default_rng(0)
    order = train._order(Objective(make_terms([KL]), network(8)), None, says, 80, rng)
    assert len(order) == 80 and set(order) == set(range(5))
    labels = np.full(80, -1)
    labels[4:9] = 0
    both = Objective(make_terms([KL, {"kind": "cross_entropy"}]), network(8))
    assert set(train._order(both, labels, says, 80, rng)) == set(range(9))
    says[:] = 0
    assert sorted(train._order(both, labels, says, 80, rng)) == list(range(80))


def test_what_the_teacher_says_of_one_head_alone_teaches_that_head() -> None:
    """Each sample is answered of one head, as where teachers of a head each have gaps."""
    says = np.zeros((80, 5), np.float32)
    says[:40, 3:] = np.nan
    says[40:70, :3] = np.nan
    says[70:] = np.nan
    both = Objective(make_terms([KL], heads=Heads({"a": 3, "b": 2})), network(8))
    order = train._order(both, None, says, 80, np.random.default_rng(0))
    assert len(order) == 80 and set(order) == set(range(70))
    one = Objective(make_terms([{**KL, "head": "b"}], heads=Heads({"a": 3, "b": 2})), network(8))
    assert set(train._order(one, None, says, 80, np.random.default_rng(0))) == set(range(40, 70))


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_head_without_labels_is_taught_wherever_it_stands(name: str) -> None:
    heads = Heads({"a": 3, "b": 2}, labelled={name: "none"})
    objective = Objective(make_terms([KL, {"kind": "cross_entropy"}], heads=heads), network(8))
    other = "b" if name == "a" else "a"
    assert [term.name for term in objective.terms] == ["kl (a)", "kl (b)", f"cross_entropy ({other})"]
    logits, teacher, labels = torch.randn(6, 5), torch.randn(6, 5), torch.randint(0, 2, (6, 1))
    _, parts = objective(logits, teacher, labels, 0.0)
    columns = heads.columns[name]
    assert parts[f"kl ({name})"] == make_terms([KL])[0].loss(logits[:, columns], teacher[:, columns], None)
    wanted = torch.nn.functional.cross_entropy(logits[:, heads.columns[other]], labels[:, 0])
    assert parts[f"cross_entropy ({other})"] == wanted


def test_layers_of_tokens_are_refused_where_a_loss_can_not_compare_them() -> None:
    data = MadeText(words=20, train=8, validation=4, test=4).load()
    (op,) = data.preprocess
    others = {**op, "vocabulary": [*op["vocabulary"][:5], *op["vocabulary"][:4:-1]]}  # in another order
    feed, other = (Feed(data, ops, Augment(views=1), 0) for ops in ((op,), (others,)))
    net = {"kind": "bert", "width": 16, "layers": 1, "heads": 2}
    student, teacher = (plugins.build("models", net, "m").build(feed.sample_shape, 2).eval() for _ in range(2))
    layer, pooled = "bert.encoder.layer.0", "bert.pooler.dense"

    def objective(kind: str, path: str, theirs: Feed) -> Objective:
        terms = make_terms([{"kind": kind, "student_layers": [path], "teacher_layers": [path]}])
        return train.objective_of(student, terms, feed, (teacher, theirs), 0)

    for kind, path in (("hidden_states", layer), ("hint", layer), ("attention_transfer", f"{layer}.attention.self:1")):
        assert objective(kind, path, feed).taps_teacher
        with pytest.raises(RecipeError, match=rf"losses\[0\]\.kind: compares tokens, and .*; found '{kind}'"):
            objective(kind, path, other)
    for kind in ("hint", "hidden_states", "contrastive"):
        assert objective(kind, pooled, other).taps_teacher, "a vector a text"
    with pytest.raises(RecipeError, match=r"compares vectors, and texts have any number of tokens; found .contrastive"):
        objective("contrastive", layer, feed)


def test_each_head_has_a_term_of_its_own() -> None:
    terms = make_terms([KL, {"kind": "cross_entropy", "head": "b"}], heads=Heads({"a": 3, "b": 2}))
    assert [term.name for term in terms] == ["kl (a)", "kl (b)", "cross_entropy (b)"]
    objective = Objective(terms, network(8))
    logits, teacher = torch.randn(6, 5), torch.randn(6, 5)
    labels = torch.stack([torch.randint(0, 3, (6,)), torch.randint(0, 2, (6,))], dim=1)
    total, parts = objective(logits, teacher, labels, 0.0)
    by_hand = torch.nn.functional.cross_entropy(logits[:, 3:], labels[:, 1])
    assert parts["cross_entropy (b)"] == by_hand
    assert parts["kl (a)"] == make_terms([KL])[0].loss(logits[:, :3], teacher[:, :3], None)
    assert total == pytest.approx(sum(parts.values()))


def test_a_loss_counts_for_every_head_that_it_suits() -> None:
    """Of different tasks: ``dist`` compares classes alone; one that suits none, and one of a head that it does not."""
    heads = Heads({"slots": (4, 3), "intent": 2}, {"slots": Tagging(), "intent": Classification()})
    terms = make_terms([{"kind": "kl"}, {"kind": "dist"}, {"kind": "kl", "head": "intent"}], heads=heads)
    assert [term.name for term in terms] == ["kl (slots)", "kl (intent)", "dist (intent)", "kl #2 (intent)"]
    assert [term.shape for term in terms[:2]] == [(4, 3), (2,)]
    with pytest.raises(RecipeError, match=r"losses\[0\]\.kind: not a loss of Tagging; found 'huber'"):
        make_terms([{"kind": "huber"}], heads=heads)
    with pytest.raises(RecipeError, match=r"losses\[0\]\.kind: not a loss of Tagging; found 'dist'"):
        make_terms([{"kind": "dist", "head": "slots"}], heads=heads)
