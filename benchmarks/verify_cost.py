"""What it costs to open a stranger's bundle in a child: verify, bench and load of an earlier revision and of this one.

    git worktree add /tmp/before REVISION
    python benchmarks/verify_cost.py BUNDLE /tmp/before [--pairs 12]

Both in turns, each in a fresh process from the same environment; the pair's order changes. ``load`` is the shortest of
seven in one process, behind one that imports the runtime. Wall time is that of a machine with nothing else to do only
where there is nothing else (``load`` of 1, 5 and 15 minutes tells); CPU time is told beside it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import _common

HERE = Path(__file__).parent.parent
LOAD = """
import sys, time, edgekd
def load():
    began = time.perf_counter()
    edgekd.load(sys.argv[1], target=sys.argv[2])
    return time.perf_counter() - began
load()  # imports the runtime
print(min(load() for _ in range(7)))
"""
LINES: dict[str, list[str]] = {
    "verify": ["-m", "edgekd", "verify", "{bundle}"],
    "bench": ["-m", "edgekd", "bench", "{bundle}", "--seconds", "0.1"],
    "inspect": ["-m", "edgekd", "inspect", "{bundle}"],
    "load ort-cpu": ["-c", LOAD, "{bundle}", "ort-cpu"],
    "load openvino": ["-c", LOAD, "{bundle}", "openvino"],
}


def seconds(line: list[str], source: Path) -> tuple[float, float]:
    """Of a whole process, or what it printed where it timed a part of itself; and its CPU time, with its children's."""
    env = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-P", *line], env=env, capture_output=True, text=True, check=False)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode:
        raise SystemExit(f"{line} of {source}: {done.returncode}: {done.stderr[-500:]}")
    return (float(done.stdout) if line[0] == "-c" else took), cpu


def compared(line: list[str], before: Path, pairs: int) -> dict[str, Any]:
    """Medians of each in seconds, and of the differences of pairs, with their quartiles; also of CPU time."""
    taken: dict[str, list[tuple[float, float]]] = {"before": [], "after": []}
    sources = {"before": before, "after": HERE}
    for name in sources:
        seconds(line, sources[name])  # the disk's cache, and the compiled modules
    for i in range(pairs):
        for name in sorted(sources, reverse=bool(i % 2)):
            taken[name].append(seconds(line, sources[name]))
    row: dict[str, Any] = {"seconds": {name: [round(took, 4) for took, _ in times] for name, times in taken.items()}}
    for kind, place in (("wall", 0), ("cpu", 1)):
        times = {name: [both[place] for both in found] for name, found in taken.items()}
        more = [after - earlier for earlier, after in zip(times["before"], times["after"], strict=True)]
        low, _, high = statistics.quantiles(more, n=4)
        middle = {name: statistics.median(found) for name, found in times.items()}
        row[kind] = {**middle, "more": statistics.median(more), "quartiles": [low, high]}
    return row


def main() -> None:
    """Every command in turns; a table, and its JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("before", type=Path, help="a checkout of the earlier revision")
    parser.add_argument("--pairs", type=int, default=12)
    given = parser.parse_args()
    before = given.before.resolve()
    asked = ["git", "-C", str(before), "rev-parse", "--short", "HEAD"]
    earlier = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    rows = {}
    for name, parts in LINES.items():
        line = [part.replace("{bundle}", str(given.bundle.resolve())) for part in parts]
        rows[name] = compared(line, before, given.pairs)
        for kind in ("wall", "cpu"):
            told = {key: f"{rows[name][kind][key]:.3f}" for key in ("before", "after", "more")}
            print(f"{name}, {kind}: {told['before']} s, now {told['after']} s, {told['more']} s more", flush=True)
    _common.write("verify_cost", {"before": earlier, "load": os.getloadavg(), "pairs": given.pairs, "commands": rows})


if __name__ == "__main__":
    main()
