"""What kernels are there for and cost: on kernels made up, as the runtimes name them."""

from __future__ import annotations

import pytest

from edgekd.decide import kernel_costs
from edgekd.document.kernel import Kernel

SHAPE = (1, 8, 4, 4)


def kernel(op: str, reads: str, gives: str, us: float, layer: str = "", shape: tuple[int, ...] = SHAPE) -> Kernel:
    converts = reads != gives and op in kernel_costs.CONVERSIONS
    precision = f"{reads} to {gives}" if converts else reads
    return Kernel(f"{layer}_token_1", op, precision, us, (layer,) if layer else (), reads, gives, shape)


OURS = [
    kernel("QuantizeLinear", "float32", "int8", 2.0, "QuantizeLinear_0"),
    kernel("Transpose", "int8", "int8", 1.0, shape=(1, 4, 4, 8)),
    kernel("QLinearConv", "int8", "int8", 10.0, "Conv_0", (1, 4, 4, 8)),
    kernel("DequantizeLinear", "int8", "float32", 3.0, "DequantizeLinear_1"),
    kernel("Sigmoid", "float32", "float32", 4.0, "Sigmoid_0"),
    kernel("QGemm", "int8", "float32", 5.0, "Gemm_0", (1, 10)),
    kernel("Shape", "int64", "int64", 0.0, "Shape_0", (4,)),
]
THEIRS = [
    kernel("Conv", "float32", "float32", 25.0, "conv/first"),
    kernel("QLinearSigmoid", "int8", "int8", 3.0, "sigmoid"),
    kernel("Gemm", "float32", "float32", 5.5, "head", (1, 10)),
]


@pytest.mark.parametrize(
    ("op", "reads", "gives", "work"),
    [
        ("QLinearConv", "int8", "int8", "int8"),
        ("QGemm", "int8", "float32", "int8"),
        ("DynamicQuantizeMatMul", "float32", "float32", "int8"),
        ("Conv", "float32", "float32", "float"),
        ("Convolution", "bfloat16", "float32", "float"),
        ("QuantizeLinear", "float32", "int8", "conversion"),
        ("Cast", "int32", "float32", "conversion"),
        ("Subgraph", "float32", "int8", "conversion"),
        ("Subgraph", "float32", "float32", "float"),
        ("Reorder", "int8", "int8", "layout"),
        ("Transpose", "float32", "float32", "layout"),
        ("Gather", "int64", "int64", "other"),
    ],
)
def test_what_a_kernel_is_there_for(op: str, reads: str, gives: str, work: str) -> None:
    assert kernel_costs.work_of(kernel(op, reads, gives, 1.0)) == work


def test_sums_by_work_and_by_operator_hold_all_kernels() -> None:
    work = kernel_costs.by_work(OURS)
    assert list(work) == ["int8", "float", "conversion", "layout", "other"]
    assert work["int8"] == {"count": 2, "microseconds": 15.0, "share": 0.6}
    assert work["conversion"] == {"count": 2, "microseconds": 5.0, "share": 0.2}
    operators = kernel_costs.by_operator([*OURS, *OURS])
    assert [(row["op"], row["count"], row["microseconds"]) for row in operators[:2]] == [
        ("QLinearConv", 2, 20.0),
        ("QGemm", 2, 10.0),
    ]
    assert sum(row["microseconds"] for row in operators) == 50.0
    assert (
        kernel_costs.by_work([]) == {} and kernel_costs.rows([kernel("Shape", "int64", "int64", 0.0)])[0]["share"] == 0
    )


def test_two_files_by_operator_the_worst_first() -> None:
    table = kernel_costs.differences(kernel_costs.by_operator(OURS), kernel_costs.by_operator(THEIRS))
    assert [row["difference"] for row in table] == sorted((row["difference"] for row in table), reverse=True)
    by_op = {row["op"]: row for row in table}
    assert by_op["QLinearConv"] == {
        "op": "QLinearConv",
        "precision": "int8",
        "count": 1,
        "microseconds": 10.0,
        "count_beside": 0,
        "microseconds_beside": 0.0,
        "difference": 10.0,
    }
    assert table[-1]["op"] == "Conv" and table[-1]["difference"] == -25.0
    assert round(sum(row["difference"] for row in table), 1) == -8.5, "nothing is left out of either"


def test_kernels_that_do_the_same_stand_beside_each_other_in_whatever_precision_and_layout() -> None:
    beside = kernel_costs.pairs(kernel_costs.rows(OURS), kernel_costs.rows(THEIRS))
    assert [None if other is None else other["op"] for other in beside] == [
        *(None, None, "Conv"),
        *(None, "QLinearSigmoid", "Gemm", None),
    ]
    assert beside[2] is not None and beside[2]["difference"] == -15.0 and beside[2]["layer"] == "conv/first"


def test_layers_of_one_name_are_pairs_where_branches_run_in_another_order() -> None:
    ours = [kernel("QLinearConv", "int8", "int8", us, f"Conv_{i}") for i, us in ((2, 5.0), (0, 20.0), (1, 30.0))]
    theirs = [kernel("QLinearConv", "int8", "int8", us, f"Conv_{i}") for i, us in ((0, 21.0), (1, 30.0), (2, 4.0))]
    beside = kernel_costs.pairs(kernel_costs.rows(ours), kernel_costs.rows(theirs))
    assert [other and other["difference"] for other in beside] == [1.0, -1.0, 0.0]


def test_one_kernel_stands_beside_one_at_most() -> None:
    ours = [kernel("Add", "float32", "float32", 1.0, "Add_0")] * 3
    beside = kernel_costs.pairs(kernel_costs.rows(ours), kernel_costs.rows(ours[:2]))
    assert [other is None for other in beside] == [False, False, True]
    other_shape = [kernel("Add", "float32", "float32", 1.0, "Add_0", (1, 9, 4, 4))]
    assert kernel_costs.pairs(kernel_costs.rows(ours), kernel_costs.rows(other_shape)) == [None] * 3
