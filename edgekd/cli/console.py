"""How results look on a terminal: tables and trees. Builds what is shown; ``cli`` prints it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from edgekd.base import disk, units
from edgekd.base.printable import all_printable, printable
from edgekd.document.bench import Comparison, DeviceResult, Latency, Variant
from edgekd.document.candidate import Candidate
from edgekd.document.commands import Check, Doctor, Inspection, Plan, TargetRow
from edgekd.document.details import Baseline
from edgekd.document.kernel import KernelTable
from edgekd.document.report import Report, Stage, Target, notes_of
from edgekd.document.tune import Tune

if TYPE_CHECKING:
    from edgekd.report.text import MetricText

SHIPS, INSIDE, OUTSIDE = "✅", "❎", "❌"


class _Console(Console):
    """What is printed is text: of all that a terminal would obey, line breaks and rich's own styles alone are left."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text, keep="\n"))


class _Pipe(_Console):
    """A pipe that nobody reads on is the caller's matter; rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class _Stderr(_Console):
    """What can't be told of the progress stays untold: a build does not end for it."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def show(what: RenderableType) -> None:
    """Print to stdout; at least 100 columns where stdout is not a terminal. Labels and hints may hold brackets."""
    width = None if sys.stdout.isatty() else 110
    _Pipe(width=width, highlight=False, markup=False, emoji=False).print(what)


class ProgressBars:
    """Progress on stderr: bars on a terminal, plain lines elsewhere. Called with the pipeline's events."""

    def __init__(self, quiet: bool = False) -> None:
        self._console = _Stderr(stderr=True, highlight=False, markup=False, emoji=False)
        self._bars: Bars | None = None
        if self._console.is_terminal and not quiet:
            columns = (
                TextColumn("{task.description:24}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                TimeElapsedColumn(),
            )
            self._bars = Bars(*columns, console=self._console, transient=False)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ProgressBars:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        event = all_printable(event)
        step = event["step"]
        if "note" in event:
            self._line(Text(f"note: {event['note']}", style="yellow"))
        elif "validation" in event:
            rate = f"{event['samples_per_s']:.0f} samples/s"
            note = f"loss {event['loss']:.4f}  validation {event['validation']:.4f}  {rate}"
            self._tell(step, event["epoch"] + 1, event["epochs"], note)
        elif "batch" in event:
            if self._bars:
                done = event["epoch"] + event["batch"] / event["batches"]
                self._tell(step, done, event["epochs"], "")
        else:
            self._tell(step, 1, 1, "from the cache" if event.get("cached") else "")

    def _line(self, text: str | Text) -> None:
        with suppress(OSError):
            self._console.print(text, soft_wrap=True)

    def _tell(self, step: str, done: float, total: int, note: str) -> None:
        if self._bars is None:
            epoch = f" {int(done)}/{total}" if total > 1 else ""
            self._line(f"{step}{epoch}  {note}".rstrip())
            return
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step, total=total, note=note)
        bars, task = self._bars, self._tasks[step]
        bars.update(task, completed=done, total=total)
        if note:
            bars.update(task, note=note)


def build_table(report: Report, out: Path, *, cached: bool) -> RenderableType:
    """The table that a build ends with, and the next commands to type."""
    from edgekd.report.text import MetricText  # here: its package needs jinja2, which an app's machine has not

    metric = MetricText.of(report)
    title = f"{report['name']}: {metric.name} on validation and test"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("stage")
    for column in ("parameters", "size", "valid.", "test", "p50", "p90", "x fp32", ""):
        table.add_column(column, justify="right")
    for stage in report["stages"]:
        if stage["name"] in ("teacher", "student"):
            values = _values(stage, metric)
            params, bytes_ = (f"{stage['params']:,}", size(stage["size_bytes"])) if stage["size_bytes"] else ("", "")
            table.add_row(stage["name"], params, bytes_, *values, "", "", "", "")
    plain = (report.get("details") or {}).get("baseline")
    if plain:
        took = units.milliseconds(plain["p50_ms"])
        table.add_row("plain baseline", "", size(plain["size_bytes"]), *_values(plain, metric), took, "", "", "")
    for name, target in report["targets"].items():
        table.add_section()
        table.add_row(Text(name, style="bold"))
        for candidate in target["candidates"]:
            table.add_row(*_candidate_row(candidate, target, metric))
    better = plain.get("told") if plain else None
    lines: list[RenderableType] = [Text(better, style="yellow")] if better else []
    lines.append(table)
    for name, target in report["targets"].items():
        lines.append(f"{name}: {target['shipped'] or 'nothing'} ships: {target['reason']}")
        if tokens := target.get("timed_length"):
            preparing = target.get("preprocess_ms")  # missing in a report of 0.1
            adds = "" if preparing is None else f"; the tokenizer adds {units.milliseconds(preparing)} in Python"
            lines.append(f"  p50 is of {tokens} tokens{adds}")
        if target["shipped"]:  # else the reason holds every verdict
            refused = (c for c in target["candidates"] if c.get("verdict") not in (None, "", "ships"))
            lines += [f"  not {c['name']}: {c['verdict']}" for c in refused]
    lines += [Text(f"note: {note}", style="yellow") for note in notes_of(report)]
    if not report["shippable"]:
        lines.append(Text("--quick: one epoch on few samples; not shippable", style="yellow"))
    first = "nothing to do: this bundle stands already" if cached else "wrote the bundle"
    quoted = shlex.quote(str(out))
    lines.append(
        f"{first}: {out}\n\nnext:\n  edgekd verify {quoted}\n  edgekd bench {quoted}\n  edgekd inspect {quoted}"
    )
    page = disk.samples_page(out)
    if page.is_file():
        lines.append(f"  open {shlex.quote(str(page))}   # the samples they part on; not in the bundle")
    code = f"import edgekd; print(edgekd.load({str(out)!r}))"
    program = f'"{code}"' if quoted == str(out) else shlex.quote(code)
    lines.append(f"  python -c {program}\n  open {shlex.quote(f'{out}/report.html')}")
    return Group(*lines)


def _values(row: Stage | Baseline | Candidate, metric: MetricText) -> tuple[str, str]:
    """On validation and on test, as the report's page writes them."""
    return metric.value(row["value_validation"]), metric.value(row["value_test"])


def _candidate_row(candidate: Candidate, target: Target, metric: MetricText) -> Sequence[str]:
    mark = SHIPS if candidate["name"] == target["shipped"] else INSIDE if not candidate.get("outside") else OUTSIDE
    latency, speedup = candidate["latency_ms"], candidate["speedup_vs_fp32"]
    return (
        f"  {candidate['name']}",
        "",
        size(candidate["size_bytes"]),
        *_values(candidate, metric),
        units.milliseconds(latency["p50"]),
        units.milliseconds(latency["p90"]),
        units.ratio(speedup["p50"]),
        mark,
    )


def tune_table(tune: Tune) -> RenderableType:
    """The front that a search found, and the next commands to type."""
    counts = f"{len(tune['trials'])} trials, {len(tune['front'])} that nothing beats in all three"
    table = Table(title=f"{tune['name']}: {counts}", title_justify="left", title_style="bold")
    for column in ("trial", "ships", tune["metric"], "drop", "p50", "size", ""):
        table.add_column(column, justify="left" if column == "ships" else "right")
    trials = {trial["number"]: trial for trial in tune["trials"]}
    results = {number: result for number, trial in trials.items() if (result := trial["result"]) is not None}
    first = [number for number in results if trials[number]["as_is"]]
    for number in dict.fromkeys([*tune["front"], *first]):
        result = results[number]
        met = not result["missed"] and not result["gate"]
        mark = SHIPS if number == tune["chosen"] else INSIDE if met else OUTSIDE
        name = f"{number} (the recipe as it is)" if trials[number]["as_is"] else str(number)
        candidates = ", ".join(dict.fromkeys(row["candidate"] for row in result["targets"].values()))
        row = (f"{result['value']:.4f}", f"{result['drop']:.4f}", units.milliseconds(result["p50_ms"]))
        table.add_row(name, candidates, *row, size(result["size_bytes"]), mark)
    out, recipe = tune["bundle"], shlex.quote(tune["recipe"])
    page, quoted = Path(tune["recipe"]).with_name("tune.html"), shlex.quote(str(out))
    lines: list[RenderableType] = [table, f"ended because {tune['ended']}"]
    lines.append(f"trial {tune['chosen']} ships: wrote the bundle {out}")
    if tune["quick"]:
        lines.append(Text("--quick: one epoch on few samples; not shippable", style="yellow"))
    lines.append(
        f"\nnext:\n  edgekd verify {quoted}\n  edgekd bench {quoted}\n  edgekd build {recipe}   # read it, edit it"
    )
    lines.append(f"  open {shlex.quote(str(page))}\n  open {shlex.quote(f'{out}/report.html')}")
    return Group(*lines)


def plan_tree(plan: Plan) -> RenderableType:
    """The tree of steps: what is shared, what forks, what is cached, what it costs."""
    tree = Tree(Text(f"{plan['name']}  ->  {', '.join(plan['targets'])}", style="bold"))
    places: list[Tree] = [tree]
    for step in plan["steps"]:
        parts = [step["name"]]
        if step["epochs"]:
            parts.append(f"{step['epochs']} epochs x {step['samples']:,} samples")
        if step["seconds"] is not None:
            parts.append(f"about {step['seconds']:.0f} s")
        if len(step["targets"]) < len(plan["targets"]):
            parts.append(f"for {', '.join(step['targets'])}")
        if step["cached"]:
            parts.append("cached")
        if step.get("taken"):
            parts.append(step["taken"])
        del places[step["depth"] + 1 :]
        lines = ["  ·  ".join(parts), *([step["outputs"]] if "outputs" in step else [])]
        places.append(places[-1].add("\n".join(lines)))
    total = sum(step["seconds"] or 0 for step in plan["steps"] if not step["cached"])
    known = any(step["seconds"] is not None for step in plan["steps"])
    end = (
        f"about {total:.0f} s of training to do"
        if known
        else "seconds are known after the rehearsal (the first thing a build does)"
    )
    return Group(tree, end)


def size(count: int | None) -> str:
    """Bytes; empty where nobody knows."""
    return "" if count is None else units.size(count)


def bench_table(devices: Sequence[DeviceResult]) -> RenderableType:
    """Latencies of a bundle's variants, by device."""
    several = len(devices) > 1
    where = "" if several else f" on {'this machine' if devices[0]['device'] == 'local' else devices[0]['device']}"
    table = Table(title=f"{devices[0]['bundle']}{where}", title_justify="left", title_style="bold")
    left = ("device", "variant", "runtime", "numerics")
    figures = ("batch", "p50", "p90", "p99", "samples/s", "cold start", "memory", "size", "runs")
    for column in (*left, *figures)[0 if several else 1 :]:
        table.add_column(column, justify="left" if column in left else "right")
    notes: list[RenderableType] = []
    for device in devices:
        first = [device["device"]] if several else []
        for name, row in device["variants"].items():
            about = f"{device['device']}: {name}" if several else name
            if "latency_ms" not in row:
                notes.append(f"{about}: skipped: {row['skipped']}")
                continue
            table.add_row(*first, name, *_measured_row(row))
            if measured_parts := row["parts_ms"]:
                parts = ", ".join(f"{part} {units.milliseconds(ms)}" for part, ms in measured_parts.items())
                notes.append(f"{about}: of a run: {parts}")
            if row["note"]:
                notes.append(Text(f"{about}: not stable: {row['note']}", style="yellow"))
            if "kernels" in row:
                notes.append(_kernel_table(about, row["kernels"]))
    inside = "p50 to p99: one run, its copies in and out and the inference; preprocessing is not in it. cold start: "
    return Group(table, *notes, f"{inside}starting Python, loading the runtime, compiling and the first answer.")


def _measured_row(row: Variant) -> list[str]:
    times, cold = _times(row["latency_ms"]), row["cold"]
    start = units.milliseconds(cold["start_ms"] + cold["open_ms"] + cold["first_ms"])
    sizes = [size(cold["peak_memory_bytes"]), size(row["size_bytes"])]
    rate = f"{row['throughput']:.0f}"
    return [row["runtime"], row["numerics"], str(row["batch"]), *times, rate, start, *sizes, str(row["samples"])]


def _times(latency: Latency) -> list[str]:
    return [units.milliseconds(latency["p50"]), units.milliseconds(latency["p90"]), units.milliseconds(latency["p99"])]


def _kernel_table(about: str, kernels: Sequence[KernelTable]) -> Table:
    """What the runtime runs, the slowest first."""
    table = Table(title=f"{about}: what it runs, by the runtime's own profiler", title_justify="left")
    for column in ("kernel", "op", "computes in", "us"):
        table.add_column(column, justify="right" if column == "us" else "left")
    for kernel in sorted(kernels, key=lambda k: -(k["microseconds"] or 0.0)):
        took = "" if kernel["microseconds"] is None else f"{kernel['microseconds']:.1f}"
        table.add_row(kernel["name"], kernel["op"], kernel["precision"], took)
    return table


def compare_table(comparison: Comparison) -> RenderableType:
    """Two bundles in turns."""
    table = Table(title=f"A and B in turns on {comparison['device']}, {comparison['runtime']}", title_justify="left")
    for column in ("", "bundle", "variant", "numerics", "p50", "p90", "p99", "size"):
        table.add_column(column, justify="left" if column in ("", "bundle", "variant", "numerics") else "right")
    for name, row in (("A", comparison["a"]), ("B", comparison["b"])):
        times = _times(row["latency_ms"])
        table.add_row(name, row["bundle"], row["target"], row["numerics"], *times, size(row["size_bytes"]))
    low, high = comparison["ci95"]
    interval = f"95 % interval {low:.3f} to {high:.3f}; {comparison['samples']} runs"
    sentence = f"A takes {comparison['ratio']:.3f} times as long as B ({interval})"
    notes = [] if comparison["stable"] else [Text(f"not stable: {comparison['note']}", style="yellow")]
    return Group(table, sentence, *notes)


def checks_table(checks: Sequence[Check]) -> RenderableType:
    """What ``verify`` did."""
    return Group(
        *(
            f"{INSIDE} {c['check']}: skipped: {c['skipped']}" if "skipped" in c else f"{SHIPS} {c['check']}"
            for c in checks
        )
    )


def inspection_table(inspection: Inspection) -> RenderableType:
    """What is in a bundle or a model file."""
    lines: list[RenderableType] = [Text(str(inspection["path"]), style="bold")]
    lines += [f"{key}: {value}" for key, value in inspection["about"].items()]
    for model in inspection["models"]:
        table = Table(title=f"{model['file']}  {size(model['bytes'])}", title_justify="left")
        for column in ("op", "count", "int8"):
            table.add_column(column, justify="left" if column == "op" else "right")
        for row in model["ops"]:
            table.add_row(row["op"], *("" if n is None else str(n) for n in (row["count"], row["quantized"])))
        lines.append(table)
    return Group(*lines)


def targets_table(rows: Sequence[TargetRow]) -> RenderableType:
    """Each target, whether this machine can run it, and why not."""
    table = Table()
    for column in ("target", "backend", "candidates", "runs here", "what it is"):
        table.add_column(column)
    for row in rows:
        here = SHIPS if row["available"] else f"{OUTSIDE} {row['reason']}"
        table.add_row(row["name"], row["backend"], ", ".join(row["numerics"]), here, row["description"])
    return table


def doctor(diagnosis: Doctor) -> RenderableType:
    """Host, runtimes, clashes."""
    facts = diagnosis["host"]
    lines: list[RenderableType] = [
        f"{facts['cpu']}, {facts['cores']} cores, {facts['arch']}, {facts['os']}, Python {facts['python']}",
        f"isa: {', '.join(facts['isa'])}",
    ]
    lines += [
        f"{SHIPS if version else INSIDE} {name} {version or 'not installed'}"
        for name, version in facts["versions"].items()
    ]
    if diagnosis["missing"]:
        advice = f"to build, {', '.join(diagnosis['missing'])} would be needed too: pip install 'edgekd[build,ort]'"
        lines.append(f"{INSIDE} {advice}")
    lines += [f"{OUTSIDE} {problem}" for problem in diagnosis["problems"]] or [f"{SHIPS} no problems found"]
    return Group(*lines)
