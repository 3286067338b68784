"""What tests of graph passes share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from edgekd.base import plugins
from edgekd.compress import Context
from edgekd.learn.student import Student
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target


@pytest.fixture
def off_on_openvino() -> Callable[[Student, int], float]:
    """How far OpenVINO's answers of a student in int8 are from torch's at most, as a share of their range; of so many
    samples, which calibrate it, too."""

    def off(student: Student, samples: int) -> float:
        place, x = target.load("openvino"), student.example(samples)
        change = plugins.build("compress", {"kind": "int8_qat", "samples": samples}, "compress[0]")
        applied = change.apply(student, Context(place.quantized, 1, [x]))
        data = to_onnx(change.finish(applied, place.quantized), opset=place.opset, metadata={}, asked=place.passes)
        backend = backends.make("openvino", {}, "t")
        answers = next(iter(backend.open(backend.lower(data), batch=samples).run({"input": x[0].numpy()}).values()))
        with torch.no_grad():
            expected = applied.module(*x).numpy()
        return float(np.abs(np.asarray(answers, np.float32) - expected).max() / np.ptp(expected))

    return off
