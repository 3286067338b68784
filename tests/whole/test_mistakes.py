"""What users get wrong: one message with file and key, the right exit code, no traceback, nothing half-written."""

from __future__ import annotations

import errno
import hashlib
import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _small
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import edgekd
from edgekd import cli
from edgekd.base.errors import IntegrityError
from edgekd.build import store
from edgekd.cli import console
from edgekd.learn import checkpoint, train
from edgekd.runtime import bundle as bundles

RECIPE = """
name = "m"
targets = ["ort-cpu"]
[data]
source = "made"
shape = [8, 8, 1]
classes = 3
train = 64
validation = 32
test = 32
[teacher]
model = { kind = "convnet", width = 8, depth = 1 }
epochs = 1
[student]
model = { kind = "convnet", width = 32, depth = 2 }
epochs = 1
[[losses]]
kind = "kl"
[[losses]]
kind = "cross_entropy"
[[compress]]
kind = "channel_prune"
epochs = 1
[[compress]]
kind = "int8_qat"
epochs = 1
"""
OWN = """
import torch
from torch import nn
import numpy as np
def raises(): raise RuntimeError("from inside")
def number(): return 3
def seven(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
class Branches(nn.Module):
    def __init__(self):
        super().__init__(); self.head = nn.Linear(64, 3)
    def forward(self, x):
        x = x.flatten(1)
        return self.head(x) if x.sum() > 0 else self.head(-x)
def branches(): return Branches()
def once():
    batches = ((np.zeros((4, 3), np.float32), np.arange(4) % 2) for _ in range(3))
    return batches, batches, batches
def vectors():
    one = (np.zeros((9, 3), np.float32), np.arange(9) % 3)
    return one, one, one
class NotALoss: pass
value = 3
"""
TARGET = """
backend = "ort"
opset = 20
[[numerics]]
name = "int8"
activations = "uint8"
weights = "int8"
ops = ["conv", "linear"]
[[numerics]]
name = "fp32"
"""

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in an empty folder that holds recipe.toml, own_code.py and target.toml."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "own_code.py").write_text(OWN)
    (tmp_path / "target.toml").write_text(TARGET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("own_code", None)

    def call(*args: str) -> tuple[int, str]:
        code = cli.run(args)
        out = capfd.readouterr()
        assert "Traceback" not in out.err
        return code, out.err

    return call


def told(result: tuple[int, str], code: int, *parts: str) -> None:
    """The exit code, every part in the message, and the message in one line."""
    assert result[0] == code, result[1]
    for part in parts:
        assert part in result[1]
    said = [line for line in result[1].splitlines() if line.startswith("edgekd: ")]
    assert len(said) == 1, result[1]


SETTINGS: list[tuple[tuple[str, ...], int, tuple[str, ...]]] = [
    (("student.epoch=3",), 2, ("recipe.toml: student.epoch", "did you mean 'epochs'")),
    (("student.epochs=many",), 2, ("student.epochs", "'many'")),
    (("student.epochs=0",), 2, ("student: epochs: 0 is for a student that is made of its teacher",)),
    (("losses.0.kind=kll",), 2, ("losses[0].kind", "did you mean 'kl'")),
    (("losses.0.temprature=2",), 2, ("losses[0].temprature", "did you mean 'temperature'")),
    (("losses.0.temperature=0",), 2, ("losses[0].temperature", "found 0")),
    (("losses.0.weight=-1",), 2, ("losses[0].weight", "-1")),
    (("losses.0.weight=0", "losses.1.weight=0"), 2, ("every weight is 0",)),
    (("losses=[]",), 2, ("losses",)),
    (("losses=[{weight=1.0}]",), 2, ("losses", "no kind")),
    (
        ('losses.0={kind="hint",student_layers=["features.9"],teacher_layers=["features.0"]}',),
        2,
        ("losses[0].student",),
    ),
    (('losses=[{kind="hint",student_layers=["features.1"],teacher_layers=["features.0"]}]',), 2, ("on the outputs",)),
    (('losses.0={kind="hint",student_layers=["head"],teacher_layers=["features"]}',), 2, ("hint", "can't be matched")),
    (("losses.0.start=0.5", "losses.0.stop=0.2"), 2, ("losses[0].stop",)),
    (("losses.0.kind=own_code:NotALoss",), 2, ("losses[0].kind", "frozen dataclass")),
    (("compress.0.ratio=1.5",), 2, ("compress[0].ratio", "1.5")),
    (("compress.0.kind=prune",), 2, ("compress[0].kind", "channel_prune")),
    (("compress.1.freeze_bn_after=2.0",), 2, ("compress[1].freeze_bn_after",)),
    (("compress.0.losses=[]",), 2, ("compress[0].losses",)),
    (("compress.0.temperature=0",), 2, ("temperature",)),
    (("compress.1.epochs=-1",), 2, ("compress[1]: epochs",)),
    (("student.model.kind=convnt",), 2, ("student.model.kind", "did you mean 'convnet'")),
    (("student.model.width=0",), 2, ("student.model.width", "1 to 4096")),
    (("student.model.strides=[1,1,1]",), 2, ("student.model.strides",)),
    (('student.model={kind="resnet",depth=21}',), 2, ("student.model.depth", "6n + 2")),
    (('student.model={kind="fm"}',), 2, ("student.model", "a user")),
    (('teacher.model={kind="wide_deep"}',), 2, ("teacher.model", "a user and a history")),
    (('student.from_teacher=[{kind="channel_prune"}]',), 2, ("student", "either model or from_teacher")),
    (("student.generations=0",), 2, ("student.generations",)),
    (("student.labels=0",), 2, ("student.labels",)),
    (("data.heads={tone={low=[0],high=[1,2]},whole={}}", "teacher.head=tune"), 2, ("teacher.head", "'tone'")),
    (("data.heads={tone={low=[0],high=[1]}}",), 2, ("data.heads.tone", "a class in no group")),
    (("combine=vote",), 2, ("combine", "average")),
    (("name=No Good",), 2, ("name", "No Good")),
    (("seed=-1",), 2, ("seed",)),
    (("budget.max_drop=-0.5",), 2, ("budget.max_drop",)),
    (("budget.max_dorp=0.5",), 2, ("did you mean 'max_drop'",)),
    (("data.source=npy",), 2, ("data.kind", "did you mean 'npz'")),
    (("data.classes=1",), 2, ("data.classes", "2 to 1000")),
    (("data.test=0",), 2, ("data.test",)),
    (('data={source="npz"}',), 2, ("data.path",)),
    (('data={source="npz",path="none.npz"}',), 2, ("data.path", "none.npz")),
    (('data={source="imagefolder",path="none"}',), 2, ("data.path", "no such folder")),
    (('data={source="python",factory="own_code:once"}',), 2, ("data.factory (train)", "runs only once")),
    (('data.preprocess=[{op="scale",divide=0.0}]',), 2, ("data.preprocess[0].divide", "zero")),
    (('data.preprocess=[{op="scael",divide=2.0}]',), 2, ("data.preprocess[0].op", "did you mean 'scale'")),
    (('data.preprocess=[{op="layout"},{op="scale",divide=2.0}]',), 2, ("layout must be the last",)),
    (('data.preprocess=[{op="normalise",mean=[0,0,0],std=[1,1,1]},{op="layout"}]',), 2, ("mean has 3 numbers",)),
    (('data.preprocess=[{op="crop",height=99,width=99},{op="layout"}]',), 2, ("crop",)),
    (('student.model={kind="python",factory="own_code:gone"}',), 2, ("model.factory", "'gone'")),
    (('student.model={kind="python",factory="no_such_module:net"}',), 2, ("can't import 'no_such_module'",)),
    (('student.model={kind="python",factory="own_code.raises"}',), 2, ("package.module:name",)),
    (('student.model={kind="python",factory="own_code:raises"}',), 2, ("own_code.py:5", "from inside")),
    (('student.model={kind="python",factory="own_code:number"}',), 2, ("must return an nn.Module", "int")),
    (('student.model={kind="python",factory="own_code:value"}',), 2, ("not callable",)),
    (('student.model={kind="python",factory="own_code:seven"}',), 2, ("student", "(2, 7)", "(N, 3)")),
    (('student.model={kind="python",factory="own_code:branches"}', "compress=[]"), 2, ("export",)),
    (("teacher.checkpoint=none.safetensors",), 2, ("teacher.checkpoint", "no such file")),
    (("teacher.classes=[0,1]", "teacher.checkpoint=none.safetensors"), 2, ("teacher.classes",)),
    (("teacher.classes=[-1,0,1]",), 2, ("teacher.classes",)),
    (('data={source="python",factory="own_code:vectors"}', "augment.crop=2"), 2, ("augment", "(3,)")),
    (('data={source="python",factory="own_code:vectors"}', "data.preprocess=[{op='layout'}]"), 2, ("takes images",)),
    (("augment.ops=[{kind='erase',sise=0.5}]",), 2, ("augment.ops[0].sise", "did you mean 'size'")),
    (("augment.ops=[{kind='mixup'},{kind='cutmix'}]",), 2, ("augment.ops[1].kind", "mixes samples a second time")),
    (("student.class_weights=[1.0,2.0]",), 2, ("student.class_weights", "3 numbers")),
    (("compress.1.class_weights=[1.0]",), 2, ("compress[1].class_weights", "3 numbers")),
    (("teacher.class_weights='even'",), 2, ("teacher.class_weights", '"balanced", or numbers')),
    (("student",), 2, ("--set", "key=value")),
    (("name.inner=3",), 2, ("--set", "plain value")),
    (("losses.7.weight=3",), 2, ("--set", "counts from 0")),
    (("budget.max_size_kb=0.001", "compress=[]"), 3, ("ort-cpu", "max_size_kb", "nothing was published")),
    (
        ("student.optimizer=sgd", "student.lr=10", "student.epochs=40", "student.warmup=0", "compress=[]"),
        3,
        ("student", "diverged"),
    ),
]


@pytest.mark.parametrize(
    ("settings", "code", "parts"), SETTINGS, ids=lambda v: v[0][:60] if isinstance(v, tuple) else v
)
def test_in_a_recipe(run: Run, settings: tuple[str, ...], code: int, parts: tuple[str, ...], tmp_path: Path) -> None:
    given = _small.line_of(settings)
    told(run("build", "recipe.toml", *given, "--out", "out"), code, *parts)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name not in ("cache", "__pycache__")) == [
        "own_code.py",
        "recipe.toml",
        "target.toml",
    ]


@pytest.mark.parametrize(
    ("args", "code", "parts"),
    [
        (("build", "nowhere.toml"), 2, ("nowhere.toml", "no such recipe file")),
        (("build", "digit"), 2, ("RECIPE", "did you mean 'digits'")),
        (("build", "recipe.toml", "--target", "openvin"), 2, ("--target", "did you mean 'openvino'")),
        (("build", "recipe.toml", "--target", "none.toml"), 2, ("none.toml",)),
        (("verify", "nowhere"), 2, ("nowhere",)),
        (("bench", "nowhere"), 2, ("nowhere",)),
        (("inspect", "nowhere"), 2, ("nowhere",)),
        (("inspect", "recipe.toml"), 5, ("recipe.toml",)),
        (("report", "nowhere"), 2, ("nowhere",)),
        (("init", "recipe.toml"), 2, ("recipe.toml", "exists")),
        (("init", "new.toml", "--recipe", "digit"), 2, ("did you mean 'digits'",)),
        (("build", "recipe.toml", "--out", ""), 2, ("--out: an empty path",)),
        (("plan", "recipe.toml", "--cache", ""), 2, ("--cache: an empty path",)),
        (("verify", ""), 2, ("bundle: an empty path",)),
        (("verify", "nowhere", "--max-seconds", "1e300"), 2, ("max_seconds: out of range; found 1e+300",)),
        (("build", "recipe.toml", "--out", "recipe.toml/inside"), 2, ("recipe.toml",)),
        (("build", "recipe.toml", "--out", "."), 2, ("a folder inside it",)),
        (("build", "recipe.toml", "--set", "compress=[]", "--cache", "recipe.toml"), 2, ("recipe.toml",)),
    ],
)
def test_on_the_command_line(run: Run, args: tuple[str, ...], code: int, parts: tuple[str, ...]) -> None:
    told(run(*args), code, *parts)


NUMBERS = [
    *(("tune", "--max-drop"), ("tune", "--max-latency-ms"), ("tune", "--max-size-kb"), ("tune", "--seconds")),
    *(("bench", "x", "--seconds"), ("bench", "x", "--max-seconds"), ("bench", "x", "--max-memory-gb")),
    *(("verify", "x", "--max-seconds"), ("verify", "x", "--max-memory-gb"), ("inspect", "x", "--max-seconds")),
    ("cache", "--prune"),
]
USAGE = [("biuld",), ("build", "--traget", "openvino"), ("cache", "--prune", "-1")]
USAGE += [(*args, value) for args in NUMBERS for value in ("nan", "inf")]


@pytest.mark.parametrize("args", USAGE, ids=" ".join)
def test_of_usage(run: Run, args: tuple[str, ...]) -> None:
    code, said = run(*args)
    assert code == 2
    assert "Error: " in said


@pytest.mark.parametrize(
    ("old", "new", "code", "parts"),
    [
        ('backend = "ort"', 'backend = "otr"', 2, ("target.toml", "did you mean 'ort'")),
        ('backend = "ort"', 'bakcend = "ort"', 2, ("target.toml",)),
        ('backend = "ort"', 'backend = "ort"\nisa = ["no_such_isa"]', 4, ("target", "no_such_isa")),
        ('backend = "ort"', 'backend = "ort"\noptions = { thraeds = 2 }', 2, ("options", "did you mean 'threads'")),
        (
            'backend = "ort"',
            'backend = "ort"\noptions = { provider = "NoSuchProvider" }',
            2,
            ("NoSuchProvider", "CUDAE"),
        ),
        ('weights = "int8"', 'weights = "float32"', 2, ("target.toml", "uint8 activations with float32 weights")),
        ('activations = "uint8"', 'activations = "uint4"', 2, ("target.toml: numerics[0].activations",)),
        ('activations = "uint8"', 'activations = "uint8"\nweight_bits = 12', 2, ("numerics[0].weight_bits",)),
        ('name = "fp32"', 'name = "int8"', 2, ("two candidates of one name",)),
        ('[[numerics]]\nname = "fp32"', "", 2, ("no float32 candidate",)),
        ('name = "fp32"', 'name = "a"\n[[numerics]]\nname = "b"', 2, ("one float32 scheme a target",)),
        ('activations = "uint8"', 'activations = "float16"', 2, ("float16 activations with int8 weights",)),
        ("opset = 20", "opset = 3", 2, ("opset",)),
        ('"conv", "linear"', '"conv", "softmax"', 2, ("target.toml: numerics[0].ops",)),
        ("opset = 20", "opset = = 3", 2, ("not valid TOML",)),
    ],
)
def test_in_a_target(run: Run, old: str, new: str, code: int, parts: tuple[str, ...]) -> None:
    text = TARGET.replace(old, new)
    assert text != TARGET
    Path("target.toml").write_text(text)
    told(run("build", "recipe.toml", "--target", "target.toml", "--out", "out"), code, *parts)
    assert not Path("out").exists()


def npz(**changed: Any) -> None:
    table = {
        "x_train": np.zeros((20, 8, 8), np.uint8),
        "y_train": np.arange(20) % 3,
        "x_test": np.zeros((6, 8, 8), np.uint8),
        "y_test": np.arange(6) % 3,
        **changed,
    }
    np.savez("d.npz", **{key: value for key, value in table.items() if value is not None})


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"y_train": None}, ("data.y_train", "no such array")),
        ({"y_train": np.arange(20) - 4}, ("data.y_train", "a label below 0")),
        ({"y_train": np.arange(3)}, ("as many labels",)),
        ({"y_train": np.zeros(20, int), "y_test": np.zeros(6, int)}, ("one class only",)),
        ({"x_train": np.full((20, 8, 8), np.nan, np.float32)}, ("NaN", "sample")),
        ({"x_test": np.zeros((0, 8, 8), np.uint8), "y_test": np.zeros(0, int)}, ("(test)", "empty split")),
        ({"x_test": np.zeros((6, 8, 8, 3), np.uint8)}, ("(test)", "another shape")),
        ({"x_train": np.zeros((20, 64), np.uint8)}, ("data.x_train", "not images")),
        ({"x_validation": np.zeros((6, 8, 8), np.uint8)}, ("labels in every split or in none",)),
    ],
)
def test_in_the_data(run: Run, changed: dict[str, Any], parts: tuple[str, ...]) -> None:
    npz(**changed)
    own = ',x_validation="x_validation"' if "x_validation" in changed else ""
    told(run("build", "recipe.toml", "--set", f'data={{source="npz",path="d.npz"{own}}}', "--out", "out"), 2, *parts)
    assert not Path("out").exists()


def test_a_loss_that_needs_labels_where_there_are_none(run: Run) -> None:
    npz(class_names=np.array(["a", "b", "c"]))
    data = 'data={source="npz",path="d.npz",y_train="",y_test=""}'
    told(run("build", "recipe.toml", "--set", data, "--out", "out"), 2, "losses[1].kind", "needs labels")


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("was_run"),))


def test_in_a_checkpoint(run: Run) -> None:
    def build(*settings: str) -> tuple[int, str]:
        given = _small.line_of(settings)
        return run("build", "recipe.toml", *given, "--out", "out")

    save_file({"features.0.0.weight": torch.zeros(4, 1, 3, 3)}, "t.safetensors")
    told(build("teacher.checkpoint=t.safetensors"), 2, "t.safetensors")
    Path("t.safetensors").write_bytes(b"nothing")
    told(build("teacher.checkpoint=t.safetensors"), 2, "not a safetensors file")
    Path("t.pt").write_bytes(pickle.dumps(Evil()))
    told(build("teacher.checkpoint=t.pt"), 2, "t.pt")
    assert not Path("was_run").exists()
    torch.save({"model": {}}, "t.pt")
    told(build("teacher.checkpoint=t.pt", "teacher.state_key=modle"), 2, "teacher.state_key", "did you mean 'model'")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle made from the recipe above."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "recipe.toml").write_text(RECIPE)
    out = folder / "out"
    args = ["build", str(folder / "recipe.toml"), "--quick", "--out", str(out), "--cache", str(folder / "cache")]
    assert cli.run(args) == 0
    return out


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    table = json.loads((folder / "manifest.json").read_text())
    change(table)
    replace_manifest(folder, json.dumps(table))


def replace_manifest(folder: Path, text: str) -> None:
    """As somebody would who knows that its digest stands beside it."""
    (folder / "manifest.json").write_text(text)
    (folder / "manifest.sha256").write_bytes(bundles.digest_file(text.encode()))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def escape(table: dict[str, Any]) -> None:
    text = json.dumps(table).replace("ort-cpu/model.onnx", "../../recipe.toml")
    table.update(json.loads(text))


def newer(table: dict[str, Any]) -> None:
    about = table["additional_metadata"]["edgekd"]
    about["format"] = 99


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (lambda f: (f / "ort-cpu" / "model.onnx").unlink(), ("model.onnx",)),
        (lambda f: flip(f / "ort-cpu" / "model.onnx"), ("model.onnx",)),
        (lambda f: flip(f / "report.json"), ("report.json",)),
        (lambda f: flip(f / "ort-cpu" / "test_data_set_0" / "input_0.pb"), ("input_0.pb",)),
        (lambda f: (f / "manifest.json").write_text("{"), ("manifest.json",)),
        (lambda f: edit_manifest(f, newer), ("99",)),
        (lambda f: flip(f / "manifest.sha256"), ("manifest.sha256", "not the digest")),
        (lambda f: (f / "manifest.sha256").unlink(), ("manifest.sha256", "can't be read")),
        (lambda f: edit_manifest(f, escape), ("..",)),
        (lambda f: ((f / "report.json").unlink(), (f / "report.json").symlink_to("/etc/hostname")), ("report.json",)),
    ],
    ids=[
        "missing",
        "flipped model",
        "flipped report",
        "flipped golden",
        "no JSON",
        "newer",
        "another digest",
        "no digest",
        "escapes",
        "symlink",
    ],
)
def test_in_a_bundle(run: Run, bundle: Path, damage: Callable[[Path], Any], parts: tuple[str, ...]) -> None:
    shutil.copytree(bundle, "b")
    damage(Path("b"))
    told(run("verify", "b"), 5, *parts)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("outputs.0.name", "logit", "heads that don't fit the model's outputs"),
        ("outputs.0.labels", [1, 2, 3], "not a list of strings"),
        ("outputs.0.axes", ["batch", "klass"], "not the axes of the task"),
        ("outputs", [], "no outputs"),
        ("sample.shape", [8.0, 8, 1], "sample.shape: not a list of whole numbers"),
        ("sample.rate", -1, "not a rate in Hz"),
        ("task", {"kinds": "classification"}, "no kind of task"),
        ("decisions", "../recipe.toml", "not a file of this bundle"),
        ("sbom", "bom.json", "not a file of this bundle"),
        ("thresholds", [], "thresholds: not a table"),
        ("preprocess.0.op", ["scale"], "unknown op"),
        ("preprocess.0.divide", 10**400, "not finite numbers"),
        ("preprocess.0.divide", [255.0], "not finite numbers"),
        ("files.\ud800", {"bytes": 1, "sha256": ""}, "half a character"),
        (f"files.{'a' * 5000}", {"bytes": 1, "sha256": ""}, "too long a name"),
    ],
)
def test_in_a_manifest(run: Run, bundle: Path, path: str, value: Any, said: str) -> None:
    def change(table: dict[str, Any]) -> None:
        place: Any = table["additional_metadata"]["edgekd"]
        *parts, last = path.split(".")
        for part in parts:
            place = place[int(part) if part.isdigit() else part]
        place[last] = value

    shutil.copytree(bundle, "b")
    edit_manifest(Path("b"), change)
    told(run("verify", "b"), 5, said)


def test_names_with_brackets_are_shown_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    hint = "pip install 'edgekd[openvino]'"
    console.show(console.inspection_table({"path": "p", "about": {"labels": "[/INST], :x:, a[b]"}, "models": []}))
    console.show(console.checks_table([{"check": "openvino", "skipped": hint}]))
    shown = capfd.readouterr().out
    assert "labels: [/INST], :x:, a[b]" in shown and hint in shown


def test_numbers_that_no_manifest_and_no_report_has(run: Run, bundle: Path) -> None:
    shutil.copytree(bundle, "b")
    slow = {"shipped": "fp32", "candidates": [{"name": "fp32", "latency_ms": {"p50": 10**400}}]}
    for told_ in ("[" * 100_000, json.dumps({"targets": {"ort-cpu": slow}})):
        (Path("b") / "report.json").write_text(told_)
        with pytest.raises(IntegrityError, match=r"report\.json: has another size"):
            edgekd.load("b")
        changed = json.loads((bundle / "manifest.json").read_text())
        listed = {"bytes": len(told_), "sha256": hashlib.sha256(told_.encode()).hexdigest()}
        changed["additional_metadata"]["edgekd"]["files"]["report.json"] = listed
        replace_manifest(Path("b"), json.dumps(changed))
        assert edgekd.load("b").target == "ort-cpu", "the report only says which is faster"
    text = (bundle / "manifest.json").read_text()
    shutil.copy(bundle / "report.json", "b")
    for old, new, said in (
        ('"format": 2', f'"format": {"1" * 5000}', "not valid JSON"),
        ('"batch": 1', f'"batch": {10**20}', "batch: not a list of whole numbers"),
        ('"tolerance": ', f'"tolerance": {10**400}', "tolerance: not a finite number"),
    ):
        assert old in text
        replace_manifest(Path("b"), text.replace(old, new))
        told(run("verify", "b"), 5, said)


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"rating": None}, ("data.rating", "no such array", "did you mean 'ratings'")),
        ({"train_idx": np.arange(3) + 90}, ("data.train", "whole numbers")),
        ({"item": -np.ones(12, int)}, ("data.item", "whole numbers")),
        ({"user": np.zeros(3, int)}, ("data.item", "not one number a rating")),
        ({"ratings": np.zeros(12, int), "rating": np.zeros(12, int)}, ("data.train", "no rating of 4 or more")),
    ],
)
def test_in_interactions(run: Run, changed: dict[str, Any], parts: tuple[str, ...]) -> None:
    table: dict[str, Any] = {"user": np.arange(12) % 3, "item": np.arange(12) % 4}
    table |= {"rating": np.full(12, 5), "ratings": np.zeros(1)}
    table |= {"train_idx": np.arange(6), "valid_idx": np.arange(6, 9), "test_idx": np.arange(9, 12), **changed}
    np.savez("i.npz", **{key: value for key, value in table.items() if value is not None})
    told(run("build", "wide-deep-fm", "--set", "data.path=i.npz", "--out", "out"), 2, *parts)


@pytest.mark.parametrize("command", ["inspect", "report"])
def test_looking_at_a_damaged_bundle(run: Run, bundle: Path, command: str) -> None:
    shutil.copytree(bundle, "b")
    for name in ("ort-cpu/model.onnx", "samples.json"):
        (Path("b") / name).write_bytes(b"{")
    told(run(command, "b"), 5, "model.onnx" if command == "inspect" else "samples.json")


def test_a_manifest_without_files(run: Run, bundle: Path) -> None:
    def empty(table: dict[str, Any]) -> None:
        table["components"]["student"]["variants"]["ort-cpu"]["executor_info"]["edgekd"]["files"] = []

    shutil.copytree(bundle, "b")
    edit_manifest(Path("b"), empty)
    told(run("verify", "b"), 5, "no files")


@pytest.mark.parametrize("said", ["[enforce fail] DefaultCPUAllocator: can't allocate memory", "CUDA out of memory"])
def test_no_memory_left(run: Run, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    def full(*_: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(train, "fit", full)
    told(run("build", "recipe.toml", "--quick", "--out", "out"), 6, "out of memory")


def test_a_full_disk_at_an_epoch_checkpoint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint, "replace_file", full)
    told(run("build", "recipe.toml", "--quick", "--out", "out"), 6, "the disk is full")


def test_another_bundle_at_the_output(run: Run, bundle: Path) -> None:
    shutil.copytree(bundle, "b")
    before = {path: path.read_bytes() for path in Path("b").rglob("*") if path.is_file()}
    told(run("build", "recipe.toml", "--quick", "--set", "seed=5", "--out", "b"), 2, "holds another bundle")
    told(run("bench", "b", "--target", "openvino"), 2, "ort-cpu")
    gate = ("--set", "budget.max_size_kb=0.001", "--set", "compress=[]", "--overwrite")
    told(run("build", "recipe.toml", *gate, "--out", "b"), 3, "nothing was published")
    assert before == {path: path.read_bytes() for path in Path("b").rglob("*") if path.is_file()}


def test_a_full_disk(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(store, "write_synced", full)
    told(run("build", "recipe.toml", "--quick", "--out", "out"), 6, "the disk is full")
    assert not Path("out").exists()


def test_a_missing_runtime_names_the_pip_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "edgekd.runtime.backends.ort.backend", raising=False)
    told(run("build", "recipe.toml", "--quick", "--out", "out"), 4, "pip install", "ort")
