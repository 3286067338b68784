"""What a build tells its loggers: every epoch of every step as it ends, and at last what was measured."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping

from edgekd.base import notes, plugins
from edgekd.base.errors import EdgekdError, reading
from edgekd.base.notes import Progress
from edgekd.build.request import BuildRequest
from edgekd.build.store import canonical
from edgekd.document.report import Report
from edgekd.loggers import Run, Setting
from edgekd.spec.recipe import UNREAD, Recipe

PER_EPOCH = ("loss", "validation", "lr", "seconds", "samples_per_s")


class TrainingLog:
    """Progress, as a build tells it, passed on to whoever watches and to every logger.

    A logger that fails is left out from there on, with a note: no training is lost for a full disk of curves.

    Args:
        progress: who else is told.
        runs: by the place of their table in the recipe.
    """

    def __init__(self, progress: Progress, runs: dict[str, Run]) -> None:
        self._progress, self._runs, self._results = progress, runs, dict[str, float]()
        self._finished = False

    def __call__(self, event: dict[str, object]) -> None:
        self._progress(event)
        if values := of_epoch(event):
            for place in list(self._runs):
                self._tell(place, values, int(str(event["epoch"])))

    def finish(self, report: Report) -> None:
        """The build is whole; its results are the last that loggers are told."""
        self._results, self._finished = of_report(report), True

    def close(self) -> None:
        """Close every run, as finished or failed."""
        for place, run in self._runs.items():
            try:
                plugins.call_user(run.close, place, self._results, self._finished)
            except EdgekdError as err:
                notes.tell(self._progress, [f"{place}: {err}"])

    def _tell(self, place: str, values: Mapping[str, float], epoch: int) -> None:
        try:
            plugins.call_user(self._runs[place].write, place, values, epoch)
        except EdgekdError as err:
            del self._runs[place]
            notes.tell(self._progress, [f"{err}; nothing more is logged there"])


@contextlib.contextmanager
def opened(request: BuildRequest) -> Iterator[TrainingLog]:
    """Every logger of a recipe, closed in the end.

    Raises:
        RecipeError: a table is wrong. UnavailableError: a library is missing. OutputError: a folder can't be written.
    """
    runs: dict[str, Run] = {}
    log = TrainingLog(request.progress, runs)
    try:
        with reading(request.file):
            settings = settings_of(request.recipe)
            for number, table in enumerate(request.recipe.log):
                place = f"log[{number}]" if len(request.recipe.log) > 1 else "log"
                logger = plugins.build("loggers", table, place)
                runs[place] = plugins.call_user(logger.open, place, request.recipe.name, settings)
        yield log
    finally:
        log.close()


def of_epoch(event: Mapping[str, object]) -> dict[str, float]:
    """The numbers of an epoch that ended, by ``step/name``; of any other event none."""
    if "loss" not in event or event.get("epoch") is None:
        return {}
    step = _name(str(event["step"]))
    values = {f"{step}/{name}": event[name] for name in PER_EPOCH if name in event}
    losses = event.get("losses")
    if isinstance(losses, Mapping):
        values |= {f"{step}/losses/{_name(str(name))}": value for name, value in losses.items()}
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}


def of_report(report: Report) -> dict[str, float]:
    """What was measured: of trained steps ``step/value_test``, of files ``target/candidate/p50_ms`` and so on."""
    results: dict[str, float] = {}
    for stage in report["stages"]:
        results[f"results/{_name(stage['name'])}/value_test"] = stage["value_test"]
    for target_name, target in report["targets"].items():
        for candidate in target["candidates"]:
            place = f"results/{target_name}/{_name(candidate['name'])}"
            results[f"{place}/value_validation"] = candidate["value_validation"]
            results[f"{place}/value_test"] = candidate["value_test"]
            results[f"{place}/p50_ms"] = candidate["latency_ms"]["p50"]
            results[f"{place}/size_bytes"] = candidate["size_bytes"]
    return results


def settings_of(recipe: Recipe) -> dict[str, Setting]:
    """A recipe's settings by their dotted keys; what is no number, text or boolean is JSON."""
    return dict(_flat(recipe.model_dump(mode="json", exclude=set(UNREAD), exclude_none=True)))


def _flat(table: Mapping[str, object], above: str = "") -> Iterator[tuple[str, Setting]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif isinstance(value, list) and value and all(isinstance(inner, Mapping) for inner in value):
            for number, inner in enumerate(value):
                yield from _flat(inner, f"{above}{key}.{number}.")
        else:
            yield f"{above}{key}", value if isinstance(value, str | int | float) else canonical(value).decode()


def _name(text: str) -> str:
    """A name of letters, digits and ``_.-/ `` alone, as every logger takes it."""
    return re.sub(r"[^\w./ -]+", "", text).strip()
