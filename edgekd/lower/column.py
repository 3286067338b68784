"""The column of graph passes: which run on every export, which where a target asks for them, and in what order.

A new file in ``passes/`` needs a row here. A user's own pass has none: it says its ``order`` itself, a number that is
compared with those of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from onnxscript import ir

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError, TargetError
from edgekd.lower.passes import GraphPass


class Row(NamedTuple):
    """A built-in pass.

    Attributes:
        order: where it stands; what an ``order`` of a user's own is compared with.
        kind: the name of its file.
        always: whether it runs on every export; else on those of targets that name it.
    """

    order: int
    kind: str
    always: bool = True


# Above each, why it stands where it does; tests/lower/test_column.py moves those that depend on each other.
COLUMN = (
    # --- structure ---
    # They read the shapes of inner values, which strip_metadata removes. The first reads a table as it is exported:
    # int8_gather would look up its codes.
    Row(3, "constant_row"),
    Row(4, "plain_fourier"),
    Row(5, "long_fourier", always=False),
    Row(6, "padded_max_pool"),
    Row(7, "plain_product"),
    Row(8, "plain_transpose"),
    # ONNX Runtime's own Pad is 1.01 to 1.11 x as fast.
    Row(9, "circular_padding", always=False),
    Row(10, "plain_pooling"),
    Row(11, "plain_resize"),
    # Its axes are constants that share_constants merges. It takes 4 % of a small DistilBERT's time, and few targets
    # promise equal bits.
    Row(12, "softmax_in_parts", always=False),
    # --- quantization ---
    # It reads zero points that lean_qdq may remove, as do the next ones.
    Row(13, "redundant_clip"),
    # What is left of the paddings is int8_pad's.
    Row(14, "fold_pad"),
    # They read the shapes of inner values. OpenVINO is as fast or faster without them.
    Row(15, "affine_as_conv", always=False),
    Row(16, "pool_as_conv", always=False),
    Row(17, "int8_pad", always=False),
    # int8_linear asks for the scale of a layer's input: it has to stand behind the Gather, not before it.
    Row(18, "int8_gather"),
    # It takes a Gemm as exported: int8_linear transposes the weight and rounds the bias.
    Row(19, "fold_into_int8_linear"),
    # It gives a Gemm without a bias one of zeros, which distinct_bias changes.
    Row(20, "int8_linear"),
    # What is left in float, whose weights stay as the exporter orders them.
    Row(21, "fold_into_linear"),
    # They read weights as the exporter orders them, and codes that int8_gather found.
    Row(22, "dynamic_lstm", always=False),
    Row(23, "int8_lstm", always=False),
    # It finds int8 weights as int8_linear leaves them. ONNX Runtime alone is better off without it.
    Row(24, "bias_of_matmul", always=False),
    # It comes behind all that make or change a bias.
    Row(25, "distinct_bias"),
    # They stand before lean_qdq, too, and behind what makes a bias.
    Row(26, "int8_relu", always=False),
    Row(27, "matmul_with_bias", always=False),
    # It follows what int8_linear and bias_of_matmul leave.
    Row(28, "flat_linear", always=False),
    # It reads shapes, and comes behind all that fold what is done by channel.
    Row(29, "kept_axes", always=False),
    # They come behind what makes or drops roundings and products.
    Row(30, "round_product", always=False),
    Row(31, "turn_in_product", always=False),
    # Its place is free: what needs a zero point has one from int8_linear.
    Row(32, "lean_qdq"),
    # It reads shapes, too, and leaves no product that apart_in_3d would look at.
    Row(33, "linear_of_one", always=False),
    # It reads shapes, and comes behind all that fold or move what is done by channel.
    Row(34, "apart_in_3d", always=False),
    # It comes behind kept_axes, which may do what it would, and redundant_clip.
    Row(35, "extremes_apart", always=False),
    # It reads shapes, and comes behind all that read where a Reshape goes.
    Row(36, "copied_sizes", always=False),
    # --- size ---
    # int8_linear spells out the axes of what it makes.
    Row(40, "default_attributes"),
    # It comes behind all that make constants.
    Row(50, "share_constants"),
    # It comes behind all that read shapes.
    Row(60, "strip_metadata"),
    # --- names ---
    # It numbers the operators that are left.
    Row(70, "short_names"),
)


def passes(asked: Sequence[str] = ()) -> dict[str, GraphPass]:
    """The passes that run on an export, by kind, in the order in which they run.

    Of equal orders a built-in pass runs first, then what the target names first. Made anew each time: a user's package
    that was edited is imported again.

    Args:
        asked: what a target asks for: built-in kinds, or a user's own as ``"package.module:Class"``.

    Raises:
        TargetError, FactoryError: an unknown pass, or a user's own that says no ``order``.
    """
    orders: dict[str, float] = {row.kind: row.order for row in COLUMN}
    kinds = dict.fromkeys((*(row.kind for row in COLUMN if row.always or row.kind in asked), *asked))
    built: dict[str, GraphPass] = {
        kind: plugins.build("passes", {"kind": kind}, "passes", TargetError) for kind in kinds
    }
    orders |= {kind: _custom_order(kind, change) for kind, change in built.items() if kind not in orders}
    return {kind: built[kind] for kind in sorted(built, key=orders.__getitem__)}


def rewrite(model: ir.Model, asked: Sequence[str] = (), check: Callable[[ir.Model], object] | None = None) -> None:
    """Run the column on a model, in place. This is the one place where graph passes run.

    Args:
        asked: as for ``passes``.
        check: what is called on the model behind each pass, and raises where that left something wrong.

    Raises:
        EdgekdError: of the check, of a pass, or, as a ``FactoryError``, whatever a user's own raised; ``where`` names
            the pass. A bug in a built-in pass goes through as it is, with the pass in a note.
    """
    for kind, change in passes(asked).items():
        where = f"passes: {kind}"
        try:
            plugins.call_user(change, where, model)
            if check is not None:
                check(model)
        except EdgekdError as err:
            err.where = err.where or where
            err.put_in(where)
            raise


def _custom_order(kind: str, change: GraphPass) -> float:
    """Where a user's own pass wants to stand."""
    order = getattr(change, "order", None)
    if isinstance(order, bool) or not isinstance(order, int | float) or not math.isfinite(order):
        allowed = f"a number; the built-in passes stand at {COLUMN[0].order} to {COLUMN[-1].order}"
        raise TargetError("a graph pass says its 'order'", where=f"passes: {kind}", found=order, allowed=allowed)
    return order
