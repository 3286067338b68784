"""ONNX Runtime on an NVIDIA GPU: what is known of it without importing it."""

from __future__ import annotations

from edgekd.base.backend_facts import FLAG, Choice, Facts, Rule, Whole
from edgekd.runtime.backends.ort import BIT, CPU, CUDA, DISTRIBUTIONS, OPTIONS, SUFFIXES, TENSORRT

PROVIDER_OPTIONS: dict[str, Rule] = {
    **dict.fromkeys(("trt_int8_enable", "trt_fp16_enable", "trt_bf16_enable", "use_tf32", "prefer_nhwc"), BIT),
    "cudnn_conv_algo_search": Choice(("EXHAUSTIVE", "HEURISTIC", "DEFAULT")),
}

FACTS = Facts(
    runtime="onnxruntime",
    modules=("onnxruntime",),
    distributions=DISTRIBUTIONS,
    extra="ort-gpu",
    suffixes=SUFFIXES,
    reads="onnx",
    options={
        **OPTIONS,
        "provider": Choice((CPU, CUDA, TENSORRT)),
        "provider_options": PROVIDER_OPTIONS,
        "device": Whole(0, 99),
        "graphs": FLAG,
        "fallback": FLAG,
    },
)
