"""Mistakes with teachers, in whole recipes: each is told with its place before anything trains, and nothing is lost."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import transformers
from onnx import TensorProto, helper
from torch import nn

import edgekd
from edgekd.base.errors import EdgekdError
from edgekd.build import request as requests
from edgekd.build.prepare import Objects, prepare

MADE: dict[str, Any] = {"source": "made", "shape": [8, 8, 1], "classes": 4, "train": 32, "validation": 16, "test": 16}
TEXTS: dict[str, Any] = {"source": "made_text", "train": 48, "validation": 16, "test": 16}
CODE = """
import numpy as np

asked = []

def answer(samples):
    asked.append(len(samples))
    return np.zeros((len(samples), 4))

def dies(samples):
    asked.append(len(samples))
    if len(asked) == 3:
        raise ValueError("no credit left")
    return np.zeros((len(samples), 4))

def leaves(samples):
    asked.append(len(samples))
    if len(asked) == 3:
        raise SystemExit(0)
    return np.zeros((len(samples), 4))
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with teachers of every kind, and a module of the user's."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "asked_by_mistake.py").write_text(CODE)
    _onnx(folder / "one.onnx", {"scores": 4})
    _onnx(folder / "two.onnx", {"first": 4, "second": 4})
    _onnx(folder / "ten.onnx", {"scores": 10})
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 4)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(net), folder / "small.pt")
    torch.export.save(torch.export.export(net, (torch.zeros(2, 3, 4, 4),)), folder / "small.pt2")
    short: dict[str, Any] = {f"logits_{name}": np.zeros((9, 4)) for name in ("train", "validation", "test")}
    ten: dict[str, Any] = {f"logits_{name}": np.zeros((MADE[name], 10)) for name in ("train", "validation", "test")}
    np.savez(folder / "short.npz", **short)
    np.savez(folder / "ten.npz", **ten)
    keys: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    body = transformers.BertForSequenceClassification(
        transformers.BertConfig(**{"vocab_size": 900, "num_labels": 3, **keys})
    )
    for name in ("texts", "half"):
        body.save_pretrained(folder / name)
    weights = folder / "half" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:3000])
    shutil.copytree(folder / "half", folder / "odd")
    (folder / "odd" / "tokenizer.json").write_text('{"model": {"type": "BPE"}}')
    (folder / "half" / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder
    sys.modules.pop("asked_by_mistake", None)


def _onnx(path: Path, outputs: dict[str, int]) -> None:
    nodes = [helper.make_node("Flatten", ["x"], ["f"])]
    for name, count in outputs.items():
        axes = [
            helper.make_node("Constant", [], [f"{name}/{k}"], value_ints=v) for k, v in (("s", [0]), ("e", [count]))
        ]
        nodes += [*axes, helper.make_node("Constant", [], [f"{name}/a"], value_ints=[1])]
        nodes.append(helper.make_node("Slice", ["f", f"{name}/s", f"{name}/e", f"{name}/a"], [name]))
    shapes = [("x", ["n", 1, 8, 8]), *((name, ["n", count]) for name, count in outputs.items())]
    given, *given_back = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes)
    graph = helper.make_graph(nodes, "g", [given], given_back)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def recipe(teacher: dict[str, Any], data: dict[str, Any] = MADE, **more: Any) -> dict[str, Any]:
    student = {"kind": "convnet", "width": 8, "depth": 2}
    if data is TEXTS:
        student = {"kind": "bert", "width": 16, "layers": 1, "heads": 2, "positions": 64}
    parts = {"data": data, "teacher": teacher, "student": {"model": student, "epochs": 1}, "losses": [{"kind": "kl"}]}
    return {"name": "small", "targets": ["ort-cpu"], **parts, **more}


def kind(name: str, **keys: Any) -> Callable[[Path], dict[str, Any]]:
    """A teacher's table; what ends like a file, or is a folder's name, lies in the folder."""

    def table(folder: Path) -> dict[str, Any]:
        placed = {key: str(folder / value) if key in ("path", "folder") else value for key, value in keys.items()}
        return {"model": {"kind": name, **placed}}

    return table


def with_keys(make: Callable[[Path], dict[str, Any]], **keys: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda folder: {**make(folder), **keys}


def answers(function: str, **keys: Any) -> Callable[[Path], dict[str, Any]]:
    return kind("callable", **{"function": f"asked_by_mistake:{function}", "version": "1", **keys})


ONE, TWO = kind("onnx", path="one.onnx"), kind("onnx", path="two.onnx")
WRONG: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "two outputs and no name": (
        TWO,
        r"several of its outputs may be the scores; found 'first .*second .*teacher\.output names it",
    ),
    "another output": (with_keys(TWO, output="secnd"), r"no such output; found 'secnd'.*did you mean 'second'"),
    "an index for a name": (with_keys(TWO, output=2), r"no such output; found 2"),
    "another number of classes": (
        kind("onnx", path="ten.onnx"),
        r"wrong shape; found .*\(2, 10\)'; allowed: \(N, 4\); teacher\.classes says",
    ),
    "a class that it does not have": (
        with_keys(ONE, classes=[0, 1, 2, 9]),
        r"teacher\.classes: .*no such class; found 9; allowed: 0\.\.3",
    ),
    "too few classes": (
        with_keys(ONE, classes=[0, 1]),
        r"teacher\.classes: one teacher class for each.*found 2; allowed: 4",
    ),
    "a layer of a file that has none of it": (ONE, r"no such layer; found 'scorse'.*did you mean 'scores'"),
    "weights beside a file": (
        with_keys(ONE, checkpoint="w.safetensors"),
        r"teacher\.checkpoint: not read of 'onnx'; found .*allowed: none: it br",
    ),
    "an output of answers": (
        with_keys(answers("answer"), output="logits"),
        r"teacher\.output: not read of 'callable'; found 'logits'; allow",
    ),
    "a key that is none": (
        kind("onnx", path="one.onnx", thread=2),
        r"teacher\.model\.thread: .*did you mean 'threads'",
    ),
    "a runtime that is none": (
        kind("onnx", path="one.onnx", runtime="orrt"),
        r"model\.runtime: .*found 'orrt'.*did you mean 'ort'",
    ),
    "a script of other inputs": (
        kind("torchscript", path="small.pt"),
        r"teacher.*mat1 and mat2 shapes cannot be multiplied",
    ),
    "a program of other inputs": (kind("torch_export", path="small.pt2", allow_code=True), r"teacher"),
    "another number of rows": (
        kind("recorded", path="short.npz"),
        r"another number of answers than of samples; found 9; allow",
    ),
    "another number of columns": (
        kind("recorded", path="ten.npz"),
        r"another number of classes; found 10; allowed: 4: class 0, class 1",
    ),
    "a form that is not there": (
        kind("recorded", path="ten.npz", form="top"),
        r"no answers of the form 'top' in it; found 'log",
    ),
    "a form that is none": (
        kind("recorded", path="ten.npz", form="logit"),
        r"form: .*found 'logit'.*did you mean 'logits'",
    ),
    "no version": (
        kind("callable", function="asked_by_mistake:answer"),
        r"teacher\.model\.version: 'callable' needs 'version'",
    ),
    "another function": (answers("answr"), r"teacher\.model\.function: .*'answr'.*did you mean 'answer'"),
    "another module": (
        kind("callable", function="asked_by_mistak:answer", version="1"),
        r"teacher\.model\.function: .*asked_by_mistak",
    ),
    "what is no function": (answers("asked"), r"teacher\.model\.function: not callable"),
    "more than is allowed": (
        answers("answer", most=10),
        r"asks more than is allowed; found 64; allowed: at most 10 samples",
    ),
    "calls at once without end": (
        answers("answer", at_once=1000),
        r"teacher\.model\.at_once: allowed is 1 to 256; found 1000",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_told_before_anything_trains(case: str, own: Path, tmp_path: Path) -> None:
    make, message = WRONG[case]
    losses: list[dict[str, Any]] = [{"kind": "kl"}]
    if "layer" in case:
        losses.append({"kind": "hint", "student_layers": [""], "teacher_layers": ["scorse"]})
    with pytest.raises(EdgekdError, match=message) as error:
        edgekd.build(recipe(make(own), losses=losses), out=tmp_path / "out", cache=tmp_path / "cache")
    assert error.value.exit_code == 2
    assert not list(tmp_path.rglob("*.journal")), "nobody was asked"
    assert not (tmp_path / "out").exists()


OF_TEXTS: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "no tokenizer": (
        kind("transformers", folder="texts", head="linear"),
        r"teacher\.model\.folder: no tokenizer in it; found .config\.json.*allowed: vocab\.txt.*data\.token",
    ),
    "a tokenizer of another kind": (
        kind("transformers", folder="odd", head="linear"),
        r"its tokenizer: not a WordPiece tokenizer.*recorded answers",
    ),
    "half of its weights": (kind("transformers", folder="half", head="linear"), r"teacher\.model|model\.folder: "),
    "another file in its place": (
        kind("transformers", folder="one.onnx", head="linear"),
        r"folder: allowed is one with config\.json|found .*one\.onnx",
    ),
    "a head that is none": (
        kind("transformers", folder="texts", head="liner"),
        r"model\.head: .*found 'liner'.*'linear'",
    ),
}


@pytest.mark.parametrize("case", OF_TEXTS)
def test_a_mistake_with_a_folder_is_told(case: str, own: Path, tmp_path: Path) -> None:
    make, message = OF_TEXTS[case]
    with pytest.raises(EdgekdError, match=message) as error:
        edgekd.build(recipe(make(own), TEXTS), out=tmp_path / "out", cache=tmp_path / "cache")
    assert error.value.exit_code == 2


@pytest.mark.parametrize("function", ["dies", "leaves"])
@pytest.mark.parametrize("at_once", [1, 2])
def test_what_a_function_answered_before_it_died_is_kept(
    function: str, at_once: int, own: Path, tmp_path: Path
) -> None:
    """The next build asks what is left alone."""
    module = __import__("asked_by_mistake")
    module.asked.clear()
    table = answers(function, batch=8, at_once=at_once, retries=0)(own)

    def ask() -> Any:
        workspace = prepare(requests.make(recipe(table), cache=tmp_path), Objects())
        return workspace.sources["teacher"].split("train")

    with pytest.raises(
        EdgekdError, match=rf"teacher\.model\.function: asked_by_mistake\.{function} raised \w+ at"
    ) as error:
        ask()
    assert error.value.exit_code == 2
    kept = sum(module.asked) - 8
    assert kept >= 16
    assert ask().shape == (32, 4) and sum(module.asked) == 32 + 8, "the call that failed was made once more"
