"""Workers of ``edgekd tune`` that are killed again and again, on SQLite and PostgreSQL: is anything run twice or lost?

    pip install psycopg2-binary; apt install postgresql    # initdb and postgres on the PATH
    python benchmarks/tune_kills.py [--workers 2 4] [--storages sqlite postgresql] [--kills 20] [--restarts 3]

A database of its own, on which so many workers search a recipe of seconds; one of them is killed (SIGKILL) at a random
moment and another one begins, ``--kills`` times; then they come to their end. ``--away`` kills more are of workers that
run in a PID namespace of their own (``unshare``, as root), which the others hear of by its beats alone, as of one on
another machine. Before all that the server of PostgreSQL stops ``--restarts`` times for ``DOWN_S`` seconds, in turns as
it is asked to and in the middle of what it does: no worker may end of it.

Held: no recipe was finished twice; each trial that a kill ended was asked again exactly once (and again, where that one
was killed); none is left running; all workers came to one choice. Exit code 1 where that is broken.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _common
import _small
import optuna
from optuna.trial import TrialState
from tune import LOOSE

from edgekd.tune.study import DONE

SETTINGS = ("teacher.model.width=16", "teacher.epochs=2", "student.model.width=16", "student.epochs=3")
AWAY = ("unshare", "--fork", "--kill-child", "--pid", "--mount-proc")
PATIENCE_S = 1800
DOWN_S = 10.0


def server(root: Path, program: str, *words: str) -> None:
    """Run one of PostgreSQL's programs on its folder, which refuse to run as root: then as the user ``postgres``."""
    user = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    bin_folder = Path(shutil.which("initdb") or "").resolve().parent
    line = [*user, str(bin_folder / program), "-D", str(root / "postgresql" / "data"), *words]
    subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def start(root: Path) -> None:
    """The server, on a socket in its folder; it answers when this returns."""
    server(root, "pg_ctl", "-w", "-l", os.devnull, "-o", f"-k {root / 'postgresql'} -c listen_addresses=", "start")


@contextlib.contextmanager
def postgresql(root: Path) -> Iterator[str]:
    """A server on a socket in a folder, and its URL."""
    place = root / "postgresql"
    place.mkdir()
    if os.geteuid() == 0:
        shutil.chown(place, "postgres")
        root.chmod(0o755)
    server(root, "initdb", "-A", "trust", "-U", "edgekd")
    start(root)
    try:
        yield f"postgresql+psycopg2://edgekd@/postgres?host={place}"
    finally:
        server(root, "pg_ctl", "-m", "fast", "stop")


def restarts(root: Path, count: int) -> None:
    """Stop the server for a while, so many times."""
    for number in range(count):
        time.sleep(6.0)
        server(root, "pg_ctl", "-m", ("fast", "immediate")[number % 2], "stop")
        time.sleep(DOWN_S)
        start(root)


@contextlib.contextmanager
def sqlite(root: Path) -> Iterator[str]:
    """A database file, and its URL."""
    yield f"sqlite:///{root / 'study.db'}"


STORAGES = {"sqlite": sqlite, "postgresql": postgresql}


class Workers:
    """Searches that share a study.

    Args:
        root: a folder for the cache and what they write.
        count: of them that run at a time.
        trials: that the study is to finish.
    """

    def __init__(self, root: Path, url: str, count: int, trials: int) -> None:
        self.root, self.url, self.trials = root, url, trials
        self.running: list[subprocess.Popen[bytes]] = []
        self.begun = 0
        for _ in range(count):
            self.begin()

    def begin(self, prefix: tuple[str, ...] = ()) -> None:
        """One more."""
        self.begun += 1
        settings = _small.line_of(SETTINGS)
        own = ["--out", str(self.root / "out"), "--cache", str(self.root / "cache"), "--storage", self.url, "--json"]
        line = [sys.executable, "-m", "edgekd", "tune", "digits", "--target", "ort-cpu", "--quick", *LOOSE, *own]
        files = [(self.root / f"{self.begun}.{kind}").open("wb") for kind in ("json", "err")]
        # A session of its own: what a worker started is killed with it.
        process = subprocess.Popen(
            [*prefix, *line, "--trials", str(self.trials), *settings],
            stdout=files[0],
            stderr=files[1],
            start_new_session=True,
        )
        self.running.append(process)

    def kill(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it ran still."""
        self.running.remove(process)
        ran = process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return ran

    def choices(self) -> list[int | None]:
        """Wait for all, and say what each chose."""
        for process in self.running:
            if process.wait(PATIENCE_S):
                raise SystemExit(f"a worker failed with {process.returncode}; see {self.root}")
        outputs = [self.root / f"{number + 1}.json" for number in range(self.begun)]
        return [json.loads(file.read_text())["chosen"] for file in outputs if file.stat().st_size]


def trials_of(url: str) -> list[optuna.trial.FrozenTrial]:
    """Every trial of the only study there."""
    storage = optuna.storages.RDBStorage(url)
    studies = storage.get_all_studies()
    return list(storage.get_all_trials(studies[0]._study_id)) if studies else []


def is_running(url: str) -> bool:
    """Whether some trial has been begun and not ended."""
    return any(trial.state == TrialState.RUNNING for trial in trials_of(url))


def told(url: str) -> dict[str, Any]:
    """What the storage says at the end."""
    trials = trials_of(url)
    finished = [trial for trial in trials if trial.state in DONE]
    recipes = collections.Counter(trial.user_attrs["likeness"] for trial in finished)
    lost = [t.number for t in trials if t.state == TrialState.FAIL and "why" not in t.user_attrs]
    # Two workers may ask at once: the second one's is dropped before it runs.
    asked = [t for t in trials if not (t.state == TrialState.FAIL and "why" in t.user_attrs)]
    again = collections.Counter(t.user_attrs["again"] for t in asked if "again" in t.user_attrs)
    return {
        "finished": len(finished),
        "finished_twice": sum(count > 1 for count in recipes.values()),
        "ended_by_a_kill": len(lost),
        "not_asked_again_once": [number for number in lost if again[number] != 1],
        "asked_again_though_not_killed": sorted(set(again) - set(lost)),
        "left_running": sum(trial.state == TrialState.RUNNING for trial in trials),
        "dropped_as_repeated": sum(t.state == TrialState.FAIL and "why" in t.user_attrs for t in trials),
    }


def torture(storage: str, count: int, given: argparse.Namespace) -> dict[str, Any]:
    """One storage, one number of workers."""
    rng, killed, down = random.Random(given.seed), 0, given.restarts if storage == "postgresql" else 0
    with tempfile.TemporaryDirectory(prefix="edgekd-tune-") as name, STORAGES[storage](Path(name)) as url:
        started = time.monotonic()
        workers = Workers(Path(name), url, count, given.trials)
        while not is_running(url):
            time.sleep(0.5)
        restarts(Path(name), down)
        ended = sum(process.poll() not in (None, 0) for process in workers.running)
        while killed < given.kills:
            time.sleep(rng.uniform(0.2, 6.0))
            killed += workers.kill(rng.choice(workers.running))
            workers.begin()
        heard = 0
        while heard < given.away:
            workers.begin(AWAY)
            time.sleep(rng.uniform(10.0, 20.0))
            heard += workers.kill(workers.running[-1])
        choices = workers.choices()
        counts = {"kills": killed, "kills_away": heard, "restarts": down, "ended_by_a_restart": ended}
        row = {**counts, "seconds": time.monotonic() - started, **told(url)}
    row["one_choice"] = len(set(choices)) == 1
    broken = (
        "finished_twice",
        "not_asked_again_once",
        "asked_again_though_not_killed",
        "left_running",
        "ended_by_a_restart",
    )
    row["met"] = row["one_choice"] and not any(row[key] for key in broken) and row["finished"] >= given.trials
    return row


def main() -> None:
    """Every storage with every number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--storages", nargs="+", choices=sorted(STORAGES), default=list(STORAGES))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--away", type=int, default=2)
    parser.add_argument("--restarts", type=int, default=3, help="of the server of PostgreSQL")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = dict(_common.written("tune_kills").get("rows", {}))
    for storage in given.storages:
        for count in given.workers:
            row = torture(storage, count, given)
            rows[f"{storage}, {count} workers"] = row
            print(storage, count, json.dumps(row), flush=True)
            _common.write("tune_kills", {"rows": rows})
    sys.exit(0 if all(row["met"] for row in rows.values()) else 1)


if __name__ == "__main__":
    main()
