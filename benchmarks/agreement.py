"""Does each runtime answer as torch does? The int8 files of trained nets on 10,000 test images.

    python benchmarks/agreement.py --data FOLDER [nets ...]

Torch: the fake-quantized network that the file was exported from, rounding where the target's runtime rounds. At least
99.9 % of the answers must be equal on each runtime, and the accuracies lie within 0.05 point: of one network, wherever
it runs, and of the networks of both runtimes, which round in different places.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import _common
import _nets
import numpy as np

from edgekd.build.torch_reference import TorchReference
from edgekd.runtime import backend as backends

TARGETS = ("ort-cpu", "openvino", "portable-int8")
# Whose file, on which backend, and whose rounding: OpenVINO adds in one kernel with the convolution before, and drops
# what is rounded between. ONNX Runtime computes such a file in float there, and so can compute what OpenVINO does.
PLACES = {
    "ort-cpu": ("ort-cpu", "ort", "ort-cpu"),
    "openvino": ("openvino", "openvino", "openvino"),
    "openvino's file on ONNX Runtime": ("openvino", "ort", "openvino"),
    "portable-int8": ("portable-int8", "ort", "portable-int8"),
    "portable-int8 on OpenVINO": ("portable-int8", "openvino", "openvino"),
}
LEAST, SPREAD = 0.999, 0.0005


def run(net: _nets.Net, candidate: str = "int8") -> dict[str, Any]:
    """One net in every place."""
    of_torch = TorchReference(net.bench, net.trained)
    table: dict[str, Any] = {}
    for place, (file, kind, rounds) in PLACES.items():
        planned = next(c for c in net.bench.plan.candidates[rounds] if c.name == candidate)
        wanted = of_torch(planned.step, "test", numerics=planned.numerics)
        backend = backends.make(kind, {}, place)
        session = backend.open(backend.lower(net.onnx[file][candidate]), batch=1)
        got = net.scores(session)
        table[place] = {
            "argmax_agreement": float((got.argmax(1) == wanted.argmax(1)).mean()),
            "max_abs_diff": float(np.abs(got - wanted).max()),
            "value_test": net.value(got),
            "value_test_torch": net.value(wanted),
        }
        print(net.name, place, table[place], flush=True)
    networks = {who: [table[p] for p, (_, _, rounds) in PLACES.items() if rounds == who] for who in TARGETS}
    spreads = {who: spread(rows) for who, rows in networks.items()} | {"all": spread(list(table.values()))}
    held = {
        "answers as in torch: at least 99.9 %": all(row["argmax_agreement"] >= LEAST for row in table.values()),
        "a network on its runtimes and in torch: within 0.05 point": max(spreads[who] for who in TARGETS) <= SPREAD,
        "all of them: within 0.05 point": spreads["all"] <= SPREAD,
    }
    return {"samples": net.bench.feed.length("test"), "places": table, "spreads": spreads, "held": held}


def spread(rows: list[dict[str, float]]) -> float:
    """Of the accuracies, torch's among them."""
    values = [row[of] for row in rows for of in ("value_test", "value_test_torch")]
    return round(max(values) - min(values), 9)


def main() -> None:
    """Measure and write the result; what was measured before stays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("nets", nargs="*", default=["resnet20", "mobilenet"])
    given = parser.parse_args()
    table = _common.nets("agreement")
    for name in given.nets:
        table[name] = run(_nets.make(name, given.data, TARGETS))
        _common.write("agreement", {"nets": table})
    sys.exit(0 if all(all(table[name]["held"].values()) for name in given.nets) else 1)


if __name__ == "__main__":
    main()
