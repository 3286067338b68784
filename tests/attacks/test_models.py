"""What a model file may not do: read other files, or write itself out without end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgekd.base.errors import IntegrityError
from edgekd.runtime import look, look_numbers

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
    return helper.make_model(graph, opset_imports=OPSETS, **more)


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


def compiled(domain: str = "com.microsoft") -> list[onnx.NodeProto]:
    """What a provider keeps of a network: bytes of its own, or the path of a file that holds them."""
    about = {"embed_mode": 0, "ep_cache_context": "../../secret", "main_context": 1}
    return [helper.make_node("EPContext", ["x"], ["y"], domain=domain, **about)]


def varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value >= 0x80 else bytes([value])


def sparse() -> list[onnx.NodeProto]:
    indices = numpy_helper.from_array(np.zeros(1, np.int64))
    return [helper.make_node("Constant", [], ["y"], sparse_value=helper.make_sparse_tensor(outside(), indices, [1]))]


def trains() -> onnx.ModelProto:
    made = model(identity())
    made.training_info.add()
    return made


def loop(made: list[onnx.NodeProto], reads: list[str], goes_on: list[onnx.NodeProto], **more: Any) -> onnx.ModelProto:
    """A loop over x, behind some nodes; ``goes_on`` gives d, whether another round is made, c was before."""
    whole, flag = onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    inputs = [helper.make_tensor_value_info("i", whole, []), helper.make_tensor_value_info("c", flag, [])]
    body = helper.make_graph(
        [*goes_on, helper.make_node("Identity", ["a"], ["e"])],
        "b",
        [*inputs, helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("d", flag, []), helper.make_tensor_value_info("e", onnx.TensorProto.FLOAT, [1])],
    )
    return model([*made, helper.make_node("Loop", [*reads, "x"], ["y"], body=body)], **more)


def truth(value: bool) -> onnx.TensorProto:
    """In a list, and not raw."""
    return helper.make_tensor("t", onnx.TensorProto.BOOL, [], [value])


def swapped(attribute: onnx.AttributeProto) -> onnx.AttributeProto:
    """Of an attribute of the numbers 2^62, one that also holds a 5, which its name makes nothing of."""
    attribute.i = 5
    return attribute


HUGE, MANY = 1 << 62, helper.make_tensor("k", onnx.TensorProto.INT64, [1], [1 << 62])
HAND_ON = [helper.make_node("Identity", ["c"], ["d"])]
GOES_ON = [helper.make_node("Equal", ["i", "i"], ["d"])]  # for ever, too, but nobody sees it before
SPARSE = helper.make_sparse_tensor(MANY, numpy_helper.from_array(np.zeros(1, np.int64)), [1])
LOOPS = {
    "rounds in a list": lambda: loop([helper.make_node("Constant", [], ["k"], value_ints=[HUGE])], ["k", ""], GOES_ON),
    "rounds in a list, and a smaller number": lambda: loop(
        [node_of("Constant", "k", swapped(helper.make_attribute("value_ints", [HUGE])))], ["k", ""], GOES_ON
    ),
    "rounds by another name": lambda: loop(
        [helper.make_node("Constant", [], ["n"], value_int=HUGE), helper.make_node("Identity", ["n"], ["k"])],
        ["k", ""],
        GOES_ON,
    ),
    "rounds that are sparse": lambda: loop(
        [helper.make_node("Constant", [], ["k"], sparse_value=SPARSE)], ["k", ""], GOES_ON
    ),
    "no rounds, a condition that is handed on": lambda: loop([], ["", ""], HAND_ON),
    "no rounds, a condition handed on twice": lambda: loop(
        [],
        ["", ""],
        [helper.make_node("Identity", ["c"], ["f"]), helper.make_node("Identity", ["f"], ["d"])],
    ),
    "no rounds, a constant condition": lambda: loop(
        [], ["", ""], [helper.make_node("Constant", [], ["d"], value=truth(True))]
    ),
    "no rounds, a condition from outside": lambda: loop(
        [],
        ["", ""],
        [helper.make_node("Identity", ["t"], ["d"])],
        initializer=[numpy_helper.from_array(np.array(True), "t")],
    ),
    "names in a circle": lambda: loop(
        [helper.make_node("Identity", ["k"], ["n"]), helper.make_node("Identity", ["n"], ["k"])], ["k", ""], GOES_ON
    ),
}


def node_of(op: str, output: str, attribute: onnx.AttributeProto) -> onnx.NodeProto:
    made = helper.make_node(op, [], [output])
    made.attribute.append(attribute)
    return made


HOSTILE = {
    "an initializer outside": lambda: model(identity(), initializer=[outside()]),
    "a constant outside": lambda: model(constant()),
    "a constant outside, in a branch": lambda: model(nested(3, constant)),
    "a sparse constant outside": lambda: model(sparse()),
    "a function's constant outside": lambda: model(
        identity(), functions=[helper.make_function("f", "f0", [], ["y"], constant(), OPSETS)]
    ),
    "the default of a function's attribute outside": lambda: defaulted(),
    "functions that call each other": lambda: of_functions({f"f{i}": [f"f{i + 1}"] for i in range(3000)}),
    "a function that calls itself": lambda: of_functions({"f0": ["f0"]}),
    "two functions in a circle": lambda: of_functions({"f0": ["f1"], "f1": ["f0"]}),
    "2^25 nodes of 26 functions": lambda: of_functions(
        {f"f{i}": [f"f{i + 1}"] * 2 for i in range(25)} | {"f25": ["Identity"]}
    ),
    "graphs in graphs": lambda: deep(20),
    "too many nodes": lambda: model(identity() * 1001),
    "a model that trains": trains,
    "a compiled context": lambda: model(compiled()),
    "a compiled context of another domain": lambda: model(compiled("")),
    "a compiled context, in a branch": lambda: model(nested(3, compiled)),
    "a function's compiled context": lambda: model(
        identity(), functions=[helper.make_function("f", "f0", ["x"], ["y"], compiled(), OPSETS)]
    ),
}


def defaulted() -> onnx.ModelProto:
    """A function's constant by the name of an attribute of its own, whose default is given."""
    taken = helper.make_node("Constant", [], ["y"])
    taken.attribute.add(name="value", ref_attr_name="w", type=onnx.AttributeProto.TENSOR)
    made = helper.make_function("f", "f0", [], ["y"], [taken], OPSETS)
    made.attribute_proto.append(helper.make_attribute("w", outside()))
    return model(identity(), functions=[made])


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
    with pytest.raises(IntegrityError, match=r"^m.onnx: (weights|functions|a function|graphs|too many|a \w+ that)"):
        look.check(HOSTILE[name]().SerializeToString(), "m.onnx")


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_without_an_end(name: str) -> None:
    with pytest.raises(IntegrityError, match=r"^m.onnx: (a loop (of too many rounds|without an end)|handed on)"):
        look.check(LOOPS[name]().SerializeToString(), "m.onnx")


@pytest.mark.parametrize(("rounds", "refused"), [(500, False), (501, True)])
def test_a_loop_in_a_function_that_is_called_in_a_loop(rounds: int, refused: bool) -> None:
    """Of 2,000 rounds, and called by another function: a million in all may be."""
    inner = loop([helper.make_node("Constant", [], ["k"], value_int=2000)], ["k", ""], HAND_ON).graph.node
    call = helper.make_node("f1", ["a"], ["z"], domain="f")
    outer = loop([helper.make_node("Constant", [], ["k"], value_int=rounds)], ["k", ""], [*HAND_ON, call])
    outer.functions.append(helper.make_function("f", "f0", ["x"], ["y"], inner, OPSETS))
    again = [helper.make_node("f0", ["x"], ["y"], domain="f")]
    outer.functions.append(helper.make_function("f", "f1", ["x"], ["y"], again, OPSETS))
    if refused:
        with pytest.raises(IntegrityError, match="too many rounds; found 1002000"):
            look.check(outer.SerializeToString(), "m.onnx")
    else:
        look.check(outer.SerializeToString(), "m.onnx")


def test_a_type_of_64_bits() -> None:
    """C++ keeps the low 32."""
    tensor = MANY.SerializeToString().replace(b"\x10\x07", b"\x10" + varint(7 + (1 << 32)))
    graph = b"\x2a" + varint(len(tensor)) + tensor
    assert look_numbers.Graph(memoryview(graph), "graph", "m").number(b"k") == HUGE


def test_loops_that_end_or_may() -> None:
    for made in (
        loop([helper.make_node("Constant", [], ["k"], value_int=5)], ["k", ""], HAND_ON),
        loop([], ["", ""], GOES_ON),
        loop([], ["", ""], [helper.make_node("Constant", [], ["d"], value=truth(False))]),
        loop([], ["", "", "x"], GOES_ON, initializer=[numpy_helper.from_array(np.array(HUGE), "x")]),
    ):
        look.check(made.SerializeToString(), "m.onnx")


def overloaded() -> onnx.ModelProto:
    """A circle under an overload, behind which stand two functions of the same names that do nothing."""
    made = of_functions({"f0": ["f1"], "f1": ["f0"]})
    for one in made.functions:
        one.overload = one.node[0].overload = "o"
    made.graph.node[0].overload = "o"
    made.functions.extend(of_functions({"f0": ["Identity"], "f1": ["Identity"]}).functions)
    return made


def test_a_function_of_the_same_name() -> None:
    twice = of_functions({"f0": ["f1"], "f1": ["f0"]})
    twice.functions.extend(of_functions({"f0": ["Identity"], "f1": ["Identity"]}).functions)
    standard = of_functions({"f0": ["f0"]})
    standard.functions[0].domain, standard.graph.node[0].domain = "ai.onnx", ""
    standard.functions[0].node[0].domain = ""
    for made, said in ((overloaded(), "overload"), (twice, "twice"), (standard, "calls itself")):
        with pytest.raises(IntegrityError, match=said):
            look.check(made.SerializeToString(), "m.onnx")


def test_a_message_in_two_pieces() -> None:
    """Which are one to protobuf: a type in the first and its number in the second."""
    made = model(identity())
    with pytest.raises(IntegrityError, match="a field stands twice"):
        look.check(made.SerializeToString() + b"\x3a\x00", "m.onnx")


def test_every_field_of_the_format_that_holds_what_is_looked_at() -> None:
    """As the installed onnx has it: a field that a later version adds fails here."""
    kinds = {"ModelProto": "model", "GraphProto": "graph", "FunctionProto": "function", "NodeProto": "node",
             "AttributeProto": "attribute", "SparseTensorProto": "sparse", "TensorProto": "tensor"}  # fmt: skip
    for name, kind in kinds.items():
        held = [field for field in getattr(onnx, name).DESCRIPTOR.fields if field.message_type is not None]
        wanted = {field.number: kinds[told] for field in held if (told := field.message_type.name) in kinds}
        assert look.HOLDS[kind] == wanted, name
    assert onnx.ModelProto.DESCRIPTOR.fields_by_name["training_info"].number == look.TRAINING


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


@pytest.mark.parametrize("more", [1 << 32, 1 << 34])
def test_a_field_whose_number_ends_beyond_32_bits(more: int) -> None:
    """ONNX Runtime 1.31 keeps the low 32 bits of a tag, and reads the graph."""
    made = model(identity(), initializer=[outside()])
    graph = made.graph.SerializeToString()
    made.ClearField("graph")
    data = made.SerializeToString() + varint((7 << 3 | 2) + more) + varint(len(graph)) + graph
    with pytest.raises(IntegrityError, match="not a ONNX model"):
        look.check(data, "m.onnx")
