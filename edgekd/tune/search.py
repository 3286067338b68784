"""The search: ask, look at the shape, train a little, train, measure; then build the best that is inside the budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from edgekd.base import limits, locks
from edgekd.base.disk import disk
from edgekd.base.errors import DivergedError, ExportError, FactoryError, GateError, OutputError, RecipeError, UsageError
from edgekd.base.notes import Progress
from edgekd.base.plain import plain
from edgekd.build import request as requests
from edgekd.build.prepare import Objects, dataset_of
from edgekd.build.request import BuildRequest
from edgekd.build.store import canonical, sha256
from edgekd.document.tune import Tune
from edgekd.runtime import runners, shared_folder
from edgekd.runtime.runners import BuildRunner
from edgekd.spec import recipe as recipes
from edgekd.spec.recipe import Budget, Knob, Recipe, Table
from edgekd.spec.validation import explain
from edgekd.tune import outcome, search_space, verdict
from edgekd.tune.study import Asked, Study, open_storage
from edgekd.tune.trial import Lab, full, rung, shapes, shortened, wishes
from edgekd.tune.verdict import Prefer, Result
from edgekd.tune.workers import beating

TRIALS = 30
WISHES = ("max_latency_ms", "max_size_kb", "max_drop")
TIRED = 100  # recipes in a row that were tried before: there is hardly another
AGAIN = 3  # of which the sampler names so many, and chance the others
WAIT_S = 1.0
Tell = Callable[[str], None]
Build = Callable[[BuildRequest, Objects], object]


@dataclass(frozen=True)
class Wanted:
    """What a search is asked for.

    Attributes:
        trials: finished ones in the whole study, all workers together; None: no limit.
        seconds: of this worker; a trial that is begun is ended.
        stop_when_met: end with the first trial that meets the budget.
    """

    budget: Mapping[str, float | None]
    prefer: Prefer = "value"
    trials: int | None = None
    seconds: float | None = None
    stop_when_met: bool = False
    storage: str | None = None

    def __post_init__(self) -> None:
        limits.finite(self.seconds, "--seconds")
        if self.storage == "":
            raise UsageError("an empty path", where="--storage", allowed="a journal file, or a database's URL")


def run(
    recipe: str | None,
    targets: Sequence[str],
    settings: Sequence[str],
    wanted: Wanted,
    *,
    out: Path | None = None,
    cache: Path | None = None,
    quick: bool = False,
    overwrite: bool = False,
    measure_on: str = "local",
    build: Build,
    tell: Tell = lambda line: None,
    progress: Progress = requests.silent,
) -> Tune:
    """Search, build the best, and write ``<out>`` and ``<out>.tune/``.

    Args:
        build: what makes a bundle of a build request (``pipeline.run``).
        recipe, targets, settings, out, cache, quick, overwrite, measure_on: as in ``edgekd build``.
        tell: called with a line for each trial.
        progress: of the build at the end.

    Returns:
        tune.json.

    Raises:
        UsageError: no wish was given, or the space is not one.
        GateError: nothing met the budget; says which came nearest.
        EdgekdError: see ``errors``.
    """
    raw, path = recipes.load(recipe, settings)
    raw = _wishing(raw, wanted.budget, wanted.prefer)
    knobs = search_space.of(raw, path.name)
    name = f"{raw.name[:58]}-tuned"
    lasting = [_lasting(target) for target in targets or raw.targets]
    table = {**search_space.table_of(raw), "name": name, "targets": lasting}
    out = out or Path("dist") / (name + ("-quick" if quick else ""))
    request = requests.make(recipe, targets, settings, out=out, cache=cache, quick=quick, measure_on=measure_on)
    requests.check_writable(request.out)
    lab = Lab(request, dataset_of(request), raw.budget, _runner(measure_on, tell))
    study = _study(lab, raw, knobs, wanted)
    _check_free(request, study, overwrite)
    for note in filter(None, [*lab.dataset.notes, request.store.outdated(), _earlier(request, study)]):
        tell(f"note: {note}")
    search = _Search(raw, lab, study, table, wanted, tell)
    try:
        ended = search.run()
        lab = replace(lab, request=replace(request, progress=progress))
        with _alone(request, study.study.study_name):
            chosen = _build_best(lab, study, search, build, overwrite, tell)
            document = search.leave(ended, chosen, built=chosen is not None)
    except KeyboardInterrupt:
        search.leave("it was interrupted", next(iter(search.ranked()), None), built=False)
        tell(f"interrupted: what was found so far is in {search.page}")
        raise
    if chosen is None:
        why = _why(study, verdict.nearest(study.results()))
        raise GateError(f"{why}; ended because {ended}", hint=f"nothing was built; see {search.page}")
    return document


class _Search:
    """One worker's part of a study."""

    def __init__(self, raw: Recipe, lab: Lab, study: Study, table: Table, wanted: Wanted, tell: Tell) -> None:
        self.raw, self.lab, self.study, self.table, self.wanted, self.tell = raw, lab, study, table, wanted, tell
        self.folder = lab.request.out.with_name(lab.request.out.name + ".tune")
        self.page = self.folder / "tune.html"
        self.started, self.took = time.monotonic(), list[float]()

    def run(self) -> str:
        """Try one recipe after the other until a limit is reached: which one, in words."""
        repeated = 0
        while (why := self._over(time.monotonic() - self.started)) is None:
            if self._others_do_the_rest():
                time.sleep(WAIT_S)
                self.study.revive()
                continue
            asked = self.study.ask(anywhere=repeated >= AGAIN)
            begun = time.monotonic()
            with beating(asked.beat, self.study.revive):
                tried = self._try(asked)
            if tried:
                repeated = 0
                self.took.append(time.monotonic() - begun)
            elif (repeated := repeated + 1) >= TIRED:
                return "every recipe of the space was tried"
        return why

    def ranked(self) -> list[Result]:
        """Those that met the budget, best first."""
        return verdict.ranked(self.study.results(), self.wanted.prefer)

    def leave(self, ended: str, chosen: Result | None, *, built: bool) -> Tune:
        """Write ``<out>.tune/`` and return tune.json.

        Args:
            ended: why, in words.
            chosen: what meets the budget best; None where nothing does.
            built: whether its bundle was written.
        """
        labels, request = self.lab.dataset.splits["validation"].y, self.lab.request
        seconds, prefer = time.monotonic() - self.started, self.wanted.prefer
        facts = outcome.SearchFacts(self.raw, request, self.study, prefer, ended, chosen, built, seconds, labels)
        document = outcome.document(facts)
        near = chosen or verdict.nearest(self.study.results())
        source = self.table_of(near.number) if near else self.table
        if (edited := outcome.write(self.folder, document, source, near)) is not None:
            self.tell(f"note: {self.folder / outcome.RECIPE} was edited: it is {edited.name} now")
        return document

    def table_of(self, number: int) -> Table:
        """The recipe of a trial, as its author would write it."""
        point = self.study.trials()[number].user_attrs["point"]
        return search_space.apply(self.table, point)

    def _over(self, seconds: float) -> str | None:
        """Why no trial is begun any more; None where one is."""
        wanted, finished = self.wanted, self.study.finished()
        if wanted.stop_when_met and any(result.met for result in self.study.results()):
            return "a trial met the budget (--stop-when-met)"
        if wanted.seconds is not None and finished:
            took = self.took or [t.user_attrs.get("seconds", 0.0) for t in finished]
            longest = max(took[1:] or took)  # the first may have trained the teacher
            if seconds + longest > wanted.seconds:
                left = max(wanted.seconds - seconds, 0.0)
                return f"a trial takes {longest:.3g} s, and {left:.3g} of {wanted.seconds:g} s were left (--seconds)"
        if wanted.trials is not None and len(finished) >= wanted.trials:
            return f"{len(finished)} of {wanted.trials} trials were finished (--trials)"
        return None

    def _others_do_the_rest(self) -> bool:
        running = len(self.study.running())
        limit = self.wanted.trials
        return limit is not None and running > 0 and len(self.study.finished()) + running >= limit

    def _try(self, asked: Asked) -> bool:
        """Run a trial to its end; False where another one had its recipe before."""
        begun = time.monotonic()
        try:
            recipe = recipes.parse(search_space.apply(self.table, asked.point), "recipe")
        except RecipeError as err:
            return self._cannot(asked, err, begun)
        if (twin := self.study.claim(asked, search_space.likeness(recipe))) is not None:
            self.study.drop(asked, f"the same recipe as trial {twin}")
            return False
        try:
            self._stages(asked, recipe, begun)
        except KeyboardInterrupt:
            self.study.postpone(asked, "interrupted")
            raise
        except (RecipeError, ExportError, FactoryError, DivergedError) as err:
            return self._cannot(asked, err, begun)
        return True

    def _cannot(self, asked: Asked, err: Exception, begun: float) -> bool:
        """A recipe of the space that can't be built; the user's own must be."""
        if not asked.point:
            self.study.drop(asked, str(err))
            raise err
        self._end(asked, f"can't be built: {err}", {"built": 1.0}, begun)
        return True

    def _stages(self, asked: Asked, recipe: Recipe, begun: float) -> None:
        """The shape; a third of the epochs; the real thing."""
        candidate_shapes = shapes(self.lab, recipe)
        small = verdict.smallest(candidate_shapes)
        asked.note("shapes", {name: {c: asdict(s) for c, s in each.items()} for name, each in candidate_shapes.items()})
        asked.note("shape", asdict(small))
        as_is = not asked.point  # it is evaluated come what may: so the search is never worse than the recipe
        if not as_is and (beyond := verdict.hopeless(candidate_shapes, wishes(self.lab, recipe))):
            return self._end(asked, f"its shape misses {verdict.words(beyond)}", beyond, begun)
        short = None if as_is or self.lab.request.quick else shortened(recipe)
        if short is not None:
            value = rung(self.lab, short)
            rivals = self.study.rivals()
            asked.note("rung", value)
            if verdict.out_of_reach(value, self.study.gains(), self.study.results(), self.lab.budget):
                why = "after a third of the epochs further below the drop than any trial gained"
                return self._end(asked, why, {"rung": 0.5}, begun)
            if not verdict.promising(value, small, rivals):
                return self._end(asked, "others promise more after a third of the epochs", {"rung": 0.5}, begun)
        result = full(self.lab, recipe, asked.number)
        asked.note("seconds", time.monotonic() - begun)
        asked.note("why", _met_or_not(result))
        if as_is:
            self.study.climb(result)
        self.study.complete(asked, result)
        self.tell(outcome.line(self.study.trials()[asked.number]))

    def _end(self, asked: Asked, why: str, beyond: Mapping[str, float], begun: float) -> None:
        asked.note("seconds", time.monotonic() - begun)
        self.study.prune(asked, why, beyond)
        self.tell(outcome.line(self.study.trials()[asked.number]))


def _met_or_not(result: Result) -> str:
    return result.gate or (f"misses {verdict.words(result.missed)}" if result.missed else "meets the budget")


def _wishing(recipe: Recipe, asked: Mapping[str, float | None], prefer: Prefer) -> Recipe:
    """The recipe with the budget that was asked for."""
    given = {key: value for key, value in asked.items() if value is not None}
    wished = recipe.budget
    if not given and (wished.max_latency_ms, wished.max_size_kb, wished.max_size_share) == (None, None, None):
        raise UsageError(
            "no budget to search for",
            where="edgekd tune",
            allowed="--max-latency-ms, --max-size-kb or --max-drop; or in [budget] max_latency_ms, max_size_kb or "
            "max_size_share",
        )
    kept = wished.model_dump(exclude_unset=True)
    if prefer != "value":
        kept["prefer"] = prefer
    try:
        budget = Budget.model_validate({"max_drop": wished.max_drop, **kept, **given})
    except ValidationError as err:
        raise explain(err, Budget, "edgekd tune", UsageError) from err
    return recipe.model_copy(update={"budget": budget})


def _runner(device: str, tell: Tell) -> BuildRunner:
    """What measures. Of a shared folder it is told where nobody does; what a device runs is no news of a trial."""
    if shared_folder.path_of(device) is None:
        return runners.of(device)
    return runners.of(device, lambda line: tell(f"note: {line}"))


def _lasting(target: str) -> str:
    """A target's name, or its file's absolute path."""
    return str(Path(target).resolve()) if target.endswith(".toml") or "/" in target else target


def _study(lab: Lab, recipe: Recipe, knobs: Mapping[str, Knob], wanted: Wanted) -> Study:
    """The study of this search: another recipe, budget, space, version or machine that measures is another one.

    How a worker reaches that machine is its own matter, and which machine the worker trains on.
    """
    request = lab.request
    if not request.seen:
        lab.workspace(recipe)  # runs users' code once, so that a second worker finds the same name
    what = [
        replace(lab, request=replace(request, measure_on="local")).request_of(recipe).identity,
        {key: plain(knob.model_dump()) for key, knob in knobs.items()},
        dict(lab.runner.facts()["key"]),
    ]
    name = f"{recipe.name}-{sha256(canonical(what))[:16]}"
    storage = wanted.storage or str(request.store.root / "tune" / f"{name}.journal")
    return Study(open_storage(storage), name, knobs, search_space.current(recipe, knobs), recipe.seed, storage)


def _earlier(request: BuildRequest, study: Study) -> str | None:
    """That a search begins though earlier ones of a recipe of this name are kept: theirs was another question."""
    name = study.study.study_name
    start = name[: -len(name.rpartition("-")[2])]
    kept = [path.name.removesuffix(".journal") for path in (request.store.root / "tune").glob(f"{start}*.journal")]
    earlier = {other for other in (*study.others, *kept) if other.startswith(start) and other != name}
    if not study.begins or not earlier:
        return None
    searches = "one earlier search" if len(earlier) == 1 else f"{len(earlier)} earlier searches"
    return f"{searches} of {start[:-1]} had another recipe, budget, machine or version of edgekd: this one begins anew"


@contextmanager
def _alone(request: BuildRequest, name: str) -> Iterator[None]:
    """Of several workers that are done one after the other builds."""
    folder = request.store.root / "tune"
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with locks.file(folder / f"{name}.lock"):
            yield


def _check_free(request: BuildRequest, study: Study, overwrite: bool) -> None:
    """Tell before the search that the bundle could not be written; an earlier choice of this study gives way."""
    out = request.out
    if overwrite or not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if outcome.identity_at(out) not in study.built():
        raise OutputError("holds something else", where=str(out), hint="give --overwrite, or another --out")


def _build_best(lab: Lab, study: Study, search: _Search, build: Build, overwrite: bool, tell: Tell) -> Result | None:
    """A whole build of the best; where its gate fails, of the next."""
    for result in search.ranked():
        request = lab.request_of(recipes.parse(search.table_of(result.number), "recipe"))
        built = study.built()
        request = replace(request, overwrite=overwrite or outcome.identity_at(request.out) in built)
        try:
            if requests.standing(request) is None:
                study.choose(request.identity)
                build(request, Objects(dataset=lab.dataset))
        except GateError as err:
            tell(f"trial {result.number}: its build failed the gate: {err}")
            continue
        return result
    return None


def _why(study: Study, near: Result | None) -> str:
    finished = len(study.finished())
    if near is None:
        return f"none of {finished} trials was worth training: the shapes are too slow or too large for the budget"
    return f"none of {finished} trials meets the budget; trial {near.number} comes nearest: {_met_or_not(near)}"
