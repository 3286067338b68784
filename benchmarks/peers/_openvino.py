"""An OpenVINO model as files: what peers that aim at that runtime share."""

from __future__ import annotations

import tempfile
from pathlib import Path

import openvino


def saved(model: openvino.Model) -> dict[str, bytes]:
    """An IR, with float32 where it is not int8."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "openvino_model.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir(), reverse=True)}
