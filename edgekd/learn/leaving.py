"""Where a network's forward reads numbers out of its tensors: with numpy, ``.item()``, ``float(..)``, ``if``.

Such numbers are one for the whole batch, and an exported file holds those of its example.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from types import FrameType

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from edgekd.base.closure import PACKAGE

SPELT = {
    "numpy": "numpy",
    "__array__": "numpy",
    "item": ".item()",
    "tolist": ".tolist()",
    "__float__": "float(..)",
    "__int__": "int(..)",
    "__index__": "int(..)",
    "__bool__": "if",
}
LIBRARIES = (os.path.dirname(torch.__file__), str(PACKAGE))


def place(module: nn.Module, inputs: tuple[Tensor, ...]) -> str | None:
    """The first such place of a network that runs on these inputs: ``"numpy at net.py:31"``; None where it has none."""
    with torch.no_grad(), _Leaving() as leaving:
        module(*inputs)
    return leaving.first


class _Leaving(TorchFunctionMode):
    """Notes the first number that leaves torch."""

    def __init__(self) -> None:
        super().__init__()
        self.first: str | None = None

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        spelt = SPELT.get(getattr(func, "__name__", ""))
        if spelt is not None and self.first is None:
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and frame.f_code.co_filename.startswith(LIBRARIES):
                frame = frame.f_back
            where = "" if frame is None else f" at {os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
            self.first = f"{spelt}{where}"
        return func(*args, **(kwargs or {}))
