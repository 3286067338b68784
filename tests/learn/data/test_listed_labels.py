"""Labels of tables of Arrow of every kind, as a task takes them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import ipc, parquet

from edgekd.base.errors import DataError
from edgekd.learn.data import Dataset
from edgekd.learn.data.arrow import Arrow
from edgekd.learn.data.text import Text
from edgekd.tasks import IGNORED, Task
from edgekd.tasks.classification import Classification
from edgekd.tasks.embedding import Embedding
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation
from edgekd.tasks.tagging import Tagging

COUNT = 30
TEXTS = [f"{'good' if i % 2 else 'bad'} film number {i} of {i % 5}" for i in range(COUNT)]


def png(pixels: np.ndarray) -> dict[str, Any]:
    """What ``datasets`` makes of a picture."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return {"bytes": file.getvalue(), "path": None}


def numbers_of(i: int) -> np.ndarray:
    """The i-th mask, of 0, 1 and 2."""
    return np.asarray((np.arange(48).reshape(6, 8) + i) % 3, np.uint8)


def save(root: Path, columns: dict[str, Any], feature: Any = None, form: str = "stream") -> Path:
    """A table; ``feature``: what ``datasets`` says of its labels."""
    content = pa.table(columns)
    if feature is not None:
        content = content.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": {"label": feature}}})}
        )
    if form == "parquet":
        parquet.write_table(content, root / "train.parquet", row_group_size=7)
        return root / "train.parquet"
    with ipc.new_stream(str(root / "train.arrow"), content.schema) as writer:
        writer.write_table(content, 7)
    return root / "train.arrow"


def load(path: Path, task: Task, **keys: Any) -> Dataset:
    return Arrow(str(path), **{"x": "text", "vocab": 100, **keys}).load(task)


def rows(data: Dataset) -> dict[str, Any]:
    """The label of each text."""
    return {
        str(x): y.tolist()
        for split in data.splits.values()
        if split.y is not None
        for x, y in zip(split.x, split.y, strict=True)
    }


@pytest.mark.parametrize("form", ["stream", "parquet"])
def test_values_of_one_column_or_of_several(tmp_path: Path, form: str) -> None:
    halves = [None if i == 3 else i / 2 for i in range(COUNT)]  # one of them nobody knows
    columns = {"text": TEXTS, "label": halves, "other": [i % 4 for i in range(COUNT)]}
    path = save(tmp_path, columns, form=form)
    data = load(path, Regression())
    of = rows(data)
    assert data.classes == ("value",) and of[TEXTS[8]] == [4.0] and np.isnan(of[TEXTS[3]][0])
    data = load(path, Regression(), label=("label", "other"))
    assert data.classes == ("label", "other") and rows(data)[TEXTS[9]] == [4.5, 1.0]


CLASS = {"names": ["calm", "glad", "sad"], "_type": "ClassLabel"}


@pytest.mark.parametrize(
    "feature", [{"feature": CLASS, "_type": "Sequence"}, [CLASS], {"feature": CLASS, "length": -1}]
)
def test_lists_of_numbers_name_the_labels_of_a_sample(tmp_path: Path, feature: Any) -> None:
    wanted = [[i % 3] if i % 2 else [0, 2] for i in range(COUNT)]
    wanted[4] = []
    data = load(save(tmp_path, {"text": TEXTS, "label": wanted}, feature), MultiLabel())
    assert data.classes == ("calm", "glad", "sad")
    assert [[k for k in range(3) if rows(data)[text][k]] for text in TEXTS] == wanted


def test_lists_of_names_and_rows_of_bits(tmp_path: Path) -> None:
    names = [["sad"] if i % 2 else ["calm", "glad"] for i in range(COUNT)]
    data = load(save(tmp_path, {"text": TEXTS, "label": names}), MultiLabel())
    assert data.classes == ("calm", "glad", "sad") and rows(data)[TEXTS[0]] == [1, 1, 0]
    bits = [[i % 2, int(i % 5 == 0), int(i % 3 == 0)] for i in range(COUNT)]
    data = load(save(tmp_path, {"text": TEXTS, "label": bits}), MultiLabel())
    assert [rows(data)[text] for text in TEXTS] == bits
    data = load(save(tmp_path, {"text": TEXTS, "label": [[i % 2] for i in range(COUNT)]}), MultiLabel())
    assert data.classes == ("0", "1") and rows(data)[TEXTS[1]] == [0, 1]  # one label each, by number


def test_of_several_columns_each_is_a_label_whatever_its_numbers_are_called(tmp_path: Path) -> None:
    columns = {"text": TEXTS, "label": [i % 2 for i in range(COUNT)], "other": [int(i % 5 == 0) for i in range(COUNT)]}
    path = save(tmp_path, columns, {"names": ["no", "yes"], "_type": "ClassLabel"})
    data = load(path, MultiLabel(), label=("label", "other"))
    assert data.classes == ("label", "other") and rows(data)[TEXTS[5]] == [1, 1]


def test_tags_of_words_are_those_of_the_same_text(tmp_path: Path) -> None:
    """Numbers of an order of their own, as ``datasets`` keeps them, beside a file of texts."""
    order = ["O", "B-num", "I-num", "B-film", "I-film"]
    words = [text.split() for text in TEXTS]
    tags = [["O", "B-film", "I-film", "B-num", "O", "B-num"] for _ in words]
    lines = "\n".join(f"{' '.join(of)}\t{' '.join(tag)}" for of, tag in zip(words, tags, strict=True))
    (tmp_path / "t.tsv").write_text(f"sentence\tlabel\n{lines}\n")
    wanted = Text(str(tmp_path / "t.tsv"), vocab=100, length=12, classes=tuple(order)).load(Tagging())
    numbers = [[order.index(tag) for tag in of] for of in tags]
    feature = {"feature": {"names": order, "_type": "ClassLabel"}, "_type": "Sequence"}
    path = save(tmp_path, {"text": words, "label": numbers}, feature)
    for lazy in (False, True):
        data = load(path, Tagging(), length=12, lazy=lazy)
        assert data.classes == wanted.classes and data.preprocess == wanted.preprocess
        for split, other in zip(data.splits.values(), wanted.splits.values(), strict=True):
            assert list(split.x) == list(other.x) and np.array_equal(split.y, other.y)  # type: ignore[arg-type]
    data = load(save(tmp_path, {"text": TEXTS, "label": tags}), Tagging(), length=12)  # names, of texts
    assert {*data.classes} == {*wanted.classes}


def test_pairs_stay_together(tmp_path: Path) -> None:
    columns = {"text": TEXTS, "other": [f"{text} again" for text in TEXTS], "label": [i % 6 / 5 for i in range(COUNT)]}
    path = save(tmp_path, columns)
    data = load(path, Embedding(size=8), pair="other")
    assert sum(map(len, data.splits.values())) == 2 * COUNT
    for split in data.splits.values():
        assert split.y is not None
        texts, scores = [str(text) for text in split.x], split.y[:, 1]
        assert texts[1::2] == [f"{text} again" for text in texts[::2]]
        assert np.allclose(scores[::2], [int(text.split()[3]) % 6 / 5 for text in texts[::2]])
    assert sum(map(len, load(path, Embedding(size=8), pair="other", limit=20).splits.values())) == 40
    alone = load(path, Embedding(size=8), pair="other", label="")
    assert alone.train.y is not None and (alone.train.y[:, 1] == 1).all()
    with pytest.raises(DataError, match="labels are of pairs of texts"):
        load(path, Embedding(size=8))
    with pytest.raises(DataError, match="labels are of single texts"):
        load(path, Regression(), pair="other")


@pytest.mark.parametrize("form", ["stream", "parquet"])
def test_masks_are_pictures_beside_pictures(tmp_path: Path, form: str) -> None:
    shown = [png(np.repeat(numbers_of(i)[..., None], 3, axis=2)) for i in range(COUNT)]
    path = save(tmp_path, {"image": shown, "label": [png(numbers_of(i)) for i in range(COUNT)]}, form=form)
    keys = {"x": "image", "classes": ("a", "b", "c")}
    for lazy in (False, True):
        data = load(path, Segmentation(), **keys, lazy=lazy, workers=0)
        for split in data.splits.values():
            assert split.y is not None and np.array_equal(np.asarray(split.x)[..., 0], split.y)
    data = load(path, Segmentation(), **keys, size=(9, 5), fit="letterbox", interpolation="nearest")
    for split in data.splits.values():
        assert split.y is not None
        known = split.y != IGNORED
        assert np.array_equal(np.asarray(split.x)[..., 0][known], split.y[known]) and not known.all()
    chosen = load(path, Segmentation(), x="image", values=(2, 0), limit=20)
    assert chosen.classes == ("2", "0") and sum(map(len, chosen.splits.values())) == 20


def test_masks_and_points_are_lists_of_numbers(tmp_path: Path) -> None:
    shown = [png(np.repeat(numbers_of(i)[..., None], 3, axis=2)) for i in range(COUNT)]
    path = save(tmp_path, {"image": shown, "label": [numbers_of(i).tolist() for i in range(COUNT)]})
    data = load(path, Segmentation(), x="image")
    assert data.train.y is not None and np.array_equal(np.asarray(data.train.x)[..., 0], data.train.y)
    points = [[[i % 8, 1.5 + i % 4], [2.0 + i % 3, i % 6]] for i in range(COUNT)]
    path = save(tmp_path, {"image": shown, "label": points})
    data = load(path, Regression(points=True), x="image", classes=("eye", "nose"))
    assert data.classes == ("eye x", "eye y", "nose x", "nose y") and data.train.y is not None
    assert data.train.y.shape[1:] == (4,) and data.train.y[:, 1].min() == 1.5
    with pytest.raises(DataError, match=r"data\.size: labels of places move"):
        load(path, Regression(points=True), x="image", size=(4, 4))


BAD: dict[str, tuple[dict[str, Any], Task, dict[str, Any], str]] = {
    "a number of no class": ({"label": [[7]] * COUNT}, MultiLabel(), {"classes": ("a", "b")}, "row 0: a label that"),
    "lengths": ({"label": [[0.5] * (1 + i % 2) for i in range(COUNT)]}, Regression(), {}, "row 1: labels of several"),
    "shapes": ({"label": [[[1.0], [2.0, 3.0]]] * COUNT}, Regression(), {}, "labels of several shapes"),
    "a list that is none": ({"label": [[0, None]] * COUNT}, MultiLabel(), {}, "a label in a list that is none"),
    "a row without": ({"label": [[0], None] * (COUNT // 2)}, MultiLabel(), {}, "a row without a label; found 'row 1'"),
    "lists of one class": ({"label": [[i % 2, 0] for i in range(COUNT)]}, Classification(), {}, "rows of labels, and"),
    "words": ({"label": ["a"] * COUNT, "b": [1] * COUNT}, Regression(), {"label": ("b", "label")}, "not of numbers"),
    "tags without names": ({"label": [[0] * 6] * COUNT}, Tagging(), {}, "tag"),
    "tags of other words": ({"label": [["O", "B-a"]] * COUNT}, Tagging(), {}, "row 0: another number of tags"),
    "values": ({"label": [i % 2 for i in range(COUNT)]}, Classification(), {"values": (0, 1)}, "no pictures of masks"),
    "pictures as classes": ({"label": [png(numbers_of(0))] * COUNT}, Classification(), {}, "no labels; found 'struct"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_labels_that_a_task_does_not_take(tmp_path: Path, case: str) -> None:
    columns, task, keys, message = BAD[case]
    with pytest.raises(DataError, match=message):
        load(save(tmp_path, {"text": TEXTS, **columns}), task, **keys)


def test_a_mask_of_another_size_names_its_row(tmp_path: Path) -> None:
    shown = [png(np.repeat(numbers_of(i)[..., None], 3, axis=2)) for i in range(COUNT)]
    masks = [png(numbers_of(i)) for i in range(COUNT - 1)] + [png(numbers_of(0)[:4])]
    with pytest.raises(DataError, match=r"row 29: label: a mask of another size than its picture"):
        load(save(tmp_path, {"image": shown, "label": masks}), Segmentation(), x="image")
