"""Labels by head: every sample keeps its own, however a source carves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import DataError
from edgekd.learn.data import Dataset, LabelsByHead, Split
from edgekd.learn.data._joined import joined
from edgekd.learn.data.made_pairs import MadePairs
from edgekd.learn.data.made_slots import MadeSlots
from edgekd.learn.data.text import Text
from edgekd.tasks import IGNORED, Task
from edgekd.tasks.classification import Classification
from edgekd.tasks.embedding import Embedding
from edgekd.tasks.regression import Regression
from edgekd.tasks.tagging import Tagging

TASKS: dict[str, Task] = {"intent": Classification(), "slots": Tagging()}


def test_labels_go_where_their_samples_are(tmp_path: Path) -> None:
    """Classes are carved off evenly, tags at random: of one file each sample has both of its labels all the same."""
    rng, lines = np.random.default_rng(0), ["tokens\ttags\tintent"]
    for i in range(80):
        place = int(rng.integers(1, 4))
        words = ["some", "more", "words", "here"]
        words[place] = f"city{rng.integers(5)}"
        tags = ["B-city" if word.startswith("city") else "O" for word in words]
        lines.append(f"{' '.join(words)} kind{i % 3}\t{' '.join(tags)} O\tkind{i % 3}")
    (tmp_path / "d.tsv").write_text("\n".join(lines) + "\n")
    sources = {
        name: Text(str(tmp_path / "d.tsv"), sentence="tokens", label=label, length=12, validation=0.2, test=0.2)
        for name, label in (("intent", "intent"), ("slots", "tags"))
    }
    dataset = LabelsByHead(sources).load(TASKS)
    heads = dataset.heads_of(Classification())
    assert dict(heads) == {"intent": 3, "slots": 12 * 3} and heads.tasks == TASKS
    assert dataset.classes == ("kind0", "kind1", "kind2", "O", "B-city", "I-city")
    assert sum(map(len, dataset.splits.values())) == 80
    for split in dataset.splits.values():
        assert split.y is not None
        intents, rows = heads.labels_of(split.y, "intent"), heads.labels_of(split.y, "slots")
        for text, intent, numbers in zip(split.x, intents, rows, strict=True):
            assert text.endswith(dataset.classes[intent])
            marked = [word.startswith("city") for word in text.split()]
            assert numbers[numbers != IGNORED].tolist() == [int(mark) for mark in marked]


def test_the_made_requests_are_the_same_for_both_heads() -> None:
    sources = {"slots": MadeSlots(label="tags", train=40), "intent": MadeSlots(train=40)}
    dataset = LabelsByHead(sources).load(TASKS)
    heads = dataset.heads_of(Classification())
    y = dataset.train.y
    assert y is not None and y.shape == (40, 24 + 1)
    verbs = [f"verb{intent}" for intent in heads.labels_of(y, "intent")]
    assert [text.split()[0] for text in dataset.train.x] == verbs
    assert LabelsByHead(sources).fingerprint() != LabelsByHead({"intent": sources["intent"]}).fingerprint()


def dataset(labels: np.ndarray, names: tuple[str, ...] = ("a", "b"), order: np.ndarray | None = None) -> Dataset:
    """Splits of 4 samples whose numbers and labels are those of ``order``."""
    order = np.arange(12) if order is None else order
    x = order[:, None].astype(np.float32)
    parts = [Split(x[i : i + 4], labels[order[i : i + 4]], order[i : i + 4]) for i in (0, 4, 8)]
    return Dataset(parts[0], parts[1], parts[2], names, ())


@given(st.permutations(range(12)), st.permutations(range(12)))
@settings(max_examples=30, deadline=None)
def test_every_order_of_the_samples_gives_the_same_labels(one: list[int], other: list[int]) -> None:
    first, second = np.arange(12) % 2, np.arange(12) // 2 % 2
    read = {"one": dataset(first, order=np.array(one)), "other": dataset(second, order=np.array(other))}
    tasks: dict[str, Task] = {"one": Classification(), "other": Classification()}
    try:
        whole = joined(read, tasks)
    except DataError as err:  # a training split that lacks a class
        assert "training" in str(err) or "one class" in str(err)
        return
    for split in whole.splits.values():
        assert split.ids is not None and split.y is not None
        np.testing.assert_array_equal(split.y, np.stack([first[split.ids], second[split.ids]], axis=1))


def test_what_are_not_the_same_samples_is_refused() -> None:
    labels, tasks = np.arange(12) % 2, {"one": Classification(), "other": Classification()}
    base = dataset(labels)
    fewer = Split(base.test.x[:3], labels[8:11], np.arange(8, 11))
    others = Split(np.asarray(base.train.x) + 1, labels[:4], base.train.ids)
    train, validation, test = (Split(split.x, None) for split in base.splits.values())
    bare = Dataset(train, validation, test, ("a", "b"), ())
    for odd, what in (
        (Dataset(base.train, base.validation, fewer, base.classes, ()), r"heads\.other \(test\): other samples"),
        (Dataset(others, base.validation, base.test, base.classes, ()), r"heads\.other \(train\): other samples"),
        (bare, r"heads\.other: labels of some heads alone"),
        (Dataset(base.train, base.validation, base.test, ("a", "b"), (), heads={"x": 2}), "heads of its own"),
    ):
        with pytest.raises(DataError, match=what):
            joined({"one": base, "other": odd}, tasks)


def test_values_beside_classes_are_refused() -> None:
    """Side by side they would be of one type, and -1 of a class that nobody knows a number as any other."""
    values = np.linspace(0, 1, 12, dtype=np.float32)[:, None]
    read = {"one": dataset(np.arange(12) % 2), "other": dataset(values, ("a",))}
    with pytest.raises(DataError, match=r"heads: labels of classes beside labels of values; found \['one'\]"):
        joined(read, {"one": Classification(), "other": Regression()})
    both = joined(
        {"one": dataset(values, ("a",)), "other": dataset(2 * values, ("b",))}, dict.fromkeys(read, Regression())
    )
    assert both.train.y is not None and both.train.y.dtype == np.float32
    np.testing.assert_array_equal(both.train.y[:, 1], 2 * both.train.y[:, 0])


def test_a_source_that_can_not_be_read_for_a_head_says_for_which(tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text("tokens\tintent\n" + "".join(f"word{i % 2}\tk{i % 2}\n" for i in range(40)))
    place = str(tmp_path / "d.tsv")
    sources = {
        "intent": Text(place, sentence="tokens", label="intent"),
        "slots": Text(place, sentence="tokens", label="tag"),
    }
    with pytest.raises(DataError, match=r"heads\.slots: .*d\.tsv, line 1, data\.label: no such column; found 'tag'"):
        LabelsByHead(sources).load(TASKS)
    with pytest.raises(DataError, match=r"heads\.one: its labels are of pairs"):
        LabelsByHead({"one": MadePairs()}).load({"one": Embedding(size=8)})
    with pytest.raises(DataError, match=r"heads\.slots: data\.label: labels of another task; found 'intent'"):
        LabelsByHead({"slots": MadeSlots()}).load(TASKS)
