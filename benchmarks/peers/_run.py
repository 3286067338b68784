"""One peer on one net, in the peer's own environment: ``python -m peers._run MODULE PEER NET_FOLDER OUT``.

``MODULE`` of this folder has ``PEERS``: by name, a function of a net's folder that gives the files of the int8 network.
They go into OUT beside ``made.json``: seconds without imports, and what went wrong.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from peers import _samples


def reason(err: BaseException) -> str:
    """An error as one line: its type and its first line that says something."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return f"{type(err).__name__}: {lines[0][:300]}" if lines else type(err).__name__


def main(module: str, peer: str, place: Path, out: Path) -> None:
    """Run it; whatever another's program raises is a result."""
    row: dict[str, Any] = {"seconds": None, "error": ""}
    try:
        quantize = importlib.import_module(f"peers.{module}").PEERS[peer]
        folder = _samples.Folder(place)
        started = time.monotonic()
        files = quantize(folder)
        row["seconds"] = round(time.monotonic() - started, 2)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except (Exception, SystemExit) as err:  # noqa: BLE001
        traceback.print_exc()
        row["error"] = reason(err)
    _samples.keep(out / "made.json", row)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
