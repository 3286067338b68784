"""What ``edgekd init`` holds against the data before it writes: ids, inputs of files, tokenizers, targets."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from edgekd import cli

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def init(teacher: str, data: str, *more: str, rc: int = 0) -> dict[str, Any]:
    assert cli.run(["init", "r.toml", "--teacher", teacher, "--data", data, *more]) == rc
    assert Path("r.toml").exists() == (rc == 0)
    return tomllib.loads(Path("r.toml").read_text()) if rc == 0 else {}


def table(path: str, header: str, rows: list[list[object]]) -> str:
    Path(path).write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def pictures() -> str:
    for i in range(40):
        file = Path("pics", ("no", "yes")[i % 2], f"{i:02d}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 255, (8, 8, 3), np.uint8)).save(file)
    return "pics"


def network(path: str, kind: int, shape: list[int], perm: list[int]) -> str:
    """A file that takes images of a type and of some axes."""
    nodes = [helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT)]
    nodes += [
        helper.make_node("Transpose", ["c"], ["t"], perm=perm),
        helper.make_node("ReduceMean", ["t"], ["m"], axes=[2, 3], keepdims=0),
    ]
    nodes.append(helper.make_node("Slice", ["m", "from", "to", "axis"], ["y"]))
    constants = [helper.make_tensor(n, TensorProto.INT64, [1], [v]) for n, v in (("from", 0), ("to", 2), ("axis", 1))]
    given = helper.make_tensor_value_info("x", kind, ["n", *shape])
    graph = helper.make_graph(nodes, "g", [given], [helper.make_tensor_value_info("y", 1, ["n", 2])], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


LAST, FIRST = [0, 3, 1, 2], [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("kind", "shape", "perm", "ops"),
    [
        (TensorProto.UINT8, [8, 8, 3], LAST, []),
        (TensorProto.UINT8, [3, 8, 8], FIRST, ["layout"]),
        (TensorProto.UINT8, [16, 16, 3], LAST, ["resize"]),
        (TensorProto.FLOAT, [8, 8, 3], LAST, ["scale"]),
        (TensorProto.FLOAT, [3, 8, 8], FIRST, None),
    ],
)
def test_inputs_are_made_as_a_file_takes_them(
    kind: int, shape: list[int], perm: list[int], ops: list[str] | None
) -> None:
    teacher = init(network("t.onnx", kind, shape, perm), pictures())["teacher"]
    assert ops == (None if "preprocess" not in teacher else [op["op"] for op in teacher["preprocess"]])
    assert cli.run(["build", "r.toml", "--dry-run"]) == 0


def test_a_file_of_another_shape_is_told_before_anything_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    path, data = network("t.onnx", TensorProto.UINT8, [8, 8, 3], LAST), pictures()
    init(path, data, "--set", 'teacher.preprocess=[{op="layout"}]', rc=2)
    assert "takes inputs of another shape" in capsys.readouterr().err
    init(path, data)
    setting = 'teacher.preprocess=[{op="scale", divide=255.0}, {op="layout"}]'
    assert cli.run(["build", "r.toml", "--dry-run", "--set", setting]) == 2
    assert "teacher.preprocess = [] gives it the samples as they are" in capsys.readouterr().err


@pytest.mark.parametrize("of_texts", [True, False])
def test_a_column_of_ids_names_the_samples(of_texts: bool, capsys: pytest.CaptureFixture[str]) -> None:
    order = RNG.permutation(60)
    rows = [[f"{i:05d}", f"a film of {i} here" if of_texts else i % 7, ("neg", "pos")[i % 2]] for i in order]
    data = table("data.csv", f"id,{'text' if of_texts else 'a'},label", rows)
    answers = table("a.csv", "id,neg,pos", [[f"{i:05d}", 0.1, 0.9] for i in range(60)])
    written = init(answers, data)
    assert written["data"]["id"] == "id" and "column 'id' says what samples are called" in capsys.readouterr().err
    assert cli.run(["build", "r.toml", "--dry-run"]) == 0
    Path("r.toml").unlink()
    written = init(table("b.csv", "neg,pos", [[0.1, 0.9]] * 60), data)  # in the rows' order
    assert "id" not in written["data"] and (of_texts or written["data"]["columns"] == ["a"])
    Path("r.toml").unlink()
    table("data.csv", f"id,{'text' if of_texts else 'a'},label", [["7", *row[1:]] for row in rows])
    assert "id" not in init(table("b.csv", "neg,pos", [[0.1, 0.9]] * 60), data)["data"]  # no ids: all the same


def test_ids_of_recorded_answers_are_held_against_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    data = pictures()
    names = sorted(path.relative_to(data).as_posix() for path in Path(data).rglob("*.png"))
    shares = [[name, 0.2, 0.8] for name in names]
    assert init(table("a.csv", "filename,no,yes", shares), data)["teacher"]["model"]["id"] == "filename"
    Path("r.toml").unlink()
    init(table("a.csv", "id,no,yes", shares[:-3]), data, rc=2)
    assert 'teacher.model.missing = "skip"' in capsys.readouterr().err
    init("a.csv", data, "--set", "teacher.model.missing=skip")
    Path("r.toml").unlink()
    init(table("a.csv", "id,no,yes", [["x" + name, 0.2, 0.8] for name in names]), data, rc=2)
    assert "ids of no sample" in capsys.readouterr().err
    votes = table("a.csv", "id,no,yes", [[name, 2, 18] for name in names])
    init(votes, data, rc=2)
    init(votes, data, "--set", "teacher.model.form=probabilities")


def test_an_unknown_target_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    path = network("t.onnx", TensorProto.FLOAT, [3, 8, 8], FIRST)
    init(path, pictures(), "--target", "ort-cpy", rc=2)
    assert "unknown target; found 'ort-cpy'" in capsys.readouterr().err


def test_a_tokenizer_that_a_build_refuses_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bpe").mkdir()
    Path("bpe", "config.json").write_text(json.dumps({"architectures": ["RobertaForSequenceClassification"]}))
    Path("bpe", "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": {}, "merges": []}}))
    Path("bpe", "model.safetensors").write_bytes(b"")
    data = table("d.csv", "text,label", [[f"a film of {i} here", ("neg", "pos")[i % 2]] for i in range(60)])
    init("bpe", data, rc=2)
    assert "its tokenizer: not a WordPiece tokenizer" in capsys.readouterr().err
