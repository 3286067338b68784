"""What OpenVINO answers, in a process whose instruction set is forced: ``python _openvino_answers.py FOLDER``.

Each ``NAME.onnx`` of the folder, on ``NAME.npz``'s inputs, in batches of 1, 2, 7 and 64, into ``NAME.out.npz``: an
array for each batch and output, ``64 y``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.runtime import batches
from edgekd.runtime.backends.openvino.backend import Openvino

BATCHES = (1, 2, 7, 64)


def main(folder: Path) -> None:
    backend = Openvino()
    for file in sorted(folder.glob("*.onnx")):
        with np.load(file.with_suffix(".npz")) as kept:
            inputs = dict(kept)
        answers: dict[str, Any] = {}
        for batch in BATCHES:
            session = backend.open({"model.onnx": file.read_bytes()}, batch=batch)
            answers |= {f"{batch} {name}": y for name, y in batches.run(session, inputs, batch).items()}
        np.savez(file.with_suffix(".out.npz"), **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
