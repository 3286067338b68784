"""onnx's own evaluator: what is known of it without importing onnx."""

from __future__ import annotations

from edgekd.base.backend_facts import Facts

FACTS = Facts(
    runtime="onnx",
    modules=("onnx", "google"),  # protobuf, which onnx is made of
    distributions=("onnx",),
    suffixes=(".onnx",),
    reads="onnx",
)
