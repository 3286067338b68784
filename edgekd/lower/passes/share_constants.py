"""One initializer for equal constants: a scale is written by the QuantizeLinear and read by its twin, and layers that
are one have one matrix."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from onnxscript import ir

from edgekd.lower.passes._base import constant, drop_unused


@dataclass(frozen=True)
class ShareConstants:
    """Merge initializers of equal type, shape and bytes.

    Attributes:
        largest: in elements; larger ones are not compared.
    """

    largest: int = 1 << 24

    def __call__(self, model: ir.Model) -> None:
        graph = model.graph
        known: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
        for value in list(graph.initializers.values()):
            array = constant(value)
            if array is None or array.size > self.largest or value.is_graph_output():
                continue
            key = (
                str(value.const_value and value.const_value.dtype),
                array.shape,
                hashlib.sha256(array.tobytes()).digest(),
            )
            first = known.setdefault(key, value)
            if first is not value:
                ir.convenience.replace_all_uses_with(value, first)
        drop_unused(graph)
