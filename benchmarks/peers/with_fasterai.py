"""fasterai: its export to ONNX with static quantization.

Its ``Quantizer`` gives networks for torch alone, but for ``backend="pt2e"``, which wants a module that this torch has
no more.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from fasterai.export.all import export_onnx

from peers import _torch
from peers._samples import Folder


def static(net: Folder) -> dict[str, bytes]:
    """``export_onnx(quantize=True, quantize_mode="static")``."""
    samples = [_torch.tensors(feed) for feed in net.feeds("calibration")]
    if len(samples[0]) != 1:
        raise TypeError(f"a network with {len(samples[0])} inputs: it gives a network one tensor")
    batches = [sample[0] for sample in samples]
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(
            _torch.load(net),
            batches[0],
            Path(folder) / "model.onnx",
            quantize=True,
            quantize_mode="static",
            calibration_data=batches,
            input_names=net.facts["inputs"],
        )
        return {"model.onnx": Path(path).read_bytes()}


PEERS = {"fasterai": static}
