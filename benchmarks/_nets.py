"""Nets, most from real data, each exported for several targets: what the scripts about int8 files start from.

ResNet-20 and the MobileNet-like net are the checkpoints of ``cifar_nets.py``, fine-tuned quantization-aware;
DistilBERT, the factorization machine and digits come from their recipes; the others of ``MODELS`` are trained for a
moment, for speed alone.
Everything is kept in the cache (``EDGEKD_CACHE``): a script that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.base.preprocess import Inputs
from edgekd.build import context
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.evaluation import Scores, joined
from edgekd.build.prepare import Objects, prepare
from edgekd.build.trained import Trained
from edgekd.build.workspace import Workspace
from edgekd.learn.feed import Feed, some
from edgekd.runtime import batches
from edgekd.runtime.backend import Session
from edgekd.spec import recipe as recipes

NAMES = ("resnet20", "resnet56", "mobilenet", "distilbert", "fm")
CHECKPOINTS = Path(__file__).parent / "checkpoints"
MODELS = {
    "resnet20": {"kind": "resnet", "depth": 20, "width": 16},
    "resnet56": {"kind": "resnet", "depth": 56, "width": 16},
    "resnet32": {"kind": "resnet", "depth": 32, "width": 16},
    "wide": {"kind": "resnet", "depth": 20, "width": 32},
    "mobilenet": {"kind": "mobilenet"},
    "patches": {"kind": "patch_convnet", "patch": 2, "overlap": 1, "width": 64, "depth": 2, "stages": 3, "growth": 1.5},
}
PTQ = {"kind": "int8_ptq"}
# A net that is its own teacher learns nothing from its answers: mostly labels, as it was trained.
CHUNK = 256
LABELS = [{"kind": "cross_entropy", "weight": 0.9}, {"kind": "kl", "temperature": 2.0, "weight": 0.1}]
CALIBRATION = 256  # samples that every quantizer sees


@dataclass(frozen=True)
class Net:
    """A net's parts: its workspace, every trained step, and ``onnx[target][candidate]``."""

    name: str
    workspace: Workspace
    trained: dict[str, Trained]
    onnx: dict[str, dict[str, bytes]]

    def inputs(self, split: str, count: int | None = None) -> list[Inputs]:
        """Model inputs of a split's first samples, in chunks."""
        total = self.workspace.feed.length(split)
        total = total if count is None else min(count, total)
        return [self.workspace.feed.inputs(split, s, min(s + CHUNK, total)) for s in range(0, total, CHUNK)]

    def scores(self, session: Session) -> Scores:
        """What a session says to the test split, one sample at a time, as it ships."""
        return scores(self.workspace.feed, session)

    def calibration(self) -> list[Inputs]:
        """The samples that our own passes calibrate with, one at a time."""
        feed = self.workspace.feed
        return [feed.plain("train", np.array([i])) for i in some(feed.length("train"), CALIBRATION)]

    def value(self, scores: np.ndarray, split: str = "test") -> float:
        """The recipe's metric of some scores over a whole split."""
        feed = self.workspace.feed
        return self.workspace.evaluator_of("student")(scores, feed.labels(split), None, feed.raw(split))


def scores(feed: Feed, session: Session) -> Scores:
    """What a session says to a feed's test split, one sample at a time, as it ships."""
    rows = np.arange(feed.length("test"))
    return joined(batches.over(session, lambda index: feed.plain("test", index), rows, 1))


def table(name: str, data: Path) -> dict[str, Any]:
    """The recipe of a net."""
    cifar = data / "cifar10_jpeg.npz"
    if name in ("resnet20", "mobilenet"):
        found = _dump("cifar10-resnet", [f"data.path={cifar}", "data.limit=22000", "data.validation=2000"])
        checkpoint = CHECKPOINTS / f"cifar_{name}_seed0.safetensors"
        found["teacher"] |= {"model": MODELS[name], "checkpoint": str(checkpoint)}
        # Depthwise convolutions train slower in bf16, and a net of them four times as slowly (cifar_nets.json).
        fast = {"epochs": 12, "lr": 2e-3, "precision": "bf16"}
        how = fast if name == "resnet20" else {"epochs": 4, "lr": 1e-3, "precision": "fp32"}
        qat = {"kind": "int8_qat", "losses": LABELS, **how}
        return found | {"student": _itself(), "compress": [PTQ, qat]}
    if name in MODELS:
        made = "data={source='made',shape=[32,32,3],classes=10,train=1024,validation=256,test=256}"
        found = _dump("cifar10-resnet", [made])
        found["teacher"] |= {"model": MODELS[name], "epochs": 1}
        return found | {"augment": {"views": 1}, "student": _itself(), "compress": [PTQ]}
    if name == "digits":
        found = _dump("digits", [])
        return found | {"student": {**found["student"], "epochs": 1}}
    if name == "distilbert":
        found = _dump("bert-distilbert", [f"data.path={data}"])
    else:
        found = _dump("wide-deep-fm", [f"data.path={data / 'goodbooks.npz'}"])
    return found | {"compress": [PTQ, {**PTQ, "scheme": "int8-weights"}, *found["compress"]]}


def _dump(recipe: str, settings: list[str]) -> dict[str, Any]:
    return recipes.load(recipe, settings)[0].model_dump(mode="json", exclude_unset=True)


def _itself() -> dict[str, Any]:
    return {"from_teacher": [], "epochs": 0, "batch_size": 128, "lr": 4e-3}


def order_of(name: str, data: Path, targets: Sequence[str], *, trained_int8: bool = True) -> requests.BuildRequest:
    """What is built of a net."""
    recipe = table(name, data)
    if not trained_int8:
        recipe["compress"] = [PTQ]
    return requests.make(recipe, targets, progress=told)


def make(name: str, data: Path, targets: Sequence[str], *, trained_int8: bool = True) -> Net:
    """Train what is missing, and export; without ``trained_int8`` the only int8 files are calibrated ones."""
    return built(name, order_of(name, data, targets, trained_int8=trained_int8))


def built(name: str, order: requests.BuildRequest) -> Net:
    """Train what is missing of an order, and export."""
    assert context.BATCH <= CALIBRATION
    workspace = prepare(order, Objects())
    trained, _ = running.train_all(workspace)
    return Net(name, workspace, trained, running.export_all(workspace, trained))


def told(event: dict[str, Any]) -> None:
    """A line an epoch."""
    if "loss" in event:
        print(f"  {event['step']} {event['epoch'] + 1}/{event['epochs']} {event['validation']:.4f}", flush=True)
