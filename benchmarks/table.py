"""The table of measured figures, from ``results/``: prints it, or with ``--write`` puts its headlines into the README.

python benchmarks/table.py [--write]

The whole table stands in the documentation, which makes it when it is built.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _gpu_rows
import _rows_nets
import _rows_safe
from peers import table as peers_table

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- figures: python benchmarks/table.py --write -->", "<!-- end of figures -->"
WAYS = ("blocks", "uniform", "dense")
USUAL = "Intel(R) Xeon(R) Processor"  # the CPU of every row that names none
RUNTIME_OF = ("ort", "openvino")
RUNTIME = {"ort-cpu": "ONNX Runtime CPU", "openvino": "OpenVINO CPU"}


def result(name: str) -> dict[str, Any] | None:
    """One result, or None where it was not measured."""
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def digits(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Medians over the seeds."""
    seeds = len(found["seeds"])
    for target, table in found["targets"].items():
        m, ships = table["median"], sorted(set(table["shipped"]))
        yield (
            f"`digits` on {RUNTIME[target]}, median of {seeds} seeds: {', '.join(ships)} ships",
            f"{m['int8_faster_than_fp32']:.1f} x faster than fp32, "
            f"{m['int8_faster_than_pruned']:.2f} x than fp32-pruned; "
            f"test accuracy {100 * m['int8_test']:.2f} % (teacher {100 * m['teacher_test']:.2f} %); "
            f"1/{m['teacher_over_int8_size']:.0f} of the teacher's size; "
            f"answers as in torch {100 * m['argmax_agreement']:.2f} %",
        )
    seconds = found["seconds"]
    yield (
        "the whole `digits` build for both targets; the same build again",
        f"{min(seconds['build']):.0f} to {max(seconds['build']):.0f} s; {max(seconds['again']):.1f} s",
    )


def fashion(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """One seed."""
    report = found["report"]
    teacher = next(stage for stage in report["stages"] if stage["name"] == "teacher")
    for target, told in report["targets"].items():
        ships = next(c for c in told["candidates"] if c["name"] == told["shipped"])
        yield (
            f"`fashion-mnist` on {RUNTIME[target]}, one seed: {told['shipped']} ships",
            f"test accuracy {100 * ships['value_test']:.2f} % (teacher {100 * teacher['value_test']:.2f} %); "
            f"1/{teacher['size_bytes'] / ships['size_bytes']:.0f} of the teacher's size; "
            f"{ships['speedup_vs_fp32']['p50']:.1f} x faster than fp32",
        )


def pairs(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Ratios of p50 with their 95 % intervals."""
    for target, name in RUNTIME.items():
        parts = []
        for net, rows in found["nets"].items():
            low, high = rows[target]["ci95"]
            more = "; ships fp32" if rows[target]["ships_float"] else ""
            if of_any_length := rows[target].get("any_length_over_best"):
                more += f"; compiled for lengths: without, {of_any_length[0]:.3f}"
            parts.append(f"{net} {rows[target]['ours_over_best']:.3f} ({low:.3f} to {high:.3f}{more})")
        yield f"p50 of our int8 file over the best of ONNX Runtime's and NNCF's, on {name}", "; ".join(parts)
    left = {net: rows["ort-cpu"]["left_in_optimized_graph"] for net, rows in found["nets"].items()}
    counts = ", ".join(f"{net} {one['QuantizeLinear']} / {one['DequantizeLinear']}" for net, one in left.items())
    yield "Q / DQ left in ONNX Runtime's optimized graph of each", counts


def portable(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """One file, Haswell emulated."""
    for backend, name in (("ort", RUNTIME["ort-cpu"]), ("openvino", RUNTIME["openvino"])):
        parts = []
        for net, rows in found["nets"].items():
            row = rows[backend]
            same = "bit-identical" if row["bit_identical"] else f"largest difference {row['max_abs_diff']:.1g}"
            eight = 100 * row["eight_bits"]["argmax_agreement"]
            parts.append(f"{net} {same}, {100 * row['argmax_agreement']:.1f} % (8 bits: {eight:.1f} %)")
        yield f"`portable-int8`: same answers on an emulated Haswell, on {name}", "; ".join(parts)


def agreement(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Torch against the runtimes."""
    parts = [
        f"{net} on {target} {100 * row['argmax_agreement']:.2f} %"
        for net, rows in found["nets"].items()
        for target, row in rows["places"].items()
    ]
    yield "int8 answers as in torch, 10,000 CIFAR-10 images", "; ".join(parts)
    spreads = [
        f"{net} {', '.join(f'{100 * apart:.2f}' for apart in rows['spreads'].values())}"
        for net, rows in found["nets"].items()
    ]
    which = "ONNX Runtime's network, OpenVINO's, the portable one, each wherever it runs and in torch; all of them"
    yield f"int8 accuracies lie apart, points: {which}", "; ".join(spreads)


def cells(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The veto."""
    broken = [law for law, held in found["laws"].items() if not held]
    ships = f"{found['compressed_ships']} of {found['cells']} ship compressed"
    yield (
        "nets x targets x ways to compress: what ships is not slower than fp32 and in its budget; refusals name ops",
        f"{ships}; " + (f"broken: {', '.join(broken)}" if broken else "held in all"),
    )


def tuned(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Three wishes."""
    chosen, as_is = found["chosen"], found["as_is"]
    yield (
        f"`edgekd tune digits {found['wishes']}`",
        f"{'met' if found['met'] else 'not met'} in {found['seconds']:.0f} s: {chosen['value']:.4f}, "
        f"{1000 * chosen['p50_ms']:.1f} us, {chosen['size_bytes'] / 1000:.1f} kB; the recipe as it is: "
        f"{as_is['value']:.4f}, {1000 * as_is['p50_ms']:.1f} us, {as_is['size_bytes'] / 1000:.1f} kB",
    )


def found_by_tune(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """CIFAR-10, against int8 ResNet-20."""
    for target, name in RUNTIME.items():
        row = found["runtimes"][target]
        ours, theirs = (100 * sum(row["accuracy"][net]) / len(found["seeds"]) for net in ("found", "resnet20"))
        gain, low, high = 100 * row["gain"], *(100 * end for end in row["gain_ci95"])
        yield (
            f"a CIFAR-10 student that `edgekd tune` found, in int8 on {name}, {len(found['seeds'])} seeds",
            f"{row['fp32_over_int8'][0]:.1f} x faster than its own fp32; "
            f"{row['of_resnet20_int8'][0]:.2f} x the time of int8 ResNet-20; "
            f"{ours:.1f} % (ResNet-20 {theirs:.1f} %; {gain:+.2f} points, {low:+.2f} to {high:+.2f}); "
            f"{100 * row['share_of_peak']:.0f} % of the machine's int8 peak with AVX512-VNNI"
            + (" (it computes with AMX)" if row["share_of_peak"] > 1 else ""),
        )


def tenth(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """CIFAR-10."""
    report = found["report"]
    teacher, target = report["stages"][0], report["targets"]["portable-int8"]
    shipped = next(c for c in target["candidates"] if c["name"] == target["shipped"])
    yield (
        "`one-tenth`, ResNet-20 on CIFAR-10, one seed: accuracy on test at a tenth of the file",
        f"{100 * shipped['value_test']:.1f} % (teacher {100 * teacher['value_test']:.1f} %) at "
        f"1/{teacher['size_bytes'] / shipped['size_bytes']:.1f} of its size; "
        f"{shipped['speedup_vs_fp32']['p50']:.1f} x faster",
    )


def halved(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """ResNet-20."""
    low, high = (100 * end for end in found["ci95"])
    seeds = found["seeds"].values()
    blocks, uniform, dense = (100 * sum(s["accuracy"][way] for s in seeds) / len(seeds) for way in WAYS)
    took = [", ".join(f"{s['of_dense_p50'][way][0]:.2f}" for s in seeds) for way in WAYS[:2]]
    yield (
        f"ResNet-20 pruned to half its measured latency, {len(seeds)} seeds: whole blocks over uniform magnitude",
        f"{100 * found['gain']:+.2f} points ({low:+.2f} to {high:+.2f}): {blocks:.1f} and {uniform:.1f} % (dense "
        f"{dense:.1f} %), at {took[0]} and {took[1]} of the dense p50",
    )


def answers(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Haswell, emulated."""
    nets = found["nets"]
    same = sum(nets[net][target]["bit_identical"] for net in nets for target in ("ort-cpu", "openvino"))
    other = ", ".join(
        f"{net} {100 * nets[net][target]['argmax_agreement']:.0f} %"
        for net in nets
        for target in ("ort-cpu-vnni", "openvino-vnni")
    )
    yield (
        "int8 outputs on a CPU without VNNI (emulated Haswell) against this one",
        f"bit-identical for {same} of {2 * len(nets)} files; 8-bit files: same answer for {other}",
    )


def overhead(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Microseconds on a no-op graph."""
    calls = found["call_us"]
    added = ", ".join(f"{calls[target]['added_us']:.1f} us on {name}" for target, name in RUNTIME.items())
    yield "what `Model.run` adds to the best raw Python call", added
    yield "importing the runtime part over importing numpy and ONNX Runtime", f"{found['import_ratio']:.2f} x"


def taught(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Whether distillation helps, by recipe."""
    for recipe, told in found["recipes"].items():
        points = told["metric"] == "accuracy"

        def write(value: float, points: bool = points) -> str:
            return f"{100 * value:.1f}" if points else f"{value:.4f}"

        def span(key: str, told: dict[str, Any] = told, write: Any = write) -> str:
            middle, low, high = told[key]
            return f"{write(middle)} ({write(low)} to {write(high)})"

        values = told["value_test"]
        int8 = " / ".join(write(values[f"int8 on {target}"]) for target in RUNTIME)
        closes = " / ".join(f"{100 * told[f'int8 on {target}_closes']:.0f} %" for target in RUNTIME)
        gap = f"; gap {span('gap')}, distilled over alone {span('distilled_minus_alone')}, int8 closes {closes} of it"
        clear = told["gap"][1] > 0
        seeds = "one seed" if len(told["seeds"]) == 1 else f"{len(told['seeds'])} seeds"
        yield (
            f"`{recipe}`, {seeds}: {told['metric']}{', %' if points else ''} on test",
            f"teacher {write(values['teacher'])}, alone {write(values['alone'])}, "
            f"distilled {write(values['distilled'])}, int8 {int8}" + (gap if clear else "; no clear gap to close"),
        )


def tokens(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """SST-2."""
    splits, took = found["splits"].values(), found["us_per_sentence"]
    yield (
        "our WordPiece against the tokenizers library's, on every sentence of SST-2",
        f"{sum(s['differ'] for s in splits)} of {sum(s['sentences'] for s in splits):,} differ; "
        f"{took['ours']:.0f} us a sentence, theirs {took['tokenizers']:.0f}",
    )


def kept(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """ResNet-56 -> ResNet-20."""
    epoch = found["epoch_over_plain"]
    yield (
        "time of distilling ResNet-56 -> ResNet-20 over plain training, with the teacher's answers kept",
        f"an epoch {epoch['kept']:.2f} x (not kept: {epoch['anew']:.2f} x); "
        f"a run of 3 x {found['views']} epochs, the filling included, {found['whole_over_plain']:.2f} x",
    )


def memory(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """10,000 samples against 500."""
    few, many = found["samples"]
    parts = [f"{name} {passed['ratio']:.2f} x" for name, passed in found["passes"].items()]
    yield f"peak memory of calibration and training with {many:,} samples over that with {few}", "; ".join(parts)


def outside(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Programs that are not ours."""
    parts = [f"{kind}: {found[kind]['agree']} of {len(found[kind]['programs'])}" for kind in ("fp32", "int8")]
    languages = ", ".join(found["int8"]["languages"])
    yield (
        "outside programs that agree with the golden outputs of one unchanged bundle",
        f"{'; '.join(parts)} ({languages})",
    )
    text = found["text"]
    yield (
        f"a student of texts in {text['program']}, from its bundle: the same class; the shares differ by",
        f"{'yes' if text['equal_classes'] else 'no'}; {text['largest']:.1g}",
    )
    rows = [row for row in found["page"] if row.get("kind", "ink") == "ink"]
    slow, heavy = max(row["first_answer_ms"] for row in rows), max(row["bytes"] for row in rows)
    yield (
        "the page of the `digits` bundle in headless Chromium: first answer after load; its weight without the runtime",
        f"{slow:.0f} ms; {heavy / 1000:.0f} kB",
    )


def emulated(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """ARM64."""
    parts = [
        f"{kind} on {RUNTIME[target]} {100 * found['bundles'][kind][target]['equal_predictions']:.1f} %"
        for kind in found["bundles"]
        for target in RUNTIME
    ]
    yield f"the same bundle on an emulated ARM64 machine: equal answers to {found['samples']} digits", "; ".join(parts)


def light(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """pip."""
    counts = "; ".join(f"`edgekd[{extra}]` {found[extra]['count']}" for extra in RUNTIME_OF if extra in found)
    yield "packages in an empty environment, in which a bundle is loaded, verified and benchmarked", counts


def loops(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Other clocks."""
    pairs = ("ours on ort-cpu / bare loop", "ours on openvino / benchmark_app", "openvino in ours / benchmark_app")
    for pair in pairs:
        ratios = {net: [f"{row[pair][0]:.3f}" for row in files.values()] for net, files in found["nets"].items()}
        parts = [f"{net} {', '.join(both)}" for net, both in ratios.items()]
        yield f"p50 of the fp32 and the int8 file: {pair}", "; ".join(parts)
    repeats = found["repeats"]
    yield (
        f"{len(repeats['p50_ms'])} repeats of one bench: those called stable, the furthest from their median",
        f"{repeats['stable']}, {100 * repeats['furthest_from_the_median']:.1f} %",
    )


def versions(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Older and newer runtimes."""
    parts = []
    for version, nets in found["runtimes"].items():
        refused = [name for name, row in nets.items() if "refused" in row]
        equal = min((row["equal"] for row in nets.values() if "equal" in row), default=None)
        told = "" if equal is None else f" {100 * equal:.1f} %"
        parts.append(version + told + (f" (refused: {', '.join(refused)})" if refused else ""))
    yield f"one bundle on other versions: equal decisions about {found['samples']} samples each", "; ".join(parts)


def random_nets(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Files against torch."""
    count = sum(found["nets"].values())
    nets = ", ".join(f"{number} {family}s" for family, number in found["nets"].items())
    yield (
        f"{count} random nets ({nets}), 4 batches, 4 instruction sets: answers beyond the parity tolerance",
        f"{len(found['gaps'])} of {found['checked']:,}; {len(found['refused'])} files that a runtime does not open",
    )


PARTS = (
    ("digits", digits, "digits.py"),
    ("fashion_mnist_seed0", fashion, "fashion_mnist.py --data FOLDER"),
    ("matrix", taught, "matrix.py --data FOLDER"),
    ("kept_outputs", kept, "kept_outputs.py"),
    ("memory", memory, "memory.py"),
    ("wordpiece", tokens, "wordpiece.py --data FOLDER"),
    ("int8_pairs", pairs, "int8_pairs.py --data FOLDER"),
    ("portable", portable, "portable.py --data FOLDER"),
    ("agreement", agreement, "agreement.py --data FOLDER"),
    ("cells", cells, "cells.py"),
    ("tune-digits", tuned, "tune.py digits"),
    ("found_student", found_by_tune, "found_student.py --data FOLDER"),
    ("one_tenth_seed0", tenth, "one_tenth.py --data FOLDER"),
    ("half_latency", halved, "half_latency.py --data FOLDER"),
    ("same_answers", answers, "same_answers.py"),
    ("call_overhead", overhead, "call_overhead.py"),
    ("outside", outside, "outside.py --node FOLDER"),
    ("arm64", emulated, "arm64.py FOLDER"),
    ("light_install", light, "light_install.py"),
    ("runtimes", versions, "runtimes.py FOLDER"),
    ("random_nets", random_nets, "random_nets.py"),
    ("loops", loops, "loops.py --data FOLDER"),
    *_gpu_rows.PARTS,
    *_rows_nets.PARTS,
    *peers_table.PARTS,
    *_rows_safe.PARTS,
)


# What the rows say that the README shows.
HEADLINES = (
    "`digits` on ONNX Runtime CPU",
    "a CIFAR-10 student that `edgekd tune` found, in int8 on ONNX Runtime CPU",
    "`bert-distilbert`, ",
    "structures over the fastest of fp32 and outside int8, ONNX Runtime",
    "structures over the fastest of fp32 and outside int8, OpenVINO",
    "`portable-int8`: same answers on an emulated Haswell, on ONNX Runtime CPU",
    "tampers of a bundle, its manifest",
)


def headlines() -> str:
    """The rows of the table that the README shows.

    Raises:
        ValueError: a headline that is no row.
    """
    head, line, *rows = table().splitlines()
    shown = [row for words in HEADLINES for row in rows if words in row]
    if len(shown) != len(HEADLINES):
        raise ValueError(f"{len(shown)} of {len(HEADLINES)} headlines are rows of the table")
    return "\n".join([head, line, *shown])


def table() -> str:
    """The table in Markdown."""
    lines = ["| what | measured | `python benchmarks/...` |", "|---|---|---|"]
    for name, rows, command in PARTS:
        found = result(name)
        pairs = [(name, "not measured")] if found is None else list(rows(found))
        where = elsewhere(found or {})
        lines += [f"| {what} | {figure} | `{command}`{where} |" for what, figure in pairs]
    return "\n".join(lines)


def elsewhere(found: dict[str, Any]) -> str:
    """What was not measured on the usual machine, and where."""
    where = found.get("host", {})
    cpus = found.get("cpus") or {"": where.get("gpu") or where.get("cpu", USUAL)}
    others = {net: cpu for net, cpu in cpus.items() if not cpu.startswith(USUAL)}
    if len(others) == len(cpus):
        return f"; {', '.join(sorted(set(others.values())))}"
    return "".join(f"; {net}: {cpu}" for net, cpu in others.items())


def main() -> None:
    """Print, or write."""
    if "--write" not in sys.argv:
        print(table())
        return
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{headlines()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
