"""Rows of the table of measured figures: on a GPU. ``table.py`` puts them into it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def files(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Without copies, by net and batch; which nets the target does not open."""
    measured = {net: rows for net, rows in found["nets"].items() if all("p50_ms" in row for row in rows.values())}
    for other in ("torch eager", "torch.compile"):
        parts = []
        for net, rows in measured.items():
            taken = [{way: ms["compute"] for way, ms in row["p50_ms"].items()} for row in rows.values()]
            ratios = [f"{ms['ours'] / ms[other]:.2f}" for ms in taken]
            parts.append(f"{net} {', '.join(ratios)}")
        yield f"p50 of `ort-cuda`'s float16 file over {other}'s float16, batch 1, 8, 64", "; ".join(parts)
    apart = [f"{net} {max(row['apart']['ours'] for row in rows.values()):.1g}" for net, rows in measured.items()]
    refused = [f"{net} is not opened" for net in found["nets"] if net not in measured]
    yield "its scores from float32's on a CPU, as a share of their range", "; ".join([*apart, *refused])
    pieces = {name: outcome["result"] for name, outcome in found.get("pieces", {}).items()}
    yield from builds({name.split()[1]: row for name, row in pieces.items() if name.startswith("build ")})
    yield from eight_bits({name.split()[1]: row for name, row in pieces.items() if name.startswith("int8 ")})


def gap(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """ResNet-56 -> ResNet-20, trained on a GPU."""
    epochs = next(iter(found["trained"].values()))["epochs"]
    mean, low, high = found["gap"]
    seeds = len(found["seeds"])
    yield (
        f"CIFAR-10, ResNet-56 -> ResNet-20, {epochs} epochs on a GPU, {seeds} seeds: teacher over the student alone",
        f"{100 * mean:.2f} points ({100 * low:.2f} to {100 * high:.2f})",
    )
    parts = []
    for name in ("ort-cpu", "openvino"):
        mean, low, high = found["minus_alone"][f"int8 on {name}"]
        closed = 100 * found["closes"][f"int8 on {name}"]
        parts.append(
            f"{name} {100 * mean:+.2f} points ({100 * low:.2f} to {100 * high:.2f}), {closed:.0f} % of the gap"
        )
    yield "int8 of the distilled student over the student alone", "; ".join(parts)


def builds(rows: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What ships on ``ort-cuda``, by recipe."""
    for recipe, row in rows.items():
        what = f"`{recipe}` on `ort-cuda`"
        if "refused" in row:
            yield what, f"refused: {row['refused']}"
            continue
        one = next((one for one in row["candidates"] if one["name"] == row["shipped"]), None)
        if one is None:
            yield what, f"nothing ships: {row['reason']}"
            continue
        p50, faster = one["latency_ms"]["p50"], one["speedup_vs_fp32"]
        low, high = faster["ci95"]
        speed = f"p50 {p50:.3f} ms, {faster['p50']:.2f} x faster than fp32 ({low:.2f} to {high:.2f})"
        value = f"{row['metric']} {one['value_test']:.3f} (teacher {row['stages']['teacher']:.3f})"
        yield f"{what}: {one['name']} ships", f"{speed}; {value}"


def eight_bits(rows: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """TensorRT's int8 file on the CUDA provider, and what of each file the CPU would run."""
    ratios = [
        f"{net} {row['int8']['p50_ms'] / row['fp16']['p50_ms']:.2f}"
        for net, row in rows.items()
        if "p50_ms" in row["int8"] and "p50_ms" in row["fp16"]
    ]
    if ratios:
        yield "p50 of an int8 file over the float16 file on the CUDA provider, batch 1", "; ".join(ratios)
    for kind in ("fp16", "int8"):
        refused = {net: row[kind].get("ops", {}) for net, row in rows.items() if "refused" in row[kind]}
        for net, ops in refused.items():
            on_cpu = ops.get("CPUExecutionProvider", {})
            count, total = sum(on_cpu.values()), sum(sum(names.values()) for names in ops.values())
            kinds = ", ".join(sorted({name.split()[0] for name in on_cpu}))
            yield f"{net}'s {kind} file, which `ort-cuda` refuses: its nodes on the CPU", f"{count} of {total}: {kinds}"


def full(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Recipes of full size, one seed."""
    for name, outcome in found["pieces"].items():
        row = outcome["result"]
        values, sizes = row["value_test"], row["size_bytes"]
        parts = [f"teacher {values['teacher']:.3f}, distilled {values['distilled']:.3f}"]
        parts += [
            f"{candidate} {values[f'{candidate} on ort-cpu']:.3f} of {size / 1000:,.0f} kB"
            for candidate, size in sizes.items()
        ]
        yield (
            f"`{name.split()[1]}` of full size, fitted to minutes of a GPU, one seed: {row['metric']}",
            "; ".join(parts),
        )


def two(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Two processes on one GPU."""
    pieces = {name: outcome["result"] for name, outcome in found["pieces"].items()}
    if "rates" in pieces:
        ratio = "; ".join(f"{kind} {value:.2f}" for kind, value in pieces["rates"]["ratio"].items())
        yield "images a second of two processes on one GPU over one's", ratio
    if "launch" in pieces:
        told = [
            f"{way} {row['value_test']['student']:.3f}, {row['shipped']} ships" for way, row in pieces["launch"].items()
        ]
        yield "`digits` trained on a GPU by one process and by two: accuracy of the student", "; ".join(told)


COMMAND = "gpu.py --data FOLDER --out FOLDER"
PARTS = (
    ("gpu", files, COMMAND),
    ("gpu_gap", gap, COMMAND),
    ("gpu_full", full, COMMAND),
    ("gpu_ranks", two, COMMAND),
)
