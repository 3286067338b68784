"""A transformer over texts of any length for OpenVINO: which kernels run, and what they answer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import openvino as ov
import pytest
import torch
from onnxscript import ir

from edgekd.base.preprocess import MASK
from edgekd.compress._base import Context
from edgekd.compress.int8_ptq import Int8Ptq
from edgekd.learn.models.transformers import Transformers
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.export import export
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target

TOKENS, HEAD, LENGTHS = 50, 64, (5, 9)
CONFIG_OF = {
    "dim": 128,
    "n_layers": 1,
    "n_heads": 2,
    "hidden_dim": 128,
    "vocab_size": TOKENS,
    "max_position_embeddings": 64,
}
CONFIG = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}


class Built(NamedTuple):
    """The converted network, what it is traced to, and its answers by length."""

    student: Student
    traced: ir.Model
    answers: dict[int, tuple[np.ndarray, np.ndarray]]

    def kernels(self, kind: str, without: str = "") -> list[ov.Node]:
        """Those of one kind that run, without what is done to weights."""
        ran = compiled(self.file(without)).get_runtime_model().get_ops()
        of_kind = [op for op in ran if op.get_rt_info()["layerType"].value == kind]
        return [op for op in of_kind if op.get_output_partial_shape(0).is_dynamic]

    def file(self, without: str = "") -> bytes:
        """Its file by all passes of the target but one."""
        asked = tuple(kind for kind in target.load("openvino").passes if kind != without)
        return to_onnx(self.student, opset=20, metadata={}, asked=asked, traced=self.traced)


@pytest.fixture(scope="module")
def built() -> Built:
    torch.manual_seed(0)
    scheme = target.load("openvino").quantized
    inputs = (TensorSpec("ids", (None, None), "int64", TOKENS, 64), TensorSpec(MASK, (None, None), "int64", 2, 64))
    module = Transformers("DistilBertForSequenceClassification", CONFIG_OF).build((TOKENS, 2), 3).eval()
    net = Student(module, inputs, (TensorSpec("logits", (None, 3)),))
    batches = [(torch.randint(0, TOKENS, (8, 12)), torch.ones(8, 12, dtype=torch.int64)) for _ in range(4)]
    prepared = Int8Ptq().apply(net, Context(scheme, 16, batches))
    assert scheme is not None
    with torch.no_grad():
        converted = Int8Ptq().finish(prepared, scheme.written)
        texts = {length: torch.randint(0, TOKENS, (2, length)) for length in LENGTHS}
        answers = {
            length: (ids.numpy(), converted.module(ids, torch.ones_like(ids)).numpy()) for length, ids in texts.items()
        }
    return Built(converted, export(converted, 20), answers)


def compiled(data: bytes) -> ov.CompiledModel:
    """For one text at a time, from the files that ship."""
    chosen, core = target.load("openvino"), ov.Core()
    files = backends.make(chosen.backend, dict(chosen.options), "openvino").lower(data)
    weights, structure = (files[name] for name in sorted(files))
    model = core.read_model(model=structure, weights=weights)
    model.reshape({name: ov.PartialShape([1, -1]) for name in model.inputs})
    return core.compile_model(model, "CPU", CONFIG)


def test_it_answers_as_torch_does_at_every_length(built: Built) -> None:
    model = compiled(built.file())
    for ids, wanted in built.answers.values():
        texts = [model({0: text[None], 1: np.ones_like(text[None])}) for text in ids]
        logits = np.concatenate([text[0] for text in texts])
        assert np.abs(logits - wanted).max() <= 5e-3 * np.ptp(wanted)


def test_no_rounding_is_a_kernel_by_itself(built: Built) -> None:
    """They are in the kernels of LayerNorms and of the attention."""
    assert not built.kernels("FakeQuantize") and built.kernels("Subgraph")


def test_it_takes_the_roundings_of_products(built: Built) -> None:
    """If this fails, OpenVINO does it by itself by now, and the pass may go."""
    assert len(built.kernels("FakeQuantize", without="round_product")) > len(built.kernels("FakeQuantize"))


def test_it_takes_turned_factors(built: Built) -> None:
    """Every Transpose moves whole rows; if it does so without the pass, this may go."""
    assert all(moves_rows(op) for op in built.kernels("Transpose"))
    assert not all(moves_rows(op) for op in built.kernels("Transpose", without="turn_in_product"))


def moves_rows(op: ov.Node) -> bool:
    return bool(op.get_output_partial_shape(0)[3] == HEAD)
