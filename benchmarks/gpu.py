"""``ort-cuda``'s float16 file against torch in float16, eager and compiled: ResNet-20, MobileNetV2, DistilBERT.

    python benchmarks/gpu.py prepare FOLDER             # where edgekd[build] is: files and weights
    python benchmarks/gpu.py measure FOLDER [--cpu]     # where the GPU is: onnxruntime-gpu, torch, transformers
    python benchmarks/gpu.py keep FOLDER                # the result, into benchmarks/results/

Batch 1, 8 and 64, weights as they come, BatchNorm as it would have seen them. ``compute`` is a run whose inputs and
outputs lie on the device, until it is done; ``whole`` begins and ends with numpy arrays. All ways take turns in one
process. Parity is against the float32 file on the CPU: the largest difference as a share of the range of the scores.
``--cpu`` tries the script out where no GPU is; ``keep`` refuses what it measured.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from edgekd.base import host, plugins
from edgekd.base.errors import EdgekdError
from edgekd.runtime import backend as backends

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
BATCHES, LENGTH = (1, 8, 64), 64
Arrays = dict[str, np.ndarray]
Way = tuple[Callable[[], int], Callable[[], Any]]  # nanoseconds of a run on the device; from arrays to an array


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


def prepare(folder: Path) -> None:
    """The float32 and the float16 file of each net, and its weights."""
    from edgekd.build.exports import Half  # noqa: PLC0415
    from edgekd.learn.student import Student, TensorSpec  # noqa: PLC0415
    from edgekd.lower.lower import to_onnx  # noqa: PLC0415
    from edgekd.spec import target  # noqa: PLC0415  # where the GPU is, none of these can be imported

    chosen = target.load("ort-cuda")
    folder.mkdir(parents=True, exist_ok=True)
    assert chosen.half is not None
    told = {"options": chosen.options, "tolerance": chosen.half.tolerance}
    (folder / "target.json").write_text(json.dumps(told))
    for name, (_, _, classes) in NETS.items():
        x = samples(name, max(BATCHES))
        module = seen(module_of(name), x)
        specs = tuple(
            TensorSpec(key, (None, *(None if v.dtype == np.int64 else s for s in v.shape[1:])), str(v.dtype))
            for key, v in x.items()
        )
        student = Student(module, specs, (TensorSpec("logits", (None, classes)),))
        place = folder / name
        place.mkdir(exist_ok=True)
        save_file({k: v.contiguous() for k, v in module.state_dict().items()}, place / "weights.safetensors")
        (place / "fp32.onnx").write_bytes(to_onnx(student, opset=chosen.opset, metadata={}))
        half = student.with_module(Half(module))
        (place / "fp16.onnx").write_bytes(to_onnx(half, opset=chosen.opset, metadata={}))
        print(name, {p.name: p.stat().st_size for p in place.iterdir()}, flush=True)


def ours(data: bytes, options: dict[str, Any], x: Arrays) -> Way:
    """The target's own session, which tells its copies apart."""
    session = backends.make("ort_cuda", options, "ort-cuda").open({"model.onnx": data})
    return lambda: session.apart(x)["compute"], lambda: next(iter(session.run(x).values()))


def of_torch(module: torch.nn.Module, device: str, x: Arrays) -> Way:
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
    taken, ends = [], time.perf_counter() + seconds
    while time.perf_counter() < ends or len(taken) < 3:
        taken.append(run())
    return float(np.median(taken)) / 1e6


def measure(folder: Path, name: str, batch: int, cpu: bool, rounds: int, seconds: float) -> dict[str, Any]:
    """One net at one batch: what each way takes, and how far it is from the float32 file on the CPU."""
    x = samples(name, batch)
    device = "cpu" if cpu else "cuda"
    module = module_of(name)
    module.load_state_dict(load_file(folder / name / "weights.safetensors"))
    module = module.half().to(device)
    told = json.loads((folder / "target.json").read_text())
    if cpu:
        told["options"]["provider"] = "CPUExecutionProvider"
    fast = torch.compile(module, mode="reduce-overhead", dynamic=False)
    files = {kind: (folder / name / f"{kind}.onnx").read_bytes() for kind in ("fp32", "fp16")}
    ways = {
        "ours": ours(files["fp16"], told["options"], x),
        "torch eager": of_torch(module, device, x),
        "torch.compile": of_torch(fast, device, x),
    }
    wanted = next(iter(backends.make("ort", {}, "cpu").open({"model.onnx": files["fp32"]}).run(x).values()))
    apart = {way: float(np.abs(whole() - wanted).max() / np.ptp(wanted)) for way, (_, whole) in ways.items()}
    taken: dict[str, dict[str, list[float]]] = {way: {"compute": [], "whole": []} for way in ways}
    for compute, _ in ways.values():
        timed(compute, seconds)  # warm
    for _ in range(rounds):
        for way, (compute, whole) in ways.items():
            taken[way]["compute"].append(timed(compute, seconds))
            taken[way]["whole"].append(timed(clocked(whole), seconds))
    middle = {way: {part: float(np.median(ms)) for part, ms in parts.items()} for way, parts in taken.items()}
    return {"p50_ms": middle, "rounds": taken, "apart": apart, "held": apart["ours"] <= told["tolerance"]}


def keep(folder: Path) -> None:
    """The result of another machine."""
    import _common  # noqa: PLC0415

    found = json.loads((folder / "measured.json").read_text())
    if found["on"] != "cuda":
        raise SystemExit("measured with --cpu: no result")
    (_common.RESULTS / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")


def measure_all(folder: Path, cpu: bool, rounds: int, seconds: float) -> None:
    """Every net at every batch; what is known so far is written after each."""
    command = f"python benchmarks/gpu.py measure FOLDER --rounds {rounds} --seconds {seconds}"
    record: dict[str, Any] = {"command": command, "host": host.facts()}
    record |= {"torch": torch.__version__, "on": "cpu" if cpu else "cuda", "nets": {}}
    for name in NETS:
        for batch in BATCHES:
            try:
                row = measure(folder, name, batch, cpu, rounds, seconds)
            except EdgekdError as err:
                row = {"refused": str(err)}
            record["nets"].setdefault(name, {})[str(batch)] = row
            (folder / "measured.json").write_text(json.dumps(record))
            print(name, batch, row.get("p50_ms"), row.get("apart", row), flush=True)


def main() -> None:
    """Prepare, measure, or keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("prepare", "measure", "keep"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    given = parser.parse_args()
    if given.do == "prepare":
        prepare(given.folder)
    elif given.do == "measure":
        measure_all(given.folder, given.cpu, given.rounds, given.seconds)
    else:
        keep(given.folder)


if __name__ == "__main__":
    main()
