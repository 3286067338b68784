"""report.json -> what the page says: every number already written, every verdict in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from edgekd.base import units
from edgekd.decide.budget import AT_LEAST, is_met
from edgekd.document.candidate import Candidate
from edgekd.document.details import Baseline, Details, Kept, Taken
from edgekd.document.machine import Host
from edgekd.document.report import Budget, Parity, Report, Stage, Target, as_judged, notes_of
from edgekd.report import commands, kernels, svg, text
from edgekd.report.text import MetricText

MARKS = {"ships": "✓", "within": "○", "outside": "×"}
WORDS = {"ships": "ships", "within": "within the budget", "outside": "outside the budget"}
HOST = {
    "cpu": "CPU",
    "cores": "cores",
    "arch": "architecture",
    "isa": "instruction sets",
    "gpu": "GPU",
    "memory_bytes": "memory",
    "os": "system",
    "python": "Python",
    "governor": "frequency governor",
    "load": "load, 1, 5 and 15 minutes",
    "others": "CPUs that others used meanwhile",
}


def page(report: Report, details: Details) -> dict[str, object]:
    """The parts of the page that hold no large figure."""
    metric, recipe = MetricText.of(report), details.get("recipe")
    names = list(report["targets"])
    return {
        "report": report,
        "metric": metric,
        "description": (recipe or {}).get("description", ""),
        "about": _about(report),
        "failed": [name for name, target in report["targets"].items() if target["shipped"] is None],
        "targets": {name: _target(report, name, metric) for name in names},
        "waterfall": waterfall(report, metric),
        "stages": [_stage(stage, report, metric) for stage in report["stages"]],
        "baseline": plain(details.get("baseline"), metric),
        "kept": _kept(details.get("kept")),
        "compression": [_taken(row) for row in details.get("compression") or ()],
        "notes": notes_of(report),
        "host": _host(report["host"]),
        "versions": {k: v for k, v in (report["host"].get("versions") or {}).items() if v is not None},
        "embed": commands.embed(report),
        "next": commands.next_of(report),
        "recipe": json.dumps(recipe, indent=2, ensure_ascii=False) if recipe else None,
    }


def plain(baseline: Baseline | None, metric: MetricText) -> dict[str, object] | None:
    """A plain model beside teacher and student."""
    if not baseline:
        return None
    return {
        "told": baseline.get("told"),
        "kind": baseline["kind"],
        "about": f"A plain model, fitted in seconds on {baseline['samples']:,} training samples: {baseline['kind']}.",
        "size": text.size(baseline["size_bytes"]),
        "validation": metric.value(baseline["value_validation"]),
        "test": metric.value(baseline["value_test"]),
        "p50": text.milliseconds(baseline["p50_ms"]),
    }


def _kept(kept: Kept | None) -> str | None:
    """What is kept of the teachers' answers, and what is not, in a sentence."""
    if not kept:
        return None
    views = "one view" if kept["views"] == 1 else f"{kept['views']} views"
    sentence = (
        f"The teachers' answers to {views} of {kept['samples']:,} training samples are computed once and kept: at most "
        f"{text.size(kept['disk_bytes'])} on disk, {text.size(kept['memory_bytes'])} of it in memory at a time."
    )
    anew = f" The features that {' and '.join(kept['anew'])} compare are computed anew in every step."
    return sentence + (anew if kept["anew"] else "")


def _taken(taken: Taken) -> dict[str, object]:
    """What a compression pass took of each group of layers, beside what was asked."""
    share = taken.get("asked")
    asked = "" if share is None else f"{units.share(share)} asked, "

    def count(value: float | None) -> str:
        return text.NONE if value is None else f"{value:g}"

    groups = taken["groups"] or {}
    return {
        "told": f"{taken['step']}: {asked}{units.share(taken['taken'])} of the {taken['unit']} taken",
        "unit": taken["unit"],
        "groups": [
            (path, count(group["before"]), count(group["asked"]), count(group["kept"]))
            for path, group in groups.items()
        ],
        "whole": list((taken.get("whole") or {}).items()),
    }


def teacher_of(report: Report) -> Stage | None:
    """The teacher's stage."""
    return next((stage for stage in report["stages"] if stage["name"] == "teacher"), None)


def standing(candidate: Candidate, target: Target) -> str:
    """``ships``, ``within`` or ``outside`` the budget (a key of ``MARKS``)."""
    if candidate["name"] == target["shipped"]:
        return "ships"
    return "outside" if candidate.get("outside") else "within"


def shipped_of(target: Target) -> Candidate | None:
    """The candidate that ships."""
    return next((c for c in target["candidates"] if c["name"] == target["shipped"]), None)


def _about(report: Report) -> str:
    sizes = ", ".join(f"{count:,} {name}" for name, count in report["split_sizes"].items())
    return f"{report['task']}; metric: {report['metric']}; samples: {sizes}; seed {report['seed']}"


def _target(report: Report, name: str, metric: MetricText) -> dict[str, object]:
    target = report["targets"][name]
    teacher = None if (of_all := teacher_of(report)) is None else as_judged(target, of_all)
    return {
        "name": name,
        "runtime": target.get("runtime"),
        "shipped": target["shipped"],
        "reason": target["reason"],
        "figures": _figures(target, teacher, metric),
        "candidates": [_candidate(c, standing(c, target), c.get("verdict", ""), metric) for c in target["candidates"]],
        "reasons": _reasons(target),
        "ran": _ran(target),
        "kernels": kernels.tables(target),
        "parity": _parity(target["parity"]),
        "budget": _budget(target["budget"], metric),
    }


def _reasons(target: Target) -> list[tuple[str, str]]:
    """Of each candidate that was left out, what its operators have to do with it: the long part of its verdict."""
    verdicts = [(c["name"], c.get("verdict", "").partition("; ")[2]) for c in target["candidates"]]
    return [(name, reason) for name, reason in verdicts if reason]


def _ran(target: Target) -> dict[str, object] | None:
    """Microseconds of each candidate by kind of kernel, the longest of all first; None where none is known."""
    known = {c["name"]: ran["microseconds"] for c in target["candidates"] if (ran := c.get("kernels"))}
    if not known:
        return None
    longest = {kind: max(us.get(kind, 0.0) for us in known.values()) for us in known.values() for kind in us}
    kinds = sorted(longest, key=lambda kind: -longest[kind])
    rows = [(kind, [text.significant(us[kind]) if kind in us else "" for us in known.values()]) for kind in kinds]
    p50 = {c["name"]: 1000 * c["latency_ms"]["p50"] for c in target["candidates"]}
    sums = {name: sum(us.values()) for name, us in known.items()}
    rows += [("sum", [text.significant(us) for us in sums.values()])]
    rows += [("p50 without the profiler", [text.significant(p50[name]) for name in known])]
    return {"names": list(known), "rows": rows, "about": _adds_up({name: sums[name] / p50[name] for name in known})}


def _adds_up(shares: Mapping[str, float]) -> str:
    """Whether the profiler's kernels add up to the latency, and why not. ``shares``: their sum in p50s."""
    off = {name: share for name, share in shares.items() if abs(share - 1) > AGREES}
    if not off:
        return f"From the runtime's own profiler; the kernels add up to the p50 within {units.share(AGREES, 0)}."
    sums = ", ".join(f"{name} {text.significant(share)} ×" for name, share in off.items())
    over, under = any(share > 1 for share in off.values()), any(share < 1 for share in off.values())
    why = ["the profiler itself costs some time at each kernel"] if over else []
    why += ["copies and the call are no kernels, and the profiler rounds short ones off"] if under else []
    return f"From the runtime's own profiler. Their sum is not the p50 ({sums} it): {'; '.join(why)}."


def _figures(target: Target, teacher: Stage | None, metric: MetricText) -> list[tuple[str, str, str]]:
    """The headline: (number, what it is, what it means)."""
    ships = shipped_of(target)
    if ships is None:
        return []
    speed, latency = ships["speedup_vs_fp32"], ships["latency_ms"]
    value, size = "", ""
    if teacher:
        value = metric.against(ships["value_test"], teacher["value_test"], "the teacher")
        known = teacher["size_bytes"] / ships["size_bytes"]
        size = f"1/{text.significant(known)} of the teacher" if known else ""
    dense, tail = ships["name"] == "fp32", f"p90 {text.milliseconds(latency['p90'])}"
    tokens = text.of_tokens(target, latency["p50"])
    return [
        (text.size(ships["size_bytes"]), "size", size),
        (metric.value(ships["value_test"]), f"test {metric.name}", value),
        (text.milliseconds(latency["p50"]), "p50 latency", "; ".join(filter(None, (tail, tokens)))),
        (
            text.times(speed["p50"]),
            "the speed of dense fp32",
            "it is the dense fp32 file" if dense else f"95{text.NBSP}% interval {text.interval(speed['ci95'])}",
        ),
    ]


def _candidate(candidate: Candidate, how: str, verdict: str, metric: MetricText) -> dict[str, object]:
    latency, speed = candidate["latency_ms"], candidate["speedup_vs_fp32"]
    return {
        "name": candidate["name"],
        "how": how,
        "mark": MARKS[how],
        "word": WORDS[how],
        "verdict": "" if verdict == WORDS[how] else verdict.partition("; ")[0],
        "numerics": candidate["numerics"],
        "pruned": "yes" if candidate["pruned"] else "no",
        "size": text.size(candidate["size_bytes"]),
        "validation": metric.value(candidate["value_validation"]),
        "test": metric.value(candidate["value_test"]),
        "latency": [
            text.significant(value)
            for value in (
                *(latency["p50"], latency["p90"], latency["p99"]),
                *(latency["mean"], latency["min"], latency["max"]),
            )
        ],
        "throughput": text.significant(candidate["throughput"]),
        "samples": f"{candidate['samples']:,}",
        "speed": text.times(speed["p50"]),
        "interval": NO_INTERVAL if candidate["name"] == "fp32" else text.interval(speed["ci95"]),
    }


NO_INTERVAL = "reference"
AGREES = 0.15  # two sessions of one file differ by less


def waterfall(report: Report, metric: MetricText) -> dict[str, object]:
    """From the teacher to what ships: one row a file, with its value, size and latency drawn to shared scales."""
    teacher = teacher_of(report)
    files = [c for target in report["targets"].values() for c in target["candidates"]]
    rows: list[Candidate | Stage] = [*files, *([teacher] if teacher else [])]
    drops = [(t["budget"].get("wanted") or {}).get("max_drop") for t in report["targets"].values()]
    drop = next((d for d in drops if d is not None), None)
    limit = teacher["value_validation"] - drop if teacher and drop is not None else None
    values = [value for row in rows for value in (row["value_validation"], row["value_test"])]
    scale = svg.around([*values, *([limit] if limit is not None else [])], 0.01 if metric.share else 1e-6)
    if metric.share:
        scale = svg.Scale(max(scale.low, 0.0), min(scale.high, 1.0))
    largest = max(row["size_bytes"] for row in rows)
    slowest = max((c["latency_ms"]["p50"] for c in files), default=1.0)
    lines = [(teacher["value_validation"], "of-teacher")] if teacher else []
    lines += [(limit, "limit")] if limit is not None else []

    def row(entry: Candidate | Stage, label: str, how: str, p50: float | None) -> dict[str, object]:
        dots = [(entry["value_test"], "test"), (entry["value_validation"], f"validation {how}")]
        return {
            "label": label,
            "how": how,
            "validation": metric.value(entry["value_validation"]),
            "test": metric.value(entry["value_test"]),
            "strip": svg.strip(scale, dots=dots, lines=lines),
            "size": text.size(entry["size_bytes"] or None),
            "size_bar": svg.bar(entry["size_bytes"] / largest, how),
            "p50": text.milliseconds(p50) if p50 is not None else "not timed",
            "p50_bar": svg.bar(p50 / slowest, how) if p50 is not None else "",
        }

    groups: list[dict[str, object]] = [{"name": None, "rows": [row(teacher, "teacher", "", None)]}] if teacher else []
    for name, target in report["targets"].items():
        chain = sorted(target["candidates"], key=lambda c: -c["size_bytes"])
        ships = target["shipped"]
        rows_ = [row(c, c["name"], "ships" if c["name"] == ships else "", c["latency_ms"]["p50"]) for c in chain]
        groups.append({"name": name, "rows": rows_})
    return {
        "groups": groups,
        "low": metric.value(scale.low),
        "high": metric.value(scale.high),
        "limit": metric.value(limit) if limit is not None else None,
        "drop": metric.gap(drop) if drop is not None else None,
    }


def _stage(stage: Stage, report: Report, metric: MetricText) -> dict[str, object]:
    return {
        "name": stage["name"],
        "target": stage["target"] or ("all" if len(report["targets"]) > 1 else next(iter(report["targets"]), "")),
        "params": text.params(stage["params"]),
        "size": text.size(stage["size_bytes"] or None),
        "validation": metric.value(stage["value_validation"]),
        "test": metric.value(stage["value_test"]),
        "seconds": text.duration(stage["seconds"]),
    }


def _parity(parity: Parity) -> dict[str, str]:
    share = parity["argmax_agreement"]
    return {
        "agreement": text.share(share, 2) if share is not None else "no classes",
        "difference": f"{parity['max_abs_diff']:.2g}" if parity["max_abs_diff"] is not None else "not finite",
        "samples": f"{parity['samples']:,}",
    }


def _budget(budget: Budget, metric: MetricText) -> dict[str, object]:
    wanted, got = budget.get("wanted") or {}, budget.get("got") or {}

    def write(key: str, value: float | None, empty: str) -> str:
        if value is None:
            return empty
        if key == "max_drop":
            return metric.gap(value) if value >= 0 else f"none: {metric.gap(value)} above"
        if key == "min_cosine":
            return f"{value:.4f}"
        return text.milliseconds(value) if key == "max_latency_ms" else text.size(value * 1000)

    vectors = ("min_cosine", "cosine to the fp32 file's vectors", wanted.get("min_cosine"), got.get("cosine"))
    rows = []
    for key, name, want, have in (
        ("max_drop", "drop against the teacher", wanted.get("max_drop"), got.get("drop")),
        ("max_latency_ms", "latency, p50", wanted.get("max_latency_ms"), got.get("latency_ms")),
        ("max_size_kb", "size", wanted.get("max_size_kb"), got.get("size_kb")),
        *([vectors] if vectors[2:] != (None, None) else []),
    ):
        met = is_met(want, have, at_least=key in AT_LEAST)
        row = {"name": name, "wanted": write(key, want, "no limit"), "got": write(key, have, text.NONE)}
        rows.append({**row, "how": "no wish" if want is None else "met" if met else "missed"})
    return {"rows": rows, "met": budget["met"], "prefer": wanted.get("prefer")}


def _host(host: Host) -> list[tuple[str, str]]:
    def write(key: str, value: object) -> str:
        if value is None:
            return "not told" if key == "governor" else "none"
        if key == "memory_bytes" and isinstance(value, int):
            return text.size(value)
        if isinstance(value, Sequence) and not isinstance(value, str):
            return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    facts: dict[str, object] = {**host}
    shown = [(name, write(key, facts[key])) for key, name in HOST.items() if key in facts]
    others = {key: value for key, value in facts.items() if key not in HOST and key not in ("versions", "note")}
    return shown + [(key, write(key, value)) for key, value in others.items() if isinstance(value, str | int | float)]
