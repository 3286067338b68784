"""A stranger's model whose inputs and outputs no array, or no table, can hold: told by name, on every runtime."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import helper
from openvino import opset13

import edgekd
from edgekd.base.errors import EdgekdError, ExportError, IntegrityError
from edgekd.runtime import bundle as bundles
from edgekd.runtime.backend import Backend
from edgekd.runtime.backends.openvino.backend import BIN, XML, Openvino
from edgekd.runtime.backends.ort.backend import Ort
from edgekd.runtime.backends.ort_cuda.backend import OrtCuda
from edgekd.runtime.backends.reference.backend import Reference
from edgekd.runtime.contents import Bundle, Variant
from edgekd.tasks import Heads

BACKENDS: dict[str, Backend] = {
    "ort": Ort(),
    "ort_cuda": OrtCuda(provider="CPUExecutionProvider", graphs=False),
    "openvino": Openvino(),
    "reference": Reference(),
}
TYPES = {number: name for name, number in onnx.TensorProto.DataType.items() if number}
FLOAT = onnx.TensorProto.FLOAT
NO_TEXT = b"\xff\xfe"


def info(name: str, kind: int = FLOAT, shape: Any = (None, 3)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(node: onnx.NodeProto, inputs: list[Any], outputs: list[Any]) -> bytes:
    graph = helper.make_graph([node], "g", inputs, outputs)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return made.SerializeToString().replace(b"ZZ", NO_TEXT)


def asked(backend: Backend, data: bytes) -> None:
    """Open a model, and run it at two batches."""
    session = backend.open({"model.onnx": data})
    for batch in (1, 2):
        shapes = {p.name: [batch if size is None else size for size in p.shape] for p in session.inputs}
        session.run({port.name: np.zeros(shapes[port.name], port.dtype) for port in session.inputs})


@pytest.fixture(autouse=True)
def _quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No runtime prints what a file says: on stdout it would stand between what an app answers."""
    yield
    assert capfd.readouterr().out == ""


@pytest.mark.filterwarnings("ignore:Casting complex values")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", TYPES.values())
def test_every_type_of_an_input_and_an_output(kind: str, backend: str) -> None:
    number = onnx.TensorProto.DataType.Value(kind)
    for read, given in ((FLOAT, number), (number, FLOAT), (number, number)):
        op = "Identity" if read == given else "Cast"
        options = {} if op == "Identity" else {"to": given}
        for shape in ((None, 3), (2, 3)):
            data = model(
                helper.make_node(op, ["x"], ["y"], **options), [info("x", read, shape)], [info("y", given, shape)]
            )
            with contextlib.suppress(EdgekdError):
                asked(BACKENDS[backend], data)


def relu(read: str = "x", given: str = "y") -> onnx.NodeProto:
    return helper.make_node("Relu", [read], [given])


def odd(name: str, kind: Any) -> onnx.ValueInfoProto:
    return helper.make_value_info(name, kind)


MAP = onnx.TypeProto()
MAP.map_type.key_type = onnx.TensorProto.INT64
MAP.map_type.value_type.tensor_type.elem_type = FLOAT
SEQUENCE = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
OPTIONAL = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, None))
MODELS = {
    "an output twice": model(relu(), [info("x")], [info("y"), info("y")]),
    "an input that is no text": model(relu("ZZ"), [info("ZZ")], [info("y")]),
    "an output that is no text": model(relu("x", "ZZ"), [info("x")], [info("ZZ")]),
    "an axis that is no text": model(relu(), [info("x", FLOAT, ["ZZ", 3])], [info("y", FLOAT, ["ZZ", 3])]),
    "an operator that is no text": model(helper.make_node("ZZ", ["x"], ["y"]), [info("x")], [info("y")]),
    "a domain that is no text": model(helper.make_node("A", ["x"], ["y"], domain="ZZ"), [info("x")], [info("y")]),
    "a sequence": model(helper.make_node("SequenceConstruct", ["x"], ["y"]), [info("x")], [odd("y", SEQUENCE)]),
    "an optional": model(helper.make_node("Optional", ["x"], ["y"]), [info("x")], [odd("y", OPTIONAL)]),
    "a map": model(relu(), [info("x"), odd("m", MAP)], [info("y")]),
    "an input without a type": model(relu(), [onnx.ValueInfoProto(name="x")], [info("y")]),
    "an input without a name": model(relu(""), [info("")], [info("y")]),
}
TAKEN = {("an axis that is no text", "openvino"), ("a map", "openvino")}  # what is not looked at, or not read


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MODELS)
def test_ports_that_are_none(name: str, backend: str) -> None:
    taken = (name, backend) in TAKEN or backend == "reference"  # which no bundle can name
    with contextlib.suppress(EdgekdError) if taken else pytest.raises(EdgekdError):
        asked(BACKENDS[backend], MODELS[name])


def ir(kind: str, read: str = "f32") -> dict[str, bytes]:
    """An IR that reads and gives types that ONNX may lack."""
    x = opset13.parameter([-1, 2], getattr(ov.Type, read), "input")
    x.output(0).set_names({"input"})
    y = x if kind == "string" else opset13.convert(x, kind)
    y.output(0).set_names({"logits"} if y is not x else {"input", "logits"})
    return written(ov.Model([opset13.result(y)], [x]))


def written(made: ov.Model) -> dict[str, bytes]:
    from edgekd.base.disk import temporary

    with temporary("ir") as folder:
        ov.save_model(made, folder / XML, compress_to_fp16=False)
        return {XML: (folder / XML).read_bytes(), BIN: (folder / XML).with_suffix(".bin").read_bytes()}


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i4", "nf4", "bf16", "f8e4m3", "f8e5m2", "f4e2m1", "string"])
def test_openvino_types_that_numpy_lacks(kind: str, tmp_path: Path) -> None:
    for files in (ir(kind, "string" if kind == "string" else "f32"), ir("string" if kind == "string" else "f32", kind)):
        with pytest.raises(ExportError, match=rf"no array of this type; found '{kind}'") as caught:
            Openvino().open(files)
        assert caught.value.where in ("input", "logits")
    golden = {"input": np.eye(2, dtype=np.float32)}, {"logits": np.eye(2, dtype=np.float32)}
    one = Variant("one", "openvino", {}, files, (), "float32", False, 1, 1e-3, golden=golden)
    about = Bundle("n", {"kind": "classification"}, "0" * 64, "ab", Heads({"logits": 2}), [], [2], True, [one])
    bundles.write(tmp_path / "b", replace(about, sample_dtype="float32"), {})
    with pytest.raises(IntegrityError, match=rf"input: no array of this type; found '{kind}'"):
        edgekd.load(tmp_path / "b")
