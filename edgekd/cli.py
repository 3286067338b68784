"""The command line: the only place that prints.

Exit codes: 0 done; 1 a bug; 2 usage, recipe, data, factory, target, output; 3 a gate failed or training diverged;
4 a known target that this machine can't run; 5 integrity; 6 out of disk or memory; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from edgekd import __version__
from edgekd.base import streams
from edgekd.base.printable import all_printable, in_json, printable
from edgekd.errors import EdgekdError, ResourceError, UsageError, out_of_memory


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="edgekd")
def cli() -> None:
    """Compile a trained teacher into a small student that runs fast on a target, and prove it."""


# The extra that brings a module; the others come with [build].
_EXTRAS = {"transformers": "text", "tokenizers": "text", "optuna": "tune", "tomli_w": "tune"}
_recipe = click.argument("recipe", required=False)
_target = click.option("--target", "targets", multiple=True, metavar="T", help="Target name or file; may be repeated.")
_set = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a recipe key: a.b=c.")
_cache = click.option("--cache", type=click.Path(path_type=Path), help="Where artifacts are kept.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, all else on stderr.")
_quick = click.option("--quick", is_flag=True, help="Every stage cut to seconds; the bundle is not shippable.")
_bundle = click.argument("bundle", type=click.Path(path_type=Path))
_plugins = click.option("--allow-plugin", "plugins", multiple=True, metavar="PACKAGE.MODULE:CLASS",
                        help="A backend of your own that the bundle may open; may be repeated.")  # fmt: skip


@cli.command()
@_recipe
@_target
@click.option("--out", type=click.Path(path_type=Path), help="The bundle's folder [default: dist/<name>].")
@_set
@_quick
@click.option("--keep-candidates", is_flag=True, help="Keep every candidate's files in <out>.candidates/.")
@click.option("--explain", is_flag=True, help="Train the student once more without each loss and report what each is "
              "worth; a bundle that stands already gets a new report.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, train nothing.")
@click.option("--measure-on", default="local", show_default=True, metavar="DEVICE", help="Whose latencies decide; see "
              "edgekd bench --device.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace another bundle at --out.")
@_cache
@_json
def build(
    recipe: str | None,
    targets: tuple[str, ...],
    out: Path | None,
    settings: tuple[str, ...],
    quick: bool,
    keep_candidates: bool,
    explain: bool,
    dry_run: bool,
    measure_on: str,
    overwrite: bool,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Distil, prune, quantize, export, measure and bundle RECIPE (a file or a built-in name)."""
    from edgekd import console, orders

    with _own_modules(), _clean_stdout(as_json), console.Progress(quiet=as_json) as progress:
        order = orders.take(
            recipe,
            targets,
            settings,
            out=out,
            cache=cache,
            quick=quick,
            overwrite=overwrite,
            keep_candidates=keep_candidates,
            explain=explain,
            measure_on=measure_on,
            progress=progress,
        )
        found = None if dry_run else orders.standing(order)
        if found is None:
            from edgekd import pipeline

            if dry_run:
                tree = pipeline.describe(order)
            else:
                report = pipeline.run(order)
        else:
            report = found
    if dry_run:
        _print(as_json, tree, console.plan_tree)
    else:
        cached = found is not None
        _print(as_json, report, lambda told: console.build_table(told, order.out, cached=cached))


@cli.command()
@_recipe
@_target
@click.option("--max-latency-ms", type=click.FloatRange(min=0, min_open=True), help="p50 on each target.")
@click.option("--max-size-kb", type=click.FloatRange(min=0, min_open=True), help="Of the files that ship.")
@click.option("--max-drop", type=click.FloatRange(min=0), help="Against the teacher, in the metric's unit.")
@click.option("--prefer", type=click.Choice(["latency", "size", "value"]), default="value", show_default=True,
              help="What counts among the students inside the budget.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="The bundle's folder [default: dist/<name>-tuned].")
@click.option("--trials", type=click.IntRange(min=1), help="End after so many, all workers together [default: 30; none "
              "with --seconds].")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(min=0), help="Begin no trial that would end later.")
@click.option("--stop-when-met", is_flag=True, help="End with the first trial inside the budget.")
@click.option("--storage", metavar="FILE|URL", help="Of the study: an Optuna journal file, or an SQL database's URL "
              "[default: a file in the cache].")  # fmt: skip
@_set
@_quick
@click.option("--overwrite", is_flag=True, help="Replace another bundle at --out.")
@_cache
@_json
def tune(
    recipe: str | None,
    targets: tuple[str, ...],
    settings: tuple[str, ...],
    out: Path | None,
    quick: bool,
    overwrite: bool,
    cache: Path | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Search for the student of RECIPE that meets a budget, and build it; the same command again goes on."""
    from edgekd import console
    from edgekd.tune import search

    wishes = {key: how.pop(key) for key in ("max_latency_ms", "max_size_kb", "max_drop")}
    if how["trials"] is None and how["seconds"] is None:
        how["trials"] = search.TRIALS
    with _own_modules(), _clean_stdout(as_json), console.Progress(quiet=as_json) as progress:
        found = search.run(
            recipe,
            targets,
            settings,
            search.Wanted(wishes, **how),
            out=out,
            cache=cache,
            quick=quick,
            overwrite=overwrite,
            tell=_tell,
            progress=progress,
        )
    _print(as_json, found, console.tune_table)


@cli.command()
@_recipe
@_target
@_set
@_quick
@_cache
@_json
def plan(
    recipe: str | None,
    targets: tuple[str, ...],
    settings: tuple[str, ...],
    quick: bool,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Print the tree of steps: what is shared, what forks, what is cached, what it costs."""
    from edgekd import console, orders, pipeline

    with _own_modules(), _clean_stdout(as_json), console.Progress(quiet=as_json) as progress:
        order = orders.take(recipe, targets, settings, cache=cache, quick=quick, progress=progress)
        tree = pipeline.describe(order)
    _print(as_json, tree, console.plan_tree)


@cli.command()
@_bundle
@click.option("--target", help="Only this variant.")
@click.option("--device", "devices", multiple=True, metavar="DEVICE", default=["local"], show_default=True,
              help="ssh://[user@]host[:port], adb:SERIAL, or a name in devices.toml; repeat to compare.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0.05, 600), default=1.0, show_default=True, help="Of each variant.")
@click.option("--batch", type=click.IntRange(1, 65536), help="Samples at once [default: as it was built for].")
@click.option("--streams", type=click.IntRange(1, 1024), default=1, show_default=True,
              help="Runs at once, for the throughput.")  # fmt: skip
@click.option("--profile", is_flag=True, help="Also what the runtime runs, by its own profiler.")
@click.option("--compare", "other", type=click.Path(path_type=Path), metavar="BUNDLE", help="Time it in turns with "
              "this one instead, and tell the ratio with its interval.")  # fmt: skip
@click.option("--export", "form", type=click.Choice(["benchmark_app", "csv", "mlperf"]), help="Print it in this form.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Also write it as a page.")
@_plugins
@_json
def bench(
    bundle: Path,
    target: str | None,
    devices: tuple[str, ...],
    other: Path | None,
    form: str | None,
    html: Path | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Time every variant of BUNDLE that this machine, or another one, can run."""
    from edgekd import console
    from edgekd.runtime import compare, exports, local

    settings = local.Settings(**how)
    if other is not None:
        if len(devices) > 1 or form:
            raise UsageError("compares on one device, in no other form", where="--compare")
        with _own_modules(bool(settings.plugins)):
            ratio = compare.compare(bundle, other, target, devices[0], settings, _tell)
        return _print(as_json, ratio, console.compare_table)
    with _own_modules(bool(settings.plugins)):
        found = [local.bench(bundle, target, device=device, settings=settings, tell=_tell) for device in devices]
    if html is not None:
        from edgekd.disk import disk
        from edgekd.report import devices as page

        with disk(html):
            html.write_text(page.html(found), encoding="utf-8")
    if form:
        return _line(exports.FORMS[form](found), end="")
    document = found[0] if len(found) == 1 else {"devices": found}
    _print(as_json, document, lambda told: console.bench_table(told["devices"] if len(found) > 1 else [told]))


@cli.command()
@_bundle
@_plugins
@click.option("--ignore-unlisted", is_flag=True, help="Let files be that the manifest does not list: you built there.")
@_json
def verify(bundle: Path, plugins: tuple[str, ...], ignore_unlisted: bool, as_json: bool) -> None:
    """Check every hash of BUNDLE, and replay golden inputs and raw samples on every variant that can run here."""
    from edgekd import console
    from edgekd.runtime import verify as verifying

    with _own_modules(bool(plugins)):
        checks = verifying.verify(bundle, plugins=plugins, ignore_unlisted=ignore_unlisted)
    _print(as_json, checks, console.checks_table)


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@_json
def inspect(path: Path, as_json: bool) -> None:
    """Show what is in a bundle or a model file, down to which operators are quantized."""
    from edgekd import console, inspection

    found = inspection.inspect(path)
    _print(as_json, found, console.inspection_table)


@cli.command()
@_json
def targets(as_json: bool) -> None:
    """List the targets, whether this machine can run each, and why not."""
    from edgekd import console, inspection

    found = inspection.targets()
    _print(as_json, found, console.targets_table)


@cli.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("edgekd.toml"))
@click.option("--recipe", "name", default="digits", show_default=True, help="The built-in recipe to start from.")
def init(path: Path, name: str) -> None:
    """Write a commented recipe to PATH."""
    from edgekd.base import recipe_files

    recipe_files.start(path, name)
    _line(f"wrote {path}\nnext: edgekd build {path} --quick")


@cli.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The page to write [default: ./<bundle>.report.html].")
def report(bundle: Path, out: Path | None) -> None:
    """Write report.html again from a bundle's report.json."""
    from edgekd.report import again

    _line(f"wrote {again.write(bundle, out)}")


@cli.command()
@_json
def doctor(as_json: bool) -> None:
    """Host, runtimes, clashes between packages, and the pip line for what is missing."""
    from edgekd import console, inspection

    found = inspection.doctor()
    _print(as_json, found, console.doctor)


@cli.command()
@click.option("--prune", "days", type=click.FloatRange(min=0), help="Remove what is older than so many days (0: all).")
@_cache
@_json
def cache(days: float | None, cache: Path | None, as_json: bool) -> None:
    """Show the cache's place and size, or prune it."""
    from edgekd import inspection

    found = inspection.cache(cache, days)
    text = f"{found['path']}: {found['artifacts']} artifacts, {found['bytes'] / 1e6:.1f} MB"
    if days is not None:
        text += f" ({found['freed_bytes'] / 1e6:.1f} MB freed)"
    _print(as_json, found, lambda _: text)


def _clean_stdout(as_json: bool) -> contextlib.AbstractContextManager[Any]:
    """With ``--json`` what a user's own code prints goes to stderr."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def _print(as_json: bool, document: Any, human: Callable[[Any], Any]) -> None:
    """A document as JSON, or as ``human`` shows it; whatever texts it holds, they are shown and do nothing."""
    if as_json:
        text = json.dumps(document, indent=2, ensure_ascii=not streams.takes_unicode(sys.stdout))
        return _line(in_json(text))
    from edgekd import console

    shown = human(all_printable(document))
    with streams.to_stdout():
        console.show(shown)


def _line(text: str, end: str = "\n") -> None:
    with streams.to_stdout():
        print(printable(text, keep="\n\t"), end=end)


def _tell(line: str, keep: str = "") -> None:
    """A line on stderr; where it can't be written, nobody waits for it."""
    with contextlib.suppress(OSError):
        print(printable(line, keep), file=sys.stderr, flush=True)


def run(args: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; every error becomes one message on stderr."""
    streams.prepare()
    try:
        cli.main(args=None if args is None else list(args), standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _fail("interrupted; run the same command again to go on where it stopped", 130)
    except click.ClickException as err:
        told = io.StringIO()
        err.show(told)
        _tell(told.getvalue().rstrip(), keep="\n")
        return UsageError.exit_code
    except EdgekdError as err:
        return _fail(str(err), err.exit_code)
    except ModuleNotFoundError as err:
        extra = _EXTRAS.get((err.name or "").partition(".")[0], "build,ort")
        return _fail(f"{err.name} is not installed; pip install 'edgekd[{extra}]'", 4)
    except PermissionError as err:
        return _fail(f"{err.filename}: permission denied", UsageError.exit_code)
    except Exception as err:  # noqa: BLE001 - the last resort: a bug, with its traceback
        if out_of_memory(err):
            return _fail("out of memory; try a smaller batch_size", ResourceError.exit_code)
        if isinstance(err, OSError) and err.errno in (errno.ENOSPC, errno.EDQUOT):
            return _fail(f"{err.filename or 'a file'}: the disk is full", ResourceError.exit_code)
        if isinstance(err, OSError) and err.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return _fail(f"{str(err.filename)[:80]}: no such place ({err.strerror})", UsageError.exit_code)
        _tell(traceback.format_exc().rstrip(), keep="\n")
        return _fail(f"a bug in edgekd: {type(err).__name__}: {err}", 1)
    return 0


def _fail(message: str, code: int) -> int:
    _tell(f"edgekd: {message}")
    return code


@contextlib.contextmanager
def _own_modules(wanted: bool = True) -> Iterator[None]:
    """Let a user's own modules stand in the current folder: a recipe's ``mypkg.zoo:teacher``, an allowed plugin.

    Last, so that none stands in for a library's, and for no other command: whoever looks at a stranger's bundle, there
    where it was unpacked, runs nothing of it.
    """
    folder = os.getcwd()
    added = wanted and folder not in sys.path
    if added:
        sys.path.append(folder)
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def main() -> None:
    """The console script."""
    try:
        os.getcwd()
    except FileNotFoundError:
        sys.exit(_fail("the current folder is gone; go to one that is there", UsageError.exit_code))
    sys.exit(run())
