"""Several runs at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
import onnx.parser
import pytest

from edgekd.runtime import backend as backends
from edgekd.runtime import throughput
from edgekd.runtime.backend import Array, Session

RELU = '<ir_version: 10, opset_import: ["" : 20]> net (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }'


class Meeting:
    """A session whose first runs wait until so many are under way at once."""

    inputs, outputs = (), ()

    def __init__(self, count: int, met: threading.Event, lock: threading.Lock, here: list[int]) -> None:
        self.count, self.met, self.lock, self.here = count, met, lock, here

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        with self.lock:
            self.here[0] += 1
            if self.here[0] == self.count:
                self.met.set()
        if not self.met.wait(timeout=10):
            raise TimeoutError("nobody came")
        with self.lock:
            self.here[0] -= 1
        return {}

    def fork(self) -> Session:
        return Meeting(self.count, self.met, self.lock, self.here)


def test_streams_run_at_once() -> None:
    met = threading.Event()
    assert throughput.rate(Meeting(3, met, threading.Lock(), [0]), {}, 3, 0.0) > 0
    assert met.is_set()


def test_an_error_of_a_stream_is_raised() -> None:
    class Broken(Meeting):
        def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
            raise TimeoutError("broken")

        def fork(self) -> Session:
            return self

    with pytest.raises(TimeoutError, match="broken"):
        throughput.rate(Broken(1, threading.Event(), threading.Lock(), [0]), {}, 2, 0.0)


@pytest.mark.parametrize("backend", ["ort", "openvino"])
def test_a_real_runtime(backend: str) -> None:
    options = {"streams": 2} if backend == "openvino" else {}
    made = backends.make(backend, options, "options")
    session = made.open(made.lower(onnx.parser.parse_model(RELU).SerializeToString()), 1)
    assert throughput.rate(session, {"x": np.ones((1, 3), np.float32)}, 2, 0.02) > 0
