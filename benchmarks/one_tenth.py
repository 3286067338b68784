"""The recipe ``one-tenth`` on CIFAR-10: its candidates and what each stage cost. One seed.

    python benchmarks/one_tenth.py --data FOLDER

The teacher is the ResNet-20 of ``cifar_nets.py``. The curves and the
picture of the trade-off stand in the report of the bundle that ``edgekd build one-tenth`` makes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import _common
import _nets

from edgekd import pipeline
from edgekd.build import request as requests


def main() -> None:
    """Build, and write what the report says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    checkpoint = _nets.CHECKPOINTS / "cifar_resnet20_seed0.safetensors"
    settings = [f"data.path={given.data / 'cifar10_jpeg.npz'}", f"teacher.checkpoint={checkpoint}"]
    with tempfile.TemporaryDirectory() as folder:
        order = requests.make("one-tenth", [], settings, out=Path(folder, "out"), progress=_nets.told)
        report = pipeline.run(order)
    contract = {key: value for key, value in report.items() if key != "details"}
    _common.write("one_tenth_seed0", {"report": contract, "attribution": report["details"]["attribution"]})


if __name__ == "__main__":
    main()
