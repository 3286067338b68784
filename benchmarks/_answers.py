"""A worker of ``random_nets.py``: numpy and the runtimes, no torch. Its ISA is forced by its environment.

Each line on standard input is a job; for each, one line back: ``{"ok": true}``, or ``{"error": why}``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.base.errors import EdgekdError
from edgekd.runtime import backend as backends
from edgekd.runtime import batches


def answer(job: dict[str, Any]) -> None:
    """Every sample in batches of each size, each size compiled for itself as an app would; into ``out``."""
    backend = backends.make(job["backend"], {}, "job")
    files = {Path(path).name: Path(path).read_bytes() for path in job["files"]}
    with np.load(job["inputs"]) as kept:
        inputs = dict(kept)
    found = {}
    for batch in job["batches"]:
        session = backend.open(files, batch=batch)
        found[f"b{batch}"] = next(iter(batches.run(session, inputs, batch).values()))
    np.savez(job["out"], **found)


if __name__ == "__main__":
    for line in sys.stdin:
        try:
            answer(json.loads(line))
            reply: dict[str, Any] = {"ok": True}
        except EdgekdError as err:
            reply = {"error": str(err)}
        print(json.dumps(reply), flush=True)
