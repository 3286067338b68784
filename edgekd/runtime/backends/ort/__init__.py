"""ONNX Runtime on one execution provider: what is known of it without importing it."""

from __future__ import annotations

from edgekd.base.backend_facts import THREADS, Choice, Facts, Rule, Text

DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
SUFFIXES = (".onnx", ".ort", ".config")
CPU, CUDA, TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))
# Those that run a file as it is; a provider's own options (a library, a cache) are none of a bundle's.
PROVIDERS = Choice((CPU, CUDA, TENSORRT, *(f"{name}ExecutionProvider" for name in ("CoreML", "Dml", "Xnnpack"))))
BIT = Choice(("0", "1"))
_SESSION = (
    *("session.intra_op.allow_spinning", "session.inter_op.allow_spinning", "session.force_spinning_stop"),
    *("session.set_denormal_as_zero", "session.disable_prepacking", "session.qdqisint8allowed"),
    *("session.enable_quant_qdq_cleanup", "mlas.enable_gemm_fastmath_arm64_bfloat16"),
)
SESSION: dict[str, Rule] = {
    **dict.fromkeys(_SESSION, BIT),
    "session.dynamic_block_base": Text(r"[0-9]{1,4}", "a whole number, as a text"),
}
OPTIONS: dict[str, Rule] = {"provider": PROVIDERS, "threads": THREADS, "config": SESSION, "provider_options": {}}

FACTS = Facts(
    runtime="onnxruntime",
    modules=("onnxruntime",),
    distributions=DISTRIBUTIONS,
    extra="ort",
    suffixes=SUFFIXES,
    lone=".onnx",
    reads="onnx",
    options=OPTIONS,
    programs={"ort": 0, "web": 1},
)
