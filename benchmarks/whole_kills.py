"""SIGKILL at file-system calls of whole builds, searches, verifies and benches; then the same command again.

The call is drawn by the kill's number, evenly over all calls of an undisturbed run, and two times in three over those
that write; now and then it is one of the command's children that dies. Counted: half a bundle at ``--out`` after the
kill, a second run that does not end with the bytes of an undisturbed one (``kills.content``), and what it leaves over.

    python benchmarks/whole_kills.py [--share 1.0] [--only CASE] [--no-fresh]

``--share``: of the kills of each case (``COUNTS``, 325 in all). The runs are forks of one process, see ``_whole.py``;
unless ``--no-fresh`` a fresh Python builds the same first. A second run goes on where the first was stopped
(``--again`` starts anew).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import _whole
from _whole import CASES, CHANGES, Call, Case, Ended, Fault
from kills import content

COUNTS = {
    "cold": 70,
    "cold, not quick": 10,
    "over another": 55,
    "over another, cache full": 15,
    "warm": 45,
    "tune": 35,
    "tune over another": 15,
    "verify": 45,
    "bench": 35,
}
CHILDREN = 0.15  # of the kills are of a child of the command
TRIES = 4  # of a kill
BAD = ("half", "other_bytes", "failed", "left", "missed")
NEW = {"kills": 0, "of_children": 0, **dict.fromkeys(BAD, 0), "seconds": 0.0, "at": {}, "then": {}, "where": []}


def drawn(number: int, count: int, calls: dict[str, list[Call]]) -> Fault:
    """Where the kill with a number of so many comes: each has a part of the run for itself."""
    rng = random.Random(f"{number} of {count}")
    children = sorted(set(calls) - {""})
    process = rng.choice(children) if children and rng.random() < CHILDREN else ""
    writes = rng.random() < 2 / 3
    part = (number + rng.random()) / count
    return Fault("kill", process, _whole.spread(calls[process], lambda name: not writes or name in CHANGES, part))


def killed(case: Case, fault: Fault, root: Path, row: dict[str, Any]) -> None:
    """One kill, and the same command again."""
    scenes, folder = root / "scenes", root / "run"
    known = {name: scenes / name / "out" for name in dict.fromkeys((case.wanted or case.scene, case.scene))}
    known = {name: path for name, path in known.items() if path.is_dir()}
    started = time.monotonic()
    for _ in range(TRIES):
        _whole.copied(scenes / case.scene, folder)
        ended = _whole.forked(case.line, folder, fault)
        if came(ended, fault):
            break
        fault = replace(fault, at=max(1, fault.at * 9 // 10))  # it made fewer calls than the run that was counted
    name = (ended.calls.get(fault.process) or [Call("none", "")])[-1].name
    row["kills"] += 1
    row["of_children"] += fault.process != ""
    row["missed"] += not came(ended, fault)
    row["at"][name] = row["at"].get(name, 0) + 1
    then = _whole.standing(folder / "out", known)
    row["then"][then] = row["then"].get(then, 0) + 1
    bad(row, "half", then == "half" or (case.scene in known and then == "nothing"), case, fault, name, then)
    again = _whole.forked(case.line, folder)
    bad(row, "failed", again.code != 0, case, fault, name, again.said[-200:])
    bad(row, "failed", "Traceback" in ended.said, case, fault, name, ended.said[-200:])
    now = _whole.standing(folder / "out", known)
    bad(row, "other_bytes", now != (case.wanted or case.scene), case, fault, name, now)
    over = _whole.left(folder)
    bad(row, "left", bool(over), case, fault, name, " ".join(over))
    row["seconds"] += time.monotonic() - started


def came(ended: Ended, fault: Fault) -> bool:
    """Whether the fault came: the run, or its child, ended with that call."""
    if fault.process == "":
        return ended.faulted
    return len(ended.calls.get(fault.process, ())) == fault.at and ended.code > 0


def bad(row: dict[str, Any], what: str, is_bad: bool, case: Case, fault: Fault, name: str, why: str) -> None:
    """Count what must not be, and say where."""
    row[what] += is_bad
    if is_bad:
        told = f"{what}: {case.name}, {name} at {fault.at} of {fault.process or 'the command'}: {why}"
        row["where"].append(told)
        print(told, flush=True)


def fresh(root: Path) -> bool:
    """Whether a fresh Python, which shares nothing, builds the same bytes."""
    folder = root / "fresh"
    (folder / "tmp").mkdir(parents=True)
    own = {"PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(folder / "tmp")}
    line = [sys.executable, "-m", "edgekd", *_whole.BUILD]
    done = subprocess.run(line, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-1500:])
    return content(folder / "out") == content(root / "scenes" / "built" / "out")


def main() -> None:
    """Kill, run again, compare, write; exit 1 where something was not as it should be."""
    parser = _whole.options(__doc__, CASES)
    parser.add_argument("--no-fresh", action="store_true")
    given = parser.parse_args()
    kept = Path(__file__).parent / "work" / f"whole_kills-{given.share}-{'+'.join(given.only)}.json"
    state = _whole.resumed(kept, given.again, {"done": 0, "cases": {}, "fresh_is_the_same": None})
    todo = _whole.plan(COUNTS, given.share, given.only)
    with _whole.warm(slow=any(name == "cold, not quick" for name, _, _ in todo)) as root:
        if not given.no_fresh and state["fresh_is_the_same"] is None:
            state["fresh_is_the_same"] = fresh(root)
            print(f"a fresh Python builds the same bytes: {state['fresh_is_the_same']}", flush=True)
        for case, number, count, calls, row in _whole.counted(todo, state, kept, root, NEW, BAD):
            killed(case, drawn(number, count, calls), root, row)
    if not given.no_result:
        import _common  # noqa: PLC0415  # torch is not needed before

        _common.write("whole_kills", {"kills": state["done"], **state})
    kept.unlink(missing_ok=True)
    wrong = sum(row[what] for row in state["cases"].values() for what in BAD)
    sys.exit(1 if wrong or state["fresh_is_the_same"] is False else 0)


if __name__ == "__main__":
    main()
