"""``edgekd.tune``: the command's work from Python. Apart from ``build``, which needs no Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekd import pipeline
from edgekd.api.watched import watched
from edgekd.base import notes
from edgekd.base.disk import users_path
from edgekd.base.errors import UsageError, in_python
from edgekd.base.notes import Progress
from edgekd.document.tune import Tune
from edgekd.tune import search
from edgekd.tune.verdict import Prefer


@in_python()
def tune(
    recipe: str | Path | None = None,
    *,
    targets: Sequence[str] = (),
    settings: Sequence[str] = (),
    budget: Mapping[str, float] | None = None,
    prefer: Prefer = "value",
    trials: int | None = None,
    seconds: float | None = None,
    stop_when_met: bool = False,
    storage: str | None = None,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    quick: bool = False,
    overwrite: bool = False,
    measure_on: str = "local",
    progress: Progress | bool | None = None,
) -> Tune:
    """Search for the student of a recipe that meets a budget, build it, and return tune.json.

    The same call again goes on where the last one ended.

    Args:
        recipe: a built-in name or a file.
        targets, settings, out, cache, quick, overwrite, measure_on, progress: as in ``build``; ``progress`` is told of
            each trial as a note. Workers that train on several machines measure on one: ``folder:PATH``.
        budget: ``max_latency_ms``, ``max_size_kb`` or ``max_drop``; the others are the recipe's.
        prefer: what counts among the students inside the budget: latency, size or value.
        trials: end after so many, all workers together; by default 30, and no limit with ``seconds``.
        seconds: begin no trial that would end later.
        stop_when_met: end with the first trial inside the budget.
        storage: of the study: an Optuna journal file, or an SQL database's URL; by default a file in the cache.

    Raises:
        UsageError: no budget to search for, or a wish that there is none of.
        GateError: nothing met the budget; says which came nearest.
    """
    wishes = dict(budget or {})
    if unknown := set(wishes) - set(search.WISHES):
        raise UsageError("no such wish", where="budget", found=min(unknown), allowed=search.WISHES)
    limit = search.TRIALS if trials is None and seconds is None else trials
    with watched(progress) as callback:
        return search.run(
            None if recipe is None else str(recipe),
            [targets] if isinstance(targets, str) else targets,
            settings,
            search.Wanted(wishes, prefer, limit, seconds, stop_when_met, storage),
            out=None if out is None else users_path(out, "out"),
            cache=None if cache is None else users_path(cache, "cache"),
            quick=quick,
            overwrite=overwrite,
            measure_on=measure_on,
            build=pipeline.run,
            tell=lambda line: notes.tell(callback, [line]),
            progress=callback,
        )
