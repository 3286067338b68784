"""What kernels are there for and what they cost: by operator, by kind, and beside another file of the same net.

Pure, and without onnx: ``edgekd inspect --kernels`` needs numpy and a runtime alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import TypeVar, get_args

from edgekd.document.kernel import Kernel
from edgekd.document.kernel_costs import (
    BesideKernel,
    FileCosts,
    KernelCost,
    OperatorCost,
    OperatorDifference,
    ProfiledFile,
    Work,
    WorkCost,
)

# What the runtimes call kernels of one kind; every other operator is a kind of its own.
KINDS = {
    "convolutions": ("Conv", "FusedConv", "QLinearConv", "ConvInteger", "Convolution", "ConvTranspose"),
    "linear layers": (
        *("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "QGemm", "QLinearMatMul", "MatMulInteger"),
        *("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulNBits", "FullyConnected"),
    ),
    "layout": ("Transpose", "Reorder", "ReorderInput", "ReorderOutput"),
    "additions": ("Add", "QLinearAdd"),
    "poolings": (
        *("GlobalAveragePool", "AveragePool", "MaxPool", "QLinearGlobalAveragePool", "QLinearAveragePool"),
        *("Pooling", "Reduce", "ReduceMean"),
    ),
}
KIND_OF = {op: kind for kind, ops in KINDS.items() for op in ops}
CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "Convert", "FakeQuantize")
MIXED = ("Subgraph",)  # several layers compiled into one, of which the runtime tells one precision
INT8_INSIDE = ("DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "ConvInteger", "MatMulInteger")  # whatever they read
WORDS: tuple[Work, ...] = get_args(Work)
# What ONNX Runtime puts before an operator's name where it computes in int8, or with an activation behind it.
_PREFIXES = ("QLinear", "Fused")
Key = TypeVar("Key")


def kind_of(kernel: Kernel) -> str:
    """What a kernel is told under."""
    if " to " in kernel.precision and kernel.op != "Cast":
        return "conversions"
    return KIND_OF.get(kernel.op, kernel.op)


def work_of(kernel: Kernel) -> Work:
    """What a kernel is there for: int8 or float arithmetic, changing the type or the layout, or something else.

    A layer that hands on in another type than it read (``QGemm`` into float) is arithmetic; elementwise operators
    compiled into one kernel that does so (OpenVINO's ``Subgraph``) mostly convert.
    """
    crosses = "int8" in (kernel.reads, kernel.gives) and kernel.reads != kernel.gives
    if " to " in kernel.precision or kernel.op in CONVERSIONS or (crosses and kernel.op in MIXED):
        return "conversion"
    if KIND_OF.get(kernel.op) == "layout":
        return "layout"
    if kernel.op in INT8_INSIDE or kernel.precision == "int8":
        return "int8"
    return "float" if kernel.precision.startswith(("float", "bfloat")) else "other"


def layer_of(kernel: Kernel) -> str:
    """The first node that a kernel was made of, or the runtime's own name."""
    return kernel.layers[0] if kernel.layers else kernel.name


def rows(kernels: Sequence[Kernel]) -> list[KernelCost]:
    """Kernels in their order, with what each is there for and its share of the whole."""
    total = sum(kernel.microseconds or 0.0 for kernel in kernels)
    return [
        {
            "layer": layer_of(kernel),
            "op": kernel.op,
            "reads": kernel.reads,
            "gives": kernel.gives,
            "shape": list(kernel.shape),
            "microseconds": kernel.microseconds or 0.0,
            "share": _share(kernel.microseconds or 0.0, total),
            "work": work_of(kernel),
        }
        for kernel in kernels
    ]


def costs(profiled: ProfiledFile) -> FileCosts:
    """A file's kernels with their sums."""
    kernels = [Kernel.of(table) for table in profiled["kernels"]]
    return {
        "file": profiled["file"],
        "bytes": profiled["bytes"],
        "p50_ms": profiled["p50_ms"],
        "microseconds": round(sum(kernel.microseconds or 0.0 for kernel in kernels), 1),
        "work": by_work(kernels),
        "operators": by_operator(kernels),
        "kernels": rows(kernels),
    }


def by_work(kernels: Sequence[Kernel]) -> dict[str, WorkCost]:
    """Sums by what kernels are there for, in the order of ``WORDS``; what there is nothing of is left out."""
    total = sum(kernel.microseconds or 0.0 for kernel in kernels)
    sums: dict[str, WorkCost] = {}
    for work, group in _grouped(kernels, work_of).items():
        taken = sum(kernel.microseconds or 0.0 for kernel in group)
        sums[work] = {"count": len(group), "microseconds": round(taken, 1), "share": _share(taken, total)}
    return {work: sums[work] for work in WORDS if work in sums}


def by_operator(kernels: Sequence[Kernel]) -> list[OperatorCost]:
    """Sums by operator and precision, the costliest first."""
    total = sum(kernel.microseconds or 0.0 for kernel in kernels)
    table: list[OperatorCost] = []
    for (op, precision, work), group in _grouped(kernels, lambda k: (k.op, k.precision, work_of(k))).items():
        taken = sum(kernel.microseconds or 0.0 for kernel in group)
        table.append(
            {
                "op": op,
                "precision": precision,
                "work": work,
                "count": len(group),
                "microseconds": round(taken, 1),
                "share": _share(taken, total),
            }
        )
    return sorted(table, key=lambda row: -row["microseconds"])


def differences(ours: Sequence[OperatorCost], theirs: Sequence[OperatorCost]) -> list[OperatorDifference]:
    """Operators of two files by what they cost more in the first, the worst first."""
    sides = [{(row["op"], row["precision"]): row for row in side} for side in (ours, theirs)]
    table: list[OperatorDifference] = []
    for op, precision in dict.fromkeys([*sides[0], *sides[1]]):
        here, there = (side.get((op, precision)) for side in sides)
        taken, beside = (0.0 if row is None else row["microseconds"] for row in (here, there))
        table.append(
            {
                "op": op,
                "precision": precision,
                "count": 0 if here is None else here["count"],
                "microseconds": taken,
                "count_beside": 0 if there is None else there["count"],
                "microseconds_beside": beside,
                "difference": round(taken - beside, 1),
            }
        )
    return sorted(table, key=lambda row: -row["difference"])


def pairs(ours: Sequence[KernelCost], theirs: Sequence[KernelCost]) -> list[BesideKernel | None]:
    """For each kernel of one file the kernel that does the same in another, None where there is none.

    Kernels do the same that are of one kind and give an output of the same sizes, in whichever order (layouts differ).
    Those whose layers have the same name are pairs; the others are laid side by side in their order, as ``diff`` does
    with lines: files of one net run the same arithmetic in nearly the same order, whatever they convert between.
    """
    places = _named_alike(ours, theirs)
    taken = set(places.values())
    left = [i for i in range(len(ours)) if i not in places]
    right = [j for j in range(len(theirs)) if j not in taken]
    matcher = SequenceMatcher(None, [_key(ours[i]) for i in left], [_key(theirs[j]) for j in right], autojunk=False)
    for block in matcher.get_matching_blocks():
        places |= {left[block.a + i]: right[block.b + i] for i in range(block.size)}
    return [_beside(row, theirs[places[i]]) if i in places else None for i, row in enumerate(ours)]


def _named_alike(ours: Sequence[KernelCost], theirs: Sequence[KernelCost]) -> dict[int, int]:
    """Places in both of kernels whose layers have the same name, and that do the same; each place once."""
    free: dict[tuple[object, ...], list[int]] = {}
    for j, row in enumerate(theirs):
        free.setdefault((row["layer"], *_key(row)), []).append(j)
    queues = ((i, free.get((row["layer"], *_key(row)))) for i, row in enumerate(ours))
    return {i: queue.pop(0) for i, queue in queues if queue}


def _beside(row: KernelCost, other: KernelCost) -> BesideKernel:
    return {
        "layer": other["layer"],
        "op": other["op"],
        "reads": other["reads"],
        "gives": other["gives"],
        "microseconds": other["microseconds"],
        "difference": round(row["microseconds"] - other["microseconds"], 1),
    }


def _key(row: KernelCost) -> tuple[str, tuple[int, ...]]:
    """The kind and the sizes, alike for kernels that do the same, in whichever precision and layout."""
    op = row["op"]
    for prefix in _PREFIXES:
        op = op.removeprefix(prefix)
    kind = row["work"] if row["work"] in ("conversion", "layout") else KIND_OF.get(row["op"], op)
    return kind, tuple(sorted(size for size in row["shape"] if size is not None and size > 1))


def _grouped(kernels: Sequence[Kernel], key: Callable[[Kernel], Key]) -> dict[Key, list[Kernel]]:
    groups: dict[Key, list[Kernel]] = {}
    for kernel in kernels:
        groups.setdefault(key(kernel), []).append(kernel)
    return groups


def _share(part: float, total: float) -> float:
    return round(part / total, 4) if total else 0.0
