"""A bundle on an emulated ARM64 machine: does it say there what it says here?

    sh benchmarks/arm64.sh FOLDER        # once
    python benchmarks/arm64.py FOLDER [--samples 360]

Two digits bundles, one that ships int8 and one that ships fp32, for ONNX Runtime and OpenVINO, each unchanged; the
runtime part of edgekd runs there on aarch64 wheels. Predictions of test samples, and golden inputs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import _common
import numpy as np
from outside import TARGETS, made

import edgekd
from edgekd.learn.data.digits import Digits

THERE = """
import json, platform, sys
import numpy as np, edgekd
from edgekd.runtime import opening
bundle, samples, out, targets = sys.argv[1], np.load(sys.argv[2]), sys.argv[3], sys.argv[4:]
told = {"machine": platform.machine(), "verify": edgekd.verify(bundle)}
for target in targets:
    model = edgekd.load(bundle, target=target)
    scores = [model.predict(sample).scores for sample in samples]
    np.save(f"{out}/{target}.npy", np.array(scores, np.float32))
print(json.dumps(told, default=str))
"""


def asked(line: list[str], bundle: Path, samples: np.ndarray, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a Python says of a bundle's targets to samples: facts, and (N, C) scores by target."""
    folder.mkdir(parents=True)
    np.save(folder / "samples.npy", samples)
    line = [*line, "-c", THERE, str(bundle), str(folder / "samples.npy"), str(folder), *TARGETS]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1]), {name: np.load(folder / f"{name}.npy") for name in TARGETS}


def main() -> None:
    """Build, ask here and there, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=360)
    given = parser.parse_args()
    samples = Digits().load().test.x[: given.samples]
    root = Path(edgekd.__file__).parents[1]
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for kind in ("int8", "fp32"):
            bundle = made(Path(name), kind)
            there = ["env", f"PYTHONPATH={root}", str(given.folder.resolve() / "python")]
            told, scores = asked(there, bundle, samples, Path(name, "there", kind))
            here = {t: edgekd.load(bundle, target=t) for t in TARGETS}
            for target, model in here.items():
                wanted = np.array([p.scores for p in model.predict(samples)], np.float32)
                row = {
                    "equal_predictions": float((wanted.argmax(1) == scores[target].argmax(1)).mean()),
                    "largest_difference_of_probabilities": float(np.abs(wanted - scores[target]).max()),
                }
                table.setdefault(kind, {})[target] = row
                print(kind, target, row, flush=True)
            table[kind]["there"] = told
    _common.write("arm64", {"samples": len(samples), "emulator": "qemu-aarch64 -cpu neoverse-n1", "bundles": table})


if __name__ == "__main__":
    main()
