"""Run every peer on every net, each in its own environment and process; a row a file says what came of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers import _samples, environments

BENCHMARKS = Path(__file__).parents[1]
LATE = 1800.0  # seconds that a peer may take for one net


@dataclass(frozen=True)
class Peer:
    """Who quantizes.

    Attributes:
        title: what a table calls it.
        environment: where it runs.
        module: of this folder, which says how it is called.
        target: the runtime that its file aims at.
    """

    title: str
    environment: str
    module: str
    target: str


PEERS = {
    "ort_static": Peer("ONNX Runtime, static", "onnxruntime", "with_onnxruntime", "ort-cpu"),
    "ort_dynamic": Peer("ONNX Runtime, dynamic", "onnxruntime", "with_onnxruntime", "ort-cpu"),
    "olive": Peer("Olive", "olive", "with_olive", "ort-cpu"),
    "onnx_neural_compressor": Peer(
        "Neural Compressor for ONNX", "onnx_neural_compressor", "with_onnx_neural_compressor", "ort-cpu"
    ),
    "neural_compressor": Peer("Neural Compressor 3 (torch)", "neural_compressor", "with_neural_compressor", "ort-cpu"),
    "torchao": Peer("torchao PT2E", "torchao", "with_torchao", "ort-cpu"),
    "fasterai": Peer("fasterai", "fasterai", "with_fasterai", "ort-cpu"),
    "nncf": Peer("NNCF, PTQ", "nncf", "with_nncf", "openvino"),
    "nncf_acq": Peer("NNCF, accuracy control", "nncf", "with_nncf", "openvino"),
    "optimum": Peer("optimum-intel", "optimum", "with_optimum", "openvino"),
}


def _alone() -> list[str]:
    """What a command is put behind so that it has no network, where this machine lets us."""
    alone = ["unshare", "--net"]
    if shutil.which("unshare") and subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0:
        return alone
    return []


def files_of(folder: Path, net: str, peer: str) -> Path:
    """Where the files of a peer lie."""
    return folder / "made" / net / peer


def run(folder: Path, environment_folder: Path, net: str, name: str) -> dict[str, Any]:
    """One peer on one net: seconds, versions, and what went wrong; its files lie under ``made/``."""
    peer, out = PEERS[name], files_of(folder, net, name)
    installed = environment_folder / f"{peer.environment}.json"
    facts = json.loads(installed.read_text(encoding="utf-8")) if installed.is_file() else {"error": "not made here"}
    row = {"net": net, "peer": name, "target": peer.target, "versions": facts.get("packages", {}), "seconds": None}
    if facts["error"]:
        return row | {"error": f"not installable here: {facts['error']}"}
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    python = str(environments.python_of(environment_folder.resolve(), peer.environment))
    command = [*_alone(), python, "-m", "peers._run", peer.module, name, str((folder / "nets" / net).resolve()), "."]
    paths = os.pathsep.join([str(BENCHMARKS), str(BENCHMARKS.parent)])
    variables = os.environ | environments.QUIET | {"PYTHONPATH": paths}
    with (out / "log.txt").open("w", encoding="utf-8") as log:
        try:
            code = subprocess.run(
                command, cwd=out, env=variables, stdout=log, stderr=subprocess.STDOUT, timeout=LATE, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            return row | {"error": f"took longer than {LATE:.0f} s"}
    told = out / "made.json"
    if not told.is_file():
        return row | {"error": f"its process ended with code {code}"}
    return row | json.loads(told.read_text(encoding="utf-8"))


def run_all(folder: Path, environment_folder: Path, nets: Sequence[str], peers: Sequence[str]) -> None:
    """Every pair that has no row yet; those that are named are run again."""
    again = len(peers) < len(PEERS)
    for net in nets:
        if not (folder / "nets" / net / "net.json").is_file():
            print(f"{net}: not prepared", flush=True)
            continue
        for name in peers:
            file = folder / "rows" / net / f"{name}.json"
            if file.is_file() and not again:
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            row = run(folder, environment_folder, net, name)
            _samples.keep(file, row)
            print(f"{net}, {name}: {row['error'] or str(row['seconds']) + ' s'}", flush=True)
