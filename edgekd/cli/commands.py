"""The command line: the only place that prints.

Exit codes: 0 done; 1 a bug; 2 usage, recipe, data, factory, target, output; 3 a gate failed or training diverged;
4 a known target that this machine can't run; 5 integrity; 6 out of disk or memory; 130 interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekd import __version__
from edgekd.base import recipe_files, units
from edgekd.base.errors import UsageError
from edgekd.cli import options
from edgekd.cli.running import clean_stdout, line, own_modules, show, tell


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="edgekd")
def cli() -> None:
    """Compile a trained teacher into a small student that runs fast on a target, and prove it."""


@cli.command(cls=options.Launched)
@options.recipe
@options.target
@click.option("--out", type=options.file, help="The bundle's folder [default: dist/<name>].")
@options.settings
@options.quick
@click.option("--keep-candidates", is_flag=True, help="Keep every candidate's files in <out>.candidates/.")
@click.option("--explain", is_flag=True, help="Train the student once more without each loss and report what each is "
              "worth; a bundle that stands already gets a new report.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, train nothing.")
@options.measure_on
@options.devices
@click.option("--overwrite", is_flag=True, help="Replace another bundle at --out.")
@click.option("--launch", metavar="COMMAND", help="Train in several processes, which this command starts: "
              "\"torchrun --nproc-per-node 2\", accelerate launch, srun.")  # fmt: skip
@options.cache
@options.as_json
def build(launch: str | None, **how: Any) -> None:
    """Distil, prune, quantize, export, measure and bundle RECIPE (a file or a built-in name)."""
    from edgekd.cli import building, launching

    if launch is not None:
        line = launching.command(launch, click.get_current_context().meta[options.ARGUMENTS])
        return building.build(building.Options(**how), lambda request: launching.start(line, request))
    launching.in_ranks(building.build, building.follow, building.Options(**how))


@cli.command()
@options.recipe
@options.target
@click.option("--max-latency-ms", type=options.Number(min=0, min_open=True), help="p50 on each target.")
@click.option("--max-size-kb", type=options.Number(min=0, min_open=True), help="Of the files that ship.")
@click.option("--max-drop", type=options.Number(min=0), help="Against the teacher, in the metric's unit.")
@click.option("--prefer", type=click.Choice(["latency", "size", "value"]), default="value", show_default=True,
              help="What counts among the students inside the budget.")  # fmt: skip
@click.option("--out", type=options.file, help="The bundle's folder [default: dist/<name>-tuned].")
@click.option("--trials", type=click.IntRange(min=1), help="End after so many, all workers together [default: 30; none "
              "with --seconds].")  # fmt: skip
@click.option("--seconds", type=options.Number(min=0), help="Begin no trial that would end later.")
@click.option("--stop-when-met", is_flag=True, help="End with the first trial inside the budget.")
@click.option("--storage", metavar="FILE|URL", help="Of the study: an Optuna journal file, or an SQL database's URL "
              "[default: a file in the cache].")  # fmt: skip
@options.measure_on
@options.devices
@options.settings
@options.quick
@click.option("--overwrite", is_flag=True, help="Replace another bundle at --out.")
@options.cache
@options.as_json
def tune(
    recipe: str | None,
    targets: tuple[str, ...],
    settings: tuple[str, ...],
    out: Path | None,
    quick: bool,
    overwrite: bool,
    measure_on: str,
    cache: Path | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Search for the student of RECIPE that meets a budget, and build it; the same command again goes on."""
    from edgekd import pipeline
    from edgekd.cli import console
    from edgekd.tune import search

    wishes = {key: how.pop(key) for key in ("max_latency_ms", "max_size_kb", "max_drop")}
    if how["trials"] is None and how["seconds"] is None:
        how["trials"] = search.TRIALS
    with own_modules(), clean_stdout(as_json), console.ProgressBars(quiet=as_json) as progress:
        tuned = search.run(
            recipe,
            targets,
            settings,
            search.Wanted(wishes, **how),
            out=out,
            cache=cache,
            quick=quick,
            overwrite=overwrite,
            measure_on=measure_on,
            build=pipeline.run,
            tell=tell,
            progress=progress,
        )
    show(as_json, tuned, console.tune_table)


@cli.command()
@options.recipe
@options.target
@options.settings
@options.quick
@options.cache
@options.as_json
def plan(
    recipe: str | None,
    targets: tuple[str, ...],
    settings: tuple[str, ...],
    quick: bool,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Print the tree of steps: what is shared, what forks, what is cached, what it costs."""
    from edgekd import pipeline
    from edgekd.build import request as requests
    from edgekd.cli import console

    with own_modules(), clean_stdout(as_json), console.ProgressBars(quiet=as_json) as progress:
        request = requests.make(recipe, targets, settings, cache=cache, quick=quick, progress=progress)
        tree = pipeline.describe(request)
    show(as_json, tree, console.plan_tree)


@cli.command()
@options.bundle
@click.option("--target", help="Only this variant.")
@click.option("--device", "devices", multiple=True, metavar="DEVICE", default=["local"], show_default=True,
              help="ssh://[user@]host[:port], adb:SERIAL, folder:PATH, or a name in devices.toml; repeat to "
              "compare.")  # fmt: skip
@options.devices
@click.option("--seconds", type=options.Number(0.05, 600), default=1.0, show_default=True, help="Of each variant.")
@click.option("--batch", type=click.IntRange(1, 65536), help="Samples at once [default: as it was built for].")
@click.option("--streams", type=click.IntRange(1, 1024), default=1, show_default=True,
              help="Runs at once, for the throughput.")  # fmt: skip
@click.option("--profile", is_flag=True, help="Also what the runtime runs, by its own profiler.")
@click.option("--compare", "other", type=options.file, metavar="BUNDLE", help="Time it in turns with "
              "this one instead, and tell the ratio with its interval.")  # fmt: skip
@click.option("--export", "form", type=click.Choice(["benchmark_app", "csv", "mlperf"]), help="Print it in this form.")
@click.option("--html", type=options.file, metavar="FILE", help="Also write it as a page.")
@options.max_memory
@click.option("--max-seconds", type=options.Number(0.1), metavar="S", help="That timing a variant may take "
              "[default: 10 min, and 20 x --seconds; 45 s for a run].")  # fmt: skip
@options.plugins
@options.signers
@options.as_json
def bench(
    bundle: Path,
    target: str | None,
    devices: tuple[str, ...],
    other: Path | None,
    form: str | None,
    html: Path | None,
    as_json: bool,
    key: Any,
    **how: Any,
) -> None:
    """Time every variant of BUNDLE that this machine, or another one, can run."""
    from edgekd.cli import console
    from edgekd.runtime import bundle as bundles
    from edgekd.runtime import compare, exports, local

    settings = local.Settings(**how)
    if key is not None:
        for one in filter(None, (bundle, other)):
            bundles.read(one, settings.plugins, key)
    if other is not None:
        if len(devices) > 1 or form or html is not None or settings.profile or settings.streams > 1:
            what, allowed = "compares two bundles on one device, one run after the other", "--json, or none of these"
            beside = "another device, --export, --html, --profile or --streams"
            raise UsageError(what, where="--compare", found=beside, allowed=allowed)
        with own_modules(bool(settings.plugins)):
            ratio = compare.compare(bundle, other, target, devices[0], settings, tell)
        return show(as_json, ratio, console.compare_table)
    with own_modules(bool(settings.plugins)):
        results = [local.bench(bundle, target, device=device, settings=settings, tell=tell) for device in devices]
    if html is not None:
        from edgekd.base.disk import disk
        from edgekd.report import devices as page

        with disk(html):
            html.write_text(page.html(results), encoding="utf-8")
    if form:
        return line(exports.FORMS[form](results), end="")
    document = results[0] if len(results) == 1 else {"devices": results}
    show(as_json, document, lambda shown: console.bench_table(shown["devices"] if len(results) > 1 else [shown]))


@cli.command()
@click.argument("folder", type=options.file)
@click.option("--device", default="local", show_default=True, metavar="DEVICE", help="Where: this machine, or one that "
              "it reaches; see edgekd bench --device.")  # fmt: skip
@options.devices
def measure(folder: Path, device: str) -> None:
    """Measure what others ask with --measure-on folder:FOLDER, a job at a time; the disk is one that all share."""
    from edgekd.runtime.measurer import Measurer

    Measurer(folder, device, tell).serve()


@cli.command()
@options.bundle
@options.plugins
@click.option("--ignore-unlisted", is_flag=True, help="Let files be that the manifest does not list: you built there.")
@options.signers
@options.max_memory
@options.max_seconds
@options.as_json
def verify(bundle: Path, plugins: tuple[str, ...], as_json: bool, **how: Any) -> None:
    """Check every hash of BUNDLE, and replay golden inputs and raw samples on every variant that can run here."""
    from edgekd.cli import console
    from edgekd.runtime import verify as verifying

    with own_modules(bool(plugins)):
        checks = verifying.verify(bundle, plugins=plugins, **how)
    show(as_json, checks, console.checks_table)


@cli.command()
@options.bundle
@click.option(
    "--key",
    type=options.file,
    metavar="FILE",
    required=True,
    help="A private key (elliptic curve, PEM); the password "
    "of an encrypted one is in EDGEKD_KEY_PASSWORD, or is asked for.",
)
@click.option("--certificate", type=options.file, metavar="FILE", help="That key's certificate.")
@click.option(
    "--chain", type=options.file, multiple=True, metavar="FILE", help="The certificates behind it; may be repeated."
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier signature.")
@options.as_json
def sign(bundle: Path, as_json: bool, **how: Any) -> None:
    """Sign every file of BUNDLE, as OpenSSF model signing does: model.sig, which verify --key holds it against."""
    from edgekd.publish import sign as signing

    signature = signing.sign(
        bundle, **how, ask=lambda: str(click.prompt("password of the key", hide_input=True, err=True))
    )
    show(as_json, signature, lambda _: f"wrote {signature['signature']}: manifest {signature['digest']}")


@cli.command()
@click.argument("path", type=options.file)
@click.option("--kernels", is_flag=True, help="Run it, and show what the runtime runs: in which precision, what "
              "converts between, what each costs.")  # fmt: skip
@click.option("--beside", type=options.file, metavar="FILE", help="With --kernels: another file of the same net, such "
              "as an outside quantizer's, measured in turns with it.")  # fmt: skip
@click.option("--target", help="With --kernels: only this variant of a bundle.")
@click.option("--threads", type=click.IntRange(1, 1024), help="With --kernels [default: 1; a bundle's own].")
@click.option("--batch", type=click.IntRange(1, 65536), help="With --kernels: samples at once [default: 1; a bundle's "
              "own].")  # fmt: skip
@click.option("--length", type=click.IntRange(1, 2**24), help="With --kernels: of the other free axes of the inputs "
              "[default: the first of 128, 64, 32, 16, 16000 that runs; a bundle's golden inputs].")  # fmt: skip
@options.max_memory
@options.max_seconds
@options.as_json
def inspect(
    path: Path,
    kernels: bool,
    beside: Path | None,
    target: str | None,
    threads: int | None,
    batch: int | None,
    length: int | None,
    max_memory_gb: float | None,
    max_seconds: float | None,
    as_json: bool,
) -> None:
    """Show what is in a bundle or a model file, down to which operators are quantized."""
    from edgekd.cli import console, inspection, inspection_kernels, kernel_tables
    from edgekd.runtime.profiling import Request

    request = Request(str(path), target, None if beside is None else str(beside), threads, batch, length)
    if kernels:
        profiles = inspection_kernels.inspect(request, max_memory_gb, max_seconds, tell)
        return show(as_json, profiles, kernel_tables.tables)
    if request != Request(str(path)):
        raise UsageError("runs nothing without --kernels", where="--beside, --target, --threads, --batch, --length")
    show(as_json, inspection.inspect(path, max_memory_gb, max_seconds), console.inspection_table)


@cli.command()
@options.as_json
def targets(as_json: bool) -> None:
    """List the targets, whether this machine can run each, and why not."""
    from edgekd.cli import console, inspection

    listing = inspection.targets()
    show(as_json, listing, console.targets_table)


@cli.command()
@click.argument("path", type=options.file, default=Path("edgekd.toml"))
@click.option("--recipe", "name", help="The built-in recipe to start from [default: digits].")
@options.users_own
def init(
    path: Path,
    name: str | None,
    teachers: tuple[str, ...],
    data: str | None,
    checkpoint: Path | None,
    allow_code: bool,
    targets: tuple[str, ...],
    settings: tuple[str, ...],
) -> None:
    """Write a commented recipe to PATH: a built-in one, or one for a teacher and data of yours."""
    if teachers or data or checkpoint or allow_code or targets or settings:
        from edgekd.cli.starting import recipe

        with own_modules():
            parts = recipe.Parts(teachers, data, checkpoint, allow_code)
            for note in recipe.write(path, parts, targets, settings, name):
                tell(f"note: {note}")
    else:
        recipe_files.start(path, name or "digits")
    line(f"wrote {path}\nnext: edgekd build {path} --quick")


@cli.command()
@click.argument("document", type=click.Choice(["report", "tune", "bench", "kernels", "recipe", "target", "manifest"]))
def schema(document: str) -> None:
    """Print the JSON Schema of report.json, tune.json, bench or inspect --kernels --json, a manifest, recipe or target.

    An editor that is given the recipe's completes and checks a recipe as it is written.
    """
    from edgekd.cli import schema as schemas

    show(True, schemas.SCHEMAS[document](), str)


@cli.command()
@click.argument("bundle", type=options.file)
@click.option("--out", type=options.file, help="The page to write [default: ./<bundle>.report.html].")
def report(bundle: Path, out: Path | None) -> None:
    """Write report.html again from a bundle's report.json."""
    from edgekd.publish import again

    line(f"wrote {again.write(bundle, out)}")


@cli.command()
@options.as_json
def doctor(as_json: bool) -> None:
    """Host, runtimes, clashes between packages, and the pip line for what is missing."""
    from edgekd.cli import console, inspection

    diagnosis = inspection.doctor()
    show(as_json, diagnosis, console.doctor)


@cli.command()
@click.option("--prune", "days", type=options.Number(min=0), help="Remove what is older than so many days (0: all).")
@options.cache
@options.as_json
def cache(days: float | None, cache: Path | None, as_json: bool) -> None:
    """Show the cache's place and size, or prune it."""
    from edgekd.cli import inspection

    usage = inspection.cache(cache, days)
    text = f"{usage['path']}: {usage['artifacts']} artifacts, {units.size(usage['bytes'])}"
    if days is not None:
        text += f" ({units.size(usage['freed_bytes'])} freed)"
    show(as_json, usage, lambda _: text)
