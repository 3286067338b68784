"""onnxruntime-web in Node: what is known of it without starting it."""

from __future__ import annotations

from edgekd.base.backend_facts import FLAG, Choice, Facts, Whole
from edgekd.runtime.backends.ort import SUFFIXES

PACKAGE = "onnxruntime-web"

FACTS = Facts(
    runtime="onnxruntime_web",
    npm=PACKAGE,
    suffixes=SUFFIXES,
    reads="onnx",
    options={"provider": Choice(("wasm", "webgpu")), "fallback": FLAG, "threads": Whole(1, 64)},
    programs={"web": 0, "ort": 1},
)
