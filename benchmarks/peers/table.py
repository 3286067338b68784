"""The peers' scoreboard as Markdown, from ``results/peers.json``: who in short, then every net."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

RUNTIME = {"ort-cpu": "ONNX Runtime", "openvino": "OpenVINO"}
FLOAT, OURS, CALIBRATED = "fp32", "int8", "int8-ptq"
TITLES = {FLOAT: "fp32", OURS: "edgekd, `int8_qat`", CALIBRATED: "edgekd, `int8_ptq`"}
Figures = dict[str, Any]


def candidates(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Figures]]:
    """Net, target, candidate and its figures, row by row."""
    for net, row in found["nets"].items():
        for target, told in row["targets"].items():
            yield from ((net, target, candidate, figures) for candidate, figures in told["candidates"].items())


def failure(figures: Figures) -> str:
    """Why a candidate has no file, in a cell; empty where it has one."""
    return str(figures.get("error", "")).replace("|", "/").replace("\n", " ")


def title(found: Mapping[str, Any], candidate: str) -> str:
    """What a table calls a candidate."""
    return TITLES.get(candidate) or str(found["titles"][candidate])


def mean(values: list[float]) -> float:
    """The geometric mean."""
    return float(np.exp(np.mean(np.log(values))))


def in_short(found: Mapping[str, Any]) -> str:
    """A row a candidate and runtime: how many nets it made, and what they lose, weigh and take beside ours."""
    lines = [
        "| who | on | nets | accuracy, points from fp32's: mean, worst | bytes over ours | p50 over ours "
        "| seconds, median | version |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows: dict[tuple[str, str], list[tuple[str, Figures]]] = {}
    for net, target, candidate, figures in candidates(found):
        rows.setdefault((target, candidate), []).append((net, figures))
    for (target, candidate), all_of in rows.items():
        good = [(net, figures) for net, figures in all_of if "value" in figures]
        start = f"| {title(found, candidate)} | {RUNTIME[target]} | {len(good)} of {len(all_of)} |"
        if not good:
            reasons = sorted({failure(figures) for _, figures in all_of})
            lines.append(f"{start} {'; '.join(reasons)} | | | | {all_of[0][1].get('version', '')} |")
            continue
        beside = [found["nets"][net]["targets"][target]["candidates"] for net, _ in good]
        lost = [100 * (figures["value"] - row[FLOAT]["value"]) for row, (_, figures) in zip(beside, good, strict=True)]
        size = [figures["bytes"] / row[OURS]["bytes"] for row, (_, figures) in zip(beside, good, strict=True)]
        p50 = [figures["over_ours"][0] for _, figures in good if "over_ours" in figures]
        took = [figures["seconds"] for _, figures in good if figures.get("seconds") is not None]
        cells = [
            f"{np.mean(lost):+.2f}, {min(lost):+.2f}",
            f"{mean(size):.2f}",
            f"{mean(p50):.2f} ({min(p50):.2f} to {max(p50):.2f})" if p50 else "not timed",
            f"{np.median(took):.1f}" if took else "",
            next((figures["version"] for _, figures in good if "version" in figures), ""),
        ]
        lines.append(f"{start} {' | '.join(cells)} |")
    return "\n".join(lines)


def by_net(found: Mapping[str, Any]) -> str:
    """A row a net, runtime and candidate."""
    lines = [
        "| net | on | who | accuracy | as fp32 | kB | p50, us | p50 over ours | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for net, target, candidate, figures in candidates(found):
        start = f"| {net} | {RUNTIME[target]} | {title(found, candidate)} |"
        if "value" not in figures:
            lines.append(f"{start} {failure(figures)} | | | | | {seconds(figures)} |")
            continue
        value, same = 100 * figures["value"], 100 * figures["agreement"]
        timed = "not timed | "
        if "p50_us" in figures:
            ratio, low, high = figures["over_ours"]
            over = "" if candidate == OURS else f"{ratio:.3f} ({low:.3f} to {high:.3f})"
            timed = f"{figures['p50_us']:.0f} | {over}"
        kilobytes = figures["bytes"] / 1000
        lines.append(f"{start} {value:.2f} % | {same:.2f} % | {kilobytes:.1f} | {timed} | {seconds(figures)} |")
    return "\n".join(lines)


def seconds(figures: Figures) -> str:
    """How long it took to get there."""
    return "" if figures.get("seconds") is None else f"{figures['seconds']:.1f}"


def rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The row of the table of measured figures."""
    for target, runtime in RUNTIME.items():
        ratios: dict[str, list[float]] = {}
        for _, where, candidate, figures in candidates(found):
            if where == target and candidate not in TITLES and "over_ours" in figures:
                ratios.setdefault(title(found, candidate), []).append(figures["over_ours"][0])
        parts = [f"{who} {mean(of):.2f} ({len(of)} nets)" for who, of in ratios.items()]
        yield f"p50 of others' int8 files over ours, geometric mean, on {runtime}", "; ".join(parts) or "not timed"


PARTS = (("peers", rows, "scoreboard.py measure --work FOLDER"),)
