"""optimum-intel: a model of transformers goes through its own export, every other one comes as our file's IR."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import nncf
import openvino
from optimum.intel import (
    OVConfig,
    OVModelForCustomTasks,
    OVModelForImageClassification,
    OVModelForSequenceClassification,
    OVQuantizationConfig,
    OVQuantizer,
)
from transformers import PreTrainedConfig

from peers._openvino import saved
from peers._samples import Folder


def model_of(net: Folder, folder: Path) -> tuple[Any, dict[str, str]]:
    """The OpenVINO model of a net, and what it calls the net's inputs."""
    exported = net.place / "transformers"
    if exported.is_dir():
        images = "attention_mask" not in net.facts["inputs"]
        kind = OVModelForImageClassification if images else OVModelForSequenceClassification
        model = kind.from_pretrained(exported, export=True, compile=False)
        return model, {"input": "pixel_values"} if images else {}
    openvino.save_model(openvino.Core().read_model(net.fp32("openvino")), folder / "openvino_model.xml", False)
    PreTrainedConfig().save_pretrained(folder)
    return OVModelForCustomTasks.from_pretrained(folder, config=PreTrainedConfig(), compile=False), {}


def static(net: Folder) -> dict[str, bytes]:
    """``OVQuantizer`` and its default configuration."""
    feeds = net.feeds("calibration")
    with tempfile.TemporaryDirectory() as folder:
        model, names = model_of(net, Path(folder))
        samples = [{names.get(name, name): array for name, array in feed.items()} for feed in feeds]
        asked = OVConfig(quantization_config=OVQuantizationConfig(num_samples=len(samples)))
        OVQuantizer.from_pretrained(model).quantize({"model": nncf.Dataset(samples)}, ov_config=asked)
    for ours, theirs in names.items():
        model.model.input(theirs).get_tensor().set_names({ours})
    return saved(model.model)


PEERS = {"optimum": static}
