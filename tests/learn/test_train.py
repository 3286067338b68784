"""The training loop: a golden curve, a resume that gives the same bits, divergence that is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from edgekd.base import host, plugins
from edgekd.base.errors import DivergedError, RecipeError
from edgekd.learn import divergence, predictions, train
from edgekd.learn.checkpoint import EpochLosses
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data.made import Made
from edgekd.learn.feed import Feed
from edgekd.learn.objective import Objective, make_terms
from edgekd.learn.optimizer import learning_rate, make_optimizer
from edgekd.metrics import Evaluator
from edgekd.metrics.auc import Auc
from edgekd.spec.recipe import Augment, Schedule
from edgekd.tasks import SINGLE, Heads
from edgekd.tasks.anomaly import Anomaly

GOLDEN = (Path(__file__).parent.parent / "golden" / "loss_curve.txt").read_text().split()


def feed() -> Feed:
    data = Made((8, 8, 1), classes=4, train=80, validation=32, test=16).load()
    return Feed(data, data.preprocess, Augment(flip=True, crop=1, views=2), seed=3)


def module() -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = plugins.build("models", {"kind": "convnet", "width": 8, "depth": 2}, "m").build((1, 8, 8), 4)
    return made


def task(schedule: Schedule, **changed: Any) -> train.TrainingJob:
    terms = make_terms([{"kind": "kl", "weight": 0.7}, {"kind": "cross_entropy", "weight": 0.3}])

    def teacher(view: int) -> np.ndarray:
        return np.random.default_rng(view).standard_normal((80, 4), dtype=np.float32)

    return train.TrainingJob(
        **{"terms": terms, "feed": feed(), "schedule": schedule, "seed": 5, "teacher": teacher, **changed}
    )


def test_golden_loss_curve() -> None:
    history = train.fit(module(), task(Schedule(epochs=4, batch_size=16)))
    assert len(history) * 5 == 20
    found = [f"{record['loss']:.4f}" for record in history]
    assert [float(a) for a in found] == pytest.approx([float(b) for b in GOLDEN], rel=2e-3), found


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_training_gives_the_same_bits(tmp_path: Path, optimizer: Literal["adamw", "sgd"]) -> None:
    class Killed(Exception):
        pass

    schedule = Schedule(epochs=5, batch_size=16, optimizer=optimizer, lr=0.01, patience=4)
    whole = module()
    history = train.fit(whole, task(schedule))

    def kill(event: dict[str, Any]) -> None:
        if event.get("epoch") == 2:
            raise Killed

    with pytest.raises(Killed):
        train.fit(module(), task(schedule, progress=kill), tmp_path)
    resumed = module()
    again = train.fit(resumed, task(schedule), tmp_path)
    assert [record["loss"] for record in again] == [record["loss"] for record in history]
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(("share", "kept"), [(0.5, 3), (0.6875, 0)])
def test_weights_that_another_network_judges_best_are_kept(share: float, kept: int) -> None:
    """Of two epochs that are judged alike the later; none where it gained less than chance does.

    At the end 10 or 16 of 32 samples that were wrong before are right, and 8 others wrong.
    """
    epochs = [0.75, 0.25, 0.75, 0.5]
    values = iter([*epochs, -share, 0.75])
    seen: list[dict[str, torch.Tensor]] = []

    def judged(net: nn.Module) -> nn.Module:
        seen.append({name: value.clone() for name, value in net.state_dict().items()})
        return Answers(next(values))

    class Answers(nn.Module):
        """Right for a share of the validation split: the first of it, or, told as a negative share, the last."""

        def __init__(self, share: float) -> None:
            super().__init__()
            labels = feed().labels("validation")
            assert labels is not None
            wrong = np.arange(len(labels)) >= abs(share) * len(labels)
            wrong = wrong if share > 0 else wrong[::-1]
            self.answers = nn.functional.one_hot(torch.tensor((labels + wrong) % 4), 4).float()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.answers[: len(x)]

    net = module()
    untrained = {name: value.clone() for name, value in net.state_dict().items()}
    history = train.fit(net, task(Schedule(epochs=4, batch_size=16), judged=judged))
    assert [record["validation"] for record in history] == epochs
    wanted = [untrained, *seen][kept]
    assert all(torch.equal(value, wanted[name]) for name, value in net.state_dict().items())


def test_a_student_that_trains_alone_learns_from_mixed_views() -> None:
    """No teacher answers: the labels of both samples do, by their shares."""
    data = Made((8, 8, 1), classes=4, train=80, validation=32, test=16).load()
    alone = Feed(data, data.preprocess, Augment(views=4, ops=({"kind": "mixup"}, {"kind": "erase"})), seed=3)
    terms = make_terms([{"kind": "cross_entropy"}])
    schedule, again = Schedule(epochs=12, batch_size=16), module()
    history = train.fit(subject := module(), task(schedule, feed=alone, terms=terms, teacher=None))
    assert history[-1]["validation"] > 0.8
    assert history[-1]["loss"] > 0.3, "both labels can't be right at once"
    train.fit(again, task(schedule, feed=alone, terms=terms, teacher=None))
    pairs = zip(subject.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_rare_class_is_as_likely_where_classes_count_or_come_alike() -> None:
    """Samples that tell nothing: what is learned is how often a class is named."""
    part = Split(np.ones((68, 1), np.float32), np.repeat([0, 1], [64, 4]))
    alike = Feed(Dataset(part, part, part, ("usual", "rare"), ()), (), Augment(), 0)

    def share(**keys: Any) -> float:
        torch.manual_seed(0)
        subject, terms = nn.Linear(1, 2), make_terms([{"kind": "cross_entropy"}])
        schedule = Schedule(epochs=30, batch_size=17, lr=0.1, **keys)
        train.fit(subject, task(schedule, feed=alike, terms=terms, teacher=None))
        return float(torch.tensor(predictions.predict(subject, alike, "test")[0]).softmax(0)[1])

    assert share() == pytest.approx(4 / 68, abs=0.02)
    assert share(sampler="balanced") == pytest.approx(0.5, abs=0.05)
    assert share(class_weights="balanced") == pytest.approx(0.5, abs=0.1)
    assert share(class_weights=[1.0, 16.0]) == pytest.approx(share(class_weights="balanced"))


def test_batches_of_one() -> None:
    history = train.fit(module(), task(Schedule(epochs=1, batch_size=1)))
    assert history[0]["loss"] > 0


def test_nan_is_named(tmp_path: Path) -> None:
    broken = module()
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(DivergedError, match=r"student: training diverged in epoch 1, step 1, .*kl is nan"):
        train.fit(broken, task(Schedule(epochs=1), where="student"))


def test_a_loss_that_is_too_large_untrained_is_no_matter_of_the_rate() -> None:
    def far(view: int) -> np.ndarray:
        return np.full((80, 4), 1e4, np.float32)

    terms = make_terms([{"kind": "squared_error"}])
    with pytest.raises(DivergedError, match=r"squared_error is 1e[+]08.*scale the outputs, or give the loss a weight"):
        train.fit(module(), task(Schedule(epochs=1), terms=terms, teacher=far))


def test_a_loss_that_begins_later_is_no_divergence() -> None:
    """Its weight makes the sum a hundred times what it was."""
    terms = make_terms([{"kind": "kl"}, {"kind": "squared_error", "weight": 100.0, "start": 0.5}])
    first, second = train.fit(module(), task(Schedule(epochs=2, batch_size=16), terms=terms))
    assert second["loss"] > divergence.RAN_AWAY * max(first["loss"], 1.0)


@pytest.mark.parametrize("value", [21.0, float("nan"), float("inf")])
def test_a_loss_that_ran_away_from_where_it_began_is_named(value: float) -> None:
    terms = make_terms([{"kind": "kl"}, {"kind": "squared_error", "start": 0.5}])

    def epoch(number: int, kl: float, squared: float) -> EpochLosses:
        return {"epoch": number, "loss": kl, "losses": {"kl": kl, "squared_error": squared}, "lr": 0.1}

    def check(*history: EpochLosses) -> None:
        divergence.check_sane(history, terms, Schedule(epochs=4), 5, "student")

    check(epoch(0, 0.5, 1.0), epoch(1, 19.0, 90.0), epoch(2, 1.0, 200.0), epoch(3, 1.0, 3900.0))
    with pytest.raises(DivergedError, match=r"student: training diverged in epoch 2: kl is .*it was 0\.5"):
        check(epoch(0, 0.5, 1.0), epoch(1, value, 1.0))
    with pytest.raises(DivergedError, match=r"in epoch 4: squared_error is .*it was 2"):
        check(epoch(0, 0.5, 0.1), epoch(1, 0.5, 0.1), epoch(2, 0.5, 2.0), epoch(3, 0.5, 2 * value))


def test_what_nobody_knows_is_normal_to_one_loss_and_nothing_to_others() -> None:
    heads, data = Heads({SINGLE: 1}, {SINGLE: Anomaly()}), Made((8, 8, 1), classes=2, train=80, validation=32).load()
    unknown = replace(data, train=replace(data.train, y=np.full((80, 1), -1)))
    known = replace(unknown, validation=replace(data.validation, y=np.arange(32)[:, None] % 2))
    shown = Feed(known, data.preprocess, Augment(views=1), 3, None, heads)
    net: nn.Module = plugins.build("models", {"kind": "auto_encoder", "width": 4}, "m").build((1, 8, 8), 1)
    made = {"feed": shown, "teacher": None, "evaluator": Evaluator(Auc(), heads)}
    terms = make_terms([{"kind": "deep_sad"}], heads=heads)
    first, *_, last = train.fit(net, task(Schedule(epochs=3, batch_size=16), terms=terms, **made))
    assert last["loss"] < first["loss"], "it learns what normal is"
    terms = make_terms([{"kind": "binary_cross_entropy"}], heads=heads)
    with pytest.raises(RecipeError, match=r"losses\[0\]: nothing to learn from; found 'binary_cross_entropy'"):
        train.fit(net, task(Schedule(epochs=1, batch_size=16), terms=terms, **made))


def test_early_stopping_keeps_the_best() -> None:
    trained = module()
    history = train.fit(trained, task(Schedule(epochs=30, batch_size=16, patience=2, lr=1e-6)))
    assert len(history) < 30
    best = max(record["validation"] for record in history)
    says = predictions.predict(trained, feed(), "validation").argmax(1)
    assert float(np.mean(says == feed().labels("validation"))) == best


@pytest.mark.parametrize("shape", ["cosine", "constant", "one_cycle"])
def test_learning_rates(shape: Literal["cosine", "constant", "one_cycle"]) -> None:
    schedule = Schedule(lr=1.0, schedule=shape, warmup=0.1)
    rates = [learning_rate(schedule, step, 100) for step in range(100)]
    assert 0 < rates[0] < 0.2 and max(rates) <= 1.0 and min(rates) >= 0
    assert (rates[-1] == 1.0) if shape == "constant" else rates[-1] < 0.01


def test_vectors_are_not_decayed() -> None:
    groups = make_optimizer(module(), Schedule(weight_decay=0.5)).param_groups
    assert {group["weight_decay"] for group in groups if any(p.ndim == 1 for p in group["params"])} == {0.0}
    assert {group["weight_decay"] for group in groups if any(p.ndim > 1 for p in group["params"])} == {0.5}


@pytest.mark.parametrize("has", [True, False])
def test_bf16_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    monkeypatch.setattr(host, "isa", lambda: frozenset({"amx_bf16"} if has else {"avx2"}))
    mixed = train._precision(Schedule(precision="bf16"), torch.device("cpu"))
    assert isinstance(mixed, torch.autocast) is has
    for precision in ("fp32", "auto"):
        assert not isinstance(train._precision(Schedule(precision=precision), torch.device("cpu")), torch.autocast)


class Probe:
    """A loss that notes in which precision it is computed."""

    needs = frozenset({"teacher"})

    def __init__(self) -> None:
        self.kinds = set[torch.dtype]()

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor, labels: object) -> torch.Tensor:
        self.kinds |= {student.dtype, teacher.dtype, product()}
        return (student - teacher).square().mean()


def product() -> torch.dtype:
    """What a product of matrices is here: autocast makes bfloat16 of it."""
    return (torch.eye(2) @ torch.eye(2)).dtype


def test_networks_run_in_the_precision_of_the_schedule_and_losses_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "_precision", lambda schedule, device: torch.autocast("cpu", torch.bfloat16))
    student, teacher = (nn.Sequential(nn.Flatten(), nn.Linear(64, 4)) for _ in range(2))
    seen: dict[nn.Module, torch.dtype] = {}

    def note(net: nn.Module, given: object, output: object) -> None:
        if torch.is_autocast_enabled("cpu"):
            seen[net] = product()

    for net in (student, teacher):
        net.register_forward_hook(note)
    probe, shown = Probe(), feed()
    terms = make_terms([{"kind": "squared_error"}, {"kind": "relational"}])
    terms = (replace(terms[0], loss=probe), terms[1])
    schedule = Schedule(epochs=1, batch_size=16)
    history = train.fit(student, task(schedule, terms=terms, feed=shown, live=(teacher.eval(), shown)))
    assert seen == {student: torch.bfloat16, teacher: torch.bfloat16} and probe.kinds == {torch.float32}
    assert history[0]["losses"]["relational"] > 0


def test_adapters_are_on_the_device_before_the_optimizers_state_follows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    prepare, to = Accelerator.prepare, Objective.to

    def prepared(self: Accelerator, *given: object) -> Any:
        order.append("prepare")
        return prepare(self, *given)

    def moved(self: Objective, device: torch.device) -> None:
        order.append("to")
        to(self, device)

    monkeypatch.setattr(Accelerator, "prepare", prepared)
    monkeypatch.setattr(Objective, "to", moved)
    train.fit(module(), task(Schedule(epochs=1, batch_size=16)))
    assert order[:2] == ["to", "prepare"]
