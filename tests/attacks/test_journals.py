"""A stranger's tune journal: whatever stands in it is told with the storage and the trial; no plain exception."""

from __future__ import annotations

import contextlib
import json
import random
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekd.base.errors import EdgekdError, IntegrityError
from edgekd.document.tune import Ships
from edgekd.spec.recipe import Knob
from edgekd.tune import outcome, study, verdict, workers
from edgekd.tune.verdict import Result

_ODD = runpy.run_path(str(Path(__file__).with_name("_odd.py")))
FEW, variants = _ODD["FEW"], _ODD["variants"]
SHARE = 0.02
KNOBS = {"student.epochs": Knob(low=1, high=9)}


def opened(path: Path) -> study.Study:
    return study.Study(study.open_storage(str(path)), "s", KNOBS, {"student.epochs": 5}, 0, str(path))


def all_of(found: study.Study) -> None:
    """Everything that a search asks of its study."""
    found.finished(), found.running(), found.rivals(), found.gains(), found.built()
    results = found.results()
    verdict.ranked(results, "value"), verdict.front(results), verdict.nearest(results)
    for trial in found.trials():
        outcome.line(trial)
    for number in (result.number for result in results):
        assert isinstance(found.trials()[number].user_attrs["point"], dict)
    found.revive()
    asked = found.ask(anywhere=True)
    found.claim(asked, "mine")


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Of a search with an evaluated trial, one that was stopped, and one whose worker died."""
    path = tmp_path_factory.mktemp("tune") / "s.journal"
    made = opened(path)
    row: Ships = {"candidate": "int8", "value": 0.5, "p50_ms": 1.0, "size_bytes": 10, "reason": "the fastest"}
    first = made.ask()
    first.note("rung", 0.4)
    first.note("seconds", 1.5)
    first.note("shape", {"latency_ms": 1.0, "size_bytes": 10})
    made.complete(first, Result(first.number, 0.5, 1.0, 10, 0.1, {"max_drop": 0.5}, "", {"ort-cpu": row}))
    second = made.ask()
    made.prune(second, "why", {"rung": 0.5})
    third = made.ask()
    third.note("worker", workers.me().rsplit(":", 1)[0] + ":1")
    made.study.set_user_attr("built", ["abc"])
    all_of(opened(path))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return lines[: next(i for i, line in enumerate(lines) if line.get("user_attr", {}).get("built")) + 1]


def write(path: Path, lines: list[Any]) -> study.Study:
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    return opened(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda attrs: attrs["result"].clear(), r"trial 0: result\.value: is missing"),
        (lambda attrs: attrs["result"].update(evil=1), r"trial 0: result: unknown key; found 'evil'"),
        (lambda attrs: attrs["result"].update(number=7), r"trial 0: the result of another trial; found 7"),
        (lambda attrs: attrs.update(result="x"), r"trial 0: result: of another type"),
    ],
)
def test_a_result_that_is_none(change: Callable[[Any], None], said: str, journal: Any, tmp_path: Path) -> None:
    lines = json.loads(json.dumps(journal))
    change(next(line["user_attr"] for line in lines if "result" in line.get("user_attr", {})))
    with pytest.raises(IntegrityError, match=rf"s\.journal: {said}"):
        write(tmp_path / "s.journal", lines)


def test_a_trial_without_a_result_and_workers_that_are_none(journal: Any, tmp_path: Path) -> None:
    lines = [line for line in journal if "result" not in line.get("user_attr", {})]
    with pytest.raises(IntegrityError, match=r"trial 0: result: is missing"):
        write(tmp_path / "s.journal", lines)
    for i, worker in enumerate(("x", "a:b:c", ":1", "h:-1:2", "h:99999999999999999999:1", 5, None)):
        lines = json.loads(json.dumps(journal))
        for line in lines:
            if "worker" in line.get("user_attr", {}):
                line["user_attr"]["worker"] = worker
        with pytest.raises(IntegrityError, match=r"trial 0: worker: (not allowed|of another type)"):
            write(tmp_path / f"{i}.journal", lines)


def test_whatever_stands_in_a_journal(journal: Any, tmp_path: Path) -> None:
    """A seeded choice of all that ``variants`` makes of each line: 8 ms each."""
    path, rng = tmp_path / "s.journal", random.Random(0)
    for i in range(len(journal)):
        for _, _, found in variants([journal[i]], FEW):
            if rng.random() < SHARE:
                with contextlib.suppress(EdgekdError):
                    all_of(write(path, [*journal[:i], *found, *journal[i + 1 :]]))
