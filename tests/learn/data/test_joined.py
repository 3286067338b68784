"""Labels by head: every sample keeps its own, however a source carves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import DataError
from edgekd.learn.data import Dataset, LabelsByHead, Split, _joined
from edgekd.learn.data._joined import joined
from edgekd.learn.data.made_slots import MadeSlots
from edgekd.learn.data.python import Python
from edgekd.learn.data.text import Text
from edgekd.learn.feed import Feed
from edgekd.learn.objective import are_known, by_head, make_terms
from edgekd.spec.recipe import Augment
from edgekd.tasks import IGNORED, Task
from edgekd.tasks.classification import Classification
from edgekd.tasks.distribution import Distribution
from edgekd.tasks.embedding import Embedding
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression
from edgekd.tasks.tagging import Tagging

TASKS: dict[str, Task] = {"intent": Classification(), "slots": Tagging()}
BITS = np.stack([np.arange(12) % 2, np.arange(12) // 2 % 2, np.where(np.arange(12) == 3, -1, np.arange(12) % 3 > 0)], 1)
VALUES = np.stack([np.linspace(-5, 5, 12), np.where(np.arange(12) == 2, np.nan, np.arange(12.0))], 1).astype(np.float32)
# Of each kind of label: the task, twelve of them, and names.
KINDS: dict[str, tuple[Task, np.ndarray, tuple[str, ...]]] = {
    "class": (Classification(), np.arange(12) % 2, ("a", "b")),
    "labels": (MultiLabel(), BITS, ("x", "y", "z")),
    "value": (Regression(), VALUES, ("u", "v")),
}


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
        assert intents is not None and rows is not None
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
    intents = heads.labels_of(y, "intent")
    assert intents is not None
    verbs = [f"verb{intent}" for intent in intents]
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
    for odd, what in (
        (Dataset(base.train, base.validation, fewer, base.classes, ()), r"heads\.other \(test\): other samples"),
        (Dataset(others, base.validation, base.test, base.classes, ()), r"heads\.other \(train\): other samples"),
        (Dataset(base.train, base.validation, base.test, ("a", "b"), (), heads={"x": 2}), "heads of its own"),
    ):
        with pytest.raises(DataError, match=what):
            joined({"one": base, "other": odd}, tasks)


def bare(names: tuple[str, ...] = ("a", "b")) -> Dataset:
    """The samples of ``dataset`` without labels."""
    train, validation, test = (replace(split, y=None) for split in dataset(np.arange(12) % 2).splits.values())
    return Dataset(train, validation, test, names, ())


@given(st.permutations([*KINDS]), st.permutations(range(12)))
@settings(max_examples=30, deadline=None)
def test_each_head_gets_its_own_labels_whatever_stands_beside_them(names: list[str], order: list[int]) -> None:
    """Of every order of the heads, and of the samples: numbers of classes stay whole beside values, and -1 unknown."""
    tasks = {name: KINDS[name][0] for name in names}
    read = {name: dataset(KINDS[name][1], KINDS[name][2], np.array(order)) for name in names}
    try:
        whole = joined(read, tasks)
    except DataError as err:  # a training split in which nothing of some class can be learned
        assert "training" in str(err) or "one class" in str(err) or "the same of every" in str(err)
        return
    heads = whole.heads_of(Classification())
    assert [*heads] == names
    for split in whole.splits.values():
        assert split.ids is not None and split.y is not None and split.y.dtype == np.float32
        for name in names:
            of_head, wanted = heads.labels_of(split.y, name), KINDS[name][1][split.ids]
            assert of_head is not None and of_head.dtype.kind == wanted.dtype.kind
            np.testing.assert_array_equal(of_head, wanted)


def test_an_unknown_label_is_unknown_of_each_kind() -> None:
    """A student that is told few labels: -1 of classes, NaN of values."""
    whole = joined(
        {name: dataset(KINDS[name][1], KINDS[name][2]) for name in KINDS}, {n: k[0] for n, k in KINDS.items()}
    )
    heads = whole.heads_of(Classification())
    told = Feed(whole, (), Augment(), 0, None, heads).with_labels(1).labels("train")
    assert told is not None and len(told) == 4
    known = {name: heads.labels_of(told, name) for name in heads}
    terms = by_head(make_terms([{"kind": "cross_entropy"}, {"kind": "huber"}]), heads)
    assert [term.only for term in terms] == ["class", "value"]
    for term in terms:
        of_head = known[str(term.only)]
        assert of_head is not None
        np.testing.assert_array_equal(term.labels(torch.tensor(told)).numpy(), of_head)
        assert int(are_known(term.labels(torch.tensor(told))).sum()) == 1


def test_a_head_may_have_no_labels() -> None:
    """Its teacher alone speaks; it takes no column of the labels, and the splits are those of a head that has some."""
    read = {"vector": bare(("v 0", "v 1", "v 2")), "class": dataset(np.arange(12) % 2)}
    whole = joined(read, {"vector": Distribution(size=3), "class": Classification()})
    heads, y = whole.heads_of(Classification()), whole.train.y
    assert y is not None and y.shape == (4, 1) and heads.unlabelled(y) == ["vector"]
    assert heads.labels_of(y, "vector") is None
    np.testing.assert_array_equal(heads.labels_of(y, "class"), np.arange(4) % 2)
    terms = by_head(make_terms([{"kind": "squared_error"}, {"kind": "cross_entropy"}]), heads)
    assert {term.only for term in terms} == {"vector", "class"}
    assert joined({"a": bare(), "b": bare()}, dict.fromkeys("ab", Classification())).train.y is None


def test_pairs_stay_whole_beside_other_labels() -> None:
    pairs = np.stack([np.repeat(np.arange(6), 2), np.repeat(np.linspace(0, 1, 6), 2)], axis=1).astype(np.float32)
    tasks: dict[str, Task] = {"class": Classification(), "vector": Embedding(size=3)}
    read = {"class": dataset(np.arange(12) // 2 % 2), "vector": dataset(pairs, ("a", "b", "c"))}
    whole = joined(read, tasks)
    assert whole.train.together is not None and whole.train.together.tolist() == [0, 0, 1, 1]
    assert whole.train.y is not None and whole.train.y.shape == (4, 3)
    twice = {"one": read["vector"], "other": read["vector"]}
    with pytest.raises(DataError, match=r"heads\.other: its labels are of pairs of samples; .*one is another"):
        joined(twice, dict.fromkeys(twice, tasks["vector"]))


def test_a_source_that_can_not_be_read_for_a_head_says_for_which(tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_text("tokens\tintent\n" + "".join(f"word{i % 2}\tk{i % 2}\n" for i in range(40)))
    place = str(tmp_path / "d.tsv")
    sources = {
        "intent": Text(place, sentence="tokens", label="intent"),
        "slots": Text(place, sentence="tokens", label="tag"),
    }
    with pytest.raises(DataError, match=r"heads\.slots: .*d\.tsv, line 1, data\.label: no such column; found 'tag'"):
        LabelsByHead(sources).load(TASKS)
    with pytest.raises(DataError, match=r"heads\.slots: data\.label: labels of another task; found 'intent'"):
        LabelsByHead({"slots": MadeSlots()}).load(TASKS)


def test_samples_of_several_heads_are_held_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"word{i % 7} and {i}\t{i % 2}\t{i % 3}\t{i / 2}" for i in range(40)]
    (tmp_path / "d.tsv").write_text("\n".join(["sentence\ta\tb\tc", *lines]) + "\n")
    tasks: dict[str, Task] = {"a": Classification(), "b": Classification(), "c": Regression()}
    sources = {name: Text(str(tmp_path / "d.tsv"), label=name) for name in tasks}
    held: dict[str, Dataset] = {}
    monkeypatch.setattr(_joined, "joined", lambda read, of: held.update(read) or joined(read, of))
    whole = LabelsByHead(sources).load(tasks)
    assert sum(map(len, whole.splits.values())) == 40
    alike = [name for name, of in held.items() if of.train.names == held["a"].train.names]
    assert "a" in alike and all(held[name].train.x is held["a"].train.x for name in alike)
    (tmp_path / "p").mkdir()
    for part in ("train", "dev", "test"):
        (tmp_path / "p" / f"{part}.tsv").write_text("\n".join(["sentence\ta\tb\tc", *lines]) + "\n")
    LabelsByHead({name: Text(str(tmp_path / "p"), label=name) for name in tasks}).load(tasks)
    assert all(held[name].test.x is held["a"].test.x for name in "bc")


def labelled_by_name() -> list[tuple[np.ndarray, dict[str, np.ndarray | None]]]:
    """A factory's splits: a vector that nobody labels, a class, and a value."""
    x, of_class = np.arange(12, dtype=np.float32)[:, None], np.arange(12) % 2
    each = (slice(0, 4), slice(4, 8), slice(8, 12))
    return [(x[part], {"vector": None, "class": of_class[part], "value": VALUES[part, 0]}) for part in each]


def test_a_factory_gives_labels_by_name() -> None:
    def source(label: str) -> Python:
        return Python(f"{__name__}:labelled_by_name", label=label)

    tasks: dict[str, Task] = {"vector": Distribution(size=3), "class": Classification(), "value": Regression()}
    sources = LabelsByHead({name: source(name) for name in tasks})
    assert len({one.fingerprint() for one in sources.sources.values()}) == 3
    whole = sources.load(tasks)
    heads = whole.heads_of(Classification())
    assert heads.labelled == {"vector": "none", "class": "whole", "value": "values"}
    for split, part in zip(whole.splits.values(), labelled_by_name(), strict=True):
        np.testing.assert_array_equal(heads.labels_of(split.y, "class"), part[1]["class"])
        of_value = heads.labels_of(split.y, "value")
        assert of_value is not None
        np.testing.assert_array_equal(of_value[:, 0], part[1]["value"])
    with pytest.raises(DataError, match=r"data\.factory \(train\): no labels of that name; found 'clas'; .*'class'"):
        source("clas").fingerprint()
    with pytest.raises(DataError, match=r"labels by name; found \['vector', 'class', 'value'\]"):
        source("").fingerprint()
