"""What peers that start from torch share: the float network, its calibration, and the ONNX export behind them."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file

from edgekd.base import plugins
from peers._samples import Folder

OPSET = 20


class Classifier(torch.nn.Module):
    """A network of transformers that takes its inputs in order and gives its logits."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        config = transformers.AutoConfig.from_pretrained(folder)
        kind = getattr(transformers, config.architectures[0])
        self.network = kind.from_pretrained(folder, attn_implementation="eager")

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(*inputs).logits
        return logits


def load(net: Folder) -> torch.nn.Module:
    """The float network; it takes the net's inputs in their order."""
    folder, facts = net.place / "transformers", net.facts
    if folder.is_dir():
        return Classifier(folder).eval()
    family = plugins.build("models", facts["model"], net.place.name)
    module: torch.nn.Module = family.build(tuple(facts["shape"]), facts["classes"])
    module.load_state_dict(load_file(net.place / "weights.safetensors"))
    return module.eval()


def tensors(feed: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """Model inputs of one sample."""
    return tuple(torch.from_numpy(array) for array in feed.values())


def example(net: Folder) -> tuple[torch.Tensor, ...]:
    """Model inputs of two samples of one length: with one, an export would fix the batch."""
    return tuple(torch.cat([tensor, tensor]) for tensor in tensors(net.feeds("calibration")[0]))


def shapes(net: Folder, module: torch.nn.Module) -> tuple[Any, ...]:
    """Which sizes of a network's inputs are free: the batch, and the length of sequences."""
    longest = max(feed[net.facts["inputs"][0]].shape[-1] for feed in net.feeds("calibration"))
    batch, length = torch.export.Dim("batch", min=1, max=2**20), torch.export.Dim("length", min=3, max=max(longest, 4))
    free = net.facts["free"]
    each = tuple({i: length if i else batch for i in free[name]} for name in net.facts["inputs"])
    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    return (each,) if inspect.Parameter.VAR_POSITIONAL in kinds else each


def calibrate(prepared: torch.nn.Module, net: Folder) -> None:
    """Show the calibration samples to a network with observers."""
    with torch.no_grad():
        for feed in net.feeds("calibration"):
            prepared(*tensors(feed))


def to_onnx(module: torch.nn.Module, net: Folder) -> dict[str, bytes]:
    """The ONNX file of a converted network, as torch's exporter writes it."""
    program = torch.onnx.export(
        module,
        example(net),
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=shapes(net, module),
        input_names=net.facts["inputs"],
        output_names=["logits"],
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave nothing")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        program.save(str(path), external_data=False)
        return {"model.onnx": path.read_bytes()}
