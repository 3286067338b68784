"""``portable-int8``: one ONNX file, the same answers on CPUs with and without VNNI, on ONNX Runtime and on OpenVINO.

    apt install qemu-user
    python benchmarks/portable.py --data FOLDER [nets ...]

Each net's file, opened by both runtimes, natively and under ``qemu-x86_64 -cpu Haswell``: convolutional nets must give
equal bits; nets with float operators the same answer to every sample, and scores that differ by at most 1e-4 on ONNX
Runtime and 5e-3 on OpenVINO. Beside it the agreement of the 8-bit file, and the test accuracy of both (natively).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import _common
import _nets
import numpy as np
import same_answers

from edgekd.runtime import backend as backends
from edgekd.spec import target

CONVOLUTIONAL = ("resnet20", "mobilenet")
MOST = {"ort": 1e-4, "openvino": 5e-3}
LOSS = 0.001  # of accuracy that 7 bits may cost, against 8


def options_of(backend: str) -> dict[str, Any]:
    """How the target opens the file on each of its two runtimes."""
    chosen = target.load("portable-int8")
    return dict(chosen.options if backend == chosen.backend else chosen.also[backend])


def first(net: _nets.Net, count: int) -> list[dict[str, np.ndarray]]:
    """The test split's first samples, each as long as it is."""
    return [dict(net.bench.feed.inputs("test", i, i + 1)) for i in range(count)]


def value(net: _nets.Net, data: bytes, backend: str) -> float:
    """The metric on the whole test split."""
    session = backends.make(backend, options_of(backend), "portable").open({"model.onnx": data}, batch=1)
    return net.value(net.scores(session))


def held(name: str, backend: str, found: dict[str, Any]) -> bool:
    """Whether a net keeps what is promised on a runtime."""
    if name in CONVOLUTIONAL:
        return bool(found["bit_identical"])
    return found["argmax_agreement"] == 1.0 and found["max_abs_diff"] <= MOST[backend]


def run(net: _nets.Net, samples: int) -> dict[str, Any]:
    """One net on both runtimes."""
    table: dict[str, Any] = {}
    seven, eight = net.onnx["portable-int8"]["int8"], net.onnx["ort-cpu-vnni"]["int8"]
    rows = first(net, samples)
    for backend in MOST:
        found = same_answers.compare({"model.onnx": seven}, backend, options_of(backend), rows)
        other = same_answers.compare({"model.onnx": eight}, backend, options_of(backend), rows)
        values = {"7 bits": value(net, seven, backend), "8 bits": value(net, eight, backend)}
        table[backend] = {
            **found,
            "value_test": values,
            "eight_bits": other,
            "held": held(net.name, backend, found) and values["7 bits"] >= values["8 bits"] - LOSS,
        }
        print(net.name, backend, table[backend], flush=True)
    return table


def main() -> None:
    """Measure, hold what is promised, write the result; what was measured before stays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("nets", nargs="*", default=["resnet20", "mobilenet", "distilbert", "fm"])
    given = parser.parse_args()
    table = _common.nets("portable")
    for name in given.nets:
        net = _nets.make(name, given.data, ["portable-int8", "ort-cpu-vnni"])
        table[name] = run(net, 200 if name in CONVOLUTIONAL else 1000)
        _common.write("portable", {"emulator": " ".join(same_answers.QEMU), "nets": table})
    sys.exit(0 if all(found["held"] for name in given.nets for found in table[name].values()) else 1)


if __name__ == "__main__":
    main()
