"""The GPU's session, its buffers on the CPU: what can be held without a GPU; and what is said where there is none."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np
import onnx.parser
import pytest

from edgekd.base.errors import UnavailableError, UsageError
from edgekd.runtime import backend as backends
from edgekd.runtime import bench
from edgekd.runtime.backend import Apart
from edgekd.runtime.backends.ort import CUDA, TENSORRT
from edgekd.runtime.backends.ort_cuda.backend import KEPT, OrtCuda, OrtCudaSession
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


@pytest.fixture
def replaying(monkeypatch: pytest.MonkeyPatch) -> OrtCudaSession:
    """A session that would capture and replay, were it on a GPU."""
    monkeypatch.setattr(OrtCuda, "replays", property(lambda self: True))
    session = opened()
    assert isinstance(session, OrtCudaSession)
    return session


def graphs(session: OrtCudaSession) -> list[int]:
    """The numbers of the graphs of the shapes that are bound."""
    return [int(bound.options.get_run_config_entry("gpu_graph_id")) for bound in session._bound.values()]


def test_no_two_buffers_share_a_graph_and_shapes_without_end_have_none(replaying: OrtCudaSession) -> None:
    fork = replaying.fork()
    for session, counts in ((replaying, [1, 2]), (fork, [1]), (replaying, [3])):
        for count in counts:
            session.run(inputs(count))
    assert (graphs(replaying), graphs(fork)) == ([1, 2, 4], [3])
    for count in range(4, 4 + 2 * KEPT):
        x = inputs(count)
        np.testing.assert_array_equal(replaying.run(x)["double"], 2 * x["x"])
    assert len(graphs(replaying)) == KEPT and set(graphs(replaying)) == {-1}
    assert replaying._captured == KEPT


def test_forks_take_turns(replaying: OrtCudaSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the copy in to the copy out: a run of another thread would write over what was not read yet."""
    inside, most, compute = [0], [0], OrtCudaSession._ask
    both = threading.Barrier(2, timeout=0.2)

    def ask(self: OrtCudaSession, *given: Any) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()  # for a second thread, which never gets here
        compute(self, *given)
        inside[0] -= 1

    monkeypatch.setattr(OrtCudaSession, "_ask", ask)
    threads = [threading.Thread(target=session.run, args=(inputs(2),)) for session in (replaying, replaying.fork())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_graphs_are_of_cudas_own_provider_alone() -> None:
    """What TensorRT leaves to CUDA is not the whole computation, of which CUDA would ask for all."""
    (cuda,) = OrtCuda(CUDA).providers()
    assert cuda[1]["enable_cuda_graph"] == "1" and OrtCuda(CUDA).replays
    assert OrtCuda(CUDA, graphs=False).providers()[0][1]["enable_cuda_graph"] == "0"
    (tensorrt, rest) = OrtCuda(TENSORRT).providers()
    assert (tensorrt[1]["trt_cuda_graph_enable"], rest[1]["enable_cuda_graph"]) == ("0", "0")
    assert not OrtCuda(TENSORRT).replays
