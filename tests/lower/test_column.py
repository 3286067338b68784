"""The column of graph passes: every file has its row, a user's own runs where it says, an error names the pass."""

from __future__ import annotations

import importlib
import operator
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import onnx
import pytest
import torch
from onnxscript import ir

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError, ExportError, FactoryError, TargetError
from edgekd.learn.student import Student
from edgekd.lower import lower
from edgekd.lower.column import COLUMN, Row, passes, rewrite
from edgekd.lower.passes import lean_qdq

CUSTOM = '''
from dataclasses import dataclass

from edgekd.base.errors import ExportError


@dataclass(frozen=True)
class At:
    """Notes that it ran."""

    def __call__(self, model):
        model.metadata_props["ran"] = model.metadata_props.get("ran", "") + type(self).__name__ + " "


class First(At):
    order = 1
    always = False  # as the rows of the column say it; of a user's own nobody asks


class Between(At):
    order = 45.5


class Behind(At):
    order = 50


class Also(At):
    order = 50


class Somewhere(At):
    pass


class Text(At):
    order = "last"


class Nowhere(At):
    order = float("nan")


class Fails(At):
    order = 45

    def __call__(self, model):
        raise KeyError("lost")


class Refuses(At):
    order = 45

    def __call__(self, model):
        raise ExportError("has too many nodes")


class Breaks(At):
    order = 45

    def __call__(self, model):
        model.graph[0].op_type = "Sigmund"
'''
USUAL = [row.kind for row in COLUMN if row.always]
# Exchanged, these two give another file: the reasons in the column.
DEPENDENT = [
    ("plain_pooling", "strip_metadata"),
    ("softmax_in_parts", "share_constants"),
    ("int8_gather", "int8_linear"),
    ("int8_gather", "strip_metadata"),
    ("fold_into_int8_linear", "int8_linear"),
    ("int8_linear", "bias_of_matmul"),
    ("int8_linear", "distinct_bias"),
    ("int8_linear", "default_attributes"),
    ("distinct_bias", "share_constants"),
    ("softmax_in_parts", "short_names"),
]
NET = """
<ir_version: 10, opset_import: ["" : 20]>
main_graph (float[n,2,4,3] image, int64[n] user, int64[n,2] items)
 => (float[n,2] pooled, float[n,2] bag, float[n,k,2] shares)
<int64[2] axes = {2, 3}, int64[1] one = {1}, int64[3] tokens = {0, -1, 2},
 int8[3,2] table = {1, 2, 3, -4, 5, 6}, float ts = {0.5}, int8 tz = {0},
 int8[2,2] w0 = {1, 2, 3, 4}, float[2] s0 = {0.5, 0.25}, int8[2] z0 = {0, 0},
 float[2] factor = {2, 4}, float rs = {0.125}, uint8 rz = {0}, int8[2,2] w1 = {5, 6, 7, 8}, float[2] s1 = {0.5, 0.25},
 int8[2,2] w2 = {9, 8, 7, 6}, float[2] s2 = {0.5, 0.25},
 float[n,2,4,3] relu, float[n,2,2] rows>
{
    relu = Relu (image)
    pooled = ReduceMean <keepdims = 0> (relu, axes)
    floats = DequantizeLinear (table, ts, tz)
    row = Gather (floats, user)
    rows = Gather (floats, items)
    mean = ReduceMean <keepdims = 0> (rows, one)
    bag = Relu (mean)
    w0f = DequantizeLinear <axis = 0> (w0, s0, z0)
    linear = Gemm <transB = 1> (row, w0f)
    scaled = Mul (linear, factor)
    r0 = Relu (scaled)
    q0 = QuantizeLinear (r0, rs, rz)
    d0 = DequantizeLinear (q0, rs, rz)
    w1f = DequantizeLinear <axis = 0> (w1, s1)
    linear_1 = Gemm <transB = 1> (d0, w1f)
    r1 = Relu (linear_1)
    q1 = QuantizeLinear (r1, rs, rz)
    d1 = DequantizeLinear (q1, rs, rz)
    t1 = Reshape (d1, tokens)
    w2f = DequantizeLinear <axis = 0> (w2, s2)
    w2t = Transpose <perm = [1, 0]> (w2f)
    linear_2 = MatMul (t1, w2t)
    shares = Softmax <axis = 1> (linear_2)
}
"""


@pytest.fixture
def custom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """The kind of a class of ``CUSTOM``."""
    (tmp_path / "custom_passes.py").write_text(CUSTOM)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield lambda name: f"custom_passes:{name}"
    sys.modules.pop("custom_passes", None)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Student:
    """A student that is exported as ``NET``, in no time."""
    monkeypatch.setattr(lower, "export", lambda *_: model())
    return Student(torch.nn.Identity(), (), (), ())


def model() -> ir.Model:
    """The net, its nodes named as the exporter names them."""
    proto = onnx.parser.parse_model(NET)
    for node in proto.graph.node:
        node.name = f"node_{node.output[0]}"
    return ir.from_proto(proto)


def without_a_row(kinds: Sequence[str], column: Sequence[Row]) -> list[str]:
    """Files that have no row, and rows that have no file."""
    return sorted({*kinds} ^ {row.kind for row in column})


def test_every_file_has_its_row() -> None:
    assert without_a_row(plugins.kinds("passes"), COLUMN) == []
    assert without_a_row(["a", "b"], [Row(1, "b"), Row(2, "c")]) == ["a", "c"], "a new file, and a row too many"
    orders = [row.order for row in COLUMN]
    assert orders == sorted(set(orders)), "as they stand, so they run"


def test_a_built_in_pass_says_nothing_of_when_it_runs() -> None:
    for kind in plugins.kinds("passes"):
        assert not {"order", "always"} & {*dir(plugins.load("passes", kind, "test"))}, kind


def test_what_a_target_asks_for_runs_in_its_place() -> None:
    asked = [row.kind for row in COLUMN if not row.always]
    assert list(passes()) == USUAL and asked
    assert list(passes([*reversed(asked), "lean_qdq"])) == [row.kind for row in COLUMN]


@pytest.mark.parametrize(
    ("names", "in_front_of"),
    [
        (["First"], {"First": COLUMN[0].kind}),
        (["Between"], {"Between": "share_constants"}),
        (["Behind", "First"], {"First": COLUMN[0].kind, "Behind": "strip_metadata"}),
        (["Also", "Behind"], {"Also": "custom_passes:Behind", "Behind": "strip_metadata"}),
        (["Behind", "Also"], {"Behind": "custom_passes:Also", "Also": "strip_metadata"}),
    ],
)
def test_a_users_own_runs_where_its_order_says(
    custom: Callable[[str], str], names: list[str], in_front_of: dict[str, str]
) -> None:
    run = list(passes([custom(name) for name in names]))
    assert {name: run[run.index(custom(name)) + 1] for name in names} == in_front_of
    assert [kind for kind in run if ":" not in kind] == USUAL


@pytest.mark.parametrize("name", ["Somewhere", "Text", "Nowhere"])
def test_a_users_own_that_says_no_order_is_told(custom: Callable[[str], str], name: str) -> None:
    with pytest.raises(TargetError, match=rf"passes: custom_passes:{name}: a graph pass says its 'order'.* 3 to 70"):
        passes([custom(name)])


def run_in(kinds: Sequence[str]) -> str:
    """The net, rewritten by passes in an order."""
    rewritten = model()
    for kind in kinds:
        plugins.build("passes", {"kind": kind}, "test")(rewritten)
    proto = ir.to_proto(rewritten)
    onnx.checker.check_model(proto)
    return onnx.printer.to_text(proto)


@pytest.mark.parametrize(("first", "second"), DEPENDENT)
def test_the_order_counts(first: str, second: str) -> None:
    usual = [row.kind for row in COLUMN]
    assert usual.index(first) < usual.index(second)
    before, after = usual[: usual.index(first)], usual[usual.index(first) + 1 :]
    after.remove(second)
    assert run_in([*before, first, second, *after]) != run_in([*before, second, first, *after])


def test_a_bug_in_a_built_in_pass_names_it(exported: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean_qdq, "drop_unused", operator.neg)  # of no file, as code of this one would be a user's
    with pytest.raises(TypeError) as caught:
        lower.to_onnx(exported, opset=20, metadata={})
    printed = "".join(traceback.format_exception(caught.value))
    assert "TypeError: bad operand type for unary -: 'Graph'\nin passes: lean_qdq\n" in printed, "as of any bug"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("Fails", FactoryError, r"^passes: custom_passes:Fails: .*Fails.__call__ raised KeyError at .*py:\d+: 'lost'$"),
        ("Refuses", ExportError, r"^passes: custom_passes:Refuses: has too many nodes$"),
        ("Breaks", ExportError, r"^passes: custom_passes:Breaks: the exported graph is not valid ONNX: .*Sigmund"),
    ],
)
def test_an_error_of_a_users_own_names_it(
    custom: Callable[[str], str], exported: Student, name: str, error: type[EdgekdError], message: str
) -> None:
    with pytest.raises(error, match=message):
        lower.to_onnx(exported, opset=20, metadata={}, asked=["bias_of_matmul", custom(name)])


def test_a_place_that_an_error_names_itself_stands_behind_the_pass() -> None:
    def check(model: ir.Model) -> None:
        raise ExportError("is odd", where="conv_1")

    with pytest.raises(ExportError, match=rf"^passes: {COLUMN[0].kind}: conv_1: is odd$"):
        rewrite(model(), check=check)


def test_an_export_that_is_no_onnx_blames_no_pass(exported: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> ir.Model:
        graph = model()
        graph.graph[0].op_type = "Sigmund"
        return graph

    monkeypatch.setattr(lower, "export", broken)
    with pytest.raises(ExportError, match=r"^the exported graph is not valid ONNX: .*Sigmund"):
        lower.to_onnx(exported, opset=20, metadata={})


def test_behind_every_pass_the_graph_is_valid() -> None:
    """Else the one that is blamed for what another leaves would be the wrong one."""
    behind: list[onnx.ModelProto] = []
    rewrite(model(), [row.kind for row in COLUMN], lambda model: behind.append(lower.checked(model)))
    assert len(behind) == len(COLUMN)


def test_a_file_that_protobuf_has_no_words_for_is_too_large(exported: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 2 GiB neither ONNX's checker nor protobuf itself takes it: the constants are counted before."""

    def beyond(*_: object) -> onnx.ModelProto:
        raise ValueError("This protobuf of onnx model is too large (>2GiB).")

    monkeypatch.setattr(lower, "checked", beyond)
    monkeypatch.setattr(lower, "MAX_BYTES", 50)
    with pytest.raises(ExportError, match=r"^the file is too large; found '\d+ B'; allowed: at most 100 MB$"):
        lower.to_onnx(exported, opset=20, metadata={})
