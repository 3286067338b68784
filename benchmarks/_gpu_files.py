"""Files on a GPU: what ``ort-cuda`` builds, how right and how fast its files are, and what becomes of int8 there.

``net``: the float16 file against torch in float16, eager and compiled, at batch 1, 8 and 64, weights as they come,
BatchNorm as it would have seen them. ``compute`` is a run whose inputs and outputs lie on the device, until it is
done; ``whole`` begins and ends with numpy arrays. All ways take turns in one process. Parity is against the float32
file on the CPU: the largest difference as a share of the range of the scores. ``int8``: which operators run where and
on what, by ONNX Runtime's own profile, in float32, float16 and TensorRT's int8. ``kernels``: the provider's own list
of those that read or write 8 bits. ``build``: a build's report. What a target refuses (a file, a build) is a result,
with its reason; that there is no such provider is an error.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _nets
import numpy as np
import onnxruntime
import torch
from onnxruntime.capi import _pybind_state

from edgekd import pipeline
from edgekd.base import plugins, target_files
from edgekd.base.errors import ExportError, GateError, UsageError
from edgekd.build import compression
from edgekd.build import request as requests
from edgekd.build.exports import Half
from edgekd.compress import Context
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.runtime.backends.ort import CPU, CUDA
from edgekd.runtime.backends.ort_cuda.backend import OrtCuda
from edgekd.spec import target

DISTILBERT = {"dim": 128, "n_layers": 2, "n_heads": 4, "hidden_dim": 512, "vocab_size": 8000}
NETS: dict[str, tuple[dict[str, Any], tuple[int, ...], int]] = {
    "resnet20": ({"kind": "resnet", "depth": 20, "width": 16}, (3, 32, 32), 10),
    "mobilenetv2": ({"kind": "transformers", "name": "MobileNetV2ForImageClassification"}, (3, 224, 224), 1000),
    "distilbert": (
        {"kind": "transformers", "name": "DistilBertForSequenceClassification", "config": DISTILBERT},
        (DISTILBERT["vocab_size"], 2),
        2,
    ),
}
DATA = {
    "digits": "",
    "cifar10-resnet": "cifar10_jpeg.npz",
    "bert-distilbert": ".",
}
BATCHES, LENGTH, LONGEST = (1, 8, 64), 64, 512
ROUNDS, SECONDS = 4, 0.35  # of timing each way
CALIBRATION = 16  # samples: what the int8 file answers is not asked
EIGHT = ("tensor(int8)", "tensor(uint8)")
Arrays = dict[str, np.ndarray]
Way = tuple[Callable[[], int], Callable[[], Any]]  # nanoseconds of a run on the device; from arrays to an array


@dataclass(frozen=True)
class Setup:
    """Where a piece runs: the data's folder (None: made data), the folder of what it writes, and how much is done.

    ``quick``: seconds instead of minutes, to prove the way and no figure.
    """

    data: Path | None
    out: Path
    cuda: bool
    quick: bool

    @property
    def provider(self) -> str:
        """ONNX Runtime's, that stands for the device."""
        return CUDA if self.cuda else CPU

    def target(self) -> str:
        """``ort-cuda``; without a GPU its file with the CPU's provider in the place of CUDA's."""
        if self.cuda:
            return "ort-cuda"
        file = self.out / "ort-cuda-on-cpu.toml"
        file.write_text((target_files.folder() / "ort-cuda.toml").read_text().replace(CUDA, CPU))
        return str(file)

    def settings(self, file: str) -> list[str]:
        """Of a recipe: where its data lies; none where it is to be made."""
        return [f"data.path={self.data / file}"] if file and self.data is not None and not self.quick else []


def module_of(name: str) -> torch.nn.Module:
    """A net with the weights of its seed, in evaluation mode."""
    torch.manual_seed(0)
    table, shape, classes = NETS[name]
    made: torch.nn.Module = plugins.build("models", table, name).build(shape, classes)
    return made.eval()


def seen(module: torch.nn.Module, x: Arrays) -> torch.nn.Module:
    """The same after a look at a batch: an untrained net's activations fade from layer to layer, below float16."""
    norms = [layer for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for layer in norms:
        layer.momentum = 1.0
        layer.train()
    with torch.no_grad():
        module(*(torch.from_numpy(v[:8]) for v in x.values()))
    return module.eval()


def samples(name: str, count: int) -> Arrays:
    """Inputs by name: images, or tokens of one length."""
    rng = np.random.default_rng(0)
    if name != "distilbert":
        return {"input": rng.standard_normal((count, *NETS[name][1]), dtype=np.float32)}
    ids = rng.integers(4, DISTILBERT["vocab_size"], (count, LENGTH))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def student_of(name: str) -> Student:
    """The net as it is exported, any batch."""
    x = samples(name, 8)
    specs = [
        TensorSpec(key, (None, None), str(v.dtype), longest=LONGEST)
        if v.dtype == np.int64
        else TensorSpec(key, (None, *v.shape[1:]), str(v.dtype))
        for key, v in x.items()
    ]
    return Student(seen(module_of(name), x), tuple(specs), (TensorSpec("logits", (None, NETS[name][2])),))


def floats(student: Student) -> dict[str, bytes]:
    """The float32 and the float16 file; the student's module is in float16 afterwards."""
    opset = target.load("ort-cuda").opset
    fp32 = to_onnx(student, opset=opset, metadata={})
    return {"fp32": fp32, "fp16": to_onnx(student.with_module(Half(student.module)), opset=opset, metadata={})}


def quantized(student: Student, name: str) -> bytes:
    """The int8 file in TensorRT's numerics, calibrated and not trained."""
    chosen = target.load("ort-tensorrt")
    x = samples(name, CALIBRATION)
    batches = [tuple(torch.from_numpy(v[i : i + 8]) for v in x.values()) for i in range(0, CALIBRATION, 8)]
    change = compression.passes([{"kind": "int8_ptq"}], "compress")[0].change
    finished = change.finish(change.apply(student, Context(chosen.quantized, 1, batches)))
    return to_onnx(finished, opset=chosen.opset, metadata={}, asked=chosen.passes)


def opened(setup: Setup, **options: Any) -> OrtCuda:
    """The target's backend, with some options set otherwise."""
    chosen = target.load("ort-cuda")
    backend = backends.make(chosen.backend, {**chosen.options, "provider": setup.provider, **options}, chosen.name)
    assert isinstance(backend, OrtCuda)
    return backend


def ours(backend: OrtCuda, data: bytes, x: Arrays) -> Way:
    """The target's own session, which tells its copies apart."""
    session = backend.open({"model.onnx": data})
    return lambda: session.apart(x)["compute"], lambda: next(iter(session.run(x).values()))


def of_torch(module: Callable[..., Any], device: str, x: Arrays) -> Way:
    """A torch module in float16."""
    given = [torch.from_numpy(v) for v in x.values()]
    there = [v.to(device, torch.float16 if v.is_floating_point() else v.dtype) for v in given]

    def compute() -> None:
        with torch.inference_mode():
            module(*there)
        if device == "cuda":
            torch.cuda.synchronize()

    def whole() -> Any:
        with torch.inference_mode():
            moved = [v.to(device).to(torch.float16) if v.is_floating_point() else v.to(device) for v in given]
            return module(*moved).float().cpu().numpy()

    return clocked(compute), whole


def clocked(run: Callable[[], Any]) -> Callable[[], int]:
    """The nanoseconds of a run."""

    def clock() -> int:
        started = time.perf_counter_ns()
        run()
        return time.perf_counter_ns() - started

    return clock


def timed(run: Callable[[], int], seconds: float) -> float:
    """Median milliseconds of what tells its nanoseconds."""
    taken: list[int] = []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends or len(taken) < 3:
        taken.append(run())
    return float(np.median(taken)) / 1e6


def net(setup: Setup, name: str) -> dict[str, Any]:
    """A net at every batch: what each way takes, and how far it is from the float32 file on the CPU."""
    student = student_of(name)
    files = floats(student)
    rows: dict[str, Any] = {}
    for batch in BATCHES[:1] if setup.quick else BATCHES:
        try:
            rows[str(batch)] = measured(setup, student.module, files, samples(name, batch))
        except UsageError as err:
            rows[str(batch)] = {"refused": str(err)}
        print(name, batch, rows[str(batch)].get("p50_ms", rows[str(batch)]), flush=True)
    return rows


def measured(setup: Setup, module: torch.nn.Module, files: dict[str, bytes], x: Arrays) -> dict[str, Any]:
    """One net at one batch; ``module``: in float16."""
    device, (rounds, seconds) = "cuda" if setup.cuda else "cpu", (1, 0.02) if setup.quick else (ROUNDS, SECONDS)
    first = ours(opened(setup), files["fp16"], x)  # what it refuses costs no compiling
    fast = torch.compile(module.to(device), mode="reduce-overhead", dynamic=False)
    ways = {"ours": first, "torch eager": of_torch(module, device, x), "torch.compile": of_torch(fast, device, x)}
    expected = next(iter(backends.make("ort", {}, "cpu").open({"model.onnx": files["fp32"]}).run(x).values()))
    apart = {way: float(np.abs(whole() - expected).max() / np.ptp(expected)) for way, (_, whole) in ways.items()}
    taken: dict[str, dict[str, list[float]]] = {way: {"compute": [], "whole": []} for way in ways}
    for compute, _ in ways.values():
        timed(compute, seconds)  # warm
    for _ in range(rounds):
        for way, (compute, whole) in ways.items():
            taken[way]["compute"].append(timed(compute, seconds))
            taken[way]["whole"].append(timed(clocked(whole), seconds))
    middle = {way: {part: float(np.median(ms)) for part, ms in parts.items()} for way, parts in taken.items()}
    half = target.load("ort-cuda").half
    assert half is not None
    return {"p50_ms": middle, "rounds": taken, "apart": apart, "held": apart["ours"] <= half.tolerance}


def int8(setup: Setup, name: str) -> dict[str, Any]:
    """Each of a net's files at batch 1: whether the target opens it, which operators run where, and its p50."""
    student = student_of(name)
    quantized_file = quantized(student, name)
    x = samples(name, 1)
    rows = {kind: placed(setup, data, x) for kind, data in {**floats(student), "int8": quantized_file}.items()}
    print(name, json.dumps(rows), flush=True)
    return rows


def placed(setup: Setup, data: bytes, x: Arrays) -> dict[str, Any]:
    """A file as the target opens it; what that refuses, with the CPU's help and without CUDA graphs."""
    row: dict[str, Any] = {"bytes": len(data)}
    loose = opened(setup, fallback=True, graphs=False)
    for how, backend in (("refused", opened(setup)), ("refused with the CPU", loose)):
        try:
            compute, _ = ours(backend, data, x)
            timed(compute, 0.02)  # warm
        except UsageError as err:
            row[how] = str(err)
            continue
        row["p50_ms"] = timed(compute, 0.02 if setup.quick else 2 * SECONDS)
        return row | {"ops": operators(loose, data, x)}
    return row


def operators(backend: OrtCuda, data: bytes, x: Arrays) -> dict[str, dict[str, int]]:
    """By provider, how many nodes of each operator ran, with the type that it read: ``Conv float16``."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder, "profile"))
        session = backend.compile({"model.onnx": data}, options)
        session.run(None, x)
        events = json.loads(Path(session.end_profiling()).read_text())
    counts: dict[str, Counter[str]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            ran = event["args"]
            kind = next((next(iter(port)) for port in ran["input_type_shape"] if port), "")
            counts.setdefault(ran["provider"], Counter())[f"{ran['op_name']} {kind}".strip()] += 1
    return {provider: dict(sorted(ops.items())) for provider, ops in counts.items()}


def kernels(setup: Setup) -> dict[str, Any]:
    """By operator, the 8-bit types that the provider has kernels for, as ONNX Runtime itself lists them."""
    rows: dict[str, set[str]] = {}
    for kernel in _pybind_state.get_all_opkernel_def():
        kinds = {kind for allowed in kernel.type_constraints.values() for kind in allowed if kind in EIGHT}
        if kernel.provider == setup.provider and kinds:
            rows.setdefault(kernel.op_name, set()).update(kinds)
    listed = {op: sorted(kinds) for op, kinds in sorted(rows.items())}
    return {"onnxruntime": onnxruntime.__version__, "provider": setup.provider, "eight_bits": listed}


def build(setup: Setup, recipe: str) -> dict[str, Any]:
    """A recipe built for the target: what ships there, and every candidate; or why the target refuses it."""
    try:
        request = requests.make(
            recipe,
            [setup.target()],
            setup.settings(DATA[recipe]),
            out=setup.out / "builds" / recipe,
            quick=setup.quick,
            overwrite=True,
            progress=_nets.told,
        )
        report = pipeline.run(request)
    except (ExportError, GateError) as err:
        return {"refused": str(err)}
    row: Mapping[str, Any] = next(iter(report["targets"].values()))
    keys = ("name", "size_bytes", "value_test", "latency_ms", "speedup_vs_fp32", "verdict")
    candidates = [{key: one[key] for key in keys if key in one} for one in row["candidates"]]
    stages = {stage["name"]: stage["value_test"] for stage in report["stages"]}
    about = {key: row[key] for key in ("shipped", "reason", "parity", "runtime") if key in row}
    return {**about, "metric": report["metric"], "stages": stages, "candidates": candidates}
