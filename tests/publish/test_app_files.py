"""A bundle's programs open its files with the settings that the bundle was measured with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekd.base import preprocess
from edgekd.publish import app_files, examples
from edgekd.publish.examples import About
from edgekd.tasks import CLASSES

FILES = {"ort": "cpu/model.onnx", "web": "cpu/model.onnx", "openvino": "vino/openvino_model.xml"}


def made(settings: dict[str, Any]) -> dict[str, str]:
    specs = preprocess.specs([], np.zeros(4, np.float32))
    about = About(
        "net", [], (4,), "float32", specs, {"logits": ["a", "b"]}, {"logits": CLASSES}, FILES, settings=settings
    )
    return {
        name: data.decode()
        for name, data in examples.make(about, np.zeros(4, np.float32), {}).items()
        if name[-4:] != ".bin"
    }


@pytest.mark.parametrize("backend", ["openvino", "ort"])
def test_openvino_is_told_what_the_backend_tells_it(backend: str) -> None:
    pytest.importorskip("openvino")
    options: dict[str, Any] = {"threads": 3, "config": {"INFERENCE_PRECISION_HINT": "bf16", "CPU_DENORMALS": True}}
    own = {"backend": "openvino", "options": options, "also": {}}
    if backend == "ort":  # one file for both
        own = {"backend": "ort", "options": {}, "also": {"openvino": options}}
    variant: Any = SimpleNamespace(target="t", **own)
    found = app_files._settings(variant, "openvino")
    assert found == {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": 3,
        "INFERENCE_PRECISION_HINT": "bf16",
        "CPU_DENORMALS": True,
    }
    files = made({"openvino": found})
    assert f"settings = {found!r}" in files["examples/python/predict_openvino.py"]
    for line in ('{"INFERENCE_PRECISION_HINT"s, "bf16"s}', '{"CPU_DENORMALS"s, true}', '{"INFERENCE_NUM_THREADS"s, 3}'):
        assert line in files["examples/cpp/predict_openvino.cpp"]


@pytest.mark.parametrize(
    ("largest", "dtype", "ops", "white"),
    [
        (16, "uint8", [{"op": "scale", "divide": 16.0}, {"op": "layout"}], 16),
        (255, "uint8", [{"op": "scale", "divide": 127.5}, {"op": "normalise", "mean": 1.0, "std": 1.0}], 255),
        (255, "uint8", [{"op": "scale", "divide": 255.0}], 255),
        (200, "uint8", [{"op": "grey"}], 255),
        (0, "uint8", [{"op": "scale", "divide": 0.5}], 255),
        (1, "float32", [{"op": "scale", "divide": 2.0}], 255),
    ],
)
def test_white_is_what_images_are_divided_by_where_none_is_larger(
    largest: int, dtype: str, ops: list[dict[str, Any]], white: int
) -> None:
    images = np.zeros((3, 2, 2, 1), dtype)
    images[1, 0, 1] = largest
    assert app_files._white(images, ops) == white


def test_onnx_runtime_gets_threads_and_session_entries() -> None:
    options = {"threads": 2, "config": {"session.intra_op.allow_spinning": False}}
    variant: Any = SimpleNamespace(target="t", backend="ort", options=options, also={})
    found = {runtime: app_files._settings(variant, runtime) for runtime in ("ort", "web")}
    files = made(found)
    assert "intra_op_num_threads = 2" in files["examples/python/predict.py"]
    assert "add_session_config_entry('session.intra_op.allow_spinning', '0')" in files["examples/python/predict.py"]
    assert "SetIntraOpNumThreads(2)" in files["examples/cpp/predict_ort.cpp"]
    assert (
        'AddConfigEntry("session.intra_op.allow_spinning"s.c_str(), "0"s.c_str())'
        in files["examples/cpp/predict_ort.cpp"]
    )
    assert "intraOpNumThreads: 2" in files["examples/node/predict.mjs"]
