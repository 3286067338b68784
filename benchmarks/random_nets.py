"""Random MLPs, table nets, CNNs and transformer blocks: does every file answer as its network did, at each batch?

Each net is calibrated in int8 (``int8_ptq``) and exported for ``ort-cpu``, ``openvino`` and ``portable-int8`` (on both
runtimes); its answers at batches 1, 2, 7 and 64 are held against torch's by the rule that decides what ships, on every
instruction set that oneDNN can be held to. Biases are often none, zeros or one value everywhere.

Held to AVX2 on a CPU with AVX-512, OpenVINO's own kernels end the process at a LayerNorm of a width that is no multiple
of 16, float files, too: they ask the CPU, not the variable. Emulated (``qemu-x86_64 -cpu Haswell``) the files run.

python benchmarks/random_nets.py [--nets 300] [--backwards]    # goes on where it stopped; a second may begin behind
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import _common
import numpy as np
import torch
from torch import nn

from edgekd.base.errors import EdgekdError
from edgekd.build import compression, measure, target_runtime
from edgekd.compress._base import Context
from edgekd.document.cache import Compared
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import parity
from edgekd.spec import target
from edgekd.spec.target import Numerics, Target

ISAS = ("", "AVX2", "AVX512_CORE", "AVX512_CORE_VNNI")
BATCHES = (1, 2, 7, 64)
SAMPLES = 128
WORK = Path(__file__).parent / "work" / "random_nets.jsonl"
# target, the backend that opens its file, whether the backend lowers it first
PLACES = (("ort-cpu", "ort"), ("openvino", "openvino"), ("portable-int8", "ort"), ("portable-int8", "openvino"))


class Block(nn.Module):
    """A transformer's block over (N, T, D): attention, a feed-forward net, normalisation before or none, a mean."""

    def __init__(self, rng: np.random.Generator, length: int, width: int, classes: int) -> None:
        super().__init__()
        bias, inner = bool(rng.integers(2)), int(rng.choice([16, 24, 64]))
        self.q, self.k, self.v = (nn.Linear(width, width, bias=bias) for _ in range(3))
        self.norm = nn.LayerNorm(width) if rng.integers(2) else nn.Identity()
        act = [nn.ReLU(), nn.GELU(), nn.SiLU()][int(rng.integers(3))]
        self.feed = nn.Sequential(nn.Linear(width, inner, bias=bias), act, nn.Linear(inner, width, bias=bias))
        self.head = nn.Linear(width, classes, bias=bool(rng.integers(2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        weights = torch.softmax(self.q(y) @ self.k(y).transpose(1, 2) / y.shape[-1] ** 0.5, dim=-1)
        x = x + weights @ self.v(y)
        return self.head((x + self.feed(self.norm(x))).mean(1))


def mlp(rng: np.random.Generator) -> tuple[nn.Module, tuple[int, ...]]:
    hidden = rng.choice([1, 5, 16, 31, 64, 128], rng.integers(1, 4))
    widths = [int(rng.choice([3, 10, 16, 33, 64, 200])), *map(int, hidden)]
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers.append(nn.Linear(a, b, bias=bool(rng.integers(2))))
        if rng.integers(3) == 0:
            layers.append(nn.BatchNorm1d(b))
        layers.append([nn.ReLU(), nn.Identity(), nn.GELU(), nn.ReLU6()][int(rng.integers(4))])
    layers.append(nn.Linear(widths[-1], int(rng.integers(2, 12)), bias=bool(rng.integers(2))))
    return nn.Sequential(*layers), (widths[0],)


class Table(nn.Module):
    """Blocks over (N, C) as tables have them: norms before, within or behind, residuals, gates, scales by channel."""

    def __init__(self, rng: np.random.Generator, features: int, width: int, classes: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(features, width), nn.Linear(width, classes)
        self.bodies, self.behind, self.kinds = nn.ModuleList(), nn.ModuleList(), []
        for _ in range(int(rng.integers(1, 4))):
            inner = int(rng.choice([16, width, 2 * width]))
            middle = [step for _ in range(int(rng.integers(1, 3))) for step in self.steps(rng, inner)]
            layers = [nn.Linear(width, inner, bias=bool(rng.integers(2))), *middle, nn.Linear(inner, width)]
            self.bodies.append(nn.Sequential(*self.steps(rng, width), *layers))
            self.behind.append(nn.Sequential(*self.steps(rng, width)))
            self.kinds.append(str(rng.choice(["plain", "residual", "residual", "gate", "scaled"])))
        self.scale = nn.Parameter(torch.rand(width) + 0.5)

    @staticmethod
    def steps(rng: np.random.Generator, width: int) -> list[nn.Module]:
        """A norm, an activation, both or neither."""
        norm = [nn.BatchNorm1d(width), nn.LayerNorm(width), nn.Identity()][int(rng.integers(3))]
        act = [nn.ReLU(), nn.GELU(), nn.SiLU(), nn.Sigmoid(), nn.Tanh(), nn.Identity()][int(rng.integers(6))]
        return [norm, act] if rng.integers(2) else [act, norm]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for body, behind, kind in zip(self.bodies, self.behind, self.kinds, strict=True):
            y = body(x)
            mixed = {"plain": y, "residual": x + y, "gate": x * torch.sigmoid(y), "scaled": x + self.scale * y}
            x = behind(mixed[kind])
        return self.last(x)


def table(rng: np.random.Generator) -> tuple[nn.Module, tuple[int, ...]]:
    features, width = int(rng.choice([3, 10, 33])), int(rng.choice([16, 31, 64]))
    return Table(rng, features, width, int(rng.integers(2, 12))), (features,)


def cnn(rng: np.random.Generator) -> tuple[nn.Module, tuple[int, ...]]:
    channels, side = int(rng.choice([1, 3, 4])), int(rng.choice([6, 8, 12]))
    layers: list[nn.Module] = []
    before = channels
    for _ in range(int(rng.integers(1, 4))):
        after = int(rng.choice([4, 8, 16, 24]))
        kernel, groups = int(rng.choice([1, 3])), 1
        if after % before == 0 and before > 1 and rng.integers(4) == 0:
            groups = before
        layers.append(nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=bool(rng.integers(2))))
        if rng.integers(2):
            layers.append(nn.BatchNorm2d(after))
        layers.append([nn.ReLU(), nn.ReLU6(), nn.SiLU(), nn.Identity()][int(rng.integers(4))])
        before = after
    if rng.integers(2):
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        flat = before
    else:
        layers += [nn.MaxPool2d(2), nn.Flatten()]
        flat = before * (side // 2) ** 2
    if rng.integers(2):
        layers += [nn.Linear(flat, 32, bias=bool(rng.integers(2))), nn.ReLU()]
        flat = 32
    head = nn.Linear(flat, int(rng.integers(2, 12)), bias=bool(rng.integers(2)))
    return nn.Sequential(*layers, head), (channels, side, side)


def transformer(rng: np.random.Generator) -> tuple[nn.Module, tuple[int, ...]]:
    length, width = int(rng.choice([1, 4, 9, 17])), int(rng.choice([8, 16, 32]))
    return Block(rng, length, width, int(rng.integers(2, 8))), (length, width)


def made(number: int) -> tuple[str, nn.Module, tuple[int, ...]]:
    """The net of a number, its BatchNorm warm and its biases none, zeros, one value everywhere, or as they come."""
    rng = np.random.default_rng(number)
    torch.manual_seed(number)
    family = ("mlp", "table", "cnn", "transformer")[number % 4]
    net, shape = {"mlp": mlp, "table": table, "cnn": cnn, "transformer": transformer}[family](rng)
    with torch.no_grad():
        for _ in range(3):
            net.train()(torch.randn(32, *shape))
        for part in net.modules():
            bias = getattr(part, "bias", None)
            if isinstance(part, nn.Linear | nn.Conv2d) and bias is not None and rng.integers(2):
                bias.fill_(float(rng.choice([0.0, 1e-8, 0.5, -0.25])))
    return family, net.eval(), shape


class Workers:
    """A process for each instruction set, and one for ONNX Runtime, which oneDNN's variable does not move."""

    def __init__(self) -> None:
        self.started: dict[str, subprocess.Popen[str]] = {}

    def ask(self, isa: str, job: dict[str, Any]) -> str | None:
        """Run a job; why it failed, or None."""
        if isa not in self.started:
            env = {**os.environ, **({"ONEDNN_MAX_CPU_ISA": isa} if isa else {})}
            line = [sys.executable, str(Path(__file__).with_name("_answers.py"))]
            self.started[isa] = subprocess.Popen(
                line, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
        worker = self.started[isa]
        assert worker.stdin is not None and worker.stdout is not None
        try:
            worker.stdin.write(json.dumps(job) + "\n")
            worker.stdin.flush()
            reply = worker.stdout.readline()
        except BrokenPipeError:
            reply = ""
        if not reply:
            del self.started[isa]
            return "the process died"
        return json.loads(reply).get("error")


def gap(got: np.ndarray, wanted: np.ndarray, tolerance: float, quantized: bool) -> str | None:
    """By the rule of ``measure``: why such a file is not at parity, None where it is."""
    comparison = parity.compare(got, wanted)
    compared: Compared = {
        **comparison.as_dict(),
        "mean": comparison.mean_abs_diff,
        "relative": comparison.relative,
        "mean_relative": comparison.mean_relative,
        "clearly_differs": parity.clearly_differs(got, wanted, tolerance),
        "batches": {},
    }
    scheme = target.load("ort-cpu").quantized if quantized else target.load("ort-cpu").dense
    assert scheme is not None
    return measure.gap(compared, scheme)


def examine(number: int, workers: Workers, folder: Path) -> dict[str, Any]:
    """One net in every place, on every instruction set, at every batch."""
    family, net, shape = made(number)
    x = torch.randn(SAMPLES, *shape, generator=torch.Generator().manual_seed(number))
    np.savez(folder / "x.npz", input=x.numpy())
    with torch.no_grad():
        classes = net(x[:2]).shape[1]
    specs = TensorSpec("input", (None, *shape)), TensorSpec("logits", (None, classes))
    student = Student(net, specs[:1], specs[1:], ({"kind": "student"},))
    files_of: dict[Any, tuple[bytes, np.ndarray]] = {}
    row: dict[str, Any] = {"number": number, "family": family, "checked": 0, "gaps": [], "refused": []}
    for name, backend in PLACES:
        chosen = target.load(name)
        for scheme in (chosen.quantized, chosen.dense):
            assert scheme is not None
            if not scheme.quantized and name == "portable-int8":
                continue
            try:
                data, wanted = exported(student, chosen, scheme, x, files_of)
            except EdgekdError as err:
                row["refused"].append(f"{name} {scheme.name}: {str(err)[:160]}")
                continue
            files = (
                {"model.onnx": data} if name == "portable-int8" else target_runtime.parse(chosen).backend.lower(data)
            )
            paths = []
            for file, content in files.items():
                (folder / file).write_bytes(content)
                paths.append(str(folder / file))
            for isa in ISAS if backend == "openvino" and scheme.quantized else ISAS[:1]:
                job = {"backend": backend, "files": paths, "inputs": str(folder / "x.npz"), "batches": BATCHES}
                error = workers.ask(isa, {**job, "out": str(folder / "out.npz")})
                if error is not None:
                    row["refused"].append(f"{name} on {backend} {scheme.name}, {isa or 'native'}: {error[:160]}")
                    continue
                with np.load(folder / "out.npz") as found:
                    for batch in BATCHES:
                        row["checked"] += 1
                        told = gap(found[f"b{batch}"], wanted, scheme.tolerance, scheme.quantized)
                        if told is not None:
                            where = f"{name} on {backend}, {scheme.name}, {isa or 'native'}, batch {batch}"
                            row["gaps"].append(f"{where}: {told}")
    return row


def exported(
    student: Student, chosen: Target, scheme: Numerics, x: torch.Tensor, known: dict[Any, tuple[bytes, np.ndarray]]
) -> tuple[bytes, np.ndarray]:
    """A file and what its torch network says; targets that ask for the same share it."""
    key = (chosen.passes, scheme.model_dump_json(exclude={"name", "tolerance"}))
    if key not in known:
        subject = student
        if scheme.quantized:
            change = compression.passes([{"kind": "int8_ptq"}], "compress")[0].change
            parts = [(x[i : i + 32],) for i in range(0, 64, 32)]
            subject = change.finish(change.apply(student, Context(scheme, 1, parts)), scheme)
        with torch.no_grad():
            wanted = subject.module(x).numpy()
        known[key] = to_onnx(subject, opset=chosen.opset, metadata={}, asked=chosen.passes), wanted
    return known[key]


def examined() -> dict[int, dict[str, Any]]:
    """What is known already, by number."""
    lines = WORK.read_text().splitlines() if WORK.exists() else []
    return {row["number"]: row for row in map(json.loads, lines)}


def main() -> None:
    """Examine every net that was not yet, and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=int, default=300)
    parser.add_argument("--backwards", action="store_true")
    given = parser.parse_args()
    WORK.parent.mkdir(parents=True, exist_ok=True)
    workers = Workers()
    for number in sorted(range(given.nets), reverse=given.backwards):
        if number not in examined():
            with tempfile.TemporaryDirectory() as folder:
                row = examine(number, workers, Path(folder))
            with WORK.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    rows = [row for number, row in sorted(examined().items()) if number < given.nets]
    families = sorted({row["family"] for row in rows})
    found = {
        "nets": {family: sum(row["family"] == family for row in rows) for family in families},
        "batches": list(BATCHES),
        "isas": [isa or "native" for isa in ISAS],
        "checked": sum(row["checked"] for row in rows),
        "gaps": [gap for row in rows for gap in row["gaps"]],
        "refused": [said for row in rows for said in row["refused"]],
    }
    _common.write("random_nets", {**found, "held": not found["gaps"]})
    sys.exit(1 if found["gaps"] else 0)


if __name__ == "__main__":
    main()
