"""What OpenVINO answers, in a process whose instruction set is forced: ``python _openvino_answers.py FOLDER``.

Each ``NAME.onnx`` of the folder, on ``NAME.npz``'s inputs, in batches of 1, 2, 7 and 64, into ``NAME.out.npz``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgekd.runtime import batches
from edgekd.runtime.backends.openvino.backend import Openvino

BATCHES = (1, 2, 7, 64)


def main(folder: Path) -> None:
    backend = Openvino()
    for file in sorted(folder.glob("*.onnx")):
        with np.load(file.with_suffix(".npz")) as kept:
            inputs = dict(kept)
        found = {}
        for batch in BATCHES:
            session = backend.open({"model.onnx": file.read_bytes()}, batch=batch)
            found[str(batch)] = next(iter(batches.run(session, inputs, batch).values()))
        np.savez(file.with_suffix(".out.npz"), **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
