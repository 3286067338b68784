"""One bundle on older and newer runtimes: equal decisions, or ``edgekd.load`` refuses.

Three students (a CNN, an MLP with equal biases, a DistilBERT of made texts), in int8, are built with this environment's
runtimes and opened in an environment of each version below, which pip brings.

python benchmarks/runtimes.py FOLDER          # the environments are kept there
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import _common
import _small
import numpy as np
import torch
from torch import nn

import edgekd
from edgekd.build import request as requests
from edgekd.learn.data import loaded

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = {
    "onnxruntime": ("1.20.1", "1.22.1", "1.24.4", "1.28.0", "1.31.1"),
    "openvino": ("2025.0.0", "2025.2.0", "2025.4.1", "2026.2.1", "2026.4.1"),
}
TARGET = {"onnxruntime": "ort-cpu", "openvino": "openvino"}
SAMPLES = 200
SHIPS = ("budget.max_drop=1.0", "budget.prefer=size")  # int8, on every target


def build(folder: Path) -> dict[str, tuple[Path, Path]]:
    """The bundles, and raw samples for each."""
    ptq = {"compress": [{"kind": "int8_ptq"}], "budget": {"max_drop": 1.0, "prefer": "size"}}
    made = {}
    for name, recipe, quick, own in (("digits", "digits", False, ()), ("texts", "bert-distilbert", True, _small.TEXTS)):
        out, settings = folder / name, [*SHIPS, *own]
        order = requests.make(recipe, list(TARGET.values()), settings, quick=quick)
        line = [sys.executable, "-m", "edgekd", "build", recipe, "--overwrite", "--out", str(out)]
        line += ["--quick"] * quick
        line += [part for target in TARGET.values() for part in ("--target", target)]
        subprocess.run([*line, *_small.line_of(settings)], check=True, cwd=ROOT)
        raw = loaded(order.source).test.x[:SAMPLES]
        file = folder / (f"{name}.txt" if raw.dtype == object else f"{name}.npy")
        if raw.dtype == object:
            file.write_text("\n".join(str(text).replace("\n", " ") for text in raw), encoding="utf-8")
        else:
            np.save(file, raw)
        made[name] = (out, file)
    rng, out = np.random.default_rng(0), folder / "mlp"
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 6))
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.bias, 0.5)  # one value everywhere: what OpenVINO's kernels took for no bias
    x = rng.normal(size=(600, 64)).astype(np.float32)
    y = np.arange(600) % 6
    data = tuple((x[a:b], y[a:b]) for a, b in ((0, 200), (200, 400), (400, 600)))
    table = {**ptq, "name": "mlp", "student": {"from_teacher": [], "epochs": 0}}
    edgekd.build(table, teacher=net, data=data, targets=list(TARGET.values()), out=out, overwrite=True)
    np.save(folder / "mlp.npy", x[400:])
    made["mlp"] = (out, folder / "mlp.npy")
    return made


def environment(folder: Path, runtime: str, version: str) -> Path:
    """The Python of an environment that holds one version of one runtime."""
    place = folder / f"{runtime}-{version}"
    python = place / "bin" / "python"
    if not (place / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", f"{runtime}=={version}"], check=True)
        (place / "done").touch()
    return python


def asked(python: Path, bundle: Path, target: str, samples: Path) -> dict[str, Any]:
    """What a fresh process in an environment predicts."""
    line = [str(python), str(ROOT / "benchmarks" / "_ask.py"), str(bundle), target, str(samples)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:300]}
    document: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return document


def row(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """One version's answers against those of the version that built it."""
    if "index" not in found:
        return found | {"held": "refused" in found}
    equal = [a == b for a, b in zip(found["index"], wanted["index"], strict=True)]
    alike = [a == b for a, b in zip(found["together"], found["index"], strict=True)]
    worst = max(abs(a - b) for a, b in zip(found["score"], wanted["score"], strict=True))
    share = sum(equal) / len(equal)
    return {
        "answers": len(set(found["index"])),
        "equal": share,
        "one_by_one_as_together": sum(alike) / len(alike),
        "max_score_diff": worst,
        "held": share == 1,
    }


def main() -> None:
    """Build, install, ask, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    table: dict[str, Any] = {}
    bundles = build(folder)
    for runtime, versions in VERSIONS.items():
        pythons = {version: environment(folder, runtime, version) for version in versions}
        for name, (bundle, samples) in bundles.items():
            said = {version: asked(python, bundle, TARGET[runtime], samples) for version, python in pythons.items()}
            for version, found in said.items():
                line = row(found, said[versions[-1]])
                table.setdefault(f"{runtime} {version}", {})[name] = line
                print(runtime, version, name, line, flush=True)
    held = all(line["held"] for rows in table.values() for line in rows.values())
    _common.write("runtimes", {"samples": SAMPLES, "runtimes": table, "held": held})
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
