"""ONNX Runtime on a file in its own format: what is known of it without importing it."""

from __future__ import annotations

from edgekd.base.backend_facts import Choice, Facts
from edgekd.runtime.backends.ort import CPU, DISTRIBUTIONS, OPTIONS, SUFFIXES

MODEL, CONFIG = "model.ort", "required_operators.config"  # the files that it writes

FACTS = Facts(
    runtime="onnxruntime",
    modules=("onnxruntime",),
    distributions=DISTRIBUTIONS,
    extra="ort",
    suffixes=SUFFIXES,
    reads="onnx",
    options={**OPTIONS, "provider": Choice((CPU,))},
    programs={"ort": 2},
)
