"""What a bundle may ask of a runtime: the options of each backend, and the values that they may have.

A bundle comes from a stranger. A runtime's own settings open, write and load files by name (ONNX Runtime's
``session.collect_node_memory_stats_to_file``, OpenVINO's ``CACHE_DIR``, a provider's library), and a folder of Node's
modules is code. So nothing passes but what stands here, and none of it is a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekd.base.errors import EdgekdError, IntegrityError
from edgekd.runtime.backends._base import PLUGIN


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int

    def takes(self, value: object) -> bool:
        """Whether a value is allowed."""
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a whole number, {self.low} to {self.high}"


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[str | bool, ...]

    def takes(self, value: object) -> bool:
        """Whether a value is allowed."""
        return any(type(value) is type(one) and value == one for one in self.values)

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


@dataclass(frozen=True)
class Text:
    """A text of a form."""

    pattern: str
    words: str

    def takes(self, value: object) -> bool:
        """Whether a value is allowed."""
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        return self.words


Rule = Whole | Choice | Text | Mapping[str, "Rule"]

THREADS, FLAG, BIT, YES = Whole(1, 1024), Choice((True, False)), Choice(("0", "1")), Choice((True, False, "YES", "NO"))
CPU, CUDA, TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))
# Those that run a file as it is; what a provider is told of its own (a library, a cache) is no option of a bundle.
PROVIDERS = Choice((CPU, CUDA, TENSORRT, *(f"{name}ExecutionProvider" for name in ("CoreML", "Dml", "Xnnpack"))))
_SESSION = (
    *("session.intra_op.allow_spinning", "session.inter_op.allow_spinning", "session.force_spinning_stop"),
    *("session.set_denormal_as_zero", "session.disable_prepacking", "session.qdqisint8allowed"),
    *("session.enable_quant_qdq_cleanup", "mlas.enable_gemm_fastmath_arm64_bfloat16"),
)
SESSION: dict[str, Rule] = {
    **dict.fromkeys(_SESSION, BIT),
    "session.dynamic_block_base": Text(r"[0-9]{1,4}", "a whole number, as a text"),
}
PROPERTIES: dict[str, Rule] = {
    "INFERENCE_PRECISION_HINT": Choice(("f32", "f16", "bf16")),
    "EXECUTION_MODE_HINT": Choice(("PERFORMANCE", "ACCURACY")),
    "PERFORMANCE_HINT": Choice(("LATENCY", "THROUGHPUT")),
    "SCHEDULING_CORE_TYPE": Choice(("ANY_CORE", "PCORE_ONLY", "ECORE_ONLY")),
    "ENABLE_CPU_PINNING": YES,
    "ENABLE_HYPER_THREADING": YES,
}
ORT: dict[str, Rule] = {"provider": PROVIDERS, "threads": THREADS, "config": SESSION, "provider_options": {}}
GPU: dict[str, Rule] = {
    **dict.fromkeys(("trt_int8_enable", "trt_fp16_enable", "trt_bf16_enable", "use_tf32", "prefer_nhwc"), BIT),
    "cudnn_conv_algo_search": Choice(("EXHAUSTIVE", "HEURISTIC", "DEFAULT")),
}
OPTIONS: dict[str, Mapping[str, Rule]] = {
    "openvino": {
        "device": Text(r"CPU|NPU|GPU(\.[0-9]{1,2})?", "CPU, NPU, GPU, GPU.0 .. GPU.99"),
        "threads": THREADS,
        "streams": THREADS,
        "config": PROPERTIES,
    },
    "ort": ORT,
    "ort_cuda": {
        **ORT,
        "provider": Choice((CPU, CUDA, TENSORRT)),
        "provider_options": GPU,
        "device": Whole(0, 99),
        "graphs": FLAG,
        "fallback": FLAG,
    },
    "ort_mobile": {**ORT, "provider": Choice((CPU,))},
    "ort_web": {"provider": Choice(("wasm", "webgpu")), "fallback": FLAG, "threads": Whole(1, 64)},
    "reference": {},
}
ORT_KINDS = ("ort", "ort_cuda", "ort_mobile", "ort_web")
FIRST = (*ORT_KINDS, "reference")  # open the first file of a variant, whatever its name
_ORT_FILES = (".onnx", ".ort", ".config")
FILES = {**dict.fromkeys(ORT_KINDS, _ORT_FILES), "openvino": (".xml", ".bin", ".onnx"), "reference": (".onnx",)}


def check_files(kind: str, names: Sequence[str], where: str) -> None:
    """Raise IntegrityError where a built-in backend's files have other endings than ``lower`` gives them."""
    for name in names:
        if not name.endswith(FILES.get(kind, "")):
            raise IntegrityError(f"not a file that {kind} opens", where=where, found=name, allowed=FILES[kind])


def check(kind: str, options: Mapping[str, object], where: str, error: type[EdgekdError] = IntegrityError) -> None:
    """Raise where a bundle may not ask for this.

    Args:
        kind: a backend as a manifest names it. The options of a user's own (``plugin:Class``) are for that class to
            check: it opens only where the user names its module.
        where: of the backend.

    Raises:
        EdgekdError: (of class ``error``) no backend that edgekd brings; an option, or a value of one, that is not
            allowed.
    """
    if kind.startswith(PLUGIN):
        return
    if kind not in OPTIONS:
        raise error("no backend that edgekd brings", where=f"{where}: backend", found=kind, allowed=list(OPTIONS))
    _check(options, OPTIONS[kind], f"{where}: options", error)


def _check(found: object, rules: Mapping[str, Rule], where: str, error: type[EdgekdError]) -> None:
    if not isinstance(found, Mapping):
        raise error("not a table", where=where, found=found)
    for name, value in found.items():
        place = f"{where}.{name}"
        if name not in rules:
            raise error("not for a bundle to ask for", where=place, found=name, allowed=list(rules) or "none")
        rule = rules[name]
        if isinstance(rule, Mapping):
            _check(value, rule, place, error)
        elif not rule.takes(value):
            raise error("not for a bundle to ask for", where=place, found=value, allowed=str(rule))
