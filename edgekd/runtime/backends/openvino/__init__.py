"""OpenVINO: what is known of it without importing it."""

from __future__ import annotations

import sys

from edgekd.base import backend_facts, plugins
from edgekd.base.backend_facts import THREADS, Choice, Facts, Rule, Several, Text, Whole

_YES = Choice((True, False, "YES", "NO"))
PROPERTIES: dict[str, Rule] = {
    "INFERENCE_PRECISION_HINT": Choice(("f32", "f16", "bf16")),
    "EXECUTION_MODE_HINT": Choice(("PERFORMANCE", "ACCURACY")),
    "PERFORMANCE_HINT": Choice(("LATENCY", "THROUGHPUT")),
    "SCHEDULING_CORE_TYPE": Choice(("ANY_CORE", "PCORE_ONLY", "ECORE_ONLY")),
    "ENABLE_CPU_PINNING": _YES,
    "ENABLE_HYPER_THREADING": _YES,
}

FACTS = Facts(
    runtime="openvino",
    modules=("openvino",),
    distributions=("openvino",),
    extra="openvino",
    suffixes=(".xml", ".bin", ".onnx"),
    lone=".xml",
    options={
        "device": Text(r"CPU|NPU|GPU(\.[0-9]{1,2})?", "CPU, NPU, GPU, GPU.0 .. GPU.99"),
        "threads": THREADS,
        "streams": THREADS,
        backend_facts.LENGTHS: Several(Whole(1, 16_384), 8),
        "config": PROPERTIES,
    },
    # ``bias_of_matmul`` keeps its int8 linear layers right, ``apart_in_3d`` rows of them and ``extremes_apart`` what is
    # rounded behind a maximum, whatever CPU builds; it does not read what ``circular_padding`` and ``long_fourier``
    # take away, nor compile what ``linear_of_one`` does.
    passes=(
        *("apart_in_3d", "bias_of_matmul", "circular_padding", "extremes_apart", "kept_axes", "linear_of_one"),
        "long_fourier",
    ),
    programs={"openvino": 0},
)


def __getattr__(name: str) -> object:
    """``ov``, the runtime's own module as ``backend`` imports it, once somebody asks for it: who watches or replaces
    one of its functions need not know where the class stands."""
    if name != "ov":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    backend = plugins.load(backend_facts.FAMILY, "openvino", "options")
    return vars(sys.modules[backend.__module__])[name]
