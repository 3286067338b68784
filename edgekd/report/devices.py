"""What ``edgekd bench`` found on several devices: one self-contained page without scripts."""

from __future__ import annotations

from collections.abc import Sequence

from edgekd.document.bench import DeviceResult, Variant
from edgekd.report import page, svg, text


def html(devices: Sequence[DeviceResult]) -> str:
    """The page of a comparison.

    Args:
        devices: one result of ``runtime.local.bench`` each, of one bundle.
    """
    measured = [(d, name, row) for d in devices for name, row in d["variants"].items() if "skipped" not in row]
    slowest = max((row["latency_ms"]["p90"] for _, _, row in measured), default=1.0)
    return page.render(
        "devices.html",
        bundle=devices[0]["bundle"],
        rows=[_row(device, name, row, slowest) for device, name, row in measured],
        skipped=[
            {"device": d["device"], "variant": name, "why": row["skipped"]}
            for d in devices
            for name, row in d["variants"].items()
            if "latency_ms" not in row
        ],
        hosts=[{**d["host"], "device": d["device"]} for d in devices if d["host"]],
    )


def _row(device: DeviceResult, name: str, row: Variant, slowest: float) -> dict[str, object]:
    took, cold = row["latency_ms"], row["cold"]
    return {
        "device": device["device"],
        "variant": name,
        "runtime": row["runtime"].partition("-")[0],  # without the build that OpenVINO tells
        "numerics": row["numerics"],
        "bar": svg.bar(took["p50"] / slowest),
        "p50": text.milliseconds(took["p50"]),
        "p90": text.milliseconds(took["p90"]),
        "p99": text.milliseconds(took["p99"]),
        "rate": f"{row['throughput']:.0f}",
        "cold": text.milliseconds(cold["start_ms"] + cold["open_ms"] + cold["first_ms"]),
        "memory": text.size(cold["peak_memory_bytes"]),
        "size": text.size(row["size_bytes"]),
        "stable": row["stable"],
        "note": row["note"] or "",
        "parts": ", ".join(f"{part} {text.milliseconds(ms)}" for part, ms in (row.get("parts_ms") or {}).items()),
    }
