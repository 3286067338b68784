"""``edgekd tune``: are budgets met that the recipe misses; what a SIGKILL costs; how two workers share a study.

    python benchmarks/tune.py digits                    # three wishes, which the recipe misses, within 10 minutes
    python benchmarks/tune.py resume --data FOLDER      # Fashion-MNIST, killed at a random moment and run again
    python benchmarks/tune.py workers                   # digits, two workers on one storage

FOLDER holds ``fashion_mnist.npz``. Each part fails with exit code 1 where its promise is broken.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _small
import numpy as np

WISHES = ("--max-latency-ms", "0.020", "--max-size-kb", "60", "--max-drop", "0.004")
LIMIT_S = 600
# Short trainings: these two parts ask who does which trial, not how good it is.
SHORT = ("teacher.model.width=16", "teacher.epochs=2", "student.epochs=3", "compress=[{kind='int8_qat',epochs=1}]")
LOOSE = ("--max-latency-ms", "5", "--max-drop", "0.9")
ENDED = ("complete", "stopped")


def command(folder: Path, recipe: str, *more: str) -> list[str]:
    """A search with a cache and a storage of its own."""
    own = ["--out", str(folder / "out"), "--cache", str(folder / "cache"), "--storage", str(folder / "study.journal")]
    return [sys.executable, "-m", "edgekd", "tune", recipe, "--target", "ort-cpu", *own, "--json", *more]


def finish(line: list[str]) -> tuple[dict[str, Any], float]:
    """tune.json of a search that must succeed, and its seconds."""
    started = time.monotonic()
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the search failed with {done.returncode}")
    return json.loads(done.stdout), time.monotonic() - started


def ended(storage: Path) -> dict[int, str]:
    """The finished trials in a journal: what each came to."""
    import optuna  # noqa: PLC0415  # the other processes need it, this one only here
    from optuna.storages import JournalStorage  # noqa: PLC0415
    from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415

    from edgekd.tune.study import open_storage  # noqa: PLC0415

    if not storage.is_file():
        return {}
    copy = storage.with_suffix(".copy")
    copy.write_bytes(storage.read_bytes())
    open_storage(str(copy))  # mends what the kill left half written
    journal_storage = JournalStorage(JournalFileBackend(str(copy)))
    trials = [
        trial
        for study in journal_storage.get_all_studies()
        for trial in journal_storage.get_all_trials(study._study_id)
    ]
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return {t.number: json.dumps([t.values, t.user_attrs.get("likeness")]) for t in trials if t.state in states}


def repeated(found: dict[str, Any]) -> list[str]:
    """Recipes that more than one trial evaluated."""
    counts = collections.Counter(t["likeness"] for t in found["trials"] if t["state"] in ENDED and t["likeness"])
    return [likeness for likeness, count in counts.items() if count > 1]


def digits(root: Path, seconds: float) -> dict[str, Any]:
    """Three wishes at once, which the recipe misses."""
    found, took = finish(command(root, "digits", *WISHES, "--seconds", str(seconds)))
    trials = {trial["number"]: trial for trial in found["trials"]}
    as_is = next(trial for trial in found["trials"] if trial["as_is"])
    chosen = trials[found["chosen"]]
    counts = collections.Counter(trial["state"] for trial in found["trials"])
    return {
        "wishes": " ".join(WISHES),
        "seconds": took,
        "within_limit": took <= LIMIT_S,
        "trials": dict(counts),
        "as_is_misses": sorted(as_is["result"]["missed"]),
        "met": found["met"] and len(as_is["result"]["missed"]) == 3 and took <= LIMIT_S,
        "as_is": as_is["result"],
        "chosen": {**chosen["result"], "number": chosen["number"], "values": chosen["values"]},
    }


def resume(root: Path, data: Path, trials: int, seed: int) -> dict[str, Any]:
    """A Fashion-MNIST search on few samples, killed at a random moment after its first trial, and run again."""
    with np.load(data / "fashion_mnist.npz", allow_pickle=False) as full:
        counts = {"train": 2000, "test": 500}
        few = {key: full[key][: counts.get(key.partition("_")[2])] for key in full.files}
    np.savez(root / "few.npz", **few)
    settings = [f"data.path={root / 'few.npz'}", "data.validation=500", "student.model.width=16", *SHORT]
    more = _small.line_of(settings)
    line = command(root, "fashion-mnist", *LOOSE, "--trials", str(trials), *more)
    rng = random.Random(seed)
    kills: list[dict[str, Any]] = []
    while len(kills) < 3:
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = len(ended(root / "study.journal"))
        while process.poll() is None and len(ended(root / "study.journal")) == before:
            time.sleep(0.2)
        moment = rng.uniform(0, 8)
        try:
            process.wait(timeout=moment)
            break  # it came to its end: nothing is left to kill
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        kills.append({"after_s": moment, "finished": ended(root / "study.journal")})
        print(f"killed {moment:.1f} s after a trial ended; finished: {sorted(kills[-1]['finished'])}", flush=True)
    found, took = finish(line)
    after = ended(root / "study.journal")
    lost = [number for kill in kills for number, what in kill["finished"].items() if after.get(number) != what]
    return {
        "kills": [{"after_s": kill["after_s"], "finished": sorted(kill["finished"])} for kill in kills],
        "then_s": took,
        "finished": sorted(after),
        "asked_again": [t["again"] for t in found["trials"] if t["again"] is not None],
        "lost": lost,
        "repeated": repeated(found),
        "met": bool(kills) and not lost and not repeated(found),
    }


def workers(root: Path, trials: int) -> dict[str, Any]:
    """Two workers on one storage."""
    more = _small.line_of(("student.model.width=16", *SHORT))
    line = command(root, "digits", *LOOSE, "--trials", str(trials), *more)
    started = time.monotonic()
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = [json.loads(process.communicate()[0]) for process in both]
    last = max(found, key=lambda one: len(one["trials"]))
    who = collections.Counter(trial["worker"] for trial in last["trials"] if trial["state"] in ENDED)
    return {
        "seconds": time.monotonic() - started,
        "trials_by_worker": sorted(who.values()),
        "dropped_as_repeated": sum(trial["state"] == "dropped" for trial in last["trials"]),
        "same_choice": found[0]["chosen"] == found[1]["chosen"],
        "repeated": repeated(last),
        "met": len(who) == 2 and not repeated(last) and found[0]["chosen"] == found[1]["chosen"],
    }


def main() -> None:
    """Run one part and write its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["digits", "resume", "workers"])
    parser.add_argument("--data", type=Path, help="the folder of fashion_mnist.npz")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-result", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgekd-tune-") as name:
        root = Path(name)
        if given.part == "digits":
            result = digits(root, given.seconds)
        elif given.part == "resume":
            if given.data is None:
                parser.error("--data FOLDER is needed")
            result = resume(root, given.data, given.trials, given.seed)
        else:
            result = workers(root, given.trials)
    print(json.dumps(result, indent=1))
    if not given.no_result:
        import _common  # noqa: PLC0415  # torch is not needed before

        _common.write(f"tune-{given.part}", result)
    sys.exit(0 if result["met"] else 1)


if __name__ == "__main__":
    main()
