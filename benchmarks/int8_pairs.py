"""Our int8 files against the best of what others make of the same fp32 export, on five nets and two runtimes.

    pip install nncf    # only for this script
    python benchmarks/int8_pairs.py --data FOLDER [--rounds 6] [--seconds 2] [nets ...]

The others: ONNX Runtime's static and dynamic quantizers, NNCF's PTQ; each calibrated with the same 256 training
samples, each tried on both runtimes; one that a runtime can't open is left out and named. Every candidate's accuracy on
the whole test split stands beside it. Several fresh processes, the candidates in another order in each; p50, one
thread, batch 1.
Ours is the candidate that is fastest there among int8, int8-ptq and int8-weights. It is opened as it ships: on OpenVINO
texts run on models compiled for a few lengths (beside it, ``any length``: as the others are opened).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import _common
import _nets
import _peers
import numpy as np

from edgekd.base.errors import EdgekdError
from edgekd.build import target_runtime, timing
from edgekd.runtime import backend as backends
from edgekd.runtime import bench
from edgekd.spec import target

TARGETS = ("ort-cpu", "openvino")
ANY = ", any length"
Files = dict[str, bytes]


def peers(net: _nets.Net, runtime: str) -> tuple[dict[str, Files], dict[str, str]]:
    """What the others' quantizers make, for one runtime; and why some make nothing."""
    feeds, fp32 = net.calibration(), net.onnx[runtime]["fp32"]
    backend = target_runtime.parse(target.load(runtime)).backend
    found: dict[str, Files] = {}
    refused: dict[str, str] = {}
    for name, quantize in _peers.ONNX.items():
        try:
            if name == "nncf" and runtime == "openvino":
                files = _peers.nncf_openvino(fp32, feeds)
            else:
                files = backend.lower(quantize(fp32, feeds))
            backend.open(files, batch=1).run(feeds[0])
            found[name] = files
        except (EdgekdError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, IndexError) as err:
            refused[name] = f"{type(err).__name__}: {str(err).strip().splitlines()[0][:200]}"
    return found, refused


def timed_inputs(net: _nets.Net) -> dict[str, np.ndarray]:
    """One sample as the pipeline times it."""
    return timing.timed_inputs(net.inputs("validation", 256)[0], 1)


def run(net: _nets.Net, name: str, rounds: int, seconds: float) -> dict[str, Any]:
    """One net on one runtime."""
    chosen = target.load(name)
    backend = target_runtime.parse(chosen).backend
    ships = next(runtime.target.options for runtime in net.workspace.plan.runtimes if runtime.name == name)
    options = {key: value for key, value in ships.items() if key not in chosen.options}
    files = {f"ours: {c}": backend.lower(data) for c, data in net.onnx[name].items() if c.startswith("int8")}
    files["fp32"] = backend.lower(net.onnx[name]["fp32"])
    others, refused = peers(net, name)
    files |= others
    options_of = {candidate: {} if candidate in others else options for candidate in files}
    values = {}
    if net.name != "resnet56":
        for candidate, data in files.items():
            opener = backends.make(chosen.backend, {**chosen.options, **options_of[candidate]}, name)
            session = opener.open(data, batch=1)
            values[candidate] = net.value(net.scores(session))
    files = {"fp32": files["fp32"], **files}
    if options:
        files |= {c + ANY: data for c, data in files.items() if c not in others}
    samples, busy = _common.in_turns(chosen, files, timed_inputs(net), rounds, seconds, options_of)
    p50 = {candidate: float(np.median(taken)) / 1e6 for candidate, taken in samples.items()}
    as_free = [c for c in files if c.endswith(ANY)]
    ours = min((c for c in files if c.startswith("ours") and c not in as_free), key=p50.__getitem__)
    best = min(others, key=p50.__getitem__)
    ratio, ci = bench.ratio_ci(samples[ours], samples[best])
    of_fp32 = bench.ratio_ci(samples[ours], samples["fp32"])
    counts = _peers.optimized_counts(net.onnx[name]["int8-ptq"]) if name == "ort-cpu" else {}
    return {
        "left_in_optimized_graph": {op: counts[op] for op in ("QuantizeLinear", "DequantizeLinear") if counts},
        "p50_ms": p50,
        "bytes": {candidate: sum(map(len, data.values())) for candidate, data in files.items()},
        "value_test": values,
        "ours": ours,
        "best_of_others": best,
        "refused": refused,
        "ours_over_best": ratio,
        "ci95": ci,
        "any_length_over_best": bench.ratio_ci(samples[ours + ANY], samples[best]) if as_free else None,
        "ours_over_fp32": of_fp32[0],
        "ours_over_fp32_ci95": of_fp32[1],
        "ships_float": of_fp32[1][0] > 1,
        "cpus_used_by_others": busy,
        "rounds": rounds,
    }


def main() -> None:
    """Measure what is given and write the result; what was measured before stays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("nets", nargs="*", default=list(_nets.NAMES))
    given = parser.parse_args()
    table = _common.nets("int8_pairs")
    for name in given.nets:
        net = _nets.make(name, given.data, TARGETS)
        for runtime in TARGETS:
            found = run(net, runtime, given.rounds, given.seconds)
            table.setdefault(name, {})[runtime] = found
            low, high = found["ci95"]
            print(
                f"{name} on {runtime}: {found['ours']} / {found['best_of_others']} {found['ours_over_best']:.3f} "
                f"({low:.3f} to {high:.3f}), of fp32 {found['ours_over_fp32']:.3f}; "
                f"{found['value_test']} {found['refused']}",
                flush=True,
            )
        _common.write("int8_pairs", {"nets": table})


if __name__ == "__main__":
    main()
