"""Which class a label means, and which data can't be learned from: the same in every source."""

from __future__ import annotations

import codecs
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekd.base import plugins
from edgekd.base.errors import DataError, FactoryError, RecipeError
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._batches import from_splits
from edgekd.learn.data._checks import check_alike, checked, loaded
from edgekd.learn.data._heads import grouped
from edgekd.learn.data._split import joined
from edgekd.learn.data.audio import Audio
from edgekd.learn.data.interactions import Interactions
from edgekd.learn.data.npz import Npz
from edgekd.learn.data.text import Text
from edgekd.spec import recipe, target
from edgekd.tasks import named
from edgekd.tasks._classes import numbered

RNG = np.random.default_rng(7)


def take(labels: Any, names: Any = None, others: Any = ()) -> Any:
    given = {"train": np.array(labels), **({"test": np.array(others)} if len(others) else {})}
    names = None if names is None else named(names, "names")
    return numbered(given, names, lambda split, i: f"{split}: sample {i}", "data")


@pytest.mark.parametrize(
    ("labels", "names", "classes", "numbers"),
    [
        ([0, 2, 1, 2], None, ("0", "1", "2"), [0, 2, 1, 2]),
        ([3, 1, 2], None, ("1", "2", "3"), [2, 0, 1]),
        (list(range(12, 0, -1)), None, tuple(map(str, range(1, 13))), list(range(11, -1, -1))),
        ([0, 1], ["cat", "dog"], ("cat", "dog"), [0, 1]),
        ([5, 7, 5], ["7", "5"], ("7", "5"), [1, 0, 1]),
        (["5", "7", "5"], [7, 5], ("7", "5"), [1, 0, 1]),
        ([1, 0], np.array(["1", "0"]), ("1", "0"), [0, 1]),
        ([-1, 1], ["-1", "1"], ("-1", "1"), [0, 1]),
        ([10**12, 0], ["0", str(10**12)], ("0", str(10**12)), [1, 0]),
        (["0", "1"], ["no", "yes"], ("no", "yes"), [0, 1]),
        (["b", "a", "b"], None, ("a", "b"), [1, 0, 1]),
        (["01", "1", "01"], None, ("01", "1"), [0, 1, 0]),
        ([b"dog", b"cat"], [b"cat", "dog"], ("cat", "dog"), [1, 0]),
        (np.array([200, 199], np.uint8), [199, 200], ("199", "200"), [1, 0]),
    ],
)
def test_a_label_is_the_name_or_counts_the_names(labels: Any, names: Any, classes: Any, numbers: Any) -> None:
    found = take(labels, names)
    assert found.names == classes and found.labels["train"].tolist() == numbers
    assert found.labels["train"].dtype == np.int64


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "<i4", ">i8", "u8"])
def test_labels_of_any_width(kind: str) -> None:
    assert take(np.array([0, 1, 2], kind)).labels["train"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "names", "others", "message"),
    [
        ([0, 1, 3], None, (), r"train: sample 2: labels that leave out 2; found '3'"),
        ([0, 1], None, (70_001,), r"test: sample 0: labels that leave out 2; .*names are given"),
        ([20, 10], None, (), "labels that leave out 1"),
        ([0, 1, 2], ["x", "y"], (), "train: sample 2: a label that is no class; found '2'; .*count from 1"),
        ([0, 1, 2], ["1", "2", "3"], (), "train: sample 0: a label that is no class; found '0'"),
        (["cat", "dgo"], ["cat", "dog"], (), "sample 1: a label that is no class; found 'dgo'.*did you mean 'dog'"),
        (["cat", "dog"], None, ("dog", "cow"), "test: sample 1: a label that is no class; found 'cow'"),
        ([0, -1, 1], None, (), "train: sample 1: a label below 0; found -1"),
        ([0.0, 1.5], None, (), "whole numbers or names; found 'float64'.*task = \"regression\""),
        ([0.0, math.nan], None, (), "whole numbers or names; found 'float64'.*without a label are to be left out"),
        ([0.0, math.inf], None, (), "whole numbers or names; found 'float64'"),
        (["0.5", "1.5", "2"], None, ("2.5",), "a label that is no class; found '2.5'.*task = \"regression\""),
        ([b"caf\xe9", b"tea"], None, (), "sample 0: a name that is not UTF-8"),
        ([3, 3, 3], ["a"], (), "one class only"),
        (np.arange(100_001), None, (), "more classes than likely are meant; found 100001"),
        (["a", "a ", "b"], None, (), "a name of two classes; found 'a '"),
    ],
)
def test_labels_that_mean_no_class(labels: Any, names: Any, others: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        take(labels, names, others)


@pytest.mark.parametrize(
    ("labels", "names", "wanted", "note"),
    [
        ([0.0, 1.0, 2.0], None, ("0", "1", "2"), "labels are floats, and all of them whole numbers"),
        ([1.0, 0.0], ["no", "yes"], ("no", "yes"), "labels are floats, and all of them whole numbers"),
        ([False, True], ["no", "yes"], ("no", "yes"), "labels are truth values: False is 'no', and True 'yes'"),
        ([False, True], None, ("False", "True"), ""),
        ([False, True], ["True", "False"], ("True", "False"), ""),
        (["Pos", "neg", "pos"], None, ("Pos", "neg", "pos"), "differ in case or blanks alone.*: 'Pos' and 'pos'"),
        (["not ok", "notok", "x"], None, ("not ok", "notok", "x"), "blanks alone"),
        (["a", "A", "b"], None, ("A", "a", "b"), ""),
        (["Pos", "pos"], ["pos", "Pos"], ("pos", "Pos"), ""),
    ],
)
def test_labels_of_another_form_are_read_and_told(labels: Any, names: Any, wanted: tuple[str, ...], note: str) -> None:
    read = take(labels, names)
    assert read.names == wanted
    texts = [str(int(label)) if isinstance(label, float) else str(label) for label in labels]
    names_of = [wanted[i] for i in read.labels["train"]]
    assert names_of == ([names[int(label)] for label in labels] if names and note else texts)
    assert len(read.notes) == bool(note) and re.search(note, "".join(read.notes))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("cat,dog", "a row of names; found 'cat,dog'"),
        (np.array("cat"), "a row of names"),
        (np.array([["a", "b"]]), "a row of names"),
        ({0: "cat", 1: "dog"}, "a row of names"),
        ({"cat", "dog"}, "a row of names"),
        (["cat", "dog", "cat"], "a name of two classes; found 'cat'; allowed: each once, and this is 0 and 2"),
        (["caf\u00e9", "cafe\u0301"], "a name of two classes"),
        (["cat", " "], r"\[1\]: a class without a name"),
        ([b"\xff"], "not UTF-8"),
        ([["a"], ["b", "c"]], r"\[0\]: a name that is no text"),
        ([1.5, 2], r"\[0\]: a name that is no text"),
        ([True, False], "a name that is no text"),
    ],
)
def test_class_names_that_are_none(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        named(given, "names")


def test_many_classes_are_right_where_they_are_named_and_a_new_order_is_told() -> None:
    many = [f"n{i}" for i in range(100_002)]
    assert len(take([0, 100_001], many).names) == 100_002
    assert "1 is the class named '1', which is number 0" in take([1, 2, 1], ["1", "2", "0"]).notes[0]
    assert take([0, 1], ["0", "1"]).notes == () == take([0, 1], ["no", "yes"]).notes


def images(count: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, 5, 4), dtype=np.uint8)


def npz(path: Path, **changed: Any) -> str:
    table = {"x_train": images(40), "y_train": np.arange(40) % 4, "x_test": images(12), "y_test": np.arange(12) % 4}
    np.savez(path / "d.npz", **{**table, **changed})
    return str(path / "d.npz")


def test_a_class_without_training_samples_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"d\.npz \(train\): a class without a training sample: .*found 'cow'"):
        Npz(npz(tmp_path, class_names=np.array(["cat", "dog", "eel", "fox", "cow"]))).load()
    y = np.arange(40) % 3
    with pytest.raises(DataError, match=r"a class without a training sample, only in test: .*found '3'"):
        Npz(npz(tmp_path, y_train=y)).load()
    x = RNG.normal(size=(12, 3)).astype(np.float32)
    with pytest.raises(DataError, match=r"data \(train\): a class without a training sample, .*found 'c'"):
        from_splits(((x, np.arange(12) % 2), (x, np.arange(12) % 3), (x, np.arange(12) % 2)), "data", ["a", "b", "c"])


def test_labels_may_be_names_in_arrays_and_in_batches(tmp_path: Path) -> None:
    words = np.array(["no", "yes"])
    data = Npz(npz(tmp_path, y_train=words[np.arange(40) % 2], y_test=words[np.arange(12) % 2])).load()
    assert data.classes == ("no", "yes") and data.test.y is not None and data.test.y[:4].tolist() == [0, 1, 0, 1]
    x = RNG.normal(size=(12, 3)).astype(np.float32)
    pairs = [(x[:6], words[np.arange(6) % 2]), (x[6:], words[np.arange(6) % 2])]
    dataset = from_splits((pairs, pairs[::-1], (x, words[np.arange(12) % 2])), "data")
    assert dataset.classes == ("no", "yes") and np.array_equal(dataset.train.x, dataset.validation.x)


def test_arrays_of_labels_may_be_columns(tmp_path: Path) -> None:
    x, y = np.arange(24 * 16, dtype=np.uint8).reshape(24, 4, 4), np.arange(24) % 2
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y[:, None], x_test=x[:8], y_test=y[:8, None])
    data = Npz(str(tmp_path / "d.npz")).load()
    assert data.test.y is not None and data.test.y.tolist() == y[:8].tolist() and data.classes == ("0", "1")


def test_clips_take_the_same_labels(tmp_path: Path) -> None:
    samples = RNG.integers(-999, 999, 600).astype(np.int16)
    table: dict[str, Any] = {
        "samples": samples,
        "offsets": np.arange(31) * 20,
        "labels": (np.arange(30) % 3 + 1).astype(np.uint8),
    }
    np.savez(tmp_path / "a.npz", **table)
    source = Audio(str(tmp_path / "a.npz"), length=20, rate=8000)
    assert source.load().classes == ("1", "2", "3")
    member = np.array(["train", "Val", "test"])[np.arange(30) // 10]
    np.savez(tmp_path / "a.npz", **table, member=member, who=np.arange(30) % 10, take=np.arange(30) // 5)
    source = Audio(str(tmp_path / "a.npz"), length=20, rate=8000, split="member")
    assert [len(split) for split in source.load().splits.values()] == [10, 10, 10]
    np.savez(tmp_path / "a.npz", **table, member=np.where(member == "Val", "hold-out", member))
    with pytest.raises(DataError, match=r"data\.member: clip 10: not a split's name; found 'hold-out'"):
        source.load()
    source = Audio(str(tmp_path / "a.npz"), length=20, rate=8000)
    np.savez(tmp_path / "a.npz", **{**table, "labels": np.arange(30) % 3 * 4})
    with pytest.raises(DataError, match=r"data\.labels: clip 1: labels that leave out 1"):
        source.load()
    np.savez(tmp_path / "a.npz", **{**table, "samples": np.where(np.arange(600) == 5, np.nan, 0.5)})
    with pytest.raises(DataError, match="found 'float64"):
        source.load()


def test_items_that_are_ids_or_called_alike(tmp_path: Path) -> None:
    def table(top: int, **more: Any) -> str:
        item = np.arange(60) % 6
        item[-1] = top
        rows: dict[str, Any] = {"user": np.arange(60) % 5, "item": item, "rating": np.full(60, 5.0)}
        places: dict[str, Any] = {
            "train_idx": np.arange(40),
            "valid_idx": np.arange(40, 50),
            "test_idx": np.arange(50, 60),
        }
        np.savez(tmp_path / "i.npz", **rows, **places, **more)
        return str(tmp_path / "i.npz")

    for top, message in ((3_000_000, r"data\.item: ids, not numbers from 0"), (60_000_000, "ids, not numbers")):
        with pytest.raises(DataError, match=message):
            Interactions(table(top)).load()
    data = Interactions(
        table(5, titles=np.array([b"Up", b"It", b"Up", b"Alien", b"M", b"Ran", b"Cat"])), names="titles"
    ).load()
    assert data.classes == ("Up (item 0)", "It", "Up (item 2)", "Alien", "M", "Ran", "Cat")
    assert data.preprocess[0]["sizes"] == [5, 8] and "1 of 7 items are liked by nobody" in data.notes[-1]
    with pytest.raises(DataError, match=r"data\.titles: one name for each item"):
        Interactions(table(9, titles=np.array(["a"] * 9)), names="titles").load()


GREY = images(20)[..., None]
UNIT = GREY / np.float32(255)
ROWS = RNG.normal(size=(50, 6)).astype(np.float32)
SOUND = RNG.integers(-9000, 9000, (5, 99), dtype=np.int16)


@pytest.mark.parametrize(
    ("train", "other"),
    [
        (GREY, UNIT),
        (UNIT, GREY.astype(np.float32)),
        (GREY, GREY // 16),
        (GREY, UNIT.astype(np.uint8)),
        (UNIT * 2 - 1, UNIT),
        (SOUND, SOUND // 9000),
        (ROWS, 1000 * ROWS),
        (ROWS.reshape(20, 15), np.abs(ROWS.reshape(20, 15))),
        (ROWS.astype(np.float64), ROWS),
    ],
)
def test_splits_of_unlike_numbers_are_refused_with_both(train: Any, other: Any) -> None:
    for one, two in ((train, other), (other, train)):
        with pytest.raises(DataError, match=rf"\(test\): .*found '{two.dtype} .*allowed: {one.dtype} .*, as in train"):
            check_alike(one, two, "data (test)")


def test_nothing_but_zeros_and_grey_beside_colour_are_unlike() -> None:
    with pytest.raises(DataError, match="another range"):
        check_alike(SOUND, SOUND * 0, "data (test)")
    colour = RNG.integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    with pytest.raises(DataError, match="other channels than in train; found 'grey'; allowed: in colour"):
        check_alike(colour, colour[..., :1].repeat(3, axis=-1), "data (test)")


@pytest.mark.parametrize(
    ("train", "other"),
    [
        (GREY, GREY // 4),  # darker
        (UNIT, UNIT[:3] * np.float32(1.3) - np.float32(0.02)),  # as a bicubic filter overshoots
        (ROWS, np.abs(ROWS)),  # six numbers a sample may all be of a warm summer
        (ROWS[:, :1], ROWS[:9, :1] * 0),
        (np.exp(3 * ROWS), np.exp(3 * ROWS[:9] + 1)),
        (SOUND, SOUND // 20),
        (GREY, GREY[:1] * 0),
    ],
)
def test_splits_that_differ_as_data_do_are_alike(train: Any, other: Any) -> None:
    check_alike(train, other, "data (test)")


def test_a_sample_in_two_splits_is_counted_and_carving_is_told(tmp_path: Path) -> None:
    x = images(40)
    data = Npz(
        npz(tmp_path, x_train=x, x_test=np.concatenate([x[:5], images(7)]), who=np.arange(40) // 4), groups="who"
    )
    carved, *same = data.load().notes
    assert carved == (
        "the data has no validation split: 4 of 40 training samples (10.0 %) were carved off, in whole groups of who "
        "(split_seed 0)"
    )
    assert any(note.startswith("5 of 12 test samples are the same as one of") for note in same) or len(same) == 2
    rows = [f"{i % 7} words of {i}\t{i % 2}" for i in range(40)]
    (tmp_path / "train.tsv").write_text("\n".join(["sentence\tlabel", *rows]))
    (tmp_path / "TEST.tsv").write_text("\n".join(["sentence\tlabel", *rows[:3], "a b c\t1"]))
    (tmp_path / "eval.tsv").write_text("not read")
    notes = Text(str(tmp_path), vocab=100, validation=4).load().notes
    assert "4 of 40 training samples (10.0 %) were carved off, evenly over the classes" in notes[0]
    assert "no split is called so: eval.tsv" in notes[1]
    assert sum("of 4 test samples are the same" in note for note in notes) >= 1


def test_another_validation_split_in_the_file_is_named(tmp_path: Path) -> None:
    notes = Npz(npz(tmp_path, x_valid=images(8), y_valid=np.arange(8) % 4)).load().notes
    assert "x_valid is in the file and not read: x_validation = 'x_valid' would" in notes
    read = Npz(str(tmp_path / "d.npz"), x_validation="x_valid", y_validation="y_valid").load()
    assert len(read.validation) == 8 and not read.notes


def test_tensors_that_numpy_has_no_type_for() -> None:
    x, y = torch.eye(12), torch.arange(12) % 2
    for given in (x.bfloat16(), x.to_sparse(), x.requires_grad_(), x.half()):
        assert np.array_equal(from_splits(((given, y), (x, y), (x, y)), "data").train.x, np.eye(12))
    with pytest.raises(DataError, match="not samples; found 'complex64"):
        from_splits(((x.to(torch.complex64), y), (x, y), (x, y)), "data")


def test_several_groups_hold_together_whatever_they_have_in_common(tmp_path: Path) -> None:
    one, two = np.array([0, 0, 1, 2, 3, 4]), np.array(list("abbcdd"))
    found = joined([one, two], 6, "groups")
    assert found is not None and found.tolist() == [0, 0, 0, 3, 4, 4]
    with pytest.raises(DataError, match=r"one group for each sample; found \(5,\)"):
        joined([one, two[:5]], 6, "groups")
    x, person, day = (
        np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((1, 5, 4), np.uint8),
        *divmod(np.arange(40), 8),
    )
    path = npz(tmp_path, x_train=x, person=person, session=np.arange(40) // 2, y_train=day % 4)
    data = Npz(path, groups=("person", "session"), validation=0.3).load()
    inside, outside = ({int(i) // 8 for i in split.x[:, 0, 0, 0]} for split in (data.validation, data.train))
    assert inside and not inside & outside
    header, rows = "sentence\tlabel\twriter", [f"word {i}\t{i % 2}\tw{i // 10}" for i in range(40)]
    (tmp_path / "t.tsv").write_text("\n".join([header, *rows]))
    text = Text(str(tmp_path / "t.tsv"), vocab=100, groups="writer", validation=10, test=10).load()
    assert {int(t.split()[1]) // 10 for t in text.test.x} != {int(t.split()[1]) // 10 for t in text.validation.x}
    assert len(text.test) == len(text.validation) == 10


@dataclass(frozen=True)
class Own:
    """A source of a user's own: it gives what it was told to give."""

    given: Any

    def load(self) -> Any:
        if self.given is None:
            raise KeyError("inside")
        return self.given


def test_a_users_own_source_is_held_to_the_same() -> None:
    x = RNG.normal(size=(12, 3)).astype(np.float32)
    good, bad = Split(x, np.arange(12) % 2), Split(x * 100, np.arange(12) % 2)
    assert loaded(Own(Dataset(good, good, good, ("a", "b"), ()))).notes[0].startswith("12 of 12 validation samples")
    for given, message in (
        (Dataset(good, good, bad, ("a", "b"), ()), r"data\.source \(test\): numbers of another range"),
        (Dataset(good, good, good, ("a", "b", "c"), ()), "a class without a training sample"),
        (Dataset(good, good, good, ("a", "a"), ()), r"data\.source: classes: a name of two classes"),
        (None, "raised KeyError at test_classes.py:"),
        ((good, good, good), "load gave no Dataset; found 'tuple'"),
    ):
        with pytest.raises((DataError, FactoryError), match=message):
            loaded(Own(given))


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_bytes(codecs.BOM_UTF8 + (recipe.builtin_folder() / "digits.toml").read_bytes())
    assert recipe.load(str(file))[0].name == "digits"
    file.write_bytes(codecs.BOM_UTF8 + (target.folder() / "ort-cpu.toml").read_bytes())
    assert target.load(str(file)).backend == "ort"


def test_what_a_user_likes_in_two_splits_is_told_and_a_rating_is_a_number(tmp_path: Path) -> None:
    def source(**changed: Any) -> Interactions:
        rows: dict[str, Any] = {"user": np.arange(60) % 5, "item": np.arange(60) % 4, "rating": np.full(60, 5.0)}
        rows["rating"][22] = 1  # (2, 2) is liked in train, at row 2, and not here
        places: dict[str, Any] = {
            "train_idx": np.arange(20),
            "valid_idx": np.arange(20, 23),
            "test_idx": np.arange(1, 21),
        }
        np.savez(tmp_path / "i.npz", **{**rows, **places, **changed})
        return Interactions(str(tmp_path / "i.npz"))

    told = "{} likes of a user are both in {} and in {}: the figures will be lower on others"
    wanted = [told.format(2, "train", "validation"), told.format(20, "train", "test")]
    assert list(source().load().notes) == [*wanted, told.format(2, "validation", "test")]
    for value in (np.nan, np.inf):
        with pytest.raises(DataError, match=rf"data\.rating: rating 7: NaN or infinity.*found {value}"):
            source(rating=np.where(np.arange(60) == 7, value, 5.0)).load()
    for fields in ({"at_least": math.nan}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(fields))):
            Interactions("i.npz", **fields)


def three(y: Any) -> Split:
    return Split(np.arange(len(y) * 2, dtype=np.float32).reshape(-1, 2), np.array(y))


def test_every_head_is_learned_of() -> None:
    part = three([0, 1, 1, 0])
    data = Dataset(part, part, part, ("a", "b", "c"), ())
    for groups, message in (
        ({"low": [0, 1], "high": [2], "none": []}, r"data\.heads\.h\.none: a group without a class; found \[\]"),
        ({"low": [0, 1], "high": [2]}, r"data\.heads\.h: a group without a training sample; found 'high'"),
    ):
        with pytest.raises(RecipeError, match=message):
            grouped(data, {"h": groups})
    assert grouped(data, {"h": {"low": [0, 2], "high": [1]}, "all": {}}).heads == {"h": 2, "all": 3}


@pytest.mark.parametrize(
    ("y", "heads", "message"),
    [
        (
            [[0, 0], [1, 1], [0, 0]],
            {"a": 2, "b": 3},
            r"d: head b \(train\): a class without a training sample.*found 'z'",
        ),
        (
            [[0, 0], [1, 3], [0, 2]],
            {"a": 2, "b": 3},
            r"d \(train\): head b: a label out of range; found '3 at sample 1'",
        ),
        ([[0, 0], [1, 1], [0, 2]], {"a": 2, "b": 2}, "d: classes: a name for each class of each head; found 5"),
        ([0, 1, 0], {"a": 2, "b": 3}, r"d \(train\): one label for each sample and head; found \(3,\)"),
        ([[0], [1], [0]], {"a": 5}, r"head a: as many labels as samples are needed; found \(3, 1\)"),
    ],
)
def test_heads_of_a_users_own_source(y: Any, heads: dict[str, int], message: str) -> None:
    part = three(y)
    with pytest.raises(DataError, match=message):
        checked(Dataset(part, part, part, tuple("vwxyz"), (), heads=heads), "d")


SEEDED = ("digits", "made", "made_audio", "made_interactions", "made_text", "interactions", "text")


@pytest.mark.parametrize("kind", SEEDED)
def test_a_seed_that_numpy_does_not_take(kind: str) -> None:
    key = "split_seed" if kind in ("digits", "text") else "seed"
    table = {"kind": kind, key: -1, **({"path": "p"} if kind in ("interactions", "text") else {})}
    with pytest.raises(RecipeError, match=rf"data\.{key}: allowed is 0 or more; found -1"):
        plugins.build("data", table, "data")
