"""Does each runtime answer as torch does? The int8 files of trained nets on 10,000 test images.

    python benchmarks/agreement.py --data FOLDER [nets ...]

Torch: the fake-quantized network that the file was exported from, rounding where the target's runtime rounds. At least
99.9 % of the answers must be equal on each runtime, and the runtimes' accuracies lie within 0.05 point: of the one file
that both open (``portable-int8``), and of the files of both runtimes, which round in different places.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import _common
import _nets
import numpy as np

from edgekd import measure, target
from edgekd.runtime.backends import _base as backends
from edgekd.stage_scores import StageScores

TARGETS = ("ort-cpu", "openvino", "portable-int8")
LEAST, SPREAD = 0.999, 0.0005


def run(net: _nets.Net, candidate: str = "int8") -> dict[str, Any]:
    """One net: each target's file on each of its runtimes."""
    of_torch = StageScores(net.bench, net.trained)
    table: dict[str, Any] = {}
    for name in TARGETS:
        chosen = target.load(name)
        planned = next(c for c in net.bench.plan.candidates[name] if c.name == candidate)
        wanted = of_torch(planned.step, "test", numerics=planned.numerics)
        opened = {name: measure.backend_of(chosen)}
        opened |= {f"{name} on {kind}": backends.make(kind, options, name) for kind, options in chosen.also.items()}
        for place, backend in opened.items():
            session = backend.open(opened[name].lower(net.onnx[name][candidate]), batch=measure.CHUNK)
            got = measure.scores(session, iter(net.inputs("test")))
            table[place] = {
                "argmax_agreement": float((got.argmax(1) == wanted.argmax(1)).mean()),
                "max_abs_diff": float(np.abs(got - wanted).max()),
                "value_test": net.value(got),
                "value_test_torch": net.value(wanted),
            }
            print(net.name, place, table[place], flush=True)
    one_file = spread(row for place, row in table.items() if place.startswith("portable-int8"))
    held = {
        "answers as in torch: at least 99.9 %": all(row["argmax_agreement"] >= LEAST for row in table.values()),
        "one file on both runtimes: accuracies within 0.05 point": one_file <= SPREAD,
        "the files of all targets: accuracies within 0.05 point": spread(table.values()) <= SPREAD,
    }
    spreads = {"one_file": one_file, "all_targets": spread(table.values())}
    return {"samples": net.bench.feed.length("test"), "targets": table, "spreads": spreads, "held": held}


def spread(rows: Iterable[dict[str, float]]) -> float:
    """Of their accuracies."""
    values = [row["value_test"] for row in rows]
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
