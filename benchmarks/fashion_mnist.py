"""Fashion-MNIST, the whole flow: a teacher of at least 92 %, an int8 student within a point and a tenth of its size.

    python benchmarks/fashion_mnist.py --data FOLDER [--train-teacher] [--seed 0]

FOLDER holds fashion_mnist.npz. The teacher is read from ``checkpoints/`` unless ``--train-teacher`` is given. The build
is resumable: run the same command again after an interruption.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import _common

CHECKPOINT = Path(__file__).parent / "checkpoints" / "fashion_mnist_teacher.safetensors"


def main() -> None:
    """Build, check the three claims, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train-teacher", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    settings = [f"data.path={given.data / 'fashion_mnist.npz'}", f"seed={given.seed}"]
    if not given.train_teacher:
        settings.append(f"teacher.checkpoint={CHECKPOINT}")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "edgekd", "build", "fashion-mnist", "--json", "--out", f"{folder}/out"]
        for setting in settings:
            command += ["--set", setting]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(done.returncode)
    report = json.loads(done.stdout)
    teacher = next(stage for stage in report["stages"] if stage["name"] == "teacher")
    held = {"teacher_at_least_0.92": teacher["value_test"] >= 0.92}
    for name, target in report["targets"].items():
        ships = next(c for c in target["candidates"] if c["name"] == target["shipped"])
        held |= {
            f"{name}: int8 ships": ships["name"] == "int8",
            f"{name}: at most 1.0 point below the teacher": teacher["value_test"] - ships["value_test"] <= 0.01,
            f"{name}: at most a tenth of the teacher's size": ships["size_bytes"] <= teacher["size_bytes"] / 10,
        }
    report.pop("details")
    _common.write(f"fashion_mnist_seed{given.seed}", {"seed": given.seed, "held": held, "report": report})
    print(json.dumps(held, indent=1))
    sys.exit(0 if all(held.values()) else 1)


if __name__ == "__main__":
    main()
