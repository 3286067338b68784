"""Graph passes, one a file: a ``GraphPass`` changes an onnx_ir model in place and says whether it did."""

from edgekd.lower.passes._base import (
    CustomPass,
    GraphPass,
    add_constant,
    attribute_int,
    constant,
    drop_unused,
    producer,
    replace,
    weight_dq,
)

__all__ = [
    "CustomPass",
    "GraphPass",
    "add_constant",
    "attribute_int",
    "constant",
    "drop_unused",
    "producer",
    "replace",
    "weight_dq",
]
