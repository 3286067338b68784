"""What was measured, in the forms that other programs read."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

from edgekd.base.printable import printable
from edgekd.document.bench import DeviceResult, Variant

Devices = Sequence[DeviceResult]
COLUMNS = ("device", "variant", "runtime", "numerics", "batch", "p50_ms", "p90_ms", "p99_ms", "mean_ms", "min_ms",
           "max_ms", "throughput_per_s", "samples", "size_bytes", "stable")  # fmt: skip
FORMULA = ("=", "+", "-", "@")  # what a spreadsheet computes, and does not show, begins so


def as_csv(devices: Devices) -> str:
    """A line for each variant on each device."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for device, name, row in _measured(devices):
        took = row["latency_ms"]
        times = [took["p50"], took["p90"], took["p99"], took["mean"], took["min"], took["max"]]
        about = [*map(_cell, (device["device"], name, row["runtime"], row["numerics"])), row["batch"]]
        writer.writerow([*about, *times, row["throughput"], row["samples"], row["size_bytes"], row["stable"]])
    return buffer.getvalue()


def _cell(text: str) -> str:
    """A text that a bundle or a device told, as a text to spreadsheets, too."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


def as_benchmark_app(devices: Devices) -> str:
    """The lines that OpenVINO's benchmark_app ends with, by variant."""
    parts = []
    for device, name, row in _measured(devices):
        took = row["latency_ms"]
        parts.append(
            f"[ INFO ] {device['bundle']}: {name} on {device['device']} ({row['runtime']})\n"
            f"[ INFO ] Execution Devices:['{row['runtime'].partition(' ')[0]}']\n"
            f"[ INFO ] Count:            {row['samples']} iterations\n"
            f"[ INFO ] Duration:         {row['samples'] * took['mean']:.2f} ms\n"
            "[ INFO ] Latency:\n"
            f"[ INFO ]    Median:        {took['p50']:.2f} ms\n"
            f"[ INFO ]    Average:       {took['mean']:.2f} ms\n"
            f"[ INFO ]    Min:           {took['min']:.2f} ms\n"
            f"[ INFO ]    Max:           {took['max']:.2f} ms\n"
            f"[ INFO ] Throughput:   {row['throughput']:.2f} FPS\n"
        )
    return "\n".join(parts)


def as_mlperf(devices: Devices) -> str:
    """The keys of the summary of MLPerf's load generator, one stream; the verdict is by its early stopping rule."""
    parts = []
    for device, name, row in _measured(devices):
        took, bound = row["latency_ms"], row["bounds_ms"]["p90"]
        valid = "INVALID" if bound is None else "VALID"
        estimate = "not enough queries" if bound is None else f"{round(bound * 1e6)}"
        percentiles = "".join(
            f"{label} percentile latency (ns)   : {round(value * 1e6)}\n"
            for label, value in (
                ("50.00", took["p50"]),
                ("90.00", took["p90"]),
                ("95.00", took["p95"]),
                ("99.00", took["p99"]),
            )
        )
        parts.append(
            "================================================\n"
            "MLPerf Results Summary\n"
            "================================================\n"
            f"SUT name : {device['device']}: {row['runtime']}: {name}\n"
            "Scenario : SingleStream\n"
            "Mode     : PerformanceOnly\n"
            f"90.0th percentile latency (ns) : {round(took['p90'] * 1e6)}\n"
            f"Result is : {valid}\n"
            f"Early stopping 90th percentile estimate: {estimate}\n"
            f"Early stopping 99th percentile estimate: "
            f"{'not enough queries' if row['bounds_ms']['p99'] is None else round(row['bounds_ms']['p99'] * 1e6)}\n"
            "\n"
            f"Min latency (ns)                : {round(took['min'] * 1e6)}\n"
            f"Max latency (ns)                : {round(took['max'] * 1e6)}\n"
            f"Mean latency (ns)               : {round(took['mean'] * 1e6)}\n"
            f"{percentiles}"
        )
    return "\n".join(parts)


FORMS: dict[str, Callable[[Devices], str]] = {"benchmark_app": as_benchmark_app, "csv": as_csv, "mlperf": as_mlperf}


def _measured(devices: Devices) -> list[tuple[DeviceResult, str, Variant]]:
    return [
        (device, name, row) for device in devices for name, row in device["variants"].items() if "skipped" not in row
    ]
