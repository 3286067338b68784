"""One virtual environment a peer, made with pip by package name; what does not install or import stays as a reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# The versions that our own files are made and measured with hold for the peers, too: runtimes, exporter and torch.
RUNTIMES = ("onnxruntime", "openvino", "onnx")
TORCH = ("torch", "torchao", "onnx-ir", "onnxscript", "numpy", "safetensors", "transformers", "tokenizers")
PINNED = (*RUNTIMES, *TORCH, "nncf")
# Nothing is sent or fetched; a peer that would is without a network besides (see ``quantize``).
QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "OLIVE_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_OFFLINE": "1",
}


@dataclass(frozen=True)
class Environment:
    """What one environment holds.

    Attributes:
        packages: as pip takes them.
        imports: the statement that must run; what it raises is the reason why a peer is "not installable here".
        removed: packages that are taken out again, and why that is needed.
        free: packages of ``PINNED`` whose version is the peer's own choice.
    """

    packages: tuple[str, ...]
    imports: str
    removed: tuple[str, ...] = ()
    free: tuple[str, ...] = ()


TELEMETRY = "openvino-telemetry"  # NNCF and OpenVINO's tools go on without it
TORCHVISION = "torchvision"  # built for CUDA: it does not import beside the CPU build of torch
ONNX = ("onnx", "onnxruntime", "sympy")
NETWORKS = (
    "torch",
    "onnx",
    "onnxscript",
    "numpy",
    "safetensors",
    "transformers",
)  # to build and export a float network
# Behind a peer's own name stand packages that it imports and does not ask pip for.
ENVIRONMENTS = {
    "onnxruntime": Environment(ONNX, "import onnxruntime.quantization"),
    "nncf": Environment(("nncf", "openvino", *ONNX), "import nncf, openvino", (TELEMETRY,)),
    "olive": Environment(("olive-ai", "requests", *ONNX), "import olive.workflows"),
    "neural_compressor": Environment(
        ("neural-compressor", "torchao", "psutil", "py-cpuinfo", "prettytable", "pydantic", *NETWORKS),
        "import neural_compressor.torch.quantization",
    ),
    "onnx_neural_compressor": Environment(
        ("onnx-neural-compressor", "prettytable", "scipy", "torch", *ONNX),
        "from onnx_neural_compressor.quantization import quantize",
        free=("numpy",),
    ),
    "optimum": Environment(
        ("optimum[openvino]", "torch", "onnx"),
        "from optimum.intel import OVQuantizer, OVModelForSequenceClassification",
        (TELEMETRY, TORCHVISION),
        free=("transformers", "tokenizers"),
    ),
    "torchao": Environment(("torchao", *NETWORKS), "import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer"),
    "fasterai": Environment(
        ("fasterai", "onnxruntime", *NETWORKS), "import fasterai.quantize.all, fasterai.export.all", (TORCHVISION,)
    ),
}


def pins(free: tuple[str, ...]) -> list[str]:
    """The lines of ``constraints.txt`` that hold for a peer."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if (name := line.partition("==")[0]) in PINNED and name not in free]


def python_of(folder: Path, name: str) -> Path:
    """The interpreter of an environment."""
    return folder / name / "bin" / "python"


def _run(command: list[str], log: Path) -> str:
    """Run a command; what it prints goes into ``log``. Empty where it passed, else the last line that says why not."""
    with log.open("a", encoding="utf-8") as out:
        out.write(f"$ {' '.join(command)}\n")
        out.flush()
        quiet = os.environ | QUIET
        code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, env=quiet, check=False).returncode
    if code == 0:
        return ""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or line.startswith("ERROR")]
    return (errors or lines)[-1].strip()[:300]


def make(folder: Path, name: str) -> dict[str, Any]:
    """Make one environment, or say why there is none.

    Returns:
        ``seconds`` of pip, ``packages`` with their versions, ``removed``, and ``error``: empty where it can be used.
    """
    asked = ENVIRONMENTS[name]
    log = folder / f"{name}.log"
    log.unlink(missing_ok=True)
    constraints = folder / f"{name}.constraints.txt"
    constraints.write_text("\n".join([*pins(asked.free), ""]), encoding="utf-8")
    python = str(python_of(folder, name))
    started = time.monotonic()
    error = _run([sys.executable, "-m", "venv", "--clear", str(folder / name)], log)
    pip = [python, "-m", "pip"]
    error = error or _run([*pip, "install", "--quiet", "-c", str(constraints), *asked.packages], log)
    if asked.removed:
        error = error or _run([*pip, "uninstall", "--quiet", "--yes", *asked.removed], log)
    took = time.monotonic() - started
    error = error or _run([python, "-c", asked.imports], log)
    listing = subprocess.run([*pip, "list", "--format=json"], capture_output=True, text=True, check=False).stdout
    packages = {row["name"]: row["version"] for row in json.loads(listing or "[]")}
    return {"seconds": round(took, 1), "removed": asked.removed, "error": error, "packages": packages}


def make_all(folder: Path, names: list[str]) -> None:
    """Make what is not there yet; ``FOLDER/NAME.json`` says how it went."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ENVIRONMENTS:
        row = folder / f"{name}.json"
        if not row.is_file() or names:
            facts = make(folder, name)
            row.write_text(json.dumps(facts, indent=1), encoding="utf-8")
            print(f"{name}: {facts['error'] or 'ready'}, {facts['seconds']:.0f} s", flush=True)
