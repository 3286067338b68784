"""What a teacher is, told by its files: each kind, and what is none; nothing of it runs."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from edgekd.base.errors import EdgekdError
from edgekd.cli.starting.teachers import Teacher, image_of, teacher
from edgekd.learn.data import Dataset, from_splits

NAMES = ("ant", "bee", "cat")
SPLITS = [(np.zeros((6, 4), np.float32), np.arange(6) % 3) for _ in range(3)]
DATA: Dataset = from_splits(SPLITS, "data", NAMES)


def asked(path: Path | str, allow_code: bool = False) -> Teacher:
    return teacher(str(path), DATA, allow_code=allow_code)


def model(path: Path, outputs: dict[str, list[Any]], shape: list[Any]) -> Path:
    """A file of one input, whose outputs are the input's."""
    nodes = [helper.make_node("Identity", ["x"], [name]) for name in outputs]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), *outputs.items())]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_the_output_of_an_onnx_file_with_a_number_a_class_is_named(tmp_path: Path) -> None:
    one = model(tmp_path / "one.onnx", {"y": ["n", 3]}, ["n", 3])
    two = model(tmp_path / "two.onnx", {"features": ["n", 64], "y": ["n", 3]}, ["n", 3])
    alike = model(tmp_path / "alike.onnx", {"a": ["n", 3], "b": ["n", 3]}, ["n", 3])
    assert [asked(path).table.get("output") for path in (one, two, alike)] == [None, "y", None]
    assert asked(alike).remark == "its outputs are a, b: output = NAME says which holds the scores"
    more = model(tmp_path / "more.onnx", {"y": ["n", 4]}, ["n", 4])
    assert asked(more).remark == "it answers 4 numbers, and the classes are 3: see classes"


def test_the_size_of_pictures_is_read_where_a_file_has_one(tmp_path: Path) -> None:
    shapes: list[list[Any]] = [["n", 3, 32, 24], [1, 1, 8, 8], ["n", 3, "h", "w"], ["n", 64], ["n", 32, 24, 3]]
    sizes = [image_of(str(model(tmp_path / f"{i}.onnx", {"y": shape}, shape))) for i, shape in enumerate(shapes)]
    assert sizes == [(3, 32, 24), (1, 8, 8), None, None, None]
    assert image_of(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("header", "row", "keys", "says"),
    [
        ("id,ant,bee,cat", "0.1,0.2,0.7", {}, "scores"),
        ("id,label,ant,bee,cat", "2,1.5,-2,3", {"form": "logits", "ignore": ["label"]}, "scores"),
        ("id,label", "bee", {}, "labels"),
        ("id,label_1,label_2", "bee,cat", {}, "labels"),
        ("id,label_1,probability_1", "bee,0.9", {}, "top"),
    ],
)
def test_what_recorded_answers_say_is_told(
    tmp_path: Path, header: str, row: str, keys: dict[str, Any], says: str
) -> None:
    path = tmp_path / "answers.csv"
    path.write_text("\n".join([header, *(f"train/{i},{row}" for i in range(6))]))
    known = asked(path)
    assert known.table["model"] == {"kind": "recorded", "path": str(path.resolve()), **keys} and known.says == says


def folder(path: Path, config: dict[str, Any], weights: str = "model.safetensors") -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    (path / weights).write_bytes(b"")
    return path


def test_a_checkpoint_folder_keeps_the_head_that_fits(tmp_path: Path) -> None:
    named = {"0": "cat ", "1": "ant", "2": "bee"}
    heads: dict[str, tuple[dict[str, Any], str, object]] = {
        "own": ({"architectures": ["BertForSequenceClassification"], "id2label": named}, "own", [1, 2, 0]),
        "numbered": ({"architectures": ["XForImageClassification"], "num_labels": 3}, "own", None),
        "other": ({"architectures": ["BertForSequenceClassification"]}, "linear", None),
        "body": ({"architectures": ["BertModel"], "id2label": named}, "linear", None),
        "bare": ({}, "linear", None),
    }
    for name, (config, head, classes) in heads.items():
        table = asked(folder(tmp_path / name, config)).table
        assert (table["model"]["head"], table.get("classes")) == (head, classes), name
        assert table["epochs"] == (0 if head == "own" else 10)


def test_labels_of_a_checkpoint_folder_are_held_against_the_classes_and_the_task(tmp_path: Path) -> None:
    def of(name: str, names: list[str], **more: Any) -> Teacher:
        labels = {str(i): label for i, label in enumerate(names)}
        return asked(
            folder(tmp_path / name, {"architectures": ["XForImageClassification"], "id2label": labels, **more})
        )

    assert of("more", ["dog", "cat", "ant", "bee"]).table["classes"] == [2, 3, 1]
    assert "classes" not in of("same", ["ant", "bee", "cat"]).table
    other = of("other", ["ant", "wasp", "bee"])
    assert other.remark.startswith("its labels are ant, wasp, bee: taken") and "classes" not in other.table
    assert "as it stands" in of("numbered", ["LABEL_0", "LABEL_1", "LABEL_2"]).remark
    for problem in ("multi_label_classification", "regression"):
        several = of(problem, ["ant", "bee", "cat"], problem_type=problem)
        assert several.table["model"]["head"] == "linear" and several.remark.endswith(problem.replace("_", " "))
    assert of("s", ["ant", "bee", "cat"], problem_type="single_label_classification").table["model"]["head"] == "own"


def test_an_exported_program_is_opened_where_the_user_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("t/archive_format", "pt2")
    assert [asked(path, allow).table["model"]["allow_code"] for allow in (False, True)] == [False, True]
    assert "say so where you know who wrote it" in asked(path).remark


CODE = """
def answer(samples, scale=2): raise SystemExit("it was called")
def factory(width=3): raise SystemExit("it was called")
class Kind:
    def answers(self, asked): ...
number = 3
"""


def test_code_of_ones_own_is_told_by_what_it_wants_and_not_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code_to_start.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    kinds = [asked(f"code_to_start:{name}").table["model"]["kind"] for name in ("answer", "factory", "Kind")]
    assert kinds == ["callable", "python", "code_to_start:Kind"]
    sys.modules.pop("code_to_start")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def _weights(folder: Path) -> Path:
    torch.save({"a": torch.zeros(2)}, folder / "w.pt")
    return folder / "w.pt"


def _written(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda p: p / "no.onnx",
            r"--teacher: no such file or folder; found .*no\.onnx'; allowed: an \.onnx file; rec",
        ),
        (lambda p: _weights(p), r"weights without their network; found 'w\.pt'; --teacher mypkg\.zoo:factory --check"),
        (lambda p: _written(p / "w.safetensors", b"x"), r"weights without their network"),
        (lambda p: _written(p / "t.pt", b"PK nothing"), r"--teacher: no teacher that is known; found 't\.pt'; allowed"),
        (lambda p: _written(p / "t.py", "def f(): ..."), r"no teacher that is known"),
        (lambda p: _written(p / "t.onnx", b"half"), r"--teacher: t\.onnx"),
        (lambda p: _written(p / "t.onnx", b""), r"t\.onnx: no ONNX model: nothing is answered by it; found '0 bytes'"),
        (lambda p: _written(p / "t.onnx", POINTER), r"--teacher: what Git LFS leaves.*git lfs pull"),
        (lambda p: _written(p / "t.safetensors", POINTER), r"--teacher: what Git LFS leaves"),
        (lambda p: _written(p / "t.csv", "id,text\n1,a"), r"t\.csv: no answers in it; found 'id, text'.*ant, bee, cat"),
        (lambda p: p, r"--teacher\.path: no file of a split"),
        (lambda p: folder(p / "f", {}, "model.bin"), r"f: no weights that are read; found 'config\.json, model\.bin'"),
        (lambda p: _written(folder(p / "f", {}) / "config.json", "{").parent, r"f/config\.json: not JSON"),
        (lambda p: _written(folder(p / "f", {}) / "config.json", "[]").parent, r"f/config\.json: no table"),
        (lambda p: "mypkg.zoo", r"no such file or folder; found 'mypkg\.zoo'.*mypkg\.mod:name stands for code"),
        (lambda p: "nowhere_at_all:answer", r"--teacher.*nowhere_at_all"),
    ],
)
def test_what_is_no_teacher_is_told(tmp_path: Path, make: Any, message: str) -> None:
    with pytest.raises(EdgekdError, match=message) as error:
        asked(make(tmp_path))
    assert error.value.exit_code in (2, 5)
