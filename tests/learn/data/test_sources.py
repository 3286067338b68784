"""Every data source: what it reads, and what it refuses."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgekd.base.errors import DataError, FactoryError
from edgekd.learn.data._batches import fingerprint, from_splits
from edgekd.learn.data.digits import Digits
from edgekd.learn.data.imagefolder import Imagefolder
from edgekd.learn.data.made import Made
from edgekd.learn.data.npz import Npz
from edgekd.learn.data.python import Python

RNG = np.random.default_rng(0)


def arrays(count: int = 40, shape: tuple[int, ...] = (6, 5), classes: int = 4) -> dict[str, Any]:
    x = RNG.integers(0, 256, (count, *shape), dtype=np.uint8)
    y = np.arange(count) % classes
    return {"x_train": x, "y_train": y, "x_test": x[:8], "y_test": y[:8]}


def save(path: Path, **changed: Any) -> str:
    table = {key: value for key, value in {**arrays(), **changed}.items() if value is not None}
    np.savez(path / "d.npz", **table)
    return str(path / "d.npz")


def encoded(images: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    parts = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, kind)
        parts.append(buffer.getvalue())
    return np.frombuffer(b"".join(parts), np.uint8), np.cumsum([0, *map(len, parts)])


def test_digits_has_the_documented_splits() -> None:
    data = Digits().load()
    assert [len(split) for split in data.splits.values()] == [1077, 360, 360]
    assert data.train.x.dtype == np.uint8 and np.max(data.train.x) == 16


def test_npz_reads_images_and_carves_validation_evenly(tmp_path: Path) -> None:
    data = Npz(save(tmp_path), validation=0.2).load()
    assert data.train.x.shape == (32, 6, 5, 1)
    assert data.validation.y is not None
    assert np.bincount(data.validation.y).tolist() == [2, 2, 2, 2]
    assert data.classes == ("0", "1", "2", "3")


@pytest.mark.parametrize(("x_name", "y_name"), [("X", "y"), ("images", "labels"), ("Data", "targets")])
def test_npz_of_one_pair_of_arrays_is_carved(tmp_path: Path, x_name: str, y_name: str) -> None:
    table = arrays()
    np.savez(tmp_path / "d.npz", **{x_name: table["x_train"], y_name: table["y_train"], "more": np.arange(3)})
    data = Npz(str(tmp_path / "d.npz"), validation=0.2, test=8).load()
    assert [len(split) for split in data.splits.values()] == [26, 6, 8]
    assert data.test.y is not None and np.bincount(data.test.y).tolist() == [2, 2, 2, 2]
    assert [note.split(":")[0] for note in data.notes[:2]] == [
        f"the data has no {n} split" for n in ("test", "validation")
    ]
    named = Npz(str(tmp_path / "d.npz"), x_train=x_name, y_train=y_name, x_test="", y_test="", validation=0.2, test=8)
    assert np.array_equal(named.load().test.x, data.test.x)


def test_npz_carves_a_test_split_where_no_array_is_called_so(tmp_path: Path) -> None:
    table = {"x_test": None, "y_test": None}
    assert len(Npz(save(tmp_path, **table)).load().test) == 4
    with pytest.raises(DataError, match=r"no such array in the file; found 'x_test'"):
        Npz(save(tmp_path, **table, X_test=np.zeros((8, 6, 5)))).load()
    with pytest.raises(DataError, match=r"data\.x_test: no such array in the file; found 'x_tset'"):
        Npz(save(tmp_path), x_test="x_tset").load()
    with pytest.raises(DataError, match=r"no such array in the file; found 'x_train'; allowed: X, data, y"):
        Npz(save(tmp_path, **{**table, "x_train": None, "y_train": None}, X=[1], data=[2], y=[3])).load()


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.bool_])
def test_npz_takes_one_hot_labels(tmp_path: Path, kind: Any) -> None:
    rows = {name: np.eye(4, dtype=kind)[arrays()[name]] for name in ("y_train", "y_test")}
    data, plain = Npz(save(tmp_path, **rows)).load(), Npz(save(tmp_path)).load()
    assert data.train.y is not None and plain.train.y is not None and np.array_equal(data.train.y, plain.train.y)
    assert data.classes == plain.classes and [note for note in data.notes if "one-hot" in note]
    rows["y_test"][0, :2] = 1
    with pytest.raises(DataError, match=r"rows of labels, and each sample has one; found \(40, 4\); .*one-hot"):
        Npz(save(tmp_path, **rows)).load()


def test_npz_counts_labels_of_one_byte(tmp_path: Path) -> None:
    small = {key: value.astype(np.uint8) for key, value in arrays().items() if key.startswith("y_")}
    assert Npz(save(tmp_path, **small)).load().classes == Npz(save(tmp_path)).load().classes


def test_npz_keeps_groups_together(tmp_path: Path) -> None:
    groups = np.arange(40) // 4
    x = np.repeat(np.arange(40, dtype=np.uint8)[:, None, None], 30, 1).reshape(40, 6, 5)
    data = Npz(save(tmp_path, x_train=x, g=groups), groups="g", validation=10).load()
    inside = {int(i) // 4 for i in data.validation.x[:, 0, 0, 0]}
    outside = {int(i) // 4 for i in data.train.x[:, 0, 0, 0]}
    assert inside and outside and not inside & outside


def test_npz_decodes_png_exactly_and_limits(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (20, 8, 9, 3), dtype=np.uint8)
    raw, offsets = encoded(images, "PNG")
    np.savez(
        tmp_path / "d.npz",
        train_bytes=raw,
        train_offsets=offsets,
        test_bytes=raw,
        test_offsets=offsets,
        y_train=np.arange(20) % 2,
        y_test=np.arange(20) % 2,
    )
    source = Npz(str(tmp_path / "d.npz"), "train_bytes", x_test="test_bytes", offsets="offsets", limit=10)
    data = source.load()
    assert np.array_equal(data.test.x, images)
    assert len(data.train) + len(data.validation) == 10


@pytest.mark.parametrize(
    ("changed", "fields", "message"),
    [
        ({"y_train": None}, {}, "no such array"),
        ({}, {"x_train": "x_trian"}, "did you mean 'x_train'"),
        ({"y_train": np.arange(40) - 1}, {}, r"y_train: sample 0: a label below 0; found -1"),
        ({"y_train": np.arange(39)}, {}, "as many labels"),
        ({"y_train": np.full(40, 0.5, np.float32)}, {}, "whole numbers"),
        ({"y_train": np.zeros(40, int), "y_test": np.zeros(8, int)}, {}, "one class only"),
        ({"x_train": np.full((40, 6, 5), np.nan, np.float32)}, {}, "NaN"),
        ({"x_train": np.zeros((40, 6, 5, 2), np.uint8)}, {}, "channels"),
        ({"x_train": np.zeros((40, 30), np.float32)}, {}, r"not images; found \(40, 30\); .*data\.samples = .numbers"),
        ({"x_test": np.zeros((8, 7, 7), np.uint8)}, {}, "another shape"),
        ({"x_test": np.zeros((0, 6, 5), np.uint8), "y_test": np.zeros(0, int)}, {}, "empty split"),
        ({}, {"validation": 40}, "leaves an empty split"),
        ({"class_names": np.array(["one"])}, {}, "one class only"),
        ({"x_train": np.array([{}] * 40, dtype=object)}, {}, "without pickle"),
        ({"g": np.arange(60)}, {"groups": "g"}, r"data\.groups: one group for each sample; found \(60,\)"),
        ({"g": np.arange(60)}, {"groups": "g", "limit": 30}, r"data\.groups: one group .*\(40,\)"),
        ({"x_train": np.zeros((40, 3, 8, 8), np.uint8)}, {}, r"not images; .*moveaxis\(x, 1, -1\)"),
        ({"x_train": np.full((40, 8, 8, 3), 9)}, {}, r"not images; found 'int64 9 to 9'.*x\.astype"),
        (
            {"x_train": np.full((40, 8, 8, 3), 999)},
            {},
            r"not images; found 'int64 999 to 999'; allowed: uint8 or a float dtype$",
        ),
        ({"y_train": np.array(["a", "b"] * 20, object)}, {}, r"without pickle.*a\.tolist\(\)"),
    ],
)
def test_npz_says_what_is_wrong(tmp_path: Path, changed: dict[str, Any], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Npz(save(tmp_path, **changed), **fields).load()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"y_validation": "y_train"}, "y_validation: allowed is none without x_validation"),
        ({"x_train": ""}, "x_train: allowed is the name of an array"),
        ({"x_test": "", "y_test": "y_train"}, "y_test: allowed is none without x_test"),
        ({"validation": float("nan")}, "validation: allowed"),
        ({"validation": float("inf")}, "validation: allowed"),
        ({"split_seed": -1}, "split_seed: allowed is 0 or more"),
    ],
)
def test_npz_refuses_keys_that_mean_nothing(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Npz("d.npz", **fields)


def test_npz_without_a_file_or_with_another_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        Npz(str(tmp_path / "none.npz")).fingerprint()
    (tmp_path / "d.npz").write_bytes(b"text")
    with pytest.raises(DataError, match=r"not an \.npz"):
        Npz(str(tmp_path / "d.npz")).load()


def folder(root: Path, splits: tuple[str, ...] = ("train", "test"), size: tuple[int, int] = (7, 6)) -> Path:
    for split in splits:
        for label, name in enumerate(("cat", "dog")):
            place = root / split / name
            place.mkdir(parents=True)
            for i in range(10):
                Image.fromarray(np.full((*size, 3), 100 * label + i, np.uint8)).save(place / f"{i}.png")
    return root


def test_imagefolder_with_split_folders(tmp_path: Path) -> None:
    data = Imagefolder(str(folder(tmp_path)), validation=4).load()
    assert data.classes == ("cat", "dog")
    assert [len(s) for s in data.splits.values()] == [16, 4, 20]
    assert data.train.x.shape[1:] == (7, 6, 3)


def test_imagefolder_of_classes_alone_is_carved(tmp_path: Path) -> None:
    folder(tmp_path, ("train",))
    data = Imagefolder(str(tmp_path / "train"), size=(4, 4), grey=True, validation=0.2, test=0.2).load()
    assert [len(s) for s in data.splits.values()] == [13, 3, 4]
    assert data.train.x.shape[1:] == (4, 4, 1)


def test_imagefolder_fingerprint_follows_the_pictures(tmp_path: Path) -> None:
    source = Imagefolder(str(folder(tmp_path)))
    before = source.fingerprint()
    assert source.fingerprint() == before
    Image.fromarray(np.full((7, 6, 3), 255, np.uint8)).save(tmp_path / "train" / "cat" / "0.png")
    assert source.fingerprint() != before


def test_imagefolder_says_what_is_wrong(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "test" / "cow").mkdir()
    with pytest.raises(DataError, match="a class that train does not have"):
        Imagefolder(str(root)).load()
    (root / "test" / "cow").rmdir()
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(root / "train" / "cat" / "odd.png")
    with pytest.raises(DataError, match=r"cat/odd\.png: an image of another size"):
        Imagefolder(str(root)).load()
    (root / "train" / "cat" / "odd.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="can't be decoded"):
        Imagefolder(str(root)).load()
    with pytest.raises(DataError, match="no such folder"):
        Imagefolder(str(root / "none")).load()


def batches(count: int = 24) -> list[tuple[torch.Tensor, torch.Tensor]]:
    x, y = torch.randn(count, 3, 4, 4), torch.arange(count) % 3
    return [(x[i : i + 8], y[i : i + 8]) for i in range(0, count, 8)]


def test_batches_are_collected_in_an_order_of_their_own() -> None:
    given = batches()
    one = from_splits((given, given, given), "data")
    other = from_splits((given[::-1], given, given), "data")
    assert one.train.x.dtype == np.float32
    assert one.preprocess == ()
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint(from_splits((given[:2], given, given), "data"))


def test_a_loader_may_be_iterated_again() -> None:
    x, y = torch.randn(20, 5), torch.arange(20) % 2
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=6, shuffle=True)
    data = from_splits((loader, (x, y), (x.numpy(), y.numpy())), "data")
    assert len(data.train) == 20


X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("labels", [[0, 1], [np.int64(0), 1], ["0", "1"], list(np.array(["0", "1"])), (np.uint8(0), 1)])
def test_a_list_of_labels_is_taken_as_an_array(labels: Any) -> None:
    for given in ((X, labels), [X, labels], [(X, labels)]):
        data = from_splits((given, given, given), "data")
        assert data.train.y is not None
        assert dict(zip(data.train.x[:, 0].tolist(), data.train.y.tolist(), strict=True)) == {0: 0, 3: 1}


def runs_once() -> Iterator[Any]:
    yield from batches()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((batches(), batches()), "three splits"),
        ((runs_once(), batches(), batches()), "runs only once"),
        ((3, batches(), batches()), "neither arrays nor batches"),
        (([], batches(), batches()), "empty split"),
        ((["text"], batches(), batches()), "not an array"),
        (([(torch.zeros(2, 3), torch.rand(2))], batches(), batches()), "whole numbers"),
        ((np.zeros((4, 3)), np.zeros((4, 3)), np.zeros((4, 3))), "class names are needed"),
        (
            [[(torch.zeros(2, 3), torch.arange(2)), (torch.zeros(2, 3),)]] * 3,
            r"data \(train\): batch 1: a batch with other parts.*found '1 inputs'; allowed: .* and labels",
        ),
        ([(X, [0.5, 1.0])] * 3, r"data \(train\): sample 0: labels are whole numbers or names; found 'float64'"),
        ([(X, [0, True])] * 3, r"data \(train\): labels of several types; found 'bool and int'"),
        ([(X, [0, "a"])] * 3, "labels of several types; found 'int and str'"),
        ([(X, ["a", None])] * 3, "labels of several types; found 'NoneType and str'"),
        ([(X, [[0], [1]])] * 3, r"sample 0: labels are whole numbers or names; found \[0\]"),
        ([(X, [torch.tensor(0), torch.tensor(1)])] * 3, "labels are whole numbers or names"),
        ([(X.tolist(), [0, 1])] * 3, r"data \(train\): not an array; found 'list'.*np\.asarray"),
        ([(X.tolist(), np.arange(2))] * 3, "not an array; found 'list'"),
        ([(list(X), [0, 1])] * 3, "not an array; found 'list'"),
        ([(X, [])] * 3, "as many labels as samples"),
    ],
)
def test_batches_say_what_is_wrong(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_splits(given, "data")


def test_python_source_calls_the_users_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_data.py").write_text(
        textwrap.dedent("""
        import numpy as np
        def make(count=12):
            x = np.arange(count * 4, dtype=np.float32).reshape(count, 4)
            return (x, np.arange(count) % 2), (x, np.arange(count) % 2), (x, np.arange(count) % 2)
        def fails():
            raise KeyError("inside")
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    data = Python("own_data:make", {"count": 10}, ("no", "yes")).load()
    assert data.train.x.shape == (10, 4) and data.classes == ("no", "yes")
    with pytest.raises(FactoryError, match=r"fails raised KeyError at own_data.py:7"):
        Python("own_data:fails").fingerprint()
    with pytest.raises(FactoryError, match="did you mean 'make'"):
        Python("own_data:mkae").load()


def test_python_source_goes_through_its_batches_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loader that augments gives other samples each time: the key is of those that are trained on."""
    (tmp_path / "own_loader.py").write_text(
        textwrap.dedent("""
        import numpy as np
        WALKS = []
        class Loader:
            def __iter__(self):
                return self.walk()
            def walk(self):
                WALKS.append(1)
                yield np.full((8, 4), len(WALKS), np.float32) + np.arange(8)[:, None], np.arange(8) % 2
        def make():
            return Loader(), Loader(), Loader()
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    source = Python("own_loader:make", {}, ("no", "yes"))
    source.fingerprint()
    data = source.load()
    assert len(__import__("own_loader").WALKS) == 3, "one for each split"
    assert np.min(data.train.x) == 1 and np.min(data.test.x) == 3
    fresh = Python("own_loader:make", {}, ("no", "yes"))
    assert np.min(fresh.load().train.x) == 4 and "_gathered" not in vars(fresh), "nothing is held twice"


def test_made_data_is_a_function_of_its_seed() -> None:
    assert np.array_equal(Made(seed=3).load().train.x, Made(seed=3).load().train.x)
    assert not np.array_equal(Made(seed=3).load().train.x, Made(seed=4).load().train.x)
