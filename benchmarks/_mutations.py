"""A project with every kind of input, and the ways to change one of them: which steps must run again, and no other."""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from edgekd.api import building as api
from edgekd.base import closure, plugins
from edgekd.base.errors import EdgekdError
from edgekd.build import code_keys
from edgekd.build import request as requests
from edgekd.build.prepare import Objects, prepare
from edgekd.learn.data._batches import fingerprint, from_splits
from edgekd.spec import target

MEASURE = ("measure mine",)
EXPORTS = ("export fp32", "export fp32-pruned", "export int8", *MEASURE)
INT8 = ("int8_qat (int8)", "export int8", *MEASURE)
PRUNED = ("channel_prune", "int8_qat (int8)", "export fp32-pruned", "export int8", *MEASURE)
STUDENT = ("student", "channel_prune", "int8_qat (int8)", *EXPORTS)
ALL = ("teacher", *STUDENT)
NONE: tuple[str, ...] = ()
BUNDLE = "bundle"  # what an existing --out is held against
REFUSED = ("refused",)

RECIPE = """
# a comment
name = "mutated"
[data]
source = "imagefolder"
path = "images"
[teacher]
model = { kind = "python", factory = "mt_teacher:net" }
checkpoint = "teacher.safetensors"
lr = 1e-3
[student]
model = { kind = "python", factory = "mt_zoo.student:net", args = { width = 32 } }
epochs = 1
lr = 1e-3
[metric]
kind = "mt_metric:Share"
[[losses]]
kind = "kl"
temperature = 4.0
[[losses]]
kind = "mt_loss:Absolute"
[[compress]]
kind = "channel_prune"
ratio = 0.5
epochs = 1
[[compress]]
kind = "int8_qat"
epochs = 1
[budget]
max_drop = 1.0
"""
FILES = {
    "mt_teacher.py": "from torch import nn\n\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2))\n",
    "mt_zoo/__init__.py": "SCALE = 1.0\n",
    "mt_zoo/student.py": """import importlib
import json
import os
from pathlib import Path

import numpy as np
from safetensors.torch import load_file
from torch import nn

from . import blocks

SLOPE = json.loads(Path("config.json").read_text())["slope"]
NAMED = importlib.import_module("mt_" + "named").Named
try:
    import mt_optional
except ImportError:
    mt_optional = None


def net(width):
    import mt_lazy

    parts = len(os.listdir("parts"))
    head = nn.Linear(width, 2)
    head.bias.data[:] = load_file("bias.safetensors")["bias"] + np.load("bias.npy")[0] + mt_lazy.BIAS
    layers = [nn.Conv2d(3, width, 3), nn.LeakyReLU(SLOPE), blocks.Scale(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head]
    return nn.Sequential(*layers)
""",
    "mt_zoo/blocks.py": "from torch import nn\n\nfrom mt_beside import gain\n\n\nclass Scale(nn.Module):\n"
    "    def forward(self, x):\n        return x * gain()\n",
    "mt_beside.py": "import mt_deep.far as far\n\n\ndef gain():\n    return far.GAIN\n",
    "mt_deep/far.py": "GAIN = 1.0\n",
    "mt_lazy.py": "BIAS = 0.0\n",
    "mt_named.py": "class Named:\n    value = 0\n",
    "mt_unused.py": "import mt_loss\n",
    "mt_loss.py": """from dataclasses import dataclass
from typing import ClassVar

import mt_loss_parts


@dataclass(frozen=True)
class Absolute:
    needs: ClassVar[frozenset] = frozenset({"teacher"})

    def __call__(self, student, teacher, labels):
        return (student - teacher).abs().mean() * mt_loss_parts.WEIGHT
""",
    "mt_loss_parts.py": "WEIGHT = 1.0\n",
    "mt_metric.py": """from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Share:
    share: ClassVar[bool] = True
    against: ClassVar[str] = "labels"

    def __call__(self, scores, wanted, raw):
        return float((scores.argmax(axis=1) == wanted).mean())
""",
    "mt_pass.py": """from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Signed:
    order: ClassVar[int] = 90
    always: ClassVar[bool] = False

    def __call__(self, model):
        model.doc_string = "mine"
""",
    "config.json": '{"slope": 0.0}\n',
    "unread.json": "{}\n",
    "parts/one.txt": "1\n",
    "recipe.toml": RECIPE,
}


@dataclass
class World:
    """A project in a folder of its own, or the objects of a notebook beside its target.

    Attributes:
        settings: as ``--set``.
        given: networks and data; None: the recipe's.
    """

    root: Path
    settings: list[str] = field(default_factory=list)
    given: Objects | None = None
    patches: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def file(self, name: str) -> Path:
        return self.root / name

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that stands in a file."""
        text = self.file(name).read_text()
        assert old in text, (name, old)
        self.file(name).write_text(text.replace(old, new))


@dataclass(frozen=True)
class Mutation:
    """One change.

    Attributes:
        reruns: the steps that must run again, and no other.
        bundle: whether a bundle that stands at ``--out`` is another one now.
        of: which world: ``recipe`` or ``notebook``.
    """

    name: str
    change: Callable[[World], Any]
    reruns: tuple[str, ...]
    bundle: bool = True
    of: str = "recipe"


def write_project(root: Path) -> None:
    """Every file as it is before a change; equal bytes each time."""
    shutil.rmtree(root, ignore_errors=True)
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    rng = np.random.default_rng(0)
    for place in ("images/train/cat", "elsewhere/dog", "elsewhere/other"):
        (root / place).mkdir(parents=True)
        for i in range(6):
            picture(root / place / f"{i}.png", rng.integers(0, 256, (8, 8, 3)))
    (root / "images/train/dog").symlink_to(root / "elsewhere/dog")
    (root / "elsewhere/single.png").write_bytes((root / "elsewhere/other/0.png").read_bytes())
    (root / "images/train/cat/linked.png").symlink_to(root / "elsewhere/single.png")
    generator = torch.Generator().manual_seed(0)
    state = {"1.weight": torch.randn(2, 192, generator=generator), "1.bias": torch.zeros(2)}
    save_file(state, root / "teacher.safetensors")
    save_file({"bias": torch.zeros(2)}, root / "bias.safetensors")
    np.save(root / "bias.npy", np.zeros(1, np.float32))
    usual = (target.folder() / "ort-cpu.toml").read_text().replace('backend = "ort"', 'name = "mine"\nbackend = "ort"')
    (root / "mine.toml").write_text(usual.replace("passes = [", 'passes = ["mt_pass:Signed", '))


def picture(file: Path, pixels: Any) -> None:
    """Write an image without compression, so that a pixel is a byte."""
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, compress_level=0)


class Net(nn.Module):
    """A student of a notebook, with all that a state_dict does not hold."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(12, 64), nn.Linear(64, 2)
        self.drop = nn.Dropout(0.0)
        self.register_buffer("mean", torch.zeros(12), persistent=False)
        self.shift, self.activation = torch.zeros(12), F.relu
        self.table: dict[str, Any] = {"scales": [1.0, np.ones(2)]}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.activation(self.body(x - self.mean - self.shift))
        return self.head(self.drop(hidden)) * float(self.table["scales"][0])


def notebook() -> Objects:
    """Networks and data as a user types them."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    data = tuple((rng.normal(size=(n, 12)).astype(np.float32), np.arange(n) % 2) for n in (16, 8, 8))
    return Objects(from_splits(data, "data"), nn.Sequential(nn.Linear(12, 2)), Net())


@contextlib.contextmanager
def world(root: Path, of: str) -> Iterator[World]:
    """A fresh project, entered: its folder is the current one and on the path; left as it was found."""
    write_project(root)
    made = World(root, given=notebook() if of == "notebook" else None)
    before, bytecode, modules = os.getcwd(), sys.dont_write_bytecode, set(sys.modules)
    os.chdir(root)
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True  # it is held against seconds and sizes, which a quick edit may leave as they are
    try:
        with made.patches:
            yield made
    finally:
        os.chdir(before)
        sys.path.remove(str(root))
        sys.dont_write_bytecode = bytecode
        for name in [name for name in set(sys.modules) - modules if name.startswith("mt_")]:
            del sys.modules[name]


def order_of(made: World, **how: Any) -> requests.BuildRequest:
    """The checked order of a world as it stands."""
    how = {"cache": made.root.parent / "cache", "out": made.root.parent / "out", **how}
    targets = [str(made.file("mine.toml"))]
    if made.given is None:
        return requests.make(str(made.file("recipe.toml")), targets, made.settings, **how)
    own = {"student": {"epochs": 1}, "compress": [{"kind": "channel_prune"}, {"kind": "int8_qat"}]}
    table = api._table(own, made.given, None)
    assert made.given.dataset is not None
    key = api._objects_key(made.given, table)
    return requests.make(table, targets, data=fingerprint(made.given.dataset), objects=key, **how)


def keys(made: World) -> dict[str, str]:
    """The key of every step, and the identity of the bundle; ``refused`` where the change is told as a mistake."""
    try:
        order = order_of(made)
        workspace = prepare(order, made.given or Objects())
    except EdgekdError as err:
        return {"refused": str(err)}
    found = {name: step.key for name, step in workspace.plan.steps.items()}
    return {**found, BUNDLE: requests.identified(order, seen=True).identity}


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    """The names whose key is another."""
    if "refused" in after:
        return {*REFUSED, BUNDLE}
    return {name for name in before if before[name] != after.get(name)}


def expected(mutation: Mutation) -> set[str]:
    return {*mutation.reruns, *((BUNDLE,) if mutation.bundle else ())}


def _same_size_and_time(made: World) -> None:
    file = made.file("images/train/cat/0.png")
    times, size = file.stat(), file.stat().st_size
    picture(file, np.full((8, 8, 3), 7))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_size == size


def _retarget(link: str, to: str) -> Callable[[World], None]:
    def change(made: World) -> None:
        made.file(link).unlink()
        made.file(link).symlink_to(made.file(to))

    return change


def _edit(name: str, old: str, new: str) -> Callable[[World], None]:
    return lambda made: made.edit(name, old, new)


def _moved(old: str, new: str, recipe_old: str = "", recipe_new: str = "") -> Callable[[World], None]:
    def change(made: World) -> None:
        made.file(old).rename(made.file(new))
        if recipe_old:
            made.edit("recipe.toml", recipe_old, recipe_new)

    return change


def _set(setting: str) -> Callable[[World], None]:
    return lambda made: made.settings.append(setting)


def _reordered(made: World) -> None:
    head, *parts = made.file("recipe.toml").read_text().split("\n[")
    plain = [part for part in parts if not part.startswith("[")]
    lists = [part for part in parts if part.startswith("[")]
    made.file("recipe.toml").write_text("\n[".join([head, *lists, *reversed(plain)]))


def _version(name: str) -> Callable[[World], None]:
    """Another version of a library is installed."""

    def change(made: World) -> None:
        real = plugins.version
        _patched(made, plugins, "version", lambda asked: "0.0.1" if asked == name else real(asked))
        _forgotten(made)

    return change


def _own(name: str) -> Callable[[World], None]:
    """A file of edgekd itself is edited: in a copy of its sources."""

    def change(made: World) -> None:
        here = made.root.parent / "edgekd"
        shutil.copytree(closure.PACKAGE, here, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        (here / name).write_text((here / name).read_text() + "\n# edited\n")
        _patched(made, closure, "PACKAGE", here)
        _forgotten(made)

    return change


def _patched(made: World, place: Any, name: str, value: Any) -> None:
    made.patches.callback(setattr, place, name, getattr(place, name))
    setattr(place, name, value)


def _forgotten(made: World) -> None:
    for cached in (code_keys.own, code_keys.versions):
        cached.cache_clear()
        made.patches.callback(cached.cache_clear)


def _net(change: Callable[[Any], Any], role: str = "student") -> Callable[[World], None]:
    """A notebook's network, changed."""

    def mutate(made: World) -> None:
        assert made.given is not None
        changed_net = copy.deepcopy(getattr(made.given, role))
        change(changed_net)
        made.given = replace(made.given, **{role: changed_net})

    return mutate


def _data(change: Callable[[Any], Any]) -> Callable[[World], None]:
    def mutate(made: World) -> None:
        assert made.given is not None and made.given.dataset is not None
        change(made.given.dataset)

    return mutate


def _first_weight(net: nn.Module) -> None:
    with torch.no_grad():
        next(net.parameters()).view(-1)[0] += 2.0**-10


def _frozen(net: nn.Module) -> None:
    for parameter in net.body.parameters():  # type: ignore[union-attr]
        parameter.requires_grad_(False)


DATA = (
    Mutation("a byte of an image, its size and time kept", _same_size_and_time, ALL),
    Mutation("an image added", lambda w: picture(w.file("images/train/cat/new.png"), np.zeros((8, 8, 3))), ALL),
    Mutation("an image removed", lambda w: w.file("images/train/cat/3.png").unlink(), ALL),
    Mutation("an image renamed", _moved("images/train/cat/3.png", "images/train/cat/z.png"), ALL),
    Mutation("an image in another class", _moved("images/train/cat/3.png", "elsewhere/dog/3b.png"), ALL),
    Mutation("a class renamed", _moved("images/train/cat", "images/train/lynx"), ALL),
    Mutation("an empty class folder added", lambda w: w.file("images/train/eel").mkdir(), REFUSED),
    Mutation("a class folder's link leads elsewhere", _retarget("images/train/dog", "elsewhere/other"), ALL),
    Mutation(
        "a file behind a linked folder", lambda w: picture(w.file("elsewhere/dog/0.png"), np.ones((8, 8, 3))), ALL
    ),
    Mutation("an image's link leads elsewhere", _retarget("images/train/cat/linked.png", "elsewhere/other/1.png"), ALL),
    Mutation("the data moved", _moved("images", "pictures", '"images"', '"pictures"'), NONE, bundle=False),
    Mutation("a data file touched", lambda w: os.utime(w.file("images/train/cat/0.png"), (1, 1)), NONE, bundle=False),
    Mutation(
        "the images left in their files",
        _edit("recipe.toml", 'path = "images"', 'path = "images"\nlazy = true\nworkers = 0'),
        NONE,
        bundle=False,
    ),
    Mutation("a hidden file added", lambda w: w.file("images/train/cat/.DS_Store").write_text("x"), NONE, bundle=False),
)
TEXT = (
    Mutation("a comment in the recipe", _edit("recipe.toml", "# a comment", "# another"), NONE, bundle=False),
    Mutation("the recipe's tables in another order", _reordered, NONE, bundle=False),
    Mutation("the recipe's name", _set("name=other"), NONE),
    Mutation("a wish", _set("budget.max_size_kb=500"), NONE),
    Mutation("the golden inputs", _set("golden=data"), NONE),
    Mutation("the seed", _set("seed=1"), ALL),
    Mutation("the count of threads", _set("threads=1"), ALL),
    Mutation("the augmentation", _set("augment.flip=true"), ALL),
    Mutation("a kind of augmentation more", _set("augment.ops=[{kind='erase'}]"), ALL),
    Mutation("the student's weights of classes", _set("student.class_weights=balanced"), STUDENT),
    Mutation("the metric", _set("metric=accuracy"), ALL),
    Mutation("the rate of a teacher that is only read", _set("teacher.lr=0.5"), NONE),
    Mutation("the student's rate", _set("student.lr=2e-3"), STUDENT),
    Mutation("an argument of the student's factory", _set("student.model.args.width=48"), STUDENT),
    Mutation("a loss's temperature", _set("losses.0.temperature=2.0"), STUDENT),
    Mutation("the pruning ratio", _set("compress.0.ratio=0.25"), PRUNED),
    Mutation("the epochs of the int8 training", _set("compress.1.epochs=2"), INT8),
    Mutation("a comment in the target", _edit("mine.toml", "# In order", "# in order"), NONE, bundle=False),
    Mutation("the target's description", _edit("mine.toml", "ONNX Runtime on CPU", "ONNX Runtime"), NONE),
    Mutation("the target's weight bits", _edit("mine.toml", "weight_bits = 7", "weight_bits = 8"), INT8),
    Mutation("the target's channel multiple", _edit("mine.toml", "multiple = 16", "multiple = 8"), PRUNED),
    Mutation("the target's opset", _edit("mine.toml", "opset = 20", "opset = 21"), EXPORTS),
    Mutation("the target's threads", _edit("mine.toml", "threads = 1", "threads = 2"), MEASURE),
)
CODE = (
    Mutation("the teacher's module", _edit("mt_teacher.py", "Flatten()", "Flatten(), nn.Identity()"), REFUSED),
    Mutation("the student's module", _edit("mt_zoo/student.py", "Conv2d(3, width, 3)", "Conv2d(3, width, 5)"), STUDENT),
    Mutation("its package's __init__", _edit("mt_zoo/__init__.py", "1.0", "2.0"), STUDENT),
    Mutation("a module by a relative import", _edit("mt_zoo/blocks.py", "x * gain()", "x - gain()"), STUDENT),
    Mutation("a module beside the package", _edit("mt_beside.py", "far.GAIN", "-far.GAIN"), STUDENT),
    Mutation("a module two imports away, in a namespace", _edit("mt_deep/far.py", "1.0", "3.0"), STUDENT),
    Mutation("a module imported inside the factory", _edit("mt_lazy.py", "0.0", "1.0"), STUDENT),
    Mutation("a module whose name is put together", _edit("mt_named.py", "value = 0", "value = 1"), STUDENT),
    Mutation("an optional module appears", lambda w: w.file("mt_optional.py").write_text("X = 1\n"), STUDENT),
    Mutation("a module that nothing imports", _edit("mt_unused.py", "import mt_loss", "import os"), NONE, bundle=False),
    Mutation("a module gone", lambda w: w.file("mt_lazy.py").unlink(), REFUSED),
    Mutation("a loss of the user's", _edit("mt_loss.py", ".abs()", ".square()"), STUDENT),
    Mutation("a module of that loss", _edit("mt_loss_parts.py", "1.0", "0.5"), STUDENT),
    Mutation("a metric of the user's", _edit("mt_metric.py", "return float", "return 1 - float"), ALL),
    Mutation("a graph pass of the user's", _edit("mt_pass.py", '"mine"', '"yours"'), EXPORTS),
)
OPENED = (
    Mutation("a JSON file read at import", _edit("config.json", "0.0", "0.1"), STUDENT),
    Mutation("a file read with np.load", lambda w: np.save(w.file("bias.npy"), np.ones(1, np.float32)), STUDENT),
    Mutation("a safetensors file", lambda w: save_file({"bias": torch.ones(2)}, w.file("bias.safetensors")), STUDENT),
    Mutation("a folder that is listed", lambda w: w.file("parts/two.txt").write_text("2\n"), STUDENT),
    Mutation("a file that nothing opens", _edit("unread.json", "{}", "[]"), NONE, bundle=False),
    Mutation(
        "the teacher's checkpoint",
        lambda w: save_file({"1.weight": torch.ones(2, 192), "1.bias": torch.zeros(2)}, w.file("teacher.safetensors")),
        ALL,
    ),
    Mutation(
        "the checkpoint moved", _moved("teacher.safetensors", "t.safetensors", '"teacher.s', '"t.s'), NONE, bundle=False
    ),
)
VERSIONS = (
    Mutation("torch's version", _version("torch"), ALL),
    Mutation("scipy's version", _version("scipy"), ALL),
    Mutation("onnxscript's version", _version("onnxscript"), EXPORTS),
    Mutation("ONNX Runtime's version", _version("onnxruntime"), MEASURE, bundle=False),
    Mutation("edgekd's training", _own("learn/train.py"), ALL),
    Mutation("edgekd's augmentation", _own("learn/views/erase.py"), ALL),
    Mutation("edgekd's compression", _own("compress/channel_prune.py"), PRUNED),
    Mutation("edgekd's lowering", _own("lower/passes/short_names.py"), EXPORTS),
    Mutation("edgekd's clock", _own("runtime/bench.py"), MEASURE),
    Mutation("edgekd's page", _own("report/page.py"), NONE),
)
OBJECTS = tuple(
    replace(mutation, of="notebook")
    for mutation in (
        Mutation("a weight of the teacher", _net(_first_weight, "teacher"), ALL),
        Mutation("a weight of the student", _net(_first_weight), STUDENT),
        Mutation("frozen parameters", _net(_frozen), STUDENT),
        Mutation("a buffer outside the state_dict", _net(lambda n: n.mean.add_(1.0)), STUDENT),
        Mutation("a tensor that is a plain attribute", _net(lambda n: n.shift.add_(1.0)), STUDENT),
        Mutation("a number in a list in a dict", _net(lambda n: n.table["scales"].__setitem__(0, 2.0)), STUDENT),
        Mutation("an array in a list in a dict", _net(lambda n: n.table["scales"][1].__setitem__(0, 2.0)), STUDENT),
        Mutation("a function that is held", _net(lambda n: setattr(n, "activation", F.gelu)), STUDENT),
        Mutation("a hook", _net(lambda n: n.head.register_forward_hook(lambda m, x, y: y * 2)), STUDENT),
        Mutation("a layer's rate of dropout", _net(lambda n: setattr(n.drop, "p", 0.5)), STUDENT),
        Mutation("a layer alone in evaluation mode", _net(lambda n: n.drop.eval()), STUDENT),
        Mutation("the whole network in evaluation mode", _net(lambda n: n.eval()), NONE, bundle=False),
        Mutation("a sample", _data(lambda d: d.train.x.__setitem__((0, 0), 9.0)), ALL),
        Mutation("a label", _data(lambda d: d.train.y.__setitem__(0, 1)), ALL),
    )
)
MUTATIONS = (*DATA, *TEXT, *CODE, *OPENED, *VERSIONS, *OBJECTS)
