"""The GPU's session, its buffers on the CPU: what can be held without a GPU; and what is said where there is none."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

from edgekd.base.errors import UnavailableError, UsageError
from edgekd.runtime import backend as backends
from edgekd.runtime import bench
from edgekd.runtime.backend import Apart
from edgekd.runtime.jobs import BenchJob
from edgekd.spec import target

NET = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 3] x, int64[N] i) => (float[N, 3] double, int64[N] next)
<int64[1] one = {1}> { double = Add(x, x) next = Add(i, one) }
"""


def opened() -> backends.Session:
    backend = backends.make("ort_cuda", {"provider": "CPUExecutionProvider"}, "t")
    return backend.open({"model.onnx": onnx.parser.parse_model(NET).SerializeToString()})


def inputs(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((count, 3)).astype(np.float32), "i": rng.integers(0, 9, count)}


def test_buffers_of_every_shape_stay_and_results_are_the_callers_own() -> None:
    session = opened()
    kept = []
    for seed, count in enumerate([1, 4, 1, 2, 3, 5, 6, 7, 8, 9, 10, 4, 1]):  # more shapes than are kept
        x = inputs(count, seed)
        kept.append((x, session.run(x)))
    for x, found in kept:
        np.testing.assert_array_equal(found["double"], 2 * x["x"])
        np.testing.assert_array_equal(found["next"], x["i"] + 1)


def test_inputs_in_any_layout_and_wrong_ones() -> None:
    session = opened()
    x = inputs(8)
    turned = {"x": np.asfortranarray(x["x"])[::2], "i": x["i"][::2]}
    np.testing.assert_array_equal(session.run(turned)["double"], 2 * x["x"][::2])
    with pytest.raises(UsageError, match="wrong dtype"):
        session.run({**x, "i": x["i"].astype(np.int32)})
    np.testing.assert_array_equal(session.fork().run(x)["next"], x["i"] + 1)


def test_copies_are_told_apart() -> None:
    session = opened()
    assert isinstance(session, Apart)
    assert list(session.apart(inputs(2))) == ["copy_in", "compute", "copy_out"]
    files = {"model.onnx": onnx.parser.parse_model(NET).SerializeToString()}
    options = {"provider": "CPUExecutionProvider"}
    job = BenchJob("ort_cuda", {"f": files}, "f", inputs(2), options, min_seconds=0.01)
    found = bench.bench_in_process(job).parts
    assert found is not None and all(value > 0 for value in found.values())
    assert bench.bench_in_process(BenchJob("ort", {"f": files}, "f", inputs(2), min_seconds=0.01)).parts is None


@pytest.mark.parametrize("name", ["ort-cuda", "ort-tensorrt"])
def test_without_a_gpu_it_says_so(name: str) -> None:
    chosen = target.load(name)
    backend = backends.make(chosen.backend, dict(chosen.options), name)
    try:
        backend.check()
    except UnavailableError as err:
        assert "no such provider" in str(err) and "ort-gpu" in str(err)
    else:
        pytest.skip("this machine has the provider")
