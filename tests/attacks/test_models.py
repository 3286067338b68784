"""What a model file may not do: read other files, or write itself out without end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgekd.errors import IntegrityError
from edgekd.runtime import look

X, Y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
OPSETS = [helper.make_opsetid("", 20), helper.make_opsetid("f", 1)]


def outside(name: str = "w") -> onnx.TensorProto:
    """A tensor whose numbers stand in another file."""
    tensor = numpy_helper.from_array(np.ones(1, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    return tensor


def model(nodes: list[onnx.NodeProto], **more: object) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", [X], [Y], initializer=more.pop("initializer", []))
    return helper.make_model(graph, opset_imports=OPSETS, **more)  # type: ignore[arg-type]


def function(name: str, calls: list[str]) -> onnx.FunctionProto:
    nodes = [helper.make_node(call, ["x"], ["y"], domain="f" if call.startswith("f") else "") for call in calls]
    return helper.make_function("f", name, ["x"], ["y"], nodes, OPSETS)


def of_functions(bodies: dict[str, list[str]]) -> onnx.ModelProto:
    call = helper.make_node("f0", ["x"], ["y"], domain="f")
    return model([call], functions=[function(name, calls) for name, calls in bodies.items()])


def nested(depth: int, inner: Callable[[], list[onnx.NodeProto]]) -> list[onnx.NodeProto]:
    nodes = inner()
    for _ in range(depth):
        branch = helper.make_graph(nodes, "b", [], [Y])
        nodes = [helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)]
    return nodes


def identity() -> list[onnx.NodeProto]:
    return [helper.make_node("Identity", ["x"], ["y"])]


def constant() -> list[onnx.NodeProto]:
    return [helper.make_node("Constant", [], ["y"], value=outside())]


def sparse() -> list[onnx.NodeProto]:
    indices = numpy_helper.from_array(np.zeros(1, np.int64))
    return [helper.make_node("Constant", [], ["y"], sparse_value=helper.make_sparse_tensor(outside(), indices, [1]))]


def trains() -> onnx.ModelProto:
    made = model(identity())
    made.training_info.add()
    return made


HOSTILE = {
    "an initializer outside": lambda: model(identity(), initializer=[outside()]),
    "a constant outside": lambda: model(constant()),
    "a constant outside, in a branch": lambda: model(nested(3, constant)),
    "a sparse constant outside": lambda: model(sparse()),
    "a function's constant outside": lambda: model(
        identity(), functions=[helper.make_function("f", "f0", [], ["y"], constant(), OPSETS)]
    ),
    "functions that call each other": lambda: of_functions({f"f{i}": [f"f{i + 1}"] for i in range(3000)}),
    "a function that calls itself": lambda: of_functions({"f0": ["f0"]}),
    "two functions in a circle": lambda: of_functions({"f0": ["f1"], "f1": ["f0"]}),
    "2^25 nodes of 26 functions": lambda: of_functions(
        {f"f{i}": [f"f{i + 1}"] * 2 for i in range(25)} | {"f25": ["Identity"]}
    ),
    "graphs in graphs": lambda: deep(20),
    "too many nodes": lambda: model(identity() * 1001),
    "a model that trains": trains,
}


def deep(levels: int) -> onnx.ModelProto:
    """One branch alone, so that its size does not double at each level."""
    nodes = identity()
    for _ in range(levels):
        nodes = [helper.make_node("Loop", ["", "", "x"], ["y"], body=helper.make_graph(nodes, "b", [], [Y]))]
    return model(nodes)


@pytest.fixture(autouse=True)
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nodes, that the tests are quick; of graphs in graphs, since onnx itself makes no deeper ones than 33."""
    monkeypatch.setattr(look, "NODES", 1000)
    monkeypatch.setattr(look, "DEPTH", 16)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_model_may_not_hold(name: str) -> None:
    with pytest.raises(IntegrityError, match=r"^m.onnx: (weights|functions|a function|graphs|too many|a model that)"):
        look.check(HOSTILE[name]().SerializeToString(), "m.onnx")


def test_what_it_may() -> None:
    for made in (model(nested(4, identity)), of_functions({"f0": ["f1", "f1"], "f1": ["Identity", "Relu"]})):
        look.check(made.SerializeToString(), "m.onnx")


def test_any_bytes_end_in_an_answer() -> None:
    rng = np.random.default_rng(0)
    good = of_functions({"f0": ["f1"], "f1": ["Identity"]}).SerializeToString()
    refused = 0
    for _ in range(2000):
        data = bytearray(good)
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            data[place] = rng.integers(256)
        try:
            look.check(bytes(data[: rng.integers(1, len(data) + 1)]), "m.onnx")
        except IntegrityError:
            refused += 1
    assert refused > 500
