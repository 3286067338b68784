"""What ``pip install edgekd[ort]`` brings into an empty environment, and whether a bundle can be used there.

python benchmarks/light_install.py [EXTRA ...]        # ort, and openvino
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import _common

ROOT = Path(__file__).resolve().parents[1]
MOST = 12
TARGET = {"ort": "ort-cpu", "openvino": "openvino"}
UNWANTED = ("torch", "pydantic", "onnx", "onnxscript")
LOAD = "import edgekd, numpy, sys; m = edgekd.load(sys.argv[1]); print(m.predict(numpy.zeros((8, 8, 1), 'u1')).label)"


def said(*line: Any) -> str:
    return subprocess.run(list(map(str, line)), capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Install, count, use, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", default=["ort", "openvino"])
    given = parser.parse_args()
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        targets = [part for extra in given.extras for part in ("--target", TARGET[extra])]
        said(sys.executable, "-m", "edgekd", "build", "digits", "--quick", "--out", folder / "net", *targets)
        for extra in given.extras:
            said(sys.executable, "-m", "venv", folder / extra)
            python = folder / extra / "bin" / "python"
            said(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", f"{ROOT}[{extra}]")
            listed = json.loads(said(python, "-m", "pip", "list", "--format", "json"))
            packages = sorted(p["name"] for p in listed if p["name"] not in ("pip", "setuptools", "wheel"))
            program = folder / extra / "bin" / "edgekd"
            said(program, "verify", folder / "net")
            benched = json.loads(said(program, "bench", folder / "net", "--seconds", "0.1", "--json"))
            table[extra] = {
                "packages": packages,
                "count": len(packages),
                "within": len(packages) <= MOST and not set(packages) & set(UNWANTED),
                "benched": sorted(benched["variants"]),
                "label": said(python, "-c", LOAD, folder / "net").strip(),
            }
            print(extra, table[extra], flush=True)
    _common.write("light_install", table)


if __name__ == "__main__":
    main()
