"""The study: trials in Optuna's storage, shared by workers, kept through kills.

A trial's user attributes say what Optuna does not: ``worker`` (machine:pid:start) and its ``beat``, ``point``,
``likeness`` of the recipe, ``shape``, ``rung``, ``result``, ``why`` it ended, ``seconds``. All stand before the trial
is finished, so that a finished one is whole.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import optuna
from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from edgekd.base import reader
from edgekd.base.disk import disk, not_kept
from edgekd.base.errors import IntegrityError, UsageError
from edgekd.document.tune import Attributes, Evaluated
from edgekd.spec.recipe import Knob
from edgekd.tune import away, search_space, workers
from edgekd.tune.verdict import Result, Shape

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
POLL_S = 0.05
LOCK = ".lock"  # what Optuna puts behind a journal's name
JOURNAL = b'{"op_code":'  # what each of its lines begins with
UP, DOWN = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
# What Optuna raises of a journal whose lines are not as it writes them.
ODD = (ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError, RecursionError)
DIRECTIONS = (UP, DOWN, DOWN)  # value, p50, size
Answer = TypeVar("Answer")


def open_storage(where: str) -> BaseStorage:
    """A journal file, or an SQL database by its URL.

    Raises:
        UsageError: neither, or it can't be opened.
    """
    allowed = "a journal file, or a URL such as sqlite:///tune.db"
    try:
        if "://" in where:
            return RDBStorage(where)
        # Absolute: the lock is a link to the journal, and what it says is read from the folder that the link is in.
        path = Path(where).absolute()
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _unlock(path)
            _mend(path)
            storage = JournalStorage(_Journal(str(path)))
        storage.get_all_studies()
        return storage
    except (SQLAlchemyError, OptunaError, ImportError, *ODD) as err:
        raise UsageError(f"can't be used as storage: {err}", where="--storage", found=where, allowed=allowed) from err


class _Journal(JournalFileBackend):
    """A journal file whose faults are told with its name, and whose lines are read back: one that the disk did not keep
    would end this search, and every later one, where it is read."""

    def append_logs(self, logs: list[dict[str, object]]) -> None:
        path = Path(self._file_path)
        wanted = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        with disk(path):
            before = path.stat().st_size
            super().append_logs(logs)
            with path.open("rb") as file:
                file.seek(before)
                appended = file.read()  # other workers' lines, too
            if wanted in appended:
                return
            if len(appended) <= len(wanted):
                os.truncate(path, before)
        raise not_kept(path)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        with disk(Path(self._file_path)):
            yield from super().read_logs(log_number_from)


def _unlock(path: Path) -> None:
    """Remove a lock that leads nowhere: a killed worker's, and Optuna would wait for it for ever.

    One that leads to the journal is broken by Optuna itself, 30 s after the journal was last written.
    """
    lock = path.with_name(path.name + LOCK)
    if lock.is_symlink() and not lock.exists():
        lock.unlink(missing_ok=True)


def _mend(path: Path) -> None:
    """Cut off the half of a line that a killed worker wrote last: Optuna would not read on behind it."""
    if not path.exists():
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        with path.open("rb+") as file:
            data = file.read()
            if not data.startswith(JOURNAL[: len(data)]):
                raise ValueError("not an Optuna journal")
            if not data.endswith(b"\n"):
                file.truncate(data.rfind(b"\n") + 1)
    finally:
        lock.release()


@dataclass(frozen=True)
class Asked:
    """A trial that this worker is to run: its number, and where in the space it stands (the first: nowhere else than
    the recipe itself); ``where``: the storage, for errors."""

    trial: optuna.Trial
    point: Mapping[str, object]
    where: str = "--storage"

    @property
    def number(self) -> int:
        return self.trial.number

    def note(self, key: str, value: object) -> None:
        """Keep something about the trial; not where another worker took it over while this one stood still.

        Raises:
            ResourceError: the storage stays away.
        """
        away.again(lambda: self.beat(key, value), self.where)

    def beat(self, key: str, value: object) -> None:
        """The same, once: what is not kept is no matter, as the next one tells the same."""
        with contextlib.suppress(UpdateFinishedTrialError):
            self.trial.set_user_attr(key, value)

    def miss(self, wish: str, share: float) -> None:
        """Tell the sampler how far off a wish it was; see ``note``."""
        with contextlib.suppress(UpdateFinishedTrialError), _quietly():  # a try may have set it before
            away.again(lambda: self.trial.set_constraint(wish, share), self.where)


class Study:
    """A study of one space, shared by every worker of the same name.

    A storage is a file, which anybody may have written: what it says is checked where it is read.

    Args:
        where: the storage, for the errors.

    Raises:
        IntegrityError: (from whatever reads) the storage says what no search writes; names the trial.
        ResourceError: (from whatever reads or writes) it stays away.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        knobs: Mapping[str, Knob],
        current: Mapping[str, object],
        seed: int,
        where: str = "--storage",
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.knobs, self.current, self.worker, self.where = knobs, current, workers.me(), where
        self._watch = workers.Watch()
        self._held: set[int] = set()  # the trials that ended, and were checked
        self.study = self._read(
            lambda: optuna.create_study(
                storage=storage, study_name=name, directions=list(DIRECTIONS), load_if_exists=True
            )
        )
        names = self._read(lambda: optuna.get_all_study_names(storage))
        before = len(self.trials())
        self.begins = not before
        self.others = [other for other in names if other != name]
        self._rng = np.random.default_rng([seed, before])
        self.study.sampler = optuna.samplers.TPESampler(seed=seed + before, n_startup_trials=8)
        if not before:
            self._enqueue(current, {"as_is": True})

    def trials(self) -> list[FrozenTrial]:
        """Every trial there is."""
        trials = self._read(lambda: self.study.get_trials(deepcopy=False))
        for trial in trials:
            if trial.number not in self._held:
                self._hold(trial)
        return trials

    def built(self) -> list[str]:
        """The builds that this study chose so far."""
        attributes = self._read(lambda: self.study.user_attrs)
        return reader.check(attributes.get("built", []), list[str], f"{self.where}: built")

    def choose(self, built: str) -> None:
        """Keep that a build was chosen."""
        chosen = [*self.built(), built]
        self._write(lambda: self.study.set_user_attr("built", chosen))

    def _hold(self, trial: FrozenTrial) -> None:
        """Raise IntegrityError where a trial's attributes are not as a search notes them."""
        where = f"{self.where}: trial {trial.number}"
        reader.check(trial.user_attrs, Attributes, where)
        if trial.state == TrialState.COMPLETE:
            number = reader.check(trial.user_attrs, Evaluated, where)["result"]["number"]
            if number != trial.number:
                raise IntegrityError("the result of another trial", where=where, found=number)
        if trial.state in DONE:
            self._held.add(trial.number)

    def _read(self, call: Callable[[], Answer]) -> Answer:
        """What Optuna reads; what it says to a storage that is not as it writes them is told."""
        try:
            return self._write(call)
        except (SQLAlchemyError, OptunaError, *ODD) as err:
            message = f"{type(err).__name__}: {err}"
            raise IntegrityError(f"not the storage of a search: {message}", where=self.where) from err

    def _write(self, call: Callable[[], Answer]) -> Answer:
        """What Optuna does with a storage that may be away for a while; the call may be made twice."""
        return away.again(call, self.where)

    def finished(self) -> list[FrozenTrial]:
        """Those that ended: evaluated, or told to be without hope."""
        return [trial for trial in self.trials() if trial.state in DONE]

    def running(self) -> list[FrozenTrial]:
        """Those that living workers run."""
        return [trial for trial in self.trials() if self._runs(trial)]

    def results(self) -> list[Result]:
        """What the fully evaluated ones came to."""
        return [Result(**trial.user_attrs["result"]) for trial in self.trials() if trial.state == TrialState.COMPLETE]

    def rivals(self) -> list[tuple[float, Shape]]:
        """The value at the rung, and the shape, of the finished trials that came so far."""
        attrs = [trial.user_attrs for trial in self.finished()]
        return [(a["rung"], Shape(**a["shape"])) for a in attrs if a.get("rung") is not None and a.get("shape")]

    def gains(self) -> list[float]:
        """What the value of each fully evaluated trial was above that at its rung."""
        trials = [t.user_attrs for t in self.trials() if t.state == TrialState.COMPLETE]
        return [attrs["result"]["value"] - attrs["rung"] for attrs in trials if attrs.get("rung") is not None]

    def climb(self, result: Result) -> None:
        """Ask next for the neighbours of the recipe as it is, on the side that its result points to."""
        for point in search_space.ladder(self.knobs, self.current, up=set(result.missed) == {"max_drop"}):
            self._enqueue(point, {})

    def revive(self) -> None:
        """End the trials of dead workers, and ask their values again."""
        for trial in self.trials():
            if trial.state == TrialState.RUNNING and self._watch.is_dead(trial):
                self._ask_again(trial.number, trial.params, trial.user_attrs)

    def ask(self, *, anywhere: bool = False) -> Asked:
        """The next trial. ``anywhere``: not where the sampler would go, which was there already."""
        self.revive()
        if anywhere:
            self._enqueue({key: self._draw(knob) for key, knob in self.knobs.items()}, {})
        trial = self._read(self.study.ask)
        self._write(lambda: trial.set_user_attr("worker", self.worker))
        as_is = self._read(lambda: trial.user_attrs).get("as_is", False)
        asked_for = self.current if as_is else self.knobs  # a recipe may stand outside of its own space
        with _quietly():
            point = {
                key: self._read(functools.partial(_suggest, trial, key, knob))
                for key, knob in self.knobs.items()
                if key in asked_for
            }
        asked = Asked(trial, {} if as_is else point, self.where)
        asked.note("point", dict(asked.point))
        return asked

    def claim(self, asked: Asked, likeness: str) -> int | None:
        """Take a recipe for a trial, or say which earlier trial has it.

        The lower number keeps a recipe. So the trials below, while their workers live, must have said theirs first.
        """
        asked.note("likeness", likeness)
        while True:
            below = [trial for trial in self.trials() if trial.number < asked.number]
            for trial in below:
                if (trial.state in DONE or self._runs(trial)) and trial.user_attrs.get("likeness") == likeness:
                    return trial.number
            if not any(self._runs(trial) and "likeness" not in trial.user_attrs for trial in below):
                return None
            time.sleep(POLL_S)

    def _runs(self, trial: FrozenTrial) -> bool:
        """Whether a living worker runs it."""
        return trial.state == TrialState.RUNNING and not self._watch.is_dead(trial)

    def complete(self, asked: Asked, result: Result) -> None:
        """A trial that was evaluated."""
        asked.note("result", result.table)
        for wish, beyond in result.missed.items():
            asked.miss(wish, beyond)
        asked.miss("gate", 1.0 if result.gate else 0.0)
        self._tell(asked, [result.value, result.p50_ms, float(result.size_bytes)])

    def prune(self, asked: Asked, why: str, beyond: Mapping[str, float]) -> None:
        """A trial that ends before it is evaluated; ``beyond`` tells the sampler how far off it was."""
        asked.note("why", why)
        for wish, share in beyond.items():
            asked.miss(wish, share)
        self._tell(asked, state=TrialState.PRUNED)

    def drop(self, asked: Asked, why: str) -> None:
        """A trial that is not run."""
        asked.note("why", why)
        self._tell(asked, state=TrialState.FAIL)

    def _tell(self, asked: Asked, values: list[float] | None = None, state: TrialState | None = None) -> None:
        self._write(lambda: self.study.tell(asked.trial, values, state, skip_if_finished=True))

    def postpone(self, asked: Asked, why: str) -> None:
        """A trial that is not run to its end now; its values are asked again."""
        asked.note("why", why)
        trial = self.trials()[asked.number]
        self._ask_again(asked.number, trial.params, trial.user_attrs)

    def _ask_again(self, number: int, params: Mapping[str, object], attrs: Mapping[str, object]) -> None:
        """Ask the values of a trial again, then end it: whoever is killed between the two leaves nothing undone.

        Two workers may ask at once; ``claim`` drops the second.
        """
        if not any(trial.user_attrs.get("again") == number for trial in self.trials()):
            kept = {"again": number, **{key: value for key, value in attrs.items() if key == "as_is"}}
            with _quietly():
                self._write(lambda: self.study.enqueue_trial(dict(params), user_attrs=kept))
        with contextlib.suppress(ValueError, RuntimeError, OptunaError):  # another worker was faster
            self._write(lambda: self.study.tell(number, state=TrialState.FAIL))

    def _enqueue(self, point: Mapping[str, object], attrs: Mapping[str, object]) -> None:
        with _quietly():
            params = {key: search_space.spell(value) for key, value in point.items()}
            self._write(lambda: self.study.enqueue_trial(params, user_attrs=dict(attrs)))

    def _draw(self, knob: Knob) -> Any:
        if knob.choices is not None:
            return knob.choices[int(self._rng.integers(len(knob.choices)))]
        low, high = map(float, knob.ends)
        if knob.log:
            value = float(np.exp(self._rng.uniform(np.log(low), np.log(high))))
        else:
            step = float(knob.step or (1 if search_space.whole_numbers(knob) else 0))
            count = int((high - low) / step + 1e-9) if step else 0
            value = low + step * int(self._rng.integers(count + 1)) if step else float(self._rng.uniform(low, high))
        return round(value) if search_space.whole_numbers(knob) else value


def _suggest(trial: optuna.Trial, key: str, knob: Knob) -> Any:
    """The value of a knob in a trial, as the recipe takes it."""
    value: object
    if knob.choices is not None:
        value = trial.suggest_categorical(key, [search_space.spell(choice) for choice in knob.choices])
    else:
        low, high = knob.ends
        if search_space.whole_numbers(knob):
            value = trial.suggest_int(key, int(low), int(high), step=int(knob.step or 1), log=knob.log)
        else:
            value = trial.suggest_float(key, float(low), float(high), step=knob.step, log=knob.log)
    return search_space.unspell(knob, value)


@contextlib.contextmanager
def _quietly() -> Any:
    """Without Optuna's warnings about values that a range does not hold, or a feature that is new."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
