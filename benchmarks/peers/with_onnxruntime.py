"""ONNX Runtime's own quantizers, static and dynamic."""

from __future__ import annotations

import _peers

from peers._samples import Folder


def static(net: Folder) -> dict[str, bytes]:
    """Q/DQ, uint8 activations, int8 weights a channel, as ``_peers`` has it."""
    return {"model.onnx": _peers.quantize_static(net.fp32("ort-cpu"), net.feeds("calibration"))}


def dynamic(net: Folder) -> dict[str, bytes]:
    """Linear layers and embeddings, scales of activations found at run time."""
    return {"model.onnx": _peers.quantize_dynamic(net.fp32("ort-cpu"), [])}


PEERS = {"ort_static": static, "ort_dynamic": dynamic}
