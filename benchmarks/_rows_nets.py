"""Rows of the table of measured figures: structures that people deploy, and what a small file is worth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peers.table import RUNTIME


def structures(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The zoo."""
    yield (
        f"{found['tried']} structures of networks, built with pruning and int8 by their users' recipes",
        f"{found['as_asked']} as asked, {len(found['failed'])} refused with what to change, "
        f"{len(found['tracebacks'])} tracebacks; {found['median_seconds']:.0f} s a net, both runtimes",
    )
    for target, name in RUNTIME.items():
        rows = found[target]
        yield (
            f"p50 of what ships of {rows['timed']} structures over the fastest of fp32 and outside int8, {name}",
            f"at most 1.03 (upper ends) on {rows['at_most_1_03']}, over 1.10 on {len(rows['over_1_10'])}; "
            f"geometric mean {rows['geometric_mean_of_upper_ends']:.2f}",
        )
    equal = {target: sum(of[target]["bit_identical"] for of in found["isa"]["rows"].values()) for target in RUNTIME}
    yield (
        "int8 files of them that answer alike to the bit without VNNI (emulated)",
        "; ".join(f"{RUNTIME[target]} {count} of {found['isa']['compared']}" for target, count in equal.items()),
    )


def small_file(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """CIFAR-10 in 65 kB."""
    for student, called in (
        ("tiny", "one int8 file"),
        ("reference", "the ResNet-8 of MLPerf Tiny trained alike, int8"),
    ):
        rows = [row for name, row in found["rows"].items() if name.startswith(student)]
        if not rows:
            continue
        int8 = next(name for name in rows[0]["bytes"] if name.startswith("int8"))
        of_runtime = {
            name: [100 * row["test"][f"{int8} on {target}"] for row in rows] for target, name in RUNTIME.items()
        }
        seeds = "one seed" if len(rows) == 1 else f"{len(rows)} seeds"
        shares = "; ".join(f"{name} {', '.join(f'{value:.2f}' for value in of)} %" for name, of in of_runtime.items())
        size, teacher = max(row["bytes"][int8] for row in rows), 100 * rows[0]["teacher"]
        yield (
            f"CIFAR-10 (JPEG copy, all test images) in {called} for both runtimes, {seeds}",
            f"{shares} in {size:,} bytes; its teacher {teacher:.2f} %",
        )
    if found["speed"]:
        yield (
            "p50 of the small file and of the ResNet-8, both int8, one thread",
            "; ".join(_small_file_time(RUNTIME[target], of) for target, of in found["speed"].items()),
        )


def _small_file_time(runtime: str, of: dict[str, Any]) -> str:
    """Depthwise convolutions have fewer weights, and kernels that are less busy."""
    small = next(name for name in of["p50_ms"] if name.startswith("tiny int8"))
    reference = next(name for name in of["p50_ms"] if name.startswith("reference int8"))
    ratio, (low, high) = of["of_reference_int8"][small]
    mine, other = (1e3 * of["p50_ms"][name] for name in (small, reference))
    return f"{runtime} {mine:.0f} and {other:.0f} us, {ratio:.2f} x ({low:.2f} to {high:.2f})"


def fine_tuned(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Quantization-aware training against float, short and long."""
    grown = {target: found["summary"][target]["int8_drop_grows_by_points"] for target in RUNTIME}
    if all("ci95" in row for row in grown.values()):
        shares = (f"{RUNTIME[t]} {row['mean']:+.2f} (at most {row['ci95'][1]:.2f})" for t, row in grown.items())
        yield (
            "int8 drop of a MobileNet-like student after 40 epochs minus after 4, in points, three seeds",
            "; ".join(shares),
        )
    lost = max(found["summary"][target]["most_lost_points"] for target in RUNTIME)
    yield (
        f"the most that the best calibration of a student loses of float, {len(found['rows'])} students",
        f"{lost:.2f} points (depthwise with ReLU6; with swish and squeeze-and-excitation)",
    )


def heap(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Large arrays that the kernel need not fill with zeros."""
    shares = []
    for net, row in found["rows"].items():
        parts = (f"{kind} {row[kind]['ratio']:.2f} (at most {row[kind]['ci95'][1]:.2f})" for kind in row)
        shares.append(f"{net}: {', '.join(parts)}")
    yield "a step of torch with large arrays kept on the heap over one without, one thread", "; ".join(shares)


def several(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Processes that train together."""
    for net, row in found["nets"].items():
        first, *others = row["ratio"]
        shares = (
            f"{way}: {', '.join(f'{kind} {ratio:.2f}' for kind, ratio in row['ratio'][way].items())}" for way in others
        )
        yield f"images a second of a {net}, over {first}", "; ".join(shares)


PARTS = (
    ("zoo", structures, "zoo.py"),
    ("tiny_cifar", small_file, "tiny_cifar.py --data FOLDER"),
    ("heap", heap, "heap.py"),
    ("ranks", several, "ranks.py"),
    ("qat_recovery", fine_tuned, "qat_recovery.py --data FOLDER"),
)
