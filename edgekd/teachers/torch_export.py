"""A network in an archive of ``torch.export.save``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from edgekd.base import plugins
from edgekd.base.errors import FactoryError, RecipeError
from edgekd.base.preprocess import Spec
from edgekd.learn.data import file_size
from edgekd.learn.quiet import quiet
from edgekd.teachers._base import file_of


@dataclass(frozen=True)
class TorchExport:
    """An exported program (``.pt2``), run by torch; inputs go in by order.

    Opening one may run what its maker put in, so that the recipe has to allow it.

    Attributes:
        path: the file.
        allow_code: true: whoever wrote the file may run code here.
    """

    path: str
    allow_code: bool = False

    def network(self, inputs: Sequence[Spec], where: str) -> nn.Module:
        """See ``NetworkKind``.

        Raises:
            RecipeError: code is not allowed to run.
        """
        file = file_of(self.path, where)
        place = f"{where}.path: {file.name}"
        if not self.allow_code:
            hint = "allow_code = true opens it, where you know who wrote it; an ONNX file runs none"
            raise RecipeError("opening it may run code", where=place, allowed="with allow_code alone", hint=hint)
        file_size(file, place, "bytes")
        with quiet():
            program = plugins.call_user(torch.export.load, place, str(file))
            if not isinstance(program, ExportedProgram):
                raise FactoryError("no exported program", where=place, found=type(program).__name__)
            return Exported(program, place)


class Exported(nn.Module):
    """An exported program as a network: it has no mode to be in, and may know one batch size alone.

    Args:
        where: the file, for errors.
    """

    def __init__(self, program: ExportedProgram, where: str) -> None:
        super().__init__()
        self.module = program.module()
        names = program.graph_signature.user_inputs
        given = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
        first = next((value.shape[0] for value in given if isinstance(value, Tensor) and value.ndim), None)
        self._batch = first if isinstance(first, int) else None

    def train(self, mode: bool = True) -> Exported:
        """Nothing: the program was exported in the mode that it stays in."""
        return self

    def forward(self, *inputs: Tensor) -> object:
        """What the program gives; in runs of its batch, the last one filled, where it knows no other."""
        if self._batch is None:
            return self.module(*inputs)
        count, parts = len(inputs[0]), []
        for start in range(0, count, self._batch):
            size = min(self._batch, count - start)
            rows = torch.from_numpy(start + np.arange(self._batch) % size).to(inputs[0].device)
            given = self.module(*(x[rows] for x in inputs))
            parts.append(pytree.tree_map(lambda value, size=size: value[:size], given))
        return pytree.tree_map(lambda *values: torch.cat(values), parts[0], *parts[1:])
