"""Every door of edgekd's that takes bytes, under a coverage-guided fuzzer: an ``EdgekdError`` or an answer.

    pip install 'edgekd[fuzz,build,ort,text,tune,dev]'         # atheris 3.0.0, for Python 3.11
    python benchmarks/fuzz.py [--total 5000000] [--share 1.0] [--jobs 1] [--only NAME ...] [--no-result]

The harnesses and what each begins with stand in ``fuzzing/``. Counted for each: executions (200,000 at least; 20,000 of
one that renders or imports), plain exceptions by kind (its type and line), deaths of the process (a signal, 2 GB, 60 s
for one input), the edges of edgekd's code that were covered, and at how many executions the last of them was new. A
harness goes on until its last tenth brings no new edge (``--most`` times its executions, at most). What is left of
``--total`` the fastest ones get. ``--share`` is of all of these, for a short run.

Counts, finds and grown corpora lie in ``work/fuzz/``: the same command goes on where it was stopped, at most
``SEGMENT`` seconds of a harness are lost. Once a line of edgekd is another, the counts begin anew (of a module of
harnesses: its own); the corpora stay, and the inputs of earlier finds are among them.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import fuzzing

from edgekd.base import disk

HERE = Path(__file__).parent
WORK = HERE / "work" / "fuzz"
SEGMENT = 120  # seconds of one process
DEATHS = 20  # after which a harness is given up
LINE = re.compile(rb"#(\d+)\s+(\w+)\s+cov: (\d+)")
SLOWEST = re.compile(rb"slowest_unit_time_sec:\s+(\d+)")


@dataclass
class State:
    """What a harness has behind it.

    Attributes:
        code: of which sources.
        coverage: (executions, edges) whenever there were more.
        seconds, cpu: of the clock, and of a core.
        slowest: seconds of one input, in whole ones.
    """

    code: str
    executions: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    slowest: int = 0
    deaths: int = 0
    coverage: list[tuple[int, int]] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Executions a second."""
        return self.executions / max(self.seconds, 1.0)

    def edges_at(self, executions: float) -> int:
        """How many were covered by then."""
        return max((edges for at, edges in self.coverage if at <= executions), default=0)

    @property
    def last_new(self) -> int:
        """At how many executions the last new edge was seen."""
        return self.coverage[-1][0] if self.coverage else 0


class Run:
    """One harness, segment after segment."""

    def __init__(self, harness: fuzzing.Harness, code: str, memory: Path) -> None:
        self.harness, self.folder = harness, WORK / harness.name
        self.memory = memory / harness.name
        for name in ("corpus", "finds"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        kept = self.folder / "state.json"
        self.state = State(**json.loads(kept.read_text())) if kept.is_file() else State("")
        if self.state.code != code:
            self.state = State(code)
            for find in (self.folder / "finds").iterdir():
                find.unlink() if find.suffix == ".json" else find.rename(self.folder / "corpus" / find.name)

    def finds(self) -> list[dict[str, Any]]:
        """The plain exceptions, one a kind."""
        return [json.loads(file.read_text()) for file in sorted((self.folder / "finds").glob("*.json"))]

    def quiet(self) -> bool:
        """Whether the last tenth brought no new edge."""
        return self.state.last_new <= 0.9 * self.state.executions

    def go(self, goal: int, most: int) -> None:
        """Until so many executions, and on until it is quiet, or ``most``."""
        while self.state.deaths < DEATHS:
            wanted = goal if self.state.executions < goal else min(most, int(self.state.last_new / 0.9) + 1000)
            if self.state.executions >= wanted or (self.state.executions >= goal and self.quiet()):
                return
            self.segment(wanted - self.state.executions)
            disk.replace_file(self.folder / "state.json", json.dumps(asdict(self.state)).encode())
            told = f"{self.state.executions:,} executions, {self.state.speed:,.0f}/s, {self.edges} edges, the last new "
            told += f"one at {self.state.last_new:,}; {len(self.finds())} finds, {self.state.deaths} deaths"
            print(f"{self.harness.name}: {told}", flush=True)

    @property
    def edges(self) -> int:
        """Covered so far."""
        return self.state.edges_at(self.state.executions)

    def segment(self, runs: int) -> None:
        """One process of the fuzzer."""
        shutil.rmtree(self.memory, ignore_errors=True)
        self.memory.mkdir(parents=True)
        seed = 1 + self.state.executions % 2**31
        line = [sys.executable, str(HERE / "_fuzz.py"), self.harness.module, self.harness.name]
        line += [str(self.folder / "finds"), str(self.folder / "corpus"), str(fuzzing.CORPORA / self.harness.name)]
        line += [f"-runs={runs}", f"-max_total_time={SEGMENT}", f"-seed={seed}"]
        line += [f"-artifact_prefix={self.folder / 'finds'}{os.sep}"]
        own = dict.fromkeys(("TMPDIR", "HOME", "EDGEKD_CACHE", "XDG_CONFIG_HOME"), str(self.memory))
        path = os.pathsep.join((str(HERE.parent), str(HERE)))
        env = {**os.environ, **own, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        started, before = time.monotonic(), self.state.executions
        pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        with subprocess.Popen(line, cwd=self.memory, env=env, **pipes) as child:
            assert child.stderr is not None
            tail = self.heard(child.stderr, before)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        self.state.seconds += time.monotonic() - started
        self.state.cpu += used.ru_utime + used.ru_stime
        shutil.rmtree(self.memory, ignore_errors=True)
        if child.returncode:
            self.state.deaths += 1
            (self.folder / f"death-{self.state.deaths}.log").write_bytes(tail)
        if self.state.executions == before and self.state.deaths == 1:
            sys.stderr.write(tail.decode("utf-8", "replace"))

    def heard(self, lines: Any, before: int) -> bytes:
        """What libFuzzer says of its executions and edges; the end of it.

        Edges that are covered by the corpus at the start of a process are not new, every later one is: whether an
        earlier process covered it, which a grown corpus would show, is not asked.
        """
        tail, known = b"", -1
        for line in lines:
            tail = (tail + line)[-8000:]
            if (found := LINE.match(line)) is not None:
                number, edges = int(found[1]), int(found[3])
                self.state.executions = before + number
                if found[2] == b"INITED" or known < 0:
                    known = edges
                    if not self.state.coverage:
                        self.state.coverage.append((number, edges))
                elif edges > known:
                    known = edges
                    self.state.coverage.append((before + number, max(edges, self.edges)))
            elif (slow := SLOWEST.match(line.partition(b"stat::")[2])) is not None:
                self.state.slowest = max(self.state.slowest, int(slow[1]))
        return tail

    def row(self) -> dict[str, Any]:
        """What is written down."""
        state = self.state
        return {
            "slow": self.harness.slow,
            "executions": state.executions,
            "plain_exceptions": [find["kind"] for find in self.finds()],
            "deaths": state.deaths,
            "edges_at_90": state.edges_at(0.9 * state.executions),
            "edges": self.edges,
            "last_new_at": state.last_new,
            "quiet": self.quiet(),
            "corpus": len(list((self.folder / "corpus").iterdir())),
            "seconds": round(state.seconds),
            "cpu_seconds": round(state.cpu),
            "slowest_s": state.slowest,
        }


def sources(module: str) -> str:
    """A digest of what a module's harnesses run: edgekd, what all of them share, and the module itself."""
    digest = hashlib.sha256()
    shared = [HERE / "_fuzz.py", HERE / "fuzzing" / "__init__.py", HERE / "fuzzing" / "_mutate.py"]
    own = HERE.joinpath(*module.split(".")).with_suffix(".py")
    files = [*(HERE.parent / "edgekd").rglob("*"), *shared, own]
    for file in sorted(file for file in files if file.is_file() and file.suffix != ".pyc"):
        digest.update(file.relative_to(HERE.parent).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def goals(runs: list[Run], total: int) -> dict[str, int]:
    """Executions of each: what it has, and of what the total lacks as much as it can in as many seconds as others."""
    lacks = max(0, total - sum(run.state.executions for run in runs))
    fast = sorted(runs, key=lambda run: -run.state.speed)[: max(1, len(runs) // 3)]
    speed = sum(run.state.speed for run in fast)
    return {run.harness.name: run.state.executions + int(lacks * run.state.speed / speed) + 1 for run in fast if lacks}


def main() -> None:
    """All harnesses; exit 1 where there is a find, a death, or one that is not quiet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--total", type=int, default=5_000_000)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--most", type=float, default=10.0)
    parser.add_argument("--jobs", type=int, default=1, help="harnesses at once")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--no-result", action="store_true")
    given = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        raise SystemExit("atheris is not installed: pip install 'edgekd[fuzz]', with Python 3.11")
    known = fuzzing.load()
    memory = Path(tempfile.mkdtemp(prefix="edgekd-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    runs = [Run(known[name], sources(known[name].module), memory) for name in given.only or sorted(known)]

    def go(run: Run, goal: int) -> None:
        run.go(goal, int(given.most * max(goal, 1)))

    try:
        with ThreadPoolExecutor(given.jobs) as pool:
            list(pool.map(lambda run: go(run, int(given.share * run.harness.executions)), runs))
            more = goals(runs, 0 if given.only else int(given.share * given.total))
            list(pool.map(lambda run: go(run, more[run.harness.name]), [r for r in runs if r.harness.name in more]))
    finally:
        shutil.rmtree(memory, ignore_errors=True)
    rows = {run.harness.name: run.row() for run in runs}
    bad = [name for name, row in rows.items() if row["plain_exceptions"] or row["deaths"] or not row["quiet"]]
    total = sum(row["executions"] for row in rows.values())
    print(f"{len(rows)} harnesses, {total:,} executions; not as they should be: {', '.join(bad) or 'none'}")
    if not given.no_result and not given.only:
        import _common  # noqa: PLC0415  # torch is not needed before

        told: dict[str, Any] = {"harnesses": len(rows), "executions": total, "share": given.share}
        told["cpu_seconds"] = sum(row["cpu_seconds"] for row in rows.values())
        told["plain_exceptions"] = sum(len(row["plain_exceptions"]) for row in rows.values())
        told["deaths"] = sum(row["deaths"] for row in rows.values())
        told["not_quiet"] = [name for name, row in rows.items() if not row["quiet"]]
        _common.write("fuzz", {**told, "rows": rows})
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
