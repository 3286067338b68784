"""Run every peer on every net, each in its own environment and process; a row a file says what came of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
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
        package: whose version a table tells.
        environment: where it runs.
        module: of this folder, which says how it is called.
        target: the runtime that its file aims at.
    """

    title: str
    package: str
    environment: str
    module: str
    target: str


def _peer(title: str, package: str, name: str, target: str = "ort-cpu") -> Peer:
    return Peer(title, package, name, f"with_{name}", target)


PEERS = {
    "ort_static": _peer("ONNX Runtime, static", "onnxruntime", "onnxruntime"),
    "ort_dynamic": _peer("ONNX Runtime, dynamic", "onnxruntime", "onnxruntime"),
    "olive": _peer("Olive", "olive-ai", "olive"),
    "onnx_neural_compressor": _peer("Neural Compressor for ONNX", "onnx-neural-compressor", "onnx_neural_compressor"),
    "neural_compressor": _peer("Neural Compressor 3", "neural-compressor", "neural_compressor"),
    "torchao": _peer("torchao PT2E", "torchao", "torchao"),
    "fasterai": _peer("fasterai", "fasterai", "fasterai"),
    "nncf": _peer("NNCF, PTQ", "nncf", "nncf", "openvino"),
    "nncf_acq": _peer("NNCF, accuracy control", "nncf", "nncf", "openvino"),
    "optimum": _peer("optimum-intel", "optimum-intel", "optimum", "openvino"),
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


def version(package: str, environment: Mapping[str, Any]) -> str:
    """A package with its version, as an environment has it; pip writes names with dashes or with underscores."""
    known = {name.replace("_", "-").lower(): number for name, number in environment.get("packages", {}).items()}
    return f"{package} {known.get(package, '')}".strip()


def run(folder: Path, environment_folder: Path, net: str, name: str) -> dict[str, Any]:
    """One peer on one net: seconds, version, and what went wrong; its files lie under ``made/``."""
    peer, out = PEERS[name], files_of(folder, net, name)
    installed = environment_folder / f"{peer.environment}.json"
    facts = json.loads(installed.read_text(encoding="utf-8")) if installed.is_file() else {"error": "not made here"}
    row = {"net": net, "peer": name, "version": version(peer.package, facts), "seconds": None}
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
