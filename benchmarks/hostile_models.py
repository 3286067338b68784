"""Models changed at random, with hashes that fit, verified: who asks must live, be told, and never wait.

    python benchmarks/hostile_models.py BUNDLE [--count 5000] [--state FILE]

BUNDLE: a build of digits for ort-cpu and openvino. Every piece is one of its models, or one with a loop, changed in
bytes or in structure (operators, edges, attributes, sizes, versions, tensors of any size), with limits of 1 GB and 4 s.
The same command goes on where it was stopped; a piece at which the parent died is counted and passed over.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import _common

HERE = Path(__file__).parent
DEADLINE = 4.0 + 3.0  # seconds of the child, and some for the parent


def done(state: Path) -> tuple[list[dict[str, Any]], int, int]:
    """The pieces so far, the next one, and at how many the parent died."""
    rows, begun, deaths = [], -1, 0
    for line in state.read_text(encoding="utf-8").splitlines() if state.is_file() else ():
        row = json.loads(line)
        if "begun" not in row:
            rows.append(row)
        begun = row.get("begun", begun)
    deaths = begun + 1 - len(rows)
    return rows, begun + 1, deaths


def summary(rows: list[dict[str, Any]], deaths: int) -> dict[str, Any]:
    """Counts by kind of change, and what may not be: deaths of the parent, and hangs."""
    kinds = sorted({row["of"] for row in rows})
    told = {kind: dict(Counter(row["outcome"] for row in rows if row["of"] == kind).most_common()) for kind in kinds}
    times = sorted(row["seconds"] for row in rows)
    return {
        "pieces": len(rows),
        "parent_died": deaths,
        "hangs": sum(seconds > DEADLINE for seconds in times),
        "outcomes": dict(Counter(row["outcome"] for row in rows).most_common()),
        "by_change": told,
        "seconds": {"median": times[len(times) // 2], "longest": times[-1]},
    }


def main() -> None:
    """All pieces; exit 1 where a parent died or a piece hung."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--state", type=Path, default=Path("hostile_models.state"))
    parser.add_argument("--no-result", action="store_true")
    given = parser.parse_args()
    while (found := done(given.state))[1] < given.count:
        line = [sys.executable, str(HERE / "_hostile.py"), str(given.bundle), str(given.state)]
        code = subprocess.run([*line, str(found[1]), str(given.count)], check=False).returncode
        print(f"ended with {code} at piece {done(given.state)[1] - 1}", flush=True)
        if done(given.state)[1] == found[1]:
            raise SystemExit("not one piece was begun")
    told = summary(found[0], found[2])
    print(json.dumps({key: told[key] for key in ("pieces", "parent_died", "hangs", "outcomes", "seconds")}))
    if not given.no_result:
        _common.write("hostile_models", told)
    sys.exit(1 if told["parent_died"] or told["hangs"] else 0)


if __name__ == "__main__":
    main()
