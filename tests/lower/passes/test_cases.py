"""Every graph pass on small graphs, before and after, written as ONNX text beside this file.

``<pass>.txt`` holds the cases of a pass. Each begins with ``== <what it shows>`` and a graph; behind ``-- becomes``
stands the graph that the pass makes of it, ``-- stays`` says that it leaves it alone. Names and types of inner values
do not count, but for the passes that are about them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnxscript import ir

from edgekd.base import plugins

HERE = Path(__file__).parent
KINDS = plugins.kinds("passes")
EXACT = {"short_names", "strip_metadata"}
HEADER = '<ir_version: 10, opset_import: ["" : 20]>\n'
SIZES = {"n": 3, "m": 4, "k": 5}  # of the free dimensions in the cases


class MatMulIntegerToFloat(OpRun):
    """ONNX Runtime's operator, which ONNX's reference does not know: both factors restored, multiplied, and a bias."""

    op_domain = "com.microsoft"

    def _run(self, a: np.ndarray, b: np.ndarray, *rest: np.ndarray) -> tuple[np.ndarray]:
        a_scale, b_scale, a_zero, b_zero, bias = rest
        product = (a.astype(np.int32) - a_zero) @ (b.astype(np.int32) - b_zero)
        return ((product * (a_scale * b_scale) + bias).astype(np.float32),)


class DynamicQuantizeLSTM(OpRun):
    """ONNX Runtime's operator: an LSTM of int8 weights, as exact here as one of floats."""

    op_domain = "com.microsoft"

    def _run(self, x: np.ndarray, *rest: np.ndarray, **_: object) -> tuple[np.ndarray, ...]:
        w, r, bias, _lengths, hidden, cell, _peepholes, w_scale, _w_zero, r_scale, _r_zero = rest
        w, r = (codes[0] * scale.reshape(-1)[None] for codes, scale in ((w, w_scale), (r, r_scale)))
        size, states = r.shape[0], []
        h, c = (np.zeros((x.shape[1], size)) if state is None else state[0] for state in (hidden, cell))
        offset = bias[0].reshape(2, -1).sum(0)
        for step in x:
            i, o, f, g = np.split(step @ w + h @ r + offset, 4, axis=1)
            i, o, f = (1 / (1 + np.exp(-gate)) for gate in (i, o, f))
            c = f * c + i * np.tanh(g)
            h = o * np.tanh(c)
            states.append(h)
        return tuple(array.astype(np.float32) for array in (np.stack(states)[:, None], h[None], c[None]))


class Case(NamedTuple):
    """One graph, and what becomes of it; ``after`` is None where it stays."""

    kind: str
    title: str
    before: str
    after: str | None


def read(folder: Path) -> list[Case]:
    """The cases of a folder, in the order of its files."""
    cases = []
    for file in sorted(folder.glob("*.txt")):
        for part in re.split(r"^== ", file.read_text(), flags=re.MULTILINE)[1:]:
            title, _, text = part.partition("\n")
            before, verb, after = re.split(r"^-- (becomes|stays)\n", text, maxsplit=1, flags=re.MULTILINE)
            assert bool(after.strip()) == (verb == "becomes"), f"{file.name}: {title}"
            cases.append(Case(file.stem, title, before, after if verb == "becomes" else None))
    return cases


def parse(text: str) -> onnx.ModelProto:
    """A model from its text; the usual header may be left out. Every node has a name, as the exporter gives it one."""
    model = onnx.parser.parse_model(text if text.lstrip().startswith("<") else HEADER + text)
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"n{i}"
    return model


def written(model: onnx.ModelProto, exact: bool) -> str:
    """A model as text: equal for graphs that differ in what does not count alone."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inner = [info for info in graph.value_info if info.name not in constants]  # a constant has its type from its tensor
    del graph.value_info[:]
    for node in graph.node:
        node.attribute.sort(key=lambda attribute: str(attribute.name))
    if exact:
        graph.value_info.extend(sorted(inner, key=lambda info: str(info.name)))
        return onnx.printer.to_text(model)
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    for node in graph.node:
        node.name = ""
        for i, name in enumerate(node.input):
            node.input[i] = names.setdefault(name, f"c{len(names):02}") if name else ""
        for i, name in enumerate(node.output):
            node.output[i] = names.setdefault(name, f"v{len(names):02}")
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, f"unused {tensor.name}")
    graph.initializer.sort(key=lambda tensor: str(tensor.name))
    return onnx.printer.to_text(model)


def answers(model: onnx.ModelProto) -> list[np.ndarray]:
    """What ONNX's reference says of seeded inputs."""
    rng, inputs = np.random.default_rng(0), {}
    for value in model.graph.input:
        dims = [SIZES[dim.dim_param] if dim.dim_param else dim.dim_value for dim in value.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        floats = value.type.tensor_type.elem_type == TensorProto.FLOAT
        inputs[value.name] = (rng.normal(size=dims) * 2 if floats else rng.integers(0, 2, dims)).astype(dtype)
    reference = ReferenceEvaluator(model, new_ops=[MatMulIntegerToFloat, DynamicQuantizeLSTM])
    outputs: list[np.ndarray] = reference.run(None, inputs)
    return outputs


def hold(case: Case, change: Callable[[ir.Model], None]) -> None:
    """Run a pass on a case, twice, and hold what it makes against what stands there."""
    exact, before = case.kind in EXACT, parse(case.before)
    after = before if case.after is None else parse(case.after)
    onnx.checker.check_model(after, full_check=True)
    model = ir.from_proto(parse(case.before))  # shares its tensors with what it is made of
    for _ in range(2):
        change(model)
        result = ir.to_proto(model)
        onnx.checker.check_model(result, full_check=True)
        assert written(result, exact) == written(after, exact)
    if case.after is not None:
        assert written(before, exact) != written(after, exact)
        for output, expected in zip(answers(result), answers(before), strict=True):
            np.testing.assert_allclose(output, expected, rtol=1e-6, atol=1e-6)


def lacking(cases: Iterable[Case], kinds: Iterable[str]) -> list[str]:
    """What the cases do not show: passes that change nothing, or leave nothing alone; and cases of no pass."""
    changed, left = ({case.kind for case in cases if (case.after is None) == stays} for stays in (False, True))
    return [
        *(f"{kind}: no case that it changes" for kind in kinds if kind not in changed),
        *(f"{kind}: no case that it leaves alone" for kind in kinds if kind not in left),
        *(f"{kind}: no such pass" for kind in sorted((changed | left) - {*kinds})),
    ]


CASES = read(HERE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.title}")
def test_a_pass_makes_of_a_graph_what_is_written_beside_it(case: Case) -> None:
    hold(case, plugins.build("passes", {"kind": case.kind}, "test"))


def test_every_pass_has_a_graph_that_it_changes_and_one_that_it_leaves_alone() -> None:
    assert lacking(CASES, KINDS) == []


def test_a_pass_that_has_no_case_is_told() -> None:
    cases = [Case("a", "", "g", "g"), Case("a", "", "g", None), Case("b", "", "g", None), Case("d", "", "g", "g")]
    assert lacking(cases, ["a", "b", "c"]) == [
        "b: no case that it changes",
        "c: no case that it changes",
        "c: no case that it leaves alone",
        "d: no such pass",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pass_that_does_nothing_or_too_much_would_fail(kind: str) -> None:
    def too_much(model: ir.Model) -> None:
        model.graph.append(ir.node("Identity", [model.graph.inputs[0]]))

    for case in CASES:
        if case.kind == kind:
            with pytest.raises(AssertionError):
                hold(case, too_much)
            if case.after is not None:
                with pytest.raises(AssertionError):
                    hold(case, lambda model: None)
