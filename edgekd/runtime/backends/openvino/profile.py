"""The kernels of a compiled OpenVINO model, read off its runtime graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgekd.document.kernel import Kernel

if TYPE_CHECKING:
    import openvino as ov

_CONVERT = ("FakeQuantize", "Convert", "Reorder", "Subgraph", "Eltwise")  # where precisions in and out differ
_NO_KERNEL = ("unknown", "undef")  # how the primitives of inputs, constants and views begin
_NUMPY_NAMES = {
    "u8": "int8",
    "i8": "int8",
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "i32": "int32",
    "i64": "int64",
}


def kernels(graph: ov.Model, first: Mapping[str, float], counted: Mapping[str, float], runs: int) -> list[Kernel]:
    """The nodes that ran, of the graph as it was compiled; the first run, which also compiles, is taken out.

    OpenVINO counts whole microseconds a run, and says of a kernel that never reached one that it did not run: it
    stands here with 0.

    Args:
        graph: the runtime model.
        first: microseconds by node, after one run.
        counted: means by node of that run and of ``runs`` more.
    """
    rows = []
    for node in graph.get_ordered_ops():
        name, info = node.get_friendly_name(), _info(node)
        op = info.get("layerType", node.get_type_name())
        if name not in counted and not _may_have_run(node, op, info):
            continue
        reads = _numpy_name(info.get("runtimePrecision", "unknown"))
        gives = _gives(info) or reads
        converts = op in _CONVERT and reads != gives and "int8" in (reads, gives)
        mean = (counted.get(name, 0.0) * (runs + 1) - first.get(name, 0.0)) / runs
        rows.append(
            Kernel(
                name,
                op,
                f"{reads} to {gives}" if converts else reads,
                round(max(mean, 0.0), 1),
                tuple(layer for layer in info.get("originalLayersNames", "").split(",") if layer),
                _gives(_info(node.input_value(0).get_node())) if node.get_input_size() else "",
                gives,
                _shape(node),
            )
        )
    return rows


def _info(node: ov.Node) -> dict[str, str]:
    return {key: str(value.astype(str)) for key, value in node.get_rt_info().items()}


def _may_have_run(node: ov.Node, op: str, info: Mapping[str, str]) -> bool:
    """Whether a node that was not counted has a primitive, and does not just hand on what it reads."""
    primitive = info.get("primitiveType", "unknown")
    return op not in ("Input", "Const", "Output") and not primitive.startswith(_NO_KERNEL) and bool(node.inputs())


def _gives(info: Mapping[str, str]) -> str:
    """The type of a node's first output."""
    return _numpy_name(info.get("outputPrecisions", "").split(",")[0])


def _numpy_name(name: str) -> str:
    """``u8`` -> ``int8``, ``f32`` -> ``float32``, as numpy says it."""
    return _NUMPY_NAMES.get(name, name)


def _shape(node: ov.Node) -> tuple[int | None, ...]:
    """Of the first output; () where its rank is free, or there is none."""
    if not node.get_output_size() or node.get_output_partial_shape(0).rank.is_dynamic:
        return ()
    return tuple(None if size.is_dynamic else size.get_length() for size in node.get_output_partial_shape(0))
