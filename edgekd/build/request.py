"""A build request: what to build, for whom, where to. Everything about a build that is known without torch.

So an unchanged build is found to be done in a second, and a mistake in the recipe is told before torch is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edgekd.base import aside, places, plugins
from edgekd.base.disk import cache_root, clear_leftovers, disk, samples_page
from edgekd.base.errors import EdgekdError, IntegrityError, OutputError, RecipeError, UsageError, reading
from edgekd.base.notes import Progress
from edgekd.build import code_keys, step_keys
from edgekd.build.store import Store, canonical, sha256
from edgekd.document.report import Report
from edgekd.learn.data import LabelsByHead, Source, remembered_in
from edgekd.runtime import bundle
from edgekd.runtime.replay import checked
from edgekd.runtime.steady import steadily
from edgekd.spec import recipe as recipes
from edgekd.spec import target as targets_
from edgekd.spec.quick import quickened
from edgekd.spec.recipe import Recipe
from edgekd.spec.target import Target


def silent(event: dict[str, object]) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class BuildRequest:
    """A checked build request.

    Attributes:
        recipe: quickened where ``quick``.
        file: where it stood, for errors.
        source: the data source plugin, or None where the Python API was given arrays.
        data: the fingerprint of the data.
        objects: that of the networks which the Python API was given, "" for none.
        seen: whether the cache knows which files users' code opens: it ran before. Else ``identity`` is not yet whole.
        explain: also train the student without each loss, for the report.
        measure_on: the device whose latencies decide.
        identity: what the bundle at ``out`` is held against; of the code and files as they were when it was taken.
    """

    recipe: Recipe
    file: str
    targets: tuple[Target, ...]
    source: object
    data: str
    out: Path
    store: Store
    quick: bool = False
    overwrite: bool = False
    keep_candidates: bool = False
    explain: bool = False
    measure_on: str = "local"
    progress: Progress = field(default=silent)
    objects: str = ""
    seen: bool = True
    identity: str = ""


def make(
    recipe: str | Mapping[str, object] | None,
    targets: Sequence[str] = (),
    settings: Sequence[str] = (),
    *,
    data: str | None = None,
    objects: str = "",
    out: Path | None = None,
    cache: Path | None = None,
    quick: bool = False,
    measure_on: str = "local",
    **how: Any,
) -> BuildRequest:
    """Read and check a recipe, its targets and the fingerprint of its data.

    Args:
        recipe, settings: see ``recipe.load``; or a recipe as a table.
        data: the fingerprint of data that the Python API was given; the recipe's source is not asked then.
        objects: the fingerprint of networks that it was given.
        targets: names or files; none: those that the recipe names.
        out: default ``dist/<name>``, with ``--quick`` ``dist/<name>-quick``.
        measure_on: ``local``, or a device; see ``runtime.devices``.
        how: ``overwrite``, ``keep_candidates``, ``explain``, ``progress``.
    """
    if isinstance(recipe, Mapping):
        loaded, file = recipes.parse(recipe, "recipe"), "recipe"
    else:
        loaded, path = recipes.load(recipe, settings)
        file = path.name
    chosen = load_targets(loaded, targets)
    store = Store(cache or cache_root())
    code_keys.refresh(loaded.model_dump(mode="json", include={"tune"}), store.root)
    seen = code_keys.refresh(step_keys.tables(loaded, chosen), store.root)
    with reading(file), remembered_in(store.root):
        source: Any = None if data is not None else data_source(loaded, quick)
        fingerprint = data if data is not None else str(plugins.call_user(source.fingerprint, "data.source"))
    if loaded.abstain is not None and loaded.abstain.outside:  # what is learned is then another data set
        fingerprint = step_keys.digest(fingerprint, loaded.abstain.outside)
    final = quickened(loaded) if quick else loaded
    request = BuildRequest(
        recipe=final,
        targets=chosen,
        file=file,
        source=source,
        data=fingerprint,
        objects=objects,
        seen=seen,
        out=out or Path("dist") / (loaded.name + ("-quick" if quick else "")),
        store=store,
        quick=quick,
        measure_on=measure_on,
        **how,
    )
    return identified(request)


def identified(request: BuildRequest, seen: bool | None = None) -> BuildRequest:
    """The request with its identity, as users' code and files are known now.

    Args:
        seen: True once all of users' code has run.
    """
    where = "" if request.measure_on == "local" else f" on {request.measure_on}"  # another device may choose otherwise
    known = step_keys.identity(request.recipe, request.targets, request.data + request.objects + where, request.quick)
    return replace(request, identity=known, seen=request.seen if seen is None else seen)


def load_targets(recipe: Recipe, names: Sequence[str]) -> tuple[Target, ...]:
    """The targets of a build, each once."""
    chosen = tuple(targets_.load(name) for name in dict.fromkeys(names or recipe.targets))
    if not chosen:
        raise UsageError("no target given", where="--target", allowed=targets_.names())
    if len({target.name for target in chosen}) < len(chosen):
        raise UsageError("two targets of one name", where="--target", found=[t.name for t in chosen])
    return chosen


def data_source(recipe: Recipe, quick: bool) -> object:
    """The recipe's data source; with ``--quick`` and no path, made data of the same shape."""
    table, of_files = recipe.data.table, frozenset[str]()
    if recipe.data.made is not None and "path" not in table:
        if not quick:
            raise RecipeError(
                "no data given", where="data.path", allowed="--set data.path=FILE; or --quick, on made data"
            )
        options = {key: value for key, value in recipe.data.made.items() if key != "source"}
        table = {"kind": recipe.data.made.get("source", "made"), **options}
        of_files = _keys(recipe.data.source) - _keys(str(table["kind"])) if recipe.heads else of_files
    if recipe.heads:  # where in a file the labels of a head are, made data need not be told
        keys_of = {name: head.data.items() for name, head in recipe.heads.items()}
        tables = {name: {**table, **{k: v for k, v in keys if k not in of_files}} for name, keys in keys_of.items()}
        return LabelsByHead({name: source_of(of_head, f"heads.{name}") for name, of_head in tables.items()})
    return source_of(table)


def _keys(source: str) -> frozenset[str]:
    """The keys that a kind of data source has of its own."""
    return frozenset(one.name for one in fields(plugins.load("data", source, "data.source")))


def source_of(table: Mapping[str, object], where: str = "data") -> Source:
    """The data source of a plugin's table, which has its ``kind``."""
    source: Source = plugins.build("data", table, where)
    return source


BUNDLE = ("manifest.json", "manifest.sha256")  # what a bundle is known by


def check_writable(out: Path) -> None:
    """Tell before an hour is spent that the bundle could not be written.

    Raises:
        OutputError: a link (it would be the folder behind it that is read, and the link that is replaced); the current
            folder, one above it or a place where a disk is mounted, which can't be put in place in one rename; a name
            that is too long with what is written beside it; a place inside of another bundle, which holds what its
            manifest lists and nothing else; no folder to write in, or none that may be written.
    """
    page = samples_page(out)
    with disk(out), suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(aside.name_of(page))  # asks the disk, which refuses what is too long
    with disk(page):
        if places.kind(page) not in ("file", "nothing"):
            raise OutputError("neither a file nor free", where=str(page), allowed="a file of an earlier build, or none")
    if out.is_symlink():
        raise OutputError("a symbolic link", where=str(out), found=os.readlink(out), allowed="the folder itself")
    outer = next((p for p in out.resolve().parents if all((p / name).is_file() for name in BUNDLE)), None)
    if outer is not None:
        raise OutputError(
            "lies inside of another bundle", where=str(out), found=str(outer), allowed="a place of its own"
        )
    if Path.cwd().is_relative_to(out.resolve()) or os.path.ismount(out):
        raise OutputError("can't be replaced by a bundle as a whole", where=str(out), allowed="a folder inside it")
    place = next((p for p in (out.parent, *out.parent.parents) if p.exists()), Path("/"))
    if not place.is_dir():
        raise OutputError("can't be written (not a folder)", where=str(out), found=str(place))
    with disk(place):  # tried, not asked: /proc says that it may be written, and a full disk does, too
        try:
            with aside.folder(place / out.name):
                pass
        except OSError as err:
            err.filename = str(place)  # the user knows nothing of what was tried
            raise
    clear_leftovers(place / out.name)


def candidates_of(out: Path) -> Path:
    """The folder of all candidates beside a bundle."""
    return out.with_name(out.name + ".candidates")


def check_candidates(out: Path, targets: Iterable[str]) -> None:
    """Raise OutputError where the folder of all candidates, which is replaced as a whole, holds other files."""
    folder, of_targets = candidates_of(out), {*targets_.names(), *targets}
    with disk(folder):
        inside = (
            [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()] if folder.is_dir() else []
        )
    if others := [path for path in inside if len(path.parts) != 2 or path.parts[0] not in of_targets]:
        allowed = "candidates of an earlier build, or another --out"
        raise OutputError("holds other files", where=str(folder), found=str(min(others)), allowed=allowed)


def is_explained(report: Report) -> bool:
    """Whether a report says what each loss is worth."""
    learned = (report.get("details") or {}).get("learned")
    return learned is not None and bool(learned.get("losses"))


def standing(request: BuildRequest) -> Report | None:
    """The report of the bundle at ``out`` where it is the one that this request would make, else None.

    With ``keep_candidates`` the build runs again (from the cache), for their files; with ``explain`` where its report
    does not say yet what each loss is worth. Where users' code did not run yet (``seen``) nothing is said of another
    bundle: the pipeline asks again once it did.

    Raises:
        OutputError: it can't be written; something else stands there, and ``overwrite`` was not given.
        IntegrityError: the bundle there is damaged, or is not the one that was built here: its manifest, made anew with
            its digest, would say so of itself to nobody.
    """
    out = request.out
    check_writable(out)
    if request.keep_candidates:
        check_candidates(out, (one.name for one in request.targets))
    for left in (out, samples_page(out), candidates_of(out)):
        clear_leftovers(left)
    with suppress(EdgekdError):  # a cache that can't be looked into is told of where it is used
        request.store.clear()
    if not out.exists() and not out.is_symlink():
        return None
    if not (out / "manifest.json").is_file():
        if out.is_dir() and not any(out.iterdir()):
            return None
        raise OutputError("exists and is not a bundle", where=str(out), allowed="a new folder, or a bundle")
    try:
        existing = bundle.read(out)
        if existing.plan == request.identity:
            steadily(out, lambda: checked(out, run=False))
            _check_built_here(request, existing.digest)
            report = bundle.report_of(existing)
            missing = request.keep_candidates or (request.explain and not is_explained(report))
            return None if missing else report
    except IntegrityError:
        if not request.overwrite:
            raise
        return None
    if not request.overwrite and request.seen:
        raise OutputError("holds another bundle", where=str(out), hint="give --overwrite, or another --out")
    return None


def remember(request: BuildRequest, digest: str) -> None:
    """Keep the digest of the bundle that is built, so that another one in its place is seen."""
    for key in (
        _built(request, digest),
        _built(request),
    ):  # the second alone would say that no bundle is this request's
        request.store.put(key, {"digest": digest.encode()})


def _check_built_here(request: BuildRequest, digest: str) -> None:
    """Raise IntegrityError where this request was built here, and never as the bundle with this digest."""
    if request.store.has(_built(request, digest)):
        return
    if request.store.has(_built(request)):
        hint = "--overwrite builds it again"
        raise IntegrityError("is not the bundle that was built here", where=str(request.out), found=digest, hint=hint)
    request.progress(
        {"step": "the cache does not know this bundle: it was held against its own manifest", "epoch": None}
    )


def _built(request: BuildRequest, digest: str = "") -> str:
    """The cache's key of what was built of a request; with a digest, of that very bundle."""
    return sha256(canonical(["bundle", request.identity, digest]))
