"""Leave out attributes that only repeat the operator's default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx
from onnxscript import ir


@dataclass(frozen=True)
class DefaultAttributes:
    """Remove what the ONNX schema says anyway; also unit strides and dilations, and zero pads."""

    def __call__(self, model: ir.Model) -> None:
        opset = model.opset_imports.get("", 20)
        for node in model.graph:
            if node.domain or not onnx.defs.has(node.op_type):
                continue
            known = onnx.defs.get_schema(node.op_type, opset, "").attributes
            for name, attribute in list(node.attributes.items()):
                if name in known and _is_default(name, attribute.value, known[name]):
                    node.attributes.pop(name)


def _is_default(name: str, value: Any, schema: Any) -> bool:
    if name in ("strides", "dilations"):
        return all(v == 1 for v in value)
    if name == "pads":
        return not any(value)
    default = schema.default_value
    if default is None or not default.name:
        return False
    wanted = onnx.helper.get_attribute_value(default)
    return bool((wanted.decode() if isinstance(wanted, bytes) else wanted) == value)
