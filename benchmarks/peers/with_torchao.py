"""torchao's PT2E with the quantizer that its documentation starts from, exported to ONNX."""

from __future__ import annotations

import torch
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

from peers import _torch
from peers._samples import Folder


def pt2e(net: Folder) -> dict[str, bytes]:
    """``X86InductorQuantizer`` and its default configuration."""
    network = _torch.load(net)
    program = torch.export.export(network, _torch.example(net), dynamic_shapes=_torch.shapes(net, network))
    quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(program.module(), quantizer)
    _torch.calibrate(prepared, net)
    return _torch.to_onnx(convert_pt2e(prepared), net)


PEERS = {"torchao": pt2e}
