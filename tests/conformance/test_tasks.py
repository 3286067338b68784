"""What every task keeps, found by its file; and each one's own labels."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base import plugins, reader
from edgekd.base.errors import DataError, IntegrityError, RecipeError
from edgekd.base.scores import softmax
from edgekd.document.decisions import Decisions
from edgekd.learn.data._own_task import try_out
from edgekd.metrics import Evaluator
from edgekd.metrics.spearman import Spearman
from edgekd.spec import recipe
from edgekd.tasks import (
    CLASSES,
    DISTANCE,
    Certainty,
    ClassDistance,
    Heads,
    Labels,
    Prediction,
    Task,
    Values,
    Vector,
    certainties_of,
    kind_of,
    make_task,
    pairs_of,
    table_of_heads,
    triplets_of,
)
from edgekd.tasks._own import check_says
from edgekd.tasks.embedding import Embedding
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression

KINDS = plugins.kinds("tasks")
LABELLED = [kind for kind in KINDS if plugins.load("tasks", kind, "test").label_loss]
NAMES = ("ant", "bee", "cat")
FINITE = st.floats(-20, 20, width=32)


def task_of(kind: str, **keys: Any) -> Task:
    return make_task({"kind": kind, **keys}, "task")


def names_of(task: Task) -> tuple[str, ...]:
    return ("O", "B-ant", "I-ant") if task.axes[1] == "token" else NAMES[: columns_of(task)]


def columns_of(task: Task) -> int:
    """How many names an output has here: three where it may have several."""
    return 1 if task.false_alarms is not None else 3


def places_of(task: Task) -> tuple[int, ...]:
    """The shape of a sample's label: of a dense task two tokens, or four rows of five pixels."""
    return {1: (2,), 2: (4, 5)}[len(task.axes) - 2] if task.dense else ()


def shape_of(task: Task, size: int = 0) -> tuple[int, ...]:
    """The natural shape of so many names; 0: as many as it has here."""
    return task.shape(size or columns_of(task), places_of(task))


def scores_of(seed: int, count: int = 8, size: int = 0, task: Task = CLASSES) -> np.ndarray:
    shape = shape_of(task, size)
    return (4 * np.random.default_rng(seed).standard_normal((count, *shape))).astype(np.float32)


def labels_of(task: Task, seed: int, count: int = 40, size: int = 0) -> np.ndarray:
    """Labels as a user brings them."""
    labels = task.answers(scores_of(seed, count, size, task))
    if task.axes[1] == "token":  # an I- continues something
        labels[:, 0] = 1
    return labels.reshape(count, *places_of(task)) if task.dense else labels


def at(split: str, i: int) -> str:
    return f"{split}: sample {i}"


@pytest.mark.parametrize("kind", KINDS)
def test_says_all_that_the_house_asks(kind: str) -> None:
    task = task_of(kind)
    assert isinstance(task, Task) and type(task).__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert type(task).__doc__ and task.axes[0] == "batch" and len(task.axes) == 1 + len(shape_of(task))
    assert 0 <= task.axis < len(shape_of(task)) and shape_of(task)[task.axis] == columns_of(task)
    assert {"text", "ink", "picture", "sound", "numbers"} <= set(task.hub)
    assert task.metrics and set(task.metrics) <= set(plugins.kinds("metrics"))
    assert task.label_loss in (*task.losses, "") and set(task.losses) <= set(plugins.kinds("losses"))
    known = ("class", "labels", "values", "anomaly", "anomaly_map", "mask", "tags", "")
    assert task.program in known and task.holds.count("{}") == 1
    assert task.prints.startswith("answer.") and task.link in ("softmax", "sigmoid", "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_makes_the_same_task_again(kind: str) -> None:
    heads = Heads({"a": 3}, {"a": task_of(kind)})
    table = json.loads(json.dumps(table_of_heads(heads)))
    assert table["kind"] == kind_of(task_of(kind)) == kind
    assert make_task(table, "manifest", IntegrityError) == task_of(kind)
    mixed = Heads({"a": 3, "b": 2}, {"a": task_of(kind), "b": MultiLabel(threshold=0.9)})
    assert set(table_of_heads(mixed)["outputs"]) == {"a", "b"}
    with pytest.raises(RecipeError, match=r"task\.nothing: unknown key"):
        task_of(kind, nothing=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_takes_its_name_or_a_table_and_has_a_metric_that_suits(kind: str) -> None:
    table = recipe.load("digits")[0].model_dump(exclude_unset=True)
    table.pop("metric", None)
    for task in (kind, {"kind": kind}):
        made = recipe.parse({**table, "task": task}, "r")
        assert made.task == {"kind": kind} and made.metric["kind"] == task_of(kind).metrics[0]


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_two_nets_that_say_the_same_are_one_and_a_step_below_the_lead_changes_nothing(kind: str, seed: int) -> None:
    task = task_of(kind)
    scores = scores_of(seed, task=task)
    same = task.same(scores, scores.copy())
    assert same is None or same.all()
    assert not task.differs(scores, scores, 0.0).any()
    np.testing.assert_allclose(task.distance(scores, scores), 0, atol=1e-9)
    other = scores_of(seed + 1, task=task)
    apart = task.distance(scores, other)
    assert (apart > 0).all() and apart.shape == (8,)
    if task.vectors:
        cosines = (scores * other).sum(1) / np.linalg.norm(scores, axis=1) / np.linalg.norm(other, axis=1)
        np.testing.assert_allclose(apart, 1 - cosines, atol=1e-5)
    if task.unit == "bit":  # which reports call a Jensen-Shannon divergence, 0 to 1 bit
        assert (apart <= 1).all()
        np.testing.assert_allclose(apart, task.distance(other, scores), atol=1e-12)
    if same is None:
        assert (task.margin(scores) == 1).all()
        return
    lead = task.lead(scores).reshape(-1, *[1] * (scores.ndim - 1))
    moved = scores + np.random.default_rng(seed).uniform(-0.49, 0.49, scores.shape).astype(np.float32) * lead
    assert task.same(scores, moved).all()  # type: ignore[union-attr]
    assert ((task.margin(scores) >= 0) & (task.margin(scores) <= 1)).all()


def at_every_place(task: Task, row: list[float]) -> np.ndarray:
    """(1, *shape) the same row of scores at each place."""
    shape = shape_of(task)
    beside = [1] * len(shape)
    beside[task.axis] = columns_of(task)
    return np.broadcast_to(np.array(row[: columns_of(task)], np.float32).reshape(1, *beside), (1, *shape)).copy()


@pytest.mark.parametrize("kind", KINDS)
def test_a_clear_decision_that_changes_is_told_and_one_in_doubt_is_not(kind: str) -> None:
    task = task_of(kind)
    rows = [[9.0, -9.0, -9.0], [-9.0, 9.0, -9.0], [0.01, -0.01, -9.0], [-0.01, 0.01, -9.0]]
    clear, turned, doubt, other = (at_every_place(task, row) for row in rows)
    decides = task.same(clear, turned) is not None
    assert task.differs(turned, clear, 0.05).tolist() == [decides]
    assert task.differs(other, doubt, 0.05).tolist() == [False]
    assert task.differing(turned, clear, 0.05).tolist() == [decides]
    assert task.differing(other, doubt, 0.05).tolist() == [0]
    shares = [task.agreement(one, clear) for one in (clear, turned, other)]
    assert shares == ([1, 0, 0] if decides else [None] * 3)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_what_is_written_down_is_found_again(kind: str, seed: int) -> None:
    task = task_of(kind)
    for shares, scores in zip(task.shares(x := scores_of(seed, task=task)), x, strict=True):
        decided = task.decode(shares, names_of(task))
        record = json.loads(json.dumps(task.record(decided)))
        assert task.decision(record) == task.decision(json.loads(json.dumps(task.record(decided))))
        assert all(off.distance <= 1 for off in task.off(decided, record, 1e-4))
        turned = task.decode(task.shares(-3 * scores[None])[0], names_of(task))
        told = task.dense and task.decision(task.record(turned)) != task.decision(record)
        assert told or any(off.distance > 1 for off in task.off(turned, record, 1e-4))
        assert isinstance(task.in_words(record), str)
        file = {"samples": [{"text": "a"}], "decisions": {"t": [{"logits": task.record(decided)}]}}
        reader.read(json.dumps(file).encode(), Decisions, "decisions.json")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_marked_of_a_label_is_what_a_student_marks_that_says_so(kind: str) -> None:
    task = task_of(kind)
    names, shape = names_of(task), shape_of(task)
    for scores in scores_of(3, task=task):
        decided = task.decode(task.shares(scores[None])[0], names)
        marks, label = task.marks(decided), task.answers(scores[None])[0]
        shares = task.shares_of_label(label, shape)
        if marks is None or shares is None:
            assert marks is None and shares is None
            continue
        again = task.marks(task.decode(shares, names))
        assert again is not None and again.points == marks.points and again.spans == marks.spans
        assert again.names == marks.names and np.array_equal(again.areas, marks.areas)  # type: ignore[arg-type]
        assert marks.areas is None or {*np.unique(marks.areas)} <= {*range(-1, len(names))}
        assert all(0 <= start < stop for start, stop, _ in marks.spans)


@pytest.mark.parametrize("kind", LABELLED)
def test_labels_of_arrays_are_read_checked_and_answered_alike(kind: str) -> None:
    task = task_of(kind)
    labels, names = labels_of(task, 3), names_of(task)
    numbering = task.numbered({"train": labels, "test": labels[:8]}, names, at, "data")
    assert numbering.names == names and np.array_equal(numbering.labels["train"], labels)
    task.check(numbering.labels["test"], 8, len(names), "data (test)")
    task.check_learned(numbering.labels, names, "data")
    picked = task.picks(task.answers(scores_of(1, task=task)), len(names))
    assert picked.shape == (8, len(names)) and picked.dtype == bool
    with pytest.raises(DataError, match="data"):
        task.check(numbering.labels["test"], 9, len(names), "data")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in LABELLED])
def test_a_task_without_labels_refuses_them_and_counts_its_columns(kind: str) -> None:
    with pytest.raises(DataError, match=r"data: labels, of which a .* has none; found 'labels of 2 training samples'"):
        task_of(kind).numbered({"train": np.array([0, 1])}, None, at, "data")
    assert task_of(kind, size=3).unlabelled(None, "data.classes").names == ("value 0", "value 1", "value 2")
    assert task_of(kind).unlabelled(NAMES, "data.classes").names == NAMES
    with pytest.raises(DataError, match=r"task\.size: how many numbers a vector has is needed"):
        task_of(kind).unlabelled(None, "data.classes")
    with pytest.raises(DataError, match=r"data\.classes: a name for each number of a vector; found '3 names'"):
        task_of(kind, size=4).unlabelled(NAMES, "data.classes")
    with pytest.raises(RecipeError, match=r"task\.size: allowed is 1 to 65536"):
        task_of(kind, size=-1)


def test_vectors_that_are_probabilities_are_shown_as_such() -> None:
    plain, shares = task_of("distribution"), task_of("distribution", probabilities=True)
    scores = np.array([[2.0, 0.0, -2.0]], np.float32)
    assert plain.decode(plain.shares(scores)[0], NAMES) == Vector((2.0, 0.0, -2.0))
    told = shares.decode(shares.shares(scores)[0], NAMES).values
    assert sum(told) == pytest.approx(1) and told == pytest.approx(tuple(softmax(scores)[0]))
    assert "kl" in shares.losses and "kl" not in plain.losses
    assert plain.distance(scores, 3 * scores)[0] == pytest.approx(0, abs=1e-12)
    assert shares.distance(scores, 3 * scores)[0] > 0.001, "the same direction, other shares"
    assert plain.distance(scores, -scores)[0] == pytest.approx(2)


PAIRS = [
    ([[7, 0.5], [3, 1.0], [7, 0.5], [3, 1.0]], (0.0, 1.0), [[1, 0.5], [0, 1.0], [1, 0.5], [0, 1.0]]),
    ([5, 5, 2, 2], (0.0, 1.0), [[1, 1], [1, 1], [0, 1], [0, 1]]),
    (
        np.array([["0", "5"], ["0", "5"], ["1", "2"], ["1", "2"]], object),
        (1.0, 5.0),
        [[0, 1], [0, 1], [1, 0.25], [1, 0.25]],
    ),
    ([[2**40, 1.0], [2**40 + 1, 0.0], [2**40, 1.0], [2**40 + 1, 0.0]], (0.0, 1.0), [[0, 1], [1, 0], [0, 1], [1, 0]]),
    ([[math.nan, math.nan], [4, 0.0], [4, 0.0]], (0.0, 1.0), [[math.nan, math.nan], [0, 0], [0, 0]]),
]


@pytest.mark.parametrize(("labels", "scores", "held"), PAIRS)
def test_pairs_are_numbered_and_their_scores_are_of_0_to_1(labels: Any, scores: Any, held: Any) -> None:
    task = Embedding(size=4, scores=scores)
    numbering = task.numbered({"train": np.array(labels) if isinstance(labels, list) else labels}, None, at, "data")
    np.testing.assert_array_equal(numbering.labels["train"], np.array(held, np.float32))
    assert len(numbering.names) == 4
    task.check(numbering.labels["train"], len(held), 4, "data")
    groups = task.together(numbering.labels["train"])
    np.testing.assert_array_equal(groups, np.nan_to_num(np.array(held)[:, 0], nan=-1))


def triplets(count: int, negatives: int, seed: int) -> np.ndarray:
    """Rows as a user brings them, in any order, and a sample of no triplet."""
    rows = [(10 * i, role) for i in range(count) for role in ("anchor", "positive", *["negative"] * negatives)]
    rows += [("", "")]  # type: ignore[list-item]
    return np.array(rows, object)[np.random.default_rng(seed).permutation(len(rows))]


@given(count=st.integers(1, 6), negatives=st.integers(1, 3), seed=st.integers(0, 99), plain=st.booleans())
@settings(max_examples=30, deadline=None)
def test_triplets_are_held_as_roles_and_compared_as_pairs(count: int, negatives: int, seed: int, plain: bool) -> None:
    rows = triplets(count, negatives, seed)
    task = Embedding(size=4, scores=(1.0, 5.0))
    labels = task.numbered({"train": rows if plain else rows.astype(str)}, None, at, "data").labels["train"]
    in_lists = np.empty(len(rows), object)
    in_lists[:] = rows.tolist()
    np.testing.assert_array_equal(task.numbered({"train": in_lists}, None, at, "data").labels["train"], labels)
    task.check(labels, len(rows), 4, "data")
    groups = task.together(labels)
    assert labels.dtype == np.float32 and set(np.bincount(groups[groups >= 0])) == {2 + negatives}
    words = {2: "anchor", 3: "positive", 4: "negative"}
    assert all(words.get(held, "") == role for held, role in zip(labels[:, 1], rows[:, 1], strict=True))
    named = triplets_of(labels)
    assert len(named.anchor) == count * negatives == len(np.unique(named.negative))
    for samples, role in zip(named, ("anchor", "positive", "negative"), strict=True):
        assert (rows[samples, 1] == role).all() and (groups[samples] == groups[named.anchor]).all()
    pairs = pairs_of(labels)
    assert sorted(pairs.scores) == [0.0] * count * negatives + [1.0] * count
    assert (rows[pairs.first, 1] == "anchor").all() and (rows[pairs.second[pairs.scores == 1], 1] == "positive").all()
    twice = labels[np.tile(np.arange(len(labels)), 2)]
    assert len(triplets_of(twice).anchor) == 2 * len(named.anchor) and len(pairs_of(twice).first) == 2 * len(
        pairs.first
    )
    without = labels[labels[:, 1] != 2]
    assert not len(pairs_of(without).first) and not len(triplets_of(without).anchor), (
        "nobody to hold the others against"
    )


def test_a_loss_and_a_metric_suit_what_labels_say() -> None:
    task, scored = Embedding(size=4), np.array([[0, 0.5], [0, 0.5], [1, 1], [1, 1]])
    unscored, named = np.where(scored == 0.5, 1.0, scored), np.array([[0, 2], [0, 3], [0, 4.0]])
    given = {"spearman": scored, "recall_at_k": unscored, "triplet_accuracy": named}
    assert {metric: task.suited(labels)[1] for metric, labels in given.items()} == {metric: metric for metric in given}
    assert [task.suited(labels)[0] for labels in (None, scored)] == ["similarity_scores"] * 2
    assert [task.suited(labels)[0] for labels in (unscored, named)] == ["multiple_negatives"] * 2


def test_pairs_are_compared_by_their_cosine_and_a_resample_counts_one_as_often() -> None:
    task, vectors = Embedding(size=2), np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [0.0, 1.0]])
    labels = np.array([[0, 0.25], [1, 0.5], [0, 0.25], [1, 0.5]])
    cosines, wanted = task.compared(vectors, labels)
    np.testing.assert_allclose(cosines[:, 0], [math.sqrt(0.5), 1.0])
    assert wanted.tolist() == [[0.25], [0.5]]
    twice, half = np.array([0, 2, 0, 2, 1, 3]), np.array([0, 2, 1])
    assert task.compared(vectors[twice], labels[twice])[1].tolist() == [[0.25], [0.25], [0.5]]
    assert task.compared(vectors[half], labels[half])[1].tolist() == [[0.25]], "one that lacks a sample does not count"
    teacher = Heads({"v": 2}, {"v": task})
    spearman = Evaluator(Spearman(), teacher)
    assert spearman(vectors, None, vectors, vectors) == pytest.approx(1)
    assert spearman(vectors, labels, None, vectors) == pytest.approx(1)


def test_what_each_decodes_to() -> None:
    logits = np.array([[2.0, 0.0, -2.0]], np.float32)
    flat = [kind for kind in KINDS if not task_of(kind).dense]
    decoded = {kind: task_of(kind).decode(task_of(kind).shares(logits)[0], NAMES) for kind in flat}
    one, several, values = decoded["classification"], decoded["multi_label"], decoded["regression"]
    assert isinstance(one, Prediction) and one.label == "ant" and sum(one.scores) == pytest.approx(1)
    assert isinstance(several, Labels) and several.labels == ("ant", "bee") and several.scores[1] == 0.5
    assert isinstance(values, Values) and values == Values((2.0, 0.0, -2.0), NAMES)
    assert Values((1.5,), ("price",)).value == 1.5
    with pytest.raises(ValueError, match="3 values: ant, bee, cat"):
        values.value


@given(threshold=st.floats(0.01, 0.99), seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_a_threshold_is_one_for_metrics_answers_and_apps(threshold: float, seed: int) -> None:
    task, scores = MultiLabel(threshold=threshold), scores_of(seed)
    cut = np.array(task.constants["cut"], np.float32)
    assert 1 / (1 + math.exp(-float(cut))) == pytest.approx(threshold, abs=1e-6)
    scores[0] = cut  # a label at the threshold applies
    applies = task.answers(scores) == 1
    assert np.array_equal(applies, task.judged(scores) >= 0) and applies[0].all()
    for shares, hits in zip(task.shares(scores), applies, strict=True):
        assert task.decode(shares, NAMES).indices == tuple(np.flatnonzero(hits))


# Of three classes, along two axes; the third class is near to none.
NEAR = ClassDistance((0.0, 0.5, -0.5), ((1.0, -0.5, 0.25), (0.125, 0.5, -1.0)), ((4.0, 0.0), (-1.0, 1.5)), (0.25, 0.5))


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000), heat=st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_certainty_rises_where_the_answer_gets_clearer(kind: str, seed: int, heat: float) -> None:
    """And an app is told of each sample whether it is sure, of all that it could be told by."""
    task, scores = task_of(kind), scores_of(seed)
    assert bool(task.certainties) == (task.link != "" and not task.dense)
    for by in certainties_of(task):
        sure = Certainty(by, heat, distance=NEAR if by == DISTANCE else None)
        found = sure.values(task, scores)
        assert found.shape == (8,) and np.isfinite(found).all()
        if by not in ("energy", DISTANCE):  # which count how large scores are, and not how far apart
            assert (sure.values(task, 2 * scores) >= found).all()
        least = float(np.sort(found)[3])
        heads = Heads({"a": 3}, {"a": task}, {"a": dataclasses.replace(sure, least=least)})
        told = [one.sure for one in heads.decode("a", scores, NAMES)]
        assert told == (found >= least).tolist() and sum(told) == 5
        plain = Heads({"a": 3}, {"a": task}).decode("a", scores, NAMES)
        assert all(one.sure is None for one in plain) and plain[0].scores == tuple(task.shares(scores)[0])


def test_near_a_threshold_is_what_so_small_a_change_of_the_scores_may_turn() -> None:
    rng = np.random.default_rng(0)
    for by in certainties_of(CLASSES):
        sure = Certainty(by, 0.7, distance=NEAR if by == DISTANCE else None)
        sure = dataclasses.replace(sure, least=float(sure.values(CLASSES, np.array([[2, 1, 0]], np.float32))[0]))
        scores = rng.normal(size=(300, 3)) * 3
        moved = scores + rng.uniform(-0.1, 0.1, scores.shape)
        turned = sure.sure(CLASSES, scores) != sure.sure(CLASSES, moved)
        near = [sure.near(CLASSES, one, 0.2) for one in scores]
        assert turned.any() and not (turned & ~np.array(near)).any() and not all(near)
    assert not Certainty("margin", 1.0, None).near(CLASSES, np.zeros(3), 1.0)


SEVERAL = [
    ([[1, 0, 1], [0, 0, 0]], NAMES, [[1, 0, 1], [0, 0, 0]]),
    (np.array([[1.0, math.nan, 0.0]]), NAMES, [[1, -1, 0]]),
    (np.array(["cat ant", ""], object), None, [[1, 1], [0, 0]]),
    (np.array(["2 0", "1"], object), NAMES, [[1, 0, 1], [0, 1, 0]]),
    (np.array([["bee", "cat"], ["ant", "bee"]]), NAMES, [[0, 1, 1], [1, 1, 0]]),
]


@pytest.mark.parametrize(("labels", "names", "rows"), SEVERAL)
def test_several_labels_come_in_many_forms(labels: Any, names: Any, rows: list[list[int]]) -> None:
    given_labels = np.array(labels) if isinstance(labels, list) else labels
    assert MultiLabel().numbered({"train": given_labels}, names, at, "data").labels["train"].tolist() == rows


WRONG = [
    (MultiLabel(), [[2, 0, 0]], "train: sample 0: a label that neither applies nor does not; found 2"),
    (MultiLabel(), np.array(["dog"], object), "train: sample 0: a label that nobody named; found 'dog'"),
    (MultiLabel(), np.array([True, False]), "train: sample 0: not the labels of a sample"),
    (MultiLabel(), [[0, 1]], "data: a name for each label; found '3 names'"),
    (Regression(), np.array(["1.5", "x"], object), "train: sample 1: a label that is no number; found 'x'"),
    (Regression(), [[1.0, math.inf, 0.0]], "train: sample 0: an infinite label"),
    (Regression(), [1.0, 2.0], "data: a name for each value; found '3 names'"),
    (CLASSES, np.array([0.5]), "train: sample 0: labels are whole numbers or names"),
    (Embedding(), [[0, 0.5], [0, 0.5], [1, 0.5]], "train: sample 2: a pair has two samples; found '1 of pair 1'"),
    (Embedding(), [0.5, 0.25, 0.5], "found '1 of pair 0.25'; .*the label of both is \\[pair, score\\]"),
    (Embedding(), [[0, 0.5], [0, 0.5], [0, 0.5]], "train: sample 0: a pair has two samples; found '3 of pair 0'"),
    (Embedding(), [[0, 0.5], [0, 0.75]], "train: sample 1: a pair of two scores; found '0.5 and 0.75'"),
    (Embedding(), [[0, 4.0], [0, 4.0]], r"train: sample 0: a score out of range; found 4.0; .*task.scores"),
    (Embedding(), [[0, 1, 1], [0, 1, 1]], "train: sample 0: not the labels of pairs"),
    (Embedding(), np.array([["0", "x"], ["0", "x"]], object), "train: sample 0: a label that is no number; found 'x'"),
    (
        Embedding(),
        np.array([["0", "anchor"], ["0", "postive"], ["0", "negative"]]),
        "train: sample 1: no role in a triplet; found 'postive'; .*did you mean 'positive'",
    ),
    (
        Embedding(),
        np.array([["5", "anchor"], ["5", "positive"], ["6", "anchor"], ["6", "negative"], ["5", "negative"]]),
        "train: sample 2: a triplet that lacks a sample.*found '1 anchor, 0 positive, 1 negative of triplet 6'",
    ),
    (
        Embedding(),
        np.array([["5", "anchor"], ["5", "anchor"], ["5", "positive"], ["5", "negative"]]),
        "train: sample 0: a triplet that lacks a sample, or has one too many; found '2 anchor",
    ),
    (
        Embedding(),
        np.array([["a", "anchor"], ["a", "positive"], ["a", "negative"]]),
        "train: sample 0: a label that is no number; found 'a'",
    ),
]


@pytest.mark.parametrize(("task", "labels", "message"), WRONG)
def test_labels_of_another_kind_are_refused_by_sample(task: Task, labels: Any, message: str) -> None:
    given_labels = np.array(labels) if isinstance(labels, list) else labels
    with pytest.raises(DataError, match=message):
        task.numbered({"train": given_labels}, NAMES, at, "data")


def test_a_label_of_other_splits_alone_is_told_as_such() -> None:
    """Nobody gives names, so that those of the training samples are all there are."""
    rows = {"train": np.array(["ant bee", "ant"], object), "test": np.array(["bee", "ant cat"], object)}
    with pytest.raises(
        DataError, match="test: sample 1: a label that no training sample has; found 'cat'; allowed: ant, bee"
    ):
        MultiLabel().numbered(rows, None, at, "data")


def test_what_nothing_can_be_learned_of_is_refused() -> None:
    everywhere = {"train": np.array([[1, 0, 1], [0, 0, 1]])}
    with pytest.raises(DataError, match="a label of no training sample: nothing can be learned of it; found 'bee'"):
        MultiLabel().check_learned(everywhere, NAMES, "data")
    with pytest.raises(DataError, match=r"a label of every training sample.*found 'bee'"):
        MultiLabel().check_learned({"train": np.array([[1, 1], [0, 1]])}, NAMES[:2], "data")
    with pytest.raises(DataError, match="a value that is the same of every training sample; found 'ant: 2'"):
        Regression().check_learned({"train": np.full((4, 1), 2, np.float32)}, NAMES[:1], "data")
    with pytest.raises(DataError, match="a value without a label; found 'ant'"):
        Regression().check_learned({"train": np.full((4, 1), np.nan, np.float32)}, NAMES[:1], "data")
    one = np.array([[0, 0.5], [0, 0.5], [1, np.nan], [1, np.nan]], np.float32)
    with pytest.raises(DataError, match="too few pairs to learn from; found 1"):
        Embedding().check_learned({"train": one}, NAMES, "data")
    with pytest.raises(
        DataError, match=r"data: a pair of another number of samples than 2; found 'sample 2'; .*groups"
    ):
        Embedding().check(one[:3], 3, 3, "data")
    named = np.array([[0, 2], [0, 3], [0, 4], [1, 2], [1, 4]], np.float32)
    with pytest.raises(DataError, match=r"a triplet that lacks a sample.*found 'sample 3'.*holds the triplets"):
        Embedding().check(named, 5, 3, "data")
    for scores in ([1.0, 1.0], [0.0], [5.0, 1.0]):
        with pytest.raises(RecipeError, match=r"task\.scores: (allowed are two numbers|wrong type)"):
            task_of("embedding", scores=scores)


def test_pairs_that_a_teacher_answers_are_scored_as_labels_are_held() -> None:
    """0..1, whatever the data's own span is: recall_at_k took 0.75 of 5 for a pair that belongs together."""
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [1, 0], [-1, 0], [1, 1]], np.float32)
    answers = Embedding(scores=(0.0, 5.0)).answers(vectors)
    assert answers[:6:2].tolist() == answers[1:6:2].tolist() == [[0, 1], [1, 0.5], [2, 0]]
    assert np.isnan(answers[6]).all()


def test_values_are_shown_to_losses_by_the_spread_of_their_labels() -> None:
    labels = np.array([[0.0, 5.0], [10.0, math.nan], [20.0, 7.0]], np.float32)
    mean, std = Regression().fitted(labels).scale or ((), ())
    assert mean == (10.0, 6.0) and std == pytest.approx((np.std([0, 10, 20]), 1.0))
    assert Regression().fitted(None).scale is None
    kept = Regression(mean=(1.0,), std=(2.0,))
    assert kept.fitted(labels) is kept
    for keys, message in (({"mean": [1.0]}, "mean"), ({"mean": [1.0], "std": [0.0]}, "std")):
        with pytest.raises(RecipeError, match=rf"task\.{message}"):
            task_of("regression", **keys)


def test_a_mean_and_a_std_belong_to_each_value() -> None:
    """Of several heads their lists lie end to end: one that is too long would shift those behind it."""
    kept = Regression(mean=(1.0, 2.0), std=(2.0, 2.0))
    kept.check_size(2, "task", RecipeError)
    Regression().check_size(3, "task", RecipeError)
    with pytest.raises(RecipeError, match=r"heads\.a\.task\.mean.*2 numbers.*3"):
        kept.check_size(3, "heads.a.task", RecipeError)


def test_one_file_is_all_that_a_task_is() -> None:
    folder = Path(plugins.__file__).parent.parent / "tasks"
    for kind in KINDS:
        others = [path for path in folder.glob("*.py") if path.name[0] != "_" and path.stem != kind]
        assert not any(f"edgekd.tasks.{kind}" in path.read_text() for path in others)
        assert dataclasses.is_dataclass(plugins.load("tasks", kind, "test"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_that_extends_it_stands_its_trial(kind: str) -> None:
    """What is asked of a user's own is what every built-in one gives."""
    built_in = task_of(kind)
    cls: Any = type("Mine", (type(built_in),), {"__module__": __name__})
    mine: Task = dataclasses.dataclass(frozen=True)(cls)()
    labels = None
    if built_in.label_loss and not built_in.pairs:
        numbers = mine.numbered({"train": labels_of(built_in, 0)}, names_of(built_in), lambda name, i: name, "data")
        labels = numbers.labels["train"]
    try_out(mine, shape_of(built_in), names_of(built_in), labels)
    check_says(mine, "task", RecipeError)
