"""Epoch checkpoints: safetensors and JSON, never pickle. A run that goes on from one gives the same bits.

One file a checkpoint: the tensors of the module, of the best module so far and of the optimizer, and in the
header's metadata everything that is not a tensor. It is put in place by ``disk.replace_file``: it is whole or absent.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.optim import Optimizer

from edgekd.base import places, reader
from edgekd.base.disk import disk, replace_file
from edgekd.base.errors import IntegrityError
from edgekd.learn import ranks

FILE = "checkpoint.safetensors"


class EpochLosses(TypedDict):
    """What an epoch of training came to: the mean of the loss, and of each of its terms."""

    epoch: int
    loss: float
    losses: dict[str, float]
    lr: float


class EpochRecord(EpochLosses):
    """The same with the metric on validation, and how long it took."""

    validation: float
    seconds: float
    samples_per_s: float


@dataclass
class TrainingState:
    """Where a training stands. ``best`` is the state of the best epoch, where early stopping asks for it."""

    history: list[EpochRecord]
    best_value: float = -math.inf
    best: dict[str, Tensor] | None = None


def save(folder: Path, module: nn.Module, optimizer: Optimizer, progress: TrainingState) -> None:
    """Write the checkpoint after an epoch."""
    tensors = {f"model/{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in (progress.best or {}).items()}
    state = optimizer.state_dict()
    plain: dict[str, dict[str, Any]] = {}
    for index, entry in state["state"].items():
        for name, value in entry.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{name}"] = value
            else:
                plain.setdefault(str(index), {})[name] = value
    tensors["rng"] = torch.get_rng_state()
    about = {
        "history": progress.history,
        "best_value": progress.best_value,
        "optimizer": plain,
        "groups": state["param_groups"],
    }
    owned = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    text = json.dumps(about)
    replace_file(folder / FILE, save_tensors(owned, metadata={"about": text, "sha256": _digest(text, owned)}))


def shared(folder: Path) -> Path:
    """The folder, with the first rank's checkpoint in it or none, whichever rank asks."""
    path = folder / FILE
    with disk(path):
        files = ranks.from_first(lambda: {FILE: path.read_bytes()} if places.kind(path) == "file" else None)
        if files is not None and not ranks.is_first():
            path.write_bytes(files[FILE])
    return folder


def restore(folder: Path, module: nn.Module, optimizer: Optimizer) -> TrainingState | None:
    """Load the checkpoint of a folder into a module and its optimizer; None where there is none to use.

    A damaged one is removed, before anything is loaded: the training starts over rather than from something unknown. So
    is what is no file, and what does not fit.

    Raises:
        ResourceError, OutputError: it can't be read, which says nothing of it.
    """
    path = folder / FILE
    with disk(path):
        kind = places.kind(path)
        try:
            if kind != "file":
                raise ValueError(kind)
            with safe_open(path, framework="pt") as file:
                kept = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            if _digest(kept["about"], tensors) != kept["sha256"]:
                raise ValueError("damaged")
        except (SafetensorError, KeyError, ValueError, TypeError):
            places.remove(path)
            return None
    before = copy.deepcopy((module.state_dict(), optimizer.state_dict()))
    try:
        return _loaded(kept["about"], tensors, module, optimizer)
    except (IntegrityError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        module.load_state_dict(before[0])  # it was of another training
        optimizer.load_state_dict(before[1])
        places.remove(path)
        return None


def _loaded(text: str, tensors: dict[str, Tensor], module: nn.Module, optimizer: Optimizer) -> TrainingState:
    """What a checkpoint says, put into a module and its optimizer; random numbers last."""
    about = json.loads(text)
    history = cast(list[EpochRecord], reader.check(about["history"], list[dict[str, object]], FILE))
    best = _part(tensors, "best/")
    progress = TrainingState(history, float(about["best_value"]), best or None)
    module.load_state_dict(_part(tensors, "model/"))
    optimizer.load_state_dict(_optimizer_state(about, tensors))
    torch.set_rng_state(tensors["rng"])
    return progress


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    add_tensors(digest, tensors)
    return digest.hexdigest()


def add_tensors(digest: hashlib._Hash, tensors: Mapping[str, object]) -> None:
    """Names, types, shapes and bytes of tensors, in the order of their names, into a hash; no other values."""
    for name, tensor in sorted(tensors.items()):
        if not isinstance(tensor, Tensor):
            continue
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _optimizer_state(about: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {int(index): dict(entry) for index, entry in about["optimizer"].items()}
    for name, value in _part(tensors, "optimizer/").items():
        index, _, key = name.partition("/")
        state.setdefault(int(index), {})[key] = value
    return {"state": state, "param_groups": about["groups"]}
