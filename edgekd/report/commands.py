"""What a page proposes to type: lines of an app, and the next commands."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping

from edgekd.base import backend_facts, recipe_files
from edgekd.document.report import Report, Target
from edgekd.report import text


def _folder(report: Report) -> str:
    return f"dist/{report['name']}" + ("" if report["shippable"] else "-quick")


def embed(report: Report) -> str | None:
    """Lines for an app, or None where there is no bundle."""
    targets = report["targets"]
    if any(target["shipped"] is None for target in targets.values()):
        return None
    path = _folder(report)
    lines = [f"# pip install {_requirement(targets)}: no torch, no onnx", "import edgekd", ""]
    lines += [f"model = edgekd.load({path!r})  # the fastest variant that this machine can run"]
    lines += text.asking(report)
    if len(targets) > 1:
        lines += ["", *(f"model = edgekd.load({path!r}, target={name!r})" for name in targets)]
    return "\n".join(lines)


def _requirement(targets: Mapping[str, Target]) -> str:
    """What to give pip for an app: that of the one backend, else ONNX Runtime's, which opens most files."""
    known = backend_facts.every()
    kinds = {str(target.get("description", "")).partition(" ")[0] for target in targets.values()}
    stated = {known[kind].requirement if kind in known else "" for kind in kinds}
    return stated.pop() if len(stated) == 1 and stated != {""} else known["ort"].requirement


def _missed_drop(report: Report) -> float | None:
    """The drop that would have let the best file of every target ship; None where it was not the miss."""
    drops = []
    for target in report["targets"].values():
        wanted, got = target["budget"].get("wanted") or {}, target["budget"].get("got") or {}
        wish, drop = wanted.get("max_drop"), got.get("drop")
        if target["shipped"] is None and wish is not None and drop is not None and drop > wish:
            drops.append(math.ceil(1000 * drop) / 1000)
    return max(drops, default=None)


def next_of(report: Report) -> list[tuple[str, str]]:
    """Commands to type and what each does."""
    targets = " ".join(f"--target {shlex.quote(name)}" for name in report["targets"])
    name = report["name"] if report["name"] in recipe_files.builtins() else "recipe.toml"
    if any(target["shipped"] is None for target in report["targets"].values()):
        build = f"edgekd build {name} {targets}"
        rows = [(f"{build} --keep-candidates", "keep the files that were measured, to look at them")]
        if (drop := _missed_drop(report)) is not None:
            rows.append((f"{build} --set budget.max_drop={drop:g}", "another wish, if you can live with that"))
        return rows
    folder = shlex.quote(_folder(report))
    commands = [
        (f"edgekd verify {folder}", "check every hash, replay the golden inputs"),
        (f"edgekd bench {folder}", "time every variant on another machine"),
        (f"edgekd inspect {folder}", "see which operators are quantized"),
    ]
    if not report["shippable"]:
        commands.insert(0, (f"edgekd build {name} {targets}", "build it for real"))
    return commands
