"""What a search leaves behind: tune.json, tune.html, the chosen recipe as TOML, and a line for each trial."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import tomli_w
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from edgekd.base.disk import disk, replace_file
from edgekd.base.errors import IntegrityError
from edgekd.base.plain import plain
from edgekd.build.request import BuildRequest
from edgekd.build.store import sha256
from edgekd.document.tune import Attributes, Kept, Result, Trial, Tune
from edgekd.metrics import metric_name
from edgekd.report import text, tuned
from edgekd.runtime import bundle
from edgekd.spec.recipe import Recipe, Table
from edgekd.tune import search_space, verdict
from edgekd.tune.study import Study
from edgekd.tune.verdict import Prefer

SCHEMA_VERSION: Final = 1
RECIPE, TABLE = "recipe.toml", "tune.json"
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.FAIL: "dropped",
}


@dataclass(frozen=True)
class SearchFacts:
    """A search that is over; ``chosen`` is None where nothing met the budget.

    Attributes:
        ended: why, in words.
        built: whether the chosen one's bundle was written.
        labels: of validation; None where the data has none.
    """

    recipe: Recipe
    request: BuildRequest
    study: Study
    prefer: Prefer
    ended: str
    chosen: verdict.Result | None
    built: bool
    seconds: float
    labels: NDArray[np.int64] | None = None


def document(facts: SearchFacts) -> Tune:
    """tune.json."""
    results, budget = facts.study.results(), facts.recipe.budget
    near = facts.chosen or verdict.nearest(results)
    return {
        "schema_version": SCHEMA_VERSION,
        "name": facts.recipe.name,
        "metric": metric_name(facts.recipe.metric["kind"], facts.labels),
        "targets": [target.name for target in facts.request.targets],
        "budget": {
            "max_drop": budget.max_drop,
            "max_latency_ms": budget.max_latency_ms,
            "max_size_kb": budget.max_size_kb,
            "max_size_share": budget.max_size_share,
            "min_cosine": budget.min_cosine,
        },
        "prefer": facts.prefer,
        "quick": facts.request.quick,
        "ended": facts.ended,
        "met": facts.chosen is not None,
        "chosen": None if facts.chosen is None else facts.chosen.number,
        "nearest": None if near is None else near.number,
        "front": [result.number for result in verdict.front(results)],
        "bundle": str(facts.request.out) if facts.built else None,
        "recipe": str(facts.request.out.with_name(facts.request.out.name + ".tune") / "recipe.toml"),
        "seconds": round(facts.seconds, 1),
        "study": facts.study.study.study_name,
        "space": {key: plain(knob.model_dump(exclude_defaults=True)) for key, knob in facts.study.knobs.items()},
        "trials": [row(trial) for trial in facts.study.trials() if trial.state != TrialState.WAITING],
    }


def row(trial: FrozenTrial) -> Trial:
    """One trial in tune.json."""
    attrs = cast(Attributes, trial.user_attrs)
    result = attrs.get("result") if trial.state == TrialState.COMPLETE else None
    return {
        "number": trial.number,
        "state": STATES[trial.state],
        "why": attrs.get("why", "its worker died" if trial.state == TrialState.FAIL else ""),
        "as_is": bool(attrs.get("as_is")),
        "again": attrs.get("again"),
        "values": attrs.get("point", {}),
        "likeness": attrs.get("likeness"),
        "shapes": attrs.get("shapes"),
        "rung": attrs.get("rung"),
        "result": None if result is None else _result(result),
        "seconds": attrs.get("seconds"),
        "worker": attrs.get("worker"),
    }


def _result(kept: Kept) -> Result:
    """A result as tune.json has it: the trial's number stands beside it."""
    return {
        "value": kept["value"],
        "p50_ms": kept["p50_ms"],
        "size_bytes": kept["size_bytes"],
        "drop": kept["drop"],
        "missed": kept["missed"],
        "gate": kept["gate"],
        "targets": kept["targets"],
    }


def line(trial: FrozenTrial) -> str:
    """What is told of a trial when it ends."""
    trial_row = row(trial)
    parts = [f"trial {trial.number}:"]
    if result := trial_row["result"]:
        size, took = text.size(result["size_bytes"]), text.milliseconds(result["p50_ms"])
        parts.append(f"{result['value']:.4f}  {took}  {size}".replace(text.NBSP, " "))
    parts.append(f"{trial_row['why']};")
    parts.append("the recipe as it is" if trial_row["as_is"] else search_space.words(trial_row["values"]))
    return "  ".join(parts)


def write(folder: Path, report: Tune, table: Table, near: verdict.Result | None) -> Path | None:
    """Write ``<out>.tune/``: three files, each whole; what else lies there stays.

    Args:
        table: the recipe that was chosen, or that came nearest.

    Returns:
        What a recipe is called now that stood there and is not as it was written: somebody edited it; None: none did.

    Raises:
        OutputError, ResourceError: it can't be written.
    """
    recipe = toml(table, _about(report, near)).encode()
    report["recipe_sha256"] = sha256(recipe)
    edited = _set_aside(folder, recipe)
    replace_file(folder / RECIPE, recipe)
    replace_file(folder / TABLE, (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
    replace_file(folder / "tune.html", tuned.html(report).encode())
    return edited


def _set_aside(folder: Path, recipe: bytes) -> Path | None:
    """Give an edited recipe a name of its own."""
    place = folder / RECIPE
    with disk(place):
        if not place.is_file() or (standing := place.read_bytes()) == recipe or sha256(standing) == _written(folder):
            return None
        free = next(name for i in itertools.count(1) if not (name := folder / f"recipe-{i}.toml").exists())
        place.rename(free)
        return free


def _written(folder: Path) -> object:
    """The hash of the recipe that the tune.json there was written with; None where nobody can tell."""
    try:
        report = json.loads((folder / TABLE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return report.get("recipe_sha256") if isinstance(report, dict) else None


def _about(report: Tune, near: verdict.Result | None) -> str:
    if near is None:
        return "No trial was worth training; this is the recipe that the search began with."
    what = "meets the budget" if report["met"] else "comes nearest to the budget and does not meet it"
    took, size = text.milliseconds(near.p50_ms), text.size(near.size_bytes)
    figures = f"{report['metric']} {near.value:.4f} on validation, p50 {took}, {size}"
    return f"Found by edgekd tune: trial {near.number}, which {what}: {figures}.".replace(text.NBSP, " ")


def toml(table: Table, about: str) -> str:
    """A recipe as TOML to read and to edit: plain keys, tables, then losses and passes, each under its own head."""
    plain = {key: value for key, value in table.items() if not isinstance(value, dict | list)}
    lists = {key: value for key, value in table.items() if _are_flat(value)}
    rest = {key: value for key, value in table.items() if key not in plain and key not in lists}
    entries = "".join(f"\n[[{key}]]\n{tomli_w.dumps(entry)}" for key, tables in lists.items() for entry in tables)
    return f"# {about}\n# edgekd build recipe.toml\n{tomli_w.dumps({**plain, **rest})}{entries}"


def _are_flat(value: Any) -> bool:
    """Whether a value is a list of tables that hold no tables."""
    tables = isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)
    inner = [v for entry in value for v in entry.values()] if tables else []
    return tables and not any(isinstance(v, dict) or _holds_tables(v) for v in inner)


def _holds_tables(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value)


def identity_at(out: Path) -> str | None:
    """Which build the bundle at a place is of; None where there is none."""
    try:
        return bundle.read(out).plan if (out / "manifest.json").is_file() else None
    except IntegrityError:
        return None
