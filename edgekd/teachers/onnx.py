"""A network in an ONNX file, run by ONNX Runtime or OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from edgekd.base.preprocess import Spec
from edgekd.learn.data import file_content
from edgekd.runtime import look
from edgekd.runtime.backend import make
from edgekd.teachers._base import file_of
from edgekd.teachers._runtime import RuntimeNetwork
from edgekd.teachers._runtime import check_shape as check_shape


@dataclass(frozen=True)
class Onnx:
    """An ONNX file with its weights inside: any opset and any source that its runtime runs.

    It is looked at before it is opened, as a bundle's files are: one that reads other files, loops without an end or
    grows beyond all measure is refused. Which of its outputs holds the scores ``teacher.output`` says, by name, where
    it can't be told. Inputs go in by name, where the names are those of the data's, else by order. Losses on layers
    may name any tensor in it as a layer.

    Attributes:
        path: the file.
        runtime: ``ort`` or ``openvino``.
        threads: of the runtime, 1 to 1024; other counts may answer otherwise in the last bit, and are in the key.
        batch: samples of a run, 1 to 65,536; a file of one batch size is fed that.
    """

    path: str
    runtime: Literal["ort", "openvino"] = "ort"
    threads: int = 1
    batch: int = 64

    def __post_init__(self) -> None:
        for name, most in (("threads", 1024), ("batch", 65_536)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name}: allowed is 1 to {most}")

    def network(self, inputs: Sequence[Spec], where: str) -> nn.Module:
        """See ``NetworkKind``."""
        file = file_of(self.path, where)
        place = f"{where}.path: {file.name}"
        data = file_content(file, place)
        look.check(data, place)
        backend = make(self.runtime, {"threads": self.threads}, where)
        return RuntimeNetwork(data, backend, inputs, self.batch, where)
