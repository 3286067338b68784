"""tune.json -> tune.html: the trade-off that a search found, one self-contained page without scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from edgekd.document.points import acting
from edgekd.document.tune import Result, Trial, Tune
from edgekd.report import page, svg, text
from edgekd.report.svg import Scale

HEIGHT = 320
WISHES = {
    "max_latency_ms": ("p50", text.in_ms),
    "max_size_kb": ("size", lambda v: text.size(v * 1000)),
    "max_size_share": ("size in shares of the teacher", lambda v: text.significant(v)),
    "max_drop": ("drop against the teacher", lambda v: text.significant(v)),
    "min_cosine": ("cosine to the fp32 file's vectors, at least", lambda v: text.significant(v)),
}


def html(tune: Tune) -> str:
    """The page of a search.

    Args:
        tune: tune.json.
    """
    evaluated = [(trial, result) for trial in tune["trials"] if (result := trial["result"])]
    near = next(((trial, result) for trial, result in evaluated if trial["number"] == tune["nearest"]), None)
    wished = {key: tune["budget"].get(key) for key in WISHES}
    return page.render(
        "tuned.html",
        tune=tune,
        wishes=[(name, write(wish)) for key, (name, write) in WISHES.items() if (wish := wished[key]) is not None],
        near=None if near is None else _row(*near, tune),
        picture=picture(tune) if evaluated else None,
        rows=[_row(trial, result, tune) for trial, result in evaluated],
        stopped=[
            {"number": t["number"], "why": t["why"], "point": _values(t)} for t in tune["trials"] if not t["result"]
        ],
        counts={state: sum(t["state"] == state for t in tune["trials"]) for state in ("complete", "stopped")},
    )


def _row(trial: Trial, result: Result, tune: Tune) -> dict[str, object]:
    number = trial["number"]
    met = not result["missed"] and not result["gate"]
    kind = "ships" if number == tune["chosen"] else "" if met else "outside"
    return {
        "number": number,
        "kind": kind,
        "mark": "✓" if kind == "ships" else "○" if met else "×",
        "front": number in tune["front"],
        "value": f"{result['value']:.4f}",
        "drop": text.significant(result["drop"]) if abs(result["drop"]) > 1e-9 else "0",
        "p50": text.milliseconds(result["p50_ms"]),
        "size": text.size(result["size_bytes"]),
        "ships": ", ".join(dict.fromkeys(row["candidate"] for row in result["targets"].values())),
        "why": trial["why"],
        "point": _values(trial),
    }


def _values(trial: Trial) -> str:
    if trial["as_is"]:
        return "the recipe as it is"
    return ", ".join(f"{key} = {_written(value)}" for key, value in acting(trial["values"]).items())


def _written(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("kind"))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def picture(tune: Tune) -> Markup:
    """Value against latency, a dot's area the file's size; the wishes as lines, and the edge of what was reached."""
    trials = [trial for trial in tune["trials"] if trial["result"]]
    results = {trial["number"]: result for trial in trials if (result := trial["result"])}
    x, y = _scales(tune, list(results.values()))
    largest = max(result["size_bytes"] for result in results.values())

    def place(number: int) -> tuple[float, float]:
        return x(results[number]["p50_ms"]), HEIGHT * (1 - y(results[number]["value"]) / 100)

    parts = [
        Markup(
            "<title>Value against latency</title><desc>{} trials; the area of a dot is its file's size.</desc>"
        ).format(len(trials))
    ]
    parts += _grid(x, y) + _wishes(tune, results, x, y)
    path = _staircase([place(number) for number in results])
    parts.append(Markup('<svg width="100%" height="{0}" viewBox="0 0 1000 {0}" preserveAspectRatio="none">'
                        '<path class="line faint main" d="{1}"/></svg>').format(HEIGHT, path))  # fmt: skip
    for number, result in sorted(results.items(), key=lambda entry: -entry[1]["size_bytes"]):  # small ones on top
        met = not result["missed"] and not result["gate"]
        kind = "chosen" if number == tune["chosen"] else "met" if met else "missed"
        description = f"trial {number}: {result['value']:.4f}, {text.milliseconds(result['p50_ms'])}, "
        dot = '<circle class="{}" cx="{:.2f}%" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>'
        radius = svg.radius(result["size_bytes"] / largest)
        parts.append(Markup(dot).format(kind, *place(number), radius, description + text.size(result["size_bytes"])))
    parts += _names(tune, trials, place)
    return Markup('<svg class="chart scatter" role="img" height="{}">{}</svg>').format(
        HEIGHT + 36, Markup("").join(parts)
    )


def _staircase(places: Sequence[tuple[float, float]]) -> str:
    """The edge of what was reached, as path data: to the right only where it goes up."""
    path, top = "", float(HEIGHT)
    for across, down in sorted(places):
        if not path:
            path, top = f"M{10 * across:.1f} {HEIGHT}V{down:.1f}", down
        elif down < top:
            path, top = f"{path}H{10 * across:.1f}V{down:.1f}", down
    return f"{path}H1000"


def _scales(tune: Tune, results: Sequence[Result]) -> tuple[Scale, Scale]:
    latencies, values = [r["p50_ms"] for r in results], [r["value"] for r in results]
    if wish := tune["budget"]["max_latency_ms"]:
        latencies.append(wish)
    if (drop := tune["budget"]["max_drop"]) is not None:
        values.append(results[0]["value"] + results[0]["drop"] - drop)
    return Scale(min(latencies) / 1.15, max(latencies) * 1.15, log=True), svg.around(values, 0.01)


def _grid(x: Scale, y: Scale) -> list[Markup]:
    parts = []
    for value in y.ticks(5):
        down = HEIGHT * (1 - y(value) / 100)
        line = '<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>'
        parts.append(Markup(line + '<text class="y" x="0" dx="-6" y="{0:.1f}">{1:g}</text>').format(down, value))
    for value in x.ticks(5):
        words = text.in_ms(value)
        parts.append(Markup('<text class="x" x="{:.2f}%" y="{}">{}</text>').format(x(value), HEIGHT + 16, words))
    return parts


def _wishes(tune: Tune, results: Mapping[int, Result], x: Scale, y: Scale) -> list[Markup]:
    parts, budget = [], tune["budget"]
    if (wish := budget["max_latency_ms"]) is not None:
        line = '<line class="level limit" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>'
        label = '<text class="wish" x="{0:.2f}%" dx="4" y="{2}">at most {3}</text>'
        parts.append(Markup(line + label).format(x(wish), HEIGHT, HEIGHT - 6, text.in_ms(wish)))
    if (drop := budget["max_drop"]) is not None:
        first = next(iter(results.values()))
        limit = first["value"] + first["drop"] - drop
        down = HEIGHT * (1 - y(limit) / 100)
        line = '<line class="level limit" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>'
        label = '<text class="end" x="100%" dx="8" y="{0:.1f}">at least {1:.4f}</text>'
        parts.append(Markup(line + label).format(down, limit))
    return parts


def _names(tune: Tune, trials: Sequence[Trial], place: Callable[[int], tuple[float, float]]) -> list[Markup]:
    """The chosen one, and the recipe as it is, by name."""
    parts = []
    for trial in trials:
        number = trial["number"]
        name = "chosen" if number == tune["chosen"] else "the recipe as it is" if trial["as_is"] else None
        if name:
            a, b = place(number)
            side = ("end", -12) if a > 60 else ("start", 12)
            label = '<text class="{}" x="{:.2f}%" dx="{}" y="{:.1f}" style="text-anchor:{}">{}</text>'
            kind = "name main" if name == "chosen" else "name"
            parts.append(Markup(label).format(kind, a, side[1], b - 10, side[0], name))
    return parts
