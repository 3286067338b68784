"""A first recipe for every kind of teacher, from nothing but its files to a bundle that verifies."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import _small
import numpy as np
import onnx
import pytest
import torch
import transformers
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.torch import save_model
from torch import nn

from edgekd import cli
from edgekd.base.errors import UsageError
from edgekd.base.scores import log_softmax
from edgekd.build import request as requests
from edgekd.cli.starting.recipe import losses, name_of, student
from edgekd.cli.starting.teachers import Teacher
from edgekd.learn.data import Source, loaded
from edgekd.learn.data.made import Made
from edgekd.learn.data.made_audio import MadeAudio
from edgekd.learn.data.made_interactions import MadeInteractions
from edgekd.learn.data.made_pairs import MadePairs
from edgekd.learn.data.made_points import MadePoints
from edgekd.learn.data.made_scenes import MadeScenes
from edgekd.learn.data.made_series import MadeSeries
from edgekd.learn.data.made_slots import MadeSlots
from edgekd.learn.data.made_table import MadeTable
from edgekd.learn.data.made_text import MadeText
from edgekd.learn.data.made_tiles import MadeTiles
from edgekd.learn.feed import Feed
from edgekd.learn.flat import Form
from edgekd.learn.teacher import build
from edgekd.spec.recipe import Augment
from edgekd.tasks import CLASSES, Task
from edgekd.tasks.anomaly import Anomaly
from edgekd.tasks.anomaly_map import AnomalyMap
from edgekd.tasks.embedding import Embedding
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation
from edgekd.tasks.tagging import Tagging

MADE = Made(shape=(8, 8, 1), classes=4, train=64, validation=32, test=32).load()
NAMES = ("ant", "bee", "cat", "dog")
# The teacher of each file: how near an image lies to the mean of each class.
CENTRES = torch.tensor(np.stack([MADE.train.x[MADE.train.y == c].reshape(-1, 64).mean(0) for c in range(4)]) / 255)
MODULE = """
import numpy as np
from torch import nn

centres = np.load({centres!r})

def answer(samples):
    flat = samples.reshape(len(samples), 64) / 255
    return 20 * flat @ centres.T - 10 * (centres ** 2).sum(1)

def factory(width=64):
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 4))

def short(samples):
    return [1.0]
"""


def nearest() -> nn.Sequential:
    """Scores of the four classes."""
    linear = nn.Linear(64, 4)
    with torch.no_grad():
        linear.weight.copy_(20 * CENTRES)
        linear.bias.copy_(-10 * (CENTRES**2).sum(1))
    return nn.Sequential(nn.Flatten(), linear).eval()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the data, and a module of the user's."""
    folder = tmp_path_factory.mktemp("own")
    parts = {f"{letter}_{name}": getattr(split, letter) for name, split in MADE.splits.items() for letter in "xy"}
    np.savez(folder / "data.npz", class_names=np.array(NAMES), **parts)
    np.save(folder / "centres.npy", CENTRES.numpy())
    (folder / "mine_to_start.py").write_text(MODULE.format(centres=str(folder / "centres.npy")))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder
    sys.modules.pop("mine_to_start", None)


def _onnx(folder: Path) -> list[str]:
    weight, bias = (value.detach().numpy() for value in nearest().parameters())
    constants = [numpy_helper.from_array(np.ascontiguousarray(v), n) for v, n in ((weight.T, "w"), (bias, "b"))]
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w", "b"], ["scores"])]
    nodes.append(helper.make_node("ReduceMax", ["scores"], ["best"], axes=[1]))
    values = [("x", ["n", 1, 8, 8]), ("best", ["n", 1]), ("scores", ["n", 4])]
    given, *outputs = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values)
    graph = helper.make_graph(nodes, "g", [given], outputs, constants)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "teacher.onnx")
    return ["--teacher", "teacher.onnx"]


def _recorded(folder: Path) -> list[str]:
    """Shares, in a column a class, beside the true label."""
    rows = ["id,label," + ",".join(NAMES[::-1])]
    for name, split in MADE.splits.items():
        scores = nearest()(torch.tensor(np.asarray(split.x) / 255).float()).detach().numpy()
        truth = np.zeros(0, np.int64) if split.y is None else split.y
        for i, (row, label) in enumerate(zip(np.exp(log_softmax(scores)), truth, strict=True)):
            rows.append(f"{name}/{i},{label}," + ",".join(f"{share:.6f}" for share in row[::-1]))
    (folder / "answers.csv").write_text("\n".join(rows))
    return ["--teacher", "answers.csv"]


def _transformers(folder: Path) -> list[str]:
    """A classifier whose labels stand in another order than the data's."""
    labels: dict[int, str] = dict(enumerate(NAMES[::-1]))
    keys: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1], "layer_type": "basic"}
    config = transformers.ResNetConfig(
        num_channels=1, id2label=labels, label2id={v: k for k, v in labels.items()}, **keys
    )
    torch.manual_seed(0)
    transformers.ResNetForImageClassification(config).save_pretrained(folder / "checkpoint")
    return ["--teacher", "checkpoint/"]


def _torchscript(folder: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nearest()), folder / "teacher.pt")
    return ["--teacher", "teacher.pt"]


def _torch_export(folder: Path) -> list[str]:
    free = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(nearest(), (torch.zeros(2, 1, 8, 8),), dynamic_shapes=free)
    torch.export.save(program, folder / "teacher.pt2")
    return ["--teacher", "teacher.pt2", "--allow-code"]


def _callable(folder: Path) -> list[str]:
    return ["--teacher", "mine_to_start:answer"]


def _module(folder: Path) -> list[str]:
    save_model(nearest(), str(folder / "weights.safetensors"))
    return ["--teacher", "mine_to_start:factory", "--checkpoint", "weights.safetensors"]


def _ensemble(folder: Path) -> list[str]:
    return [*_onnx(folder), *_torchscript(folder), *_recorded(folder)]


KINDS: dict[str, tuple[Callable[[Path], list[str]], dict[str, Any]]] = {
    "onnx": (_onnx, {"model": {"kind": "onnx", "path": "teacher.onnx"}, "output": "scores"}),
    "recorded": (
        _recorded,
        {"model": {"kind": "recorded", "path": "answers.csv", "form": "probabilities", "ignore": ["label"]}},
    ),
    "transformers": (
        _transformers,
        {
            "model": {"kind": "transformers", "folder": "checkpoint", "head": "own"},
            "epochs": 0,
            "classes": [3, 2, 1, 0],
        },
    ),
    "torchscript": (_torchscript, {"model": {"kind": "torchscript", "path": "teacher.pt"}}),
    "torch_export": (_torch_export, {"model": {"kind": "torch_export", "path": "teacher.pt2", "allow_code": True}}),
    "callable": (
        _callable,
        {"model": {"kind": "callable", "function": "mine_to_start:answer", "version": "1", "form": "logits"}},
    ),
    "torch module": (
        _module,
        {"model": {"kind": "python", "factory": "mine_to_start:factory"}, "checkpoint": "weights.safetensors"},
    ),
    "ensemble": (_ensemble, {"model": {"kind": "onnx", "path": "teacher.onnx"}, "output": "scores"}),
}
SMALL = ["student.model.width=8", "student.model.depth=2", "student.model.strides=[1,2]", "student.epochs=1"]


@pytest.mark.parametrize("kind", KINDS)
def test_from_a_teachers_files_to_a_bundle_that_verifies(
    kind: str, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made where the recipe lies, built from another folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(own / "data.npz", tmp_path)
    make, table = KINDS[kind]
    assert cli.run(["init", "my.toml", *make(tmp_path), "--data", "data.npz", "--target", "ort-cpu"]) == 0
    recipe = tomllib.loads((tmp_path / "my.toml").read_text())
    assert recipe["teacher"] == table and recipe["data"]["path"] == "data.npz"
    assert [one["model"]["kind"] for one in recipe.get("teachers", [])] == (
        ["torchscript", "recorded"] if kind == "ensemble" else []
    )
    monkeypatch.chdir("/")
    smaller = _small.line_of((*SMALL, "compress=[]", "budget.max_drop=1.0"))
    place = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--quick"]
    assert cli.run(["build", str(tmp_path / "my.toml"), *smaller, *place]) == 0
    assert cli.run(["verify", str(tmp_path / "out")]) == 0
    if kind != "transformers":  # which knows nothing
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert report["stages"][0]["value_test"] >= 0.9, "it is the same teacher in every file"


def test_what_is_said_is_written_instead(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["init", "my.toml", *_callable(tmp_path), "--data", str(own / "data.npz"), "--target", "openvino"]
    settings = ["teacher.model.form=top", "student.model={kind='resnet', depth=8}", "data.validation=0.3", "name=other"]
    assert cli.run([*line, *_small.line_of(settings)]) == 0
    text = (tmp_path / "my.toml").read_text()
    recipe = tomllib.loads(text)
    assert recipe["teacher"]["model"]["form"] == "top" and recipe["student"]["model"] == {"kind": "resnet", "depth": 8}
    assert (recipe["name"], recipe["targets"], recipe["data"]["validation"]) == ("other", ["openvino"], 0.3)
    assert "# version: of what answers behind it" in text and "64 training samples; scores of 4 classes" in text
    requests.make(str(tmp_path / "my.toml"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--teacher", "mine_to_start:answer"], "--teacher and --data: one goes with the other; allowed: both"),
        (["--data", "data.npz"], "--teacher and --data: one goes with the other"),
        (["--target", "ort-cpu"], "--teacher and --data: one goes with the other"),
        (["--teacher", "t.onnx", "--data", "data.npz", "--recipe", "digits"], "--recipe: a built-in recipe has a"),
        (["--teacher", "t.onnx", "--data", "data.npz"], "--teacher: no such file or folder; found 't.onnx'"),
        (["--teacher", "mine_to_start:answr", "--data", "data.npz"], "did you mean 'answer'"),
        (["--teacher", "mine_to_start:answer", "--data", "data.npy"], "--data: no such file, folder or source; found"),
        (
            ["--teacher", "mine_to_start:answer", "--data", "data.npz", "--checkpoint", "data.npz"],
            "--checkpoint: weights of nobody",
        ),
        (
            ["--teacher", "mine_to_start:factory", "--data", "data.npz", "--checkpoint", "w.pt"],
            "--checkpoint: no such file; found 'w.pt'",
        ),
        (["--teacher", "mine_to_start:centres", "--data", "data.npz"], "--teacher: not callable"),
        (
            ["--teacher", "mine_to_start:answer", "--data", "data.npz", "--set", "teacher.model.bach=3"],
            "teacher.model.bach: unknown key of 'callable'.*did you mean 'batch'",
        ),
        (
            ["--teacher", "mine_to_start:answer", "--data", "data.npz", "--set", "studnt.epochs=3"],
            "my.toml: studnt: unknown key; found 'studnt'.*did you mean 'student'",
        ),
    ],
)
def test_a_mistake_writes_nothing(
    more: list[str],
    message: str,
    own: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(own / "data.npz", tmp_path)
    assert cli.run(["init", "my.toml", *more]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "my.toml").exists()


def test_losses_follow_what_the_teachers_say() -> None:
    scores, labels, top = Teacher({}), Teacher({}, "labels"), Teacher({}, "top")
    kinds = [
        [one["kind"] for one in losses(known, CLASSES, label_loss)]
        for known, label_loss in (([scores], "cross_entropy"), ([labels], ""), ([scores, labels], ""))
    ]
    assert kinds == [["kl", "cross_entropy"], ["soft_cross_entropy"], ["kl"]]
    assert losses([top, scores], CLASSES, "")[0]["rest"] == "together"


def test_a_student_for_each_kind_of_sample() -> None:
    """Each is made, and answers to the samples."""
    sources: list[Source] = [Made(shape=(side, side, 3), train=16) for side in (8, 32, 96)]
    others: list[Source] = [MadeText(), MadeAudio(rate=8000, length=4000, train=40, validation=20, test=20)]
    others += [MadeTable(), MadeSeries()]
    for source in (*sources, *others):
        dataset = source.load()
        table, feed = student(dataset, CLASSES), Feed(dataset, dataset.preprocess, Augment(), 0)
        network = build(table, "student.model", feed.sample_shape, len(dataset.classes))
        inputs = [torch.tensor(value) for value in feed.inputs("test", 0, 4).values()]
        assert network.eval()(*inputs).shape == (4, len(dataset.classes)), table
    with pytest.raises(UsageError, match=r"student\.model: no built-in student reads such samples; found 'int64"):
        student(MadeInteractions().load(), CLASSES)


ANSWERS: dict[str, tuple[Source, Task, str, list[str]]] = {
    "maps": (MadeScenes(), Segmentation(), "deeplab", ["kl", "cross_entropy"]),
    "points": (MadePoints(), Regression(points=True), "keypoint_net", ["squared_error", "huber"]),
    "a score": (MadeTiles(size=16), Anomaly(), "auto_encoder", ["squared_error", "deep_sad"]),
    "a map of scores": (MadeTiles(size=16), AnomalyMap(), "auto_encoder", ["squared_error", "deep_sad"]),
    "tags": (MadeSlots(label="tags"), Tagging(), "tagger", ["kl", "cross_entropy"]),
    "vectors": (MadePairs(), Embedding(size=8), "embedder", ["cosine", "similarity_scores"]),
    "vectors of triplets": (MadePairs(negatives=1), Embedding(size=8), "embedder", ["cosine", "multiple_negatives"]),
    "labels": (MadeText(), MultiLabel(), "bert", ["kl", "binary_cross_entropy"]),
    "values": (MadeTable(), Regression(), "mlp", ["squared_error", "huber"]),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_student_and_losses_for_each_kind_of_answer(case: str) -> None:
    source, task, kind, wanted = ANSWERS[case]
    dataset = loaded(source, task)
    heads, feed = dataset.heads_of(task), Feed(dataset, dataset.preprocess, Augment(), 0)
    table = student(dataset, task)
    network = build(table, "student.model", feed.sample_shape, heads.width, Form(heads, feed.reads_texts))
    inputs = [torch.tensor(value) for value in feed.inputs("test", 0, 4).values()]
    assert table["kind"] == kind and network.eval()(*inputs).shape[:1] == (4,)
    assert [one["kind"] for one in losses([Teacher({})], task, task.suited(dataset.train.y)[0])] == wanted


def test_from_masks_in_a_folder_to_a_bundle_that_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task is said; the folder of masks and the values in them are found, or said."""
    for i in range(30):
        ink = np.zeros((10, 12), np.uint8)
        ink[i % 5 : i % 5 + 4, i % 7 : i % 7 + 5] = 1
        for name, pixels in (("images", np.stack([60 + 120 * ink] * 3, axis=2)), ("masks", 255 * ink)):
            (tmp_path / "pages" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "pages" / name / f"{i}.png")
    (tmp_path / "ink_to_start.py").write_text(
        "from torch import nn\n\ndef teacher():\n    net = nn.Conv2d(3, 2, 1)\n    nn.init.zeros_(net.bias)\n"
        "    net.weight.data[:] = 0\n    net.weight.data[1] = 4\n    net.bias.data[1] = -5\n    return net\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = ["task=segmentation", "data.values=[0, 255]", "data.validation=8", "data.test=8"]
    said = _small.line_of(settings)
    line = ["init", "my.toml", "--teacher", "ink_to_start:teacher", "--data", "pages", "--target", "ort-cpu"]
    assert cli.run([*line, *said]) == 0
    recipe = tomllib.loads((tmp_path / "my.toml").read_text())
    assert recipe["task"] == "segmentation" and recipe["data"]["masks"] == "masks"
    assert (
        recipe["student"]["model"]["kind"] == "deeplab"
        and "14 training samples; scores of 2 classes at every" in (tmp_path / "my.toml").read_text()
    )
    smaller = ["--set", "compress=[]", "--set", "budget.max_drop=1.0", "--set", "student.model.width=4"]
    assert cli.run(["build", "my.toml", *smaller, "--out", "out", "--cache", "cache", "--quick"]) == 0
    assert cli.run(["verify", "out"]) == 0
    sys.modules.pop("ink_to_start", None)


@pytest.mark.parametrize(
    ("path", "named", "name"),
    [
        ("my.toml", "a.onnx", "my"),
        ("edgekd.toml", "dir/Big Teacher.onnx", "big-teacher"),
        ("edgekd.toml", "pkg.mod:answer", "answer"),
        ("Ünder.toml", "folder/", "nder"),
        ("edgekd.toml", "Ü", "student"),
    ],
)
def test_a_name_is_its_files_or_its_teachers(path: str, named: str, name: str) -> None:
    assert name_of(Path(path), [named]) == name
