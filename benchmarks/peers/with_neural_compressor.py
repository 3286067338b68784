"""Intel Neural Compressor 3: static quantization of a torch network, exported to ONNX."""

from __future__ import annotations

from neural_compressor.torch.export import export
from neural_compressor.torch.quantization import convert, get_default_static_config, prepare

from peers import _torch
from peers._samples import Folder


def static(net: Folder) -> dict[str, bytes]:
    """Its default static configuration."""
    network = _torch.load(net)
    exported = export(network, _torch.example(net), dynamic_shapes=_torch.shapes(net, network))
    prepared = prepare(exported, get_default_static_config())
    _torch.calibrate(prepared, net)
    return _torch.to_onnx(convert(prepared), net)


PEERS = {"neural_compressor": static}
