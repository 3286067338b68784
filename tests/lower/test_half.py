"""float16 files of texts: what a model adds to its attention's scores is of the model's own type."""

from __future__ import annotations

import numpy as np
import torch

from edgekd.base import plugins
from edgekd.build.exports import Half
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends

CONFIG = {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64}


def test_a_student_of_texts_is_exported_in_float16_and_padding_stays_hidden() -> None:
    torch.manual_seed(0)
    table = {"kind": "transformers", "name": "DistilBertForSequenceClassification", "config": CONFIG}
    module = plugins.build("models", table, "m").build((40, 2), 3).eval()
    specs = tuple(TensorSpec(name, (None, None), "int64") for name in ("input_ids", "attention_mask"))
    student = Student(module, specs, (TensorSpec("logits", (None, 3)),))
    x = {"input_ids": np.random.default_rng(0).integers(4, 40, (2, 9)), "attention_mask": np.ones((2, 9), np.int64)}
    padded = {name: np.pad(array, [(0, 0), (0, 5)]) for name, array in x.items()}
    float32 = to_onnx(student, opset=20, metadata={})
    float16 = to_onnx(student.with_module(Half(module)), opset=20, metadata={})
    assert len(float16) < 0.7 * len(float32)
    said = [
        next(iter(backends.make("ort", {}, "t").open({"model.onnx": data}).run(given).values()))
        for data in (float32, float16)
        for given in (x, padded)
    ]
    for other in said[1:]:
        np.testing.assert_allclose(other, said[0], atol=5e-3)
