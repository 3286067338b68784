"""What the scripts share: nets with weights as they come, our files of them, results with their command and host."""

from __future__ import annotations

import json
import platform
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from edgekd.base import host, plugins
from edgekd.base.preprocess import Inputs
from edgekd.build import compression
from edgekd.compress._base import Context
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import bench
from edgekd.runtime.jobs import BenchJob
from edgekd.spec import target

RESULTS = Path(__file__).parent / "results"
NETS: dict[str, tuple[dict[str, Any], tuple[int, int, int], int]] = {
    "resnet20": ({"kind": "resnet", "depth": 20, "width": 16}, (3, 32, 32), 10),
    "mobilenet": ({"kind": "mobilenet"}, (3, 32, 32), 10),
    "resnet8": ({"kind": "resnet", "depth": 8, "width": 16}, (3, 32, 32), 10),
    "digits": ({"kind": "convnet", "width": 64, "strides": [1, 1, 2]}, (1, 8, 8), 10),
}


def net(name: str, seed: int = 0) -> Student:
    """An untrained net whose BatchNorm has seen a few batches, as a trained one's has."""
    table, shape, classes = NETS[name]
    torch.manual_seed(seed)
    module = plugins.build("models", table, name).build(shape, classes)
    module.train()
    with torch.no_grad():
        for batch in calibration(name):
            module(batch)
    spec = TensorSpec("input", (None, *shape))
    return Student(module.eval(), (spec,), (TensorSpec("logits", (None, classes)),), ({"kind": "student"},))


def calibration(name: str, batches: int = 8, size: int = 32) -> list[torch.Tensor]:
    """Smooth seeded images: noise of several scales, about as large as normalised pixels."""
    shape = NETS[name][1]
    generator = torch.Generator().manual_seed(1)
    made = []
    for _ in range(batches):
        x = torch.zeros(size, *shape)
        for scale in (1, 2, 4):
            coarse = torch.randn(size, shape[0], -(-shape[1] // scale), -(-shape[2] // scale), generator=generator)
            x += coarse.repeat_interleave(scale, 2).repeat_interleave(scale, 3)[:, :, : shape[1], : shape[2]]
        made.append(x / 2)
    return made


def int8(student: Student, name: str, target_name: str) -> tuple[bytes, torch.nn.Module]:
    """Our int8 file of a net for a target, calibrated and not trained, and the fake-quantized module behind it."""
    chosen = target.load(target_name)
    change = compression.passes([{"kind": "int8_qat"}], "compress")[0].change
    prepared = change.apply(student, Context(chosen.quantized, 1, [(x,) for x in calibration(name)]))
    finished = change.finish(prepared)
    return to_onnx(finished, opset=chosen.opset, metadata={}, asked=chosen.passes), finished.module


def fp32(student: Student, target_name: str) -> bytes:
    """Our fp32 export."""
    return to_onnx(student, opset=target.load(target_name).opset, metadata={})


def in_turns(
    chosen: target.Target,
    files: Mapping[str, dict[str, bytes]],
    x: Inputs,
    rounds: int,
    seconds: float,
    options_of: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    seed: int = 0,
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Nanoseconds of each call, from several fresh processes with the files in another order in each.

    Also the CPUs that others used meanwhile. The first of ``files`` is what the loop counts its rounds by;
    ``options_of``: by file, options that it is opened with besides the target's; ``seed``: of the orders.
    """
    pooled: dict[str, list[np.ndarray]] = {name: [] for name in files}
    busy, order, base = [], list(files), next(iter(files))
    for i in range(rounds):
        random.Random(1000 * seed + i).shuffle(order)
        turn = {name: files[name] for name in order}
        job = BenchJob(chosen.backend, turn, base, x, options=chosen.options, batch=1, min_seconds=seconds)
        result = bench.bench_in_subprocess(replace(job, options_of=options_of))
        busy.append(result.others or 0.0)
        for name, samples in result.samples.items():
            pooled[name].append(samples)
    return {name: np.concatenate(parts) for name, parts in pooled.items()}, busy


def raw_int8_bytes(student: Student) -> int:
    """Bytes of int8 weights, int32 biases and float32 per-channel scales: what an int8 file can't be below."""
    layers = [m for m in student.module.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    return sum(layer.weight.numel() + 8 * layer.weight.shape[0] for layer in layers)


def nets(name: str) -> dict[str, Any]:
    """What a script wrote of each net so far: it stays when others are measured."""
    found: dict[str, Any] = written(name).get("nets", {})
    return found


def written(name: str) -> dict[str, Any]:
    """What a script wrote the last time; empty where it never did."""
    file = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return found


def cpus(before: Mapping[str, Any], rows: Mapping[str, Any], here: str) -> dict[str, str]:
    """On which CPU each net was measured: what stayed as it was keeps its own."""
    known = before.get("cpus") or dict.fromkeys(before.get("nets", ()), before.get("host", {}).get("cpu"))
    return {net: known[net] if before.get("nets", {}).get(net) == row else here for net, row in rows.items()}


def write(name: str, table: Mapping[str, Any]) -> None:
    """Write ``results/<name>.json`` with the command and the host."""
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *map(_no_folder, sys.argv[1:])])
    facts = host.facts()
    if "nets" in table:
        rows = json.loads(json.dumps(table["nets"], default=_plain))
        table = {"cpus": cpus(written(name), rows, facts["cpu"]), **table}
    made = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "revision": revision()}
    record = {"command": command, "python": platform.python_version(), **made, "host": facts, **table}
    (RESULTS / name).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, default=_plain, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(f"wrote benchmarks/results/{name}.json")


def revision() -> str:
    """The commit that is measured, with a + where files differ from it."""
    here = ["git", "-C", str(Path(__file__).parent)]
    asked = (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    commit, edits = (subprocess.run([*here, *line], capture_output=True, text=True, check=False) for line in asked)
    return commit.stdout.strip() + ("+" if edits.stdout.strip() else "")


def _no_folder(argument: str) -> str:
    """The argument without the folders of this machine."""
    return shlex.quote(Path(argument).name if argument.startswith("/") else argument)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(type(value).__name__)
