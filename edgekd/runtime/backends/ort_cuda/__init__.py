"""ONNX Runtime on an NVIDIA GPU: what is known of it without importing it."""

from __future__ import annotations

from dataclasses import replace

from edgekd.base.backend_facts import FLAG, Choice, Rule, Whole
from edgekd.runtime.backends import ort
from edgekd.runtime.backends.ort import BIT, CPU, CUDA, TENSORRT

PROVIDER_OPTIONS: dict[str, Rule] = {
    **dict.fromkeys(("trt_int8_enable", "trt_fp16_enable", "trt_bf16_enable", "use_tf32", "prefer_nhwc"), BIT),
    "cudnn_conv_algo_search": Choice(("EXHAUSTIVE", "HEURISTIC", "DEFAULT")),
}

FACTS = replace(
    ort.FACTS,
    extra="ort-gpu",
    programs={},
    lone="",
    options={
        **ort.OPTIONS,
        "provider": Choice((CPU, CUDA, TENSORRT)),
        "provider_options": PROVIDER_OPTIONS,
        "device": Whole(0, 99),
        "graphs": FLAG,
        "fallback": FLAG,
    },
)
