"""Every primitive that writes, or reads the cache: SIGKILL and faults at each of its file-system calls.

What is counted: half of something seen, wrong bytes taken for right, a next run that does not end as the undisturbed
one, something left over after that, and exceptions that are none of edgekd's.

    python benchmarks/primitive_faults.py [--count 20000]       # of each kind; some minutes on a memory disk

A second run goes on where the first was stopped (``--again`` starts anew).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import _faults
import _primitives

from edgekd.base import disk

KINDS = ("kill", "ENOSPC", "EIO", "EACCES", "EMFILE", *_faults.OF_WRITES)
MORE = [kind for kind in _faults.ERRORS if kind not in KINDS]  # a twentieth of the others


def seed_of(seed: int, wanted: dict[str, int], tally: _faults.Tally, base: Path) -> None:
    """All kinds at all calls of every primitive, over the files of a seed."""
    disk._CHUNK = 1 << 20 if seed % 2 else 1000  # files of one write, or of several
    for number, primitive in enumerate(_primitives.drawn(seed)):
        root = base / f"{seed}.{number}"
        root.mkdir()
        counted = _faults.calls_of(primitive, root, _primitives.PARTS)
        shutil.rmtree(root)
        for kind, most in wanted.items():
            for at in _faults.points(counted, kind):
                if tally.tries.get(kind, 0) >= most:
                    break
                root.mkdir()
                _faults.try_one(primitive, root, kind, at, tally, _primitives.PARTS)
                shutil.rmtree(root)


def main() -> None:
    """Try, count, write; exit 1 where something was not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="of each kind")
    parser.add_argument("--again", action="store_true", help="forget what an earlier run counted")
    parser.add_argument("--no-result", action="store_true")
    given = parser.parse_args()
    wanted = {**dict.fromkeys(KINDS, given.count), **dict.fromkeys(MORE, given.count // 20)}
    kept = Path(__file__).parent / "work" / f"primitive_faults-{given.count}.json"
    state: dict[str, Any] = {"seed": 0, "seconds": 0.0, "tally": {}}
    if kept.is_file() and not given.again:
        state = json.loads(kept.read_text())
    tally, seed, before = _faults.Tally(**state["tally"]), state["seed"], state["seconds"]
    started = time.monotonic()
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="edgekd-faults-", dir=memory) as name:
        while any(tally.tries.get(kind, 0) < most for kind, most in wanted.items()):
            seed_of(seed, wanted, tally, Path(name))
            seed += 1
            seconds = before + time.monotonic() - started
            disk.replace_file(kept, json.dumps({"seed": seed, "seconds": seconds, "tally": asdict(tally)}).encode())
            print(f"seed {seed}: {sum(tally.tries.values())} tries, {tally.wrong} wrong, {seconds:.0f} s", flush=True)
    if not given.no_result:
        import _common  # noqa: PLC0415  # torch is not needed before

        table = {"primitives": [one.name for one in _primitives.drawn(0)], "seeds": seed, "seconds": round(seconds)}
        _common.write("primitive_faults", {**table, **asdict(tally)})
    kept.unlink()
    sys.exit(1 if tally.wrong else 0)


if __name__ == "__main__":
    main()
