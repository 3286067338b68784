"""Faults at file-system calls of whole builds, searches, verifies and benches; then the same command, undisturbed.

A fault is an error of one call (ENOSPC, EIO, EACCES, EMFILE), or from one call on (the disk is full, or dies); a write
that is short, and one that tells of more than the disk took, or of other bytes. It is drawn by its number, as a kill is
(``whole_kills.py``), in the command or in a child of it. Counted: an end with 0 and another bundle than that of an
undisturbed run, a traceback, an error that names no file or ends with another exit code than the fault's, an earlier
bundle that is lost, half a bundle, and a next run that does not end with the bytes of an undisturbed one.

    python benchmarks/whole_faults.py [--share 1.0] [--only CASE] [--kind KIND]

``--share``: of the runs of each case (``COUNTS``, 360 in all). A second run goes on where the first was stopped
(``--again`` starts anew).
"""

from __future__ import annotations

import math
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

import _faults
import _whole
from _whole import Call, Case, Ended, Fault

COUNTS = {
    "cold": 60,
    "over another": 70,
    "over another, cache full": 30,
    "warm": 30,
    "tune": 40,
    "tune over another": 20,
    "verify": 60,
    "bench": 50,
}
_NAMES = ("mkdir", "rename", "replace", "unlink", "rmdir")
# Which calls can end so; those of OF_WRITES: writes.
SUITS = {
    "ENOSPC": ("write", "create", "mkdir", "rename", "replace", "fsync"),
    "EIO": ("read", "write", "fsync", "open", "create", "stat", "lstat", "fstat", "listdir", "scandir", *_NAMES),
    "EACCES": ("open", "create", "stat", "lstat", "listdir", "scandir", *_NAMES),
    "EMFILE": ("open", "create", "listdir", "scandir"),
    "full": ("write", "create", "mkdir"),
    "dying": ("read", "write", "fsync"),
}
KINDS = (*SUITS, *_faults.OF_WRITES)
CHILDREN = 0.25  # of the faults are in a child of the command, where it has one
BAD = ("silent", "traceback", "code", "nameless", "hangs", "half", "lost", "failed", "other_bytes", "left")
NEW = {"runs": 0, "of_children": 0, **dict.fromkeys(BAD, 0), "kinds": {}, "codes": {}, "where": [], "seconds": 0.0}
ASIDE = re.compile(r"\.([^/]+)\.edgekd-[0-9a-f]{16}")  # told by the name that the user knows


def drawn(number: int, count: int, calls: dict[str, list[Call]], kinds: tuple[str, ...]) -> Fault:
    """The fault with a number of so many: the kinds in turns, each evenly over the run."""
    rng = random.Random(f"{number} of {count}")
    kind = kinds[number % len(kinds)]
    suits = SUITS.get(kind, ("write",))
    children = [name for name, found in sorted(calls.items()) if name and any(call.name in suits for call in found)]
    process = rng.choice(children) if children and rng.random() < CHILDREN else ""
    part = (number // len(kinds) + rng.random()) / math.ceil(count / len(kinds))
    return Fault(kind, process, _whole.spread(calls[process], suits.__contains__, part))


def faulted(case: Case, fault: Fault, root: Path, row: dict[str, Any]) -> None:
    """One fault, and the same command again."""
    scenes, folder = root / "scenes", root / "run"
    known = {name: scenes / name / "out" for name in dict.fromkeys((case.wanted or case.scene, case.scene))}
    known = {name: path for name, path in known.items() if path.is_dir()}
    started = time.monotonic()
    _whole.copied(scenes / case.scene, folder)
    ended = _whole.forked(case.line, folder, fault)
    calls = ended.calls.get(fault.process, [])
    call = calls[fault.at - 1] if len(calls) >= fault.at else Call("none", "")
    row["runs"] += 1
    row["of_children"] += fault.process != ""
    row["kinds"][fault.kind] = row["kinds"].get(fault.kind, 0) + 1
    row["codes"][str(ended.code)] = row["codes"].get(str(ended.code), 0) + 1
    then = _whole.standing(folder / "out", known)
    found = {
        "silent": ended.code == 0 and then != (case.wanted or case.scene),
        "half": then == "half",
        "lost": case.scene in known and then == "nothing",
        **told_wrong(ended, fault, call, folder),
    }
    again = _whole.forked(case.line, folder)
    found["failed"] = again.code != 0
    found["other_bytes"] = _whole.standing(folder / "out", known) != (case.wanted or case.scene)
    found["left"] = bool(over := _whole.left(folder))
    row["seconds"] += time.monotonic() - started
    for what in [name for name, is_so in found.items() if is_so]:
        row[what] += 1
        more = {"failed": again.said[-300:], "left": " ".join(over)}.get(what, ended.said[-300:])
        at = f"{call.name} of {_short(call.path, folder)} at {fault.at} of {fault.process or 'the command'}"
        row["where"].append(f"{what}: {case.name}, {fault.kind}, {at}: ended with {ended.code}: {more}")
        print(row["where"][-1], flush=True)


def told_wrong(ended: Ended, fault: Fault, call: Call, folder: Path) -> dict[str, bool]:
    """What an error may not be: a bug, for ever, of another kind, or about no file."""
    last = (ended.said.strip().splitlines() or [""])[-1]
    told = ended.code > 0
    return {
        "traceback": "Traceback" in ended.said or "a bug in edgekd" in ended.said or ended.code == 99,
        "hangs": ended.code < 0,
        "code": told and ended.code not in ({2, 5} if fault.kind == "EACCES" else {6}),
        "nameless": told and fault.kind not in _faults.LASTING and not names(last, call, folder),
    }


def names(message: str, call: Call, folder: Path) -> bool:
    """Whether a message names the file of a call, or a folder that it is in, as the user knows it."""
    path = Path(ASIDE.sub(r"\1", call.path))
    places = [path, *path.parents]
    inside = [one for one in places if folder in one.parents]
    return any(_is_in(str(text), message) for one in inside for text in (one, one.relative_to(folder)))


def _is_in(text: str, message: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(text)}(?![\w])", message) is not None


def _short(path: str, folder: Path) -> str:
    return path.removeprefix(f"{folder}/")


def main() -> None:
    """Fail, run again, compare, write; exit 1 where something was not as it should be."""
    parser = _whole.options(__doc__, COUNTS)
    parser.add_argument("--kind", action="append", default=[], choices=KINDS)
    given = parser.parse_args()
    kinds = tuple(given.kind) or KINDS
    kept = Path(__file__).parent / "work" / f"whole_faults-{given.share}-{'+'.join(given.only + given.kind)}.json"
    state = _whole.resumed(kept, given.again, {"done": 0, "cases": {}})
    todo = _whole.plan(COUNTS, given.share, given.only)
    with _whole.warm() as root:
        for case, number, count, calls, row in _whole.counted(todo, state, kept, root, NEW, BAD):
            faulted(case, drawn(number, count, calls, kinds), root, row)
    if not given.no_result:
        import _common  # noqa: PLC0415  # torch is not needed before

        _common.write("whole_faults", {"runs": state["done"], **state})
    kept.unlink(missing_ok=True)
    sys.exit(1 if any(row[what] for row in state["cases"].values() for what in BAD) else 0)


if __name__ == "__main__":
    main()
