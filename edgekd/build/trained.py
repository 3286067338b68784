"""A trained step's result: kept in the store as safetensors and JSON, and rebuilt from there.

A network is rebuilt from its root (the recipe's model, or the teacher), each pass replayed from its record, and then
the weights: no pickle, and a name in the cache imports nothing.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError, FactoryError, out_of_memory
from edgekd.build import lineage
from edgekd.build.lineage import ABOUT, PROBE, WEIGHTS
from edgekd.build.plan import DistilStep, TeachStep, TrainedStep
from edgekd.build.store import canonical
from edgekd.build.workspace import Workspace
from edgekd.learn import nets, ranks
from edgekd.learn.checkpoint import EpochRecord
from edgekd.learn.student import Student


@dataclass(frozen=True)
class Trained:
    """The result of a trained step: ``history`` has an entry an epoch."""

    student: Student
    history: list[EpochRecord]
    seconds: float


def stored(workspace: Workspace, step: TrainedStep, make: Callable[[Path], Trained]) -> Trained:
    """A step's result from the store, or made and put there; what is odd in the store is made anew.

    Of several ranks all make it, and the first one looks into the store and writes there.

    Args:
        make: given a folder for what an interrupted training goes on from.
    """
    store, known = workspace.store, lineage.passes(workspace.plan)
    files = ranks.from_first(lambda: lineage.kept(store, step.key, known))
    if files is None:
        with store.scratch(step.key) if ranks.is_first() else _passing() as scratch:
            # Another process may have made it meanwhile.
            files = ranks.from_first(lambda: lineage.kept(store, step.key, known))
            if files is None:
                started = time.monotonic()
                trained = make(scratch)
                took = max(time.monotonic() - started, sum(epoch["seconds"] for epoch in trained.history))
                probe = probe_of(workspace, step, trained.student)
                files = ranks.from_first(lambda: store.put(step.key, pack(replace(trained, seconds=took), probe)))
        if files is None:
            raise EdgekdError("a step was made and is not there", where=step.name)
    else:
        workspace.progress({"step": step.name, "cached": True})
        try:
            return unpack(workspace, files, step)
        except lineage.ODD as err:
            if out_of_memory(err):
                raise
            store.drop(step.key)
            return stored(workspace, step, make)
    return unpack(workspace, files, step)


@contextmanager
def _passing() -> Iterator[Path]:
    """A folder that is gone afterwards, of a rank whose checkpoints are the first one's."""
    with tempfile.TemporaryDirectory(prefix="edgekd-rank-") as folder:
        yield Path(folder)


def probe_of(workspace: Workspace, step: TrainedStep, subject: Student) -> torch.Tensor | None:
    """(N, K) what the network of a step says to a few training samples, where it is made by a factory or an object.

    None: of a step below those, and of a network that answers otherwise each time it is asked.
    """
    if not isinstance(step, TeachStep | DistilStep) or step.name in workspace.sources:
        return None
    first, again = (nets.answers(subject.module, workspace.probe(step.name), step.name) for _ in range(2))
    return first if torch.equal(first, again) else None  # NaN is not equal to itself


def pack(trained: Trained, probe: torch.Tensor | None = None) -> dict[str, bytes]:
    """A trained step as files. ``probe``: what it says to a few samples."""
    state = {
        name: tensor.detach().cpu().clone().contiguous() for name, tensor in trained.student.module.state_dict().items()
    }
    about = {"lineage": trained.student.lineage, "history": trained.history, "seconds": trained.seconds}
    files = {WEIGHTS: save_tensors(state), ABOUT: canonical(about)}
    return files if probe is None else {**files, PROBE: save_tensors({"probe": probe.contiguous()})}


def unpack(workspace: Workspace, files: Mapping[str, bytes], step: TrainedStep) -> Trained:
    """Rebuild a step's student.

    Raises:
        FactoryError: its factory gives another network each time, so that this one is not the one that was trained.
    """
    about = json.loads(files[ABOUT])
    root, *records = about["lineage"]
    rebuilt = workspace.untrained(step.name if isinstance(step, TeachStep) else root["kind"])
    if not isinstance(step, TeachStep) and root["kind"] == "teacher":
        rebuilt = workspace.of_teacher(rebuilt)
    known = lineage.passes(workspace.plan)
    for record in records:
        change = known[canonical(record["table"])]
        rebuilt = plugins.call_user(change.replay, f"compress: {record['kind']}", rebuilt, record)
    fault = nets.fault(rebuilt.module, load_tensors(files[WEIGHTS]))
    if fault is None and PROBE in files:
        answers = load_tensors(files[PROBE])["probe"]
        fault = nets.difference(rebuilt.module, workspace.probe(step.name), answers, step.name)
    if fault:
        raise FactoryError(
            "its factory gives another network each time: rebuilt with the trained weights, it is not the one trained",
            where=step.name,
            found=fault,
            hint="what it draws or counts belongs into the state_dict: register_buffer(name, tensor)",
        )
    if not isinstance(step, TeachStep) and root["kind"] == "teacher":
        thaw(rebuilt.module, workspace)
    rebuilt.module.eval()
    return Trained(rebuilt, about["history"], about["seconds"])


def thaw(module: nn.Module, workspace: Workspace) -> None:
    """A teacher may be frozen throughout, as usual where it only teaches; a student that is made of it is trained."""
    if not any(p.requires_grad for p in module.parameters()):
        module.requires_grad_(True)
        workspace.note("the student is made of a teacher that is frozen throughout: it is thawed")
