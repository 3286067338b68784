"""A network is run once, and every operator that it really calls says which channels it passes on: see ``rules``.

Two modes listen: the dispatcher's, where torch's many functions have become few operators (``aten.convolution``,
``aten.addmm``, views), and that of the functions themselves, where a network's own numbers can be seen: ``view(-1,
512)``, ``split([64, 64], 1)``, ``x[:, :32]``. These ``Call``s can be given other numbers (``resized``).
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from edgekd.base.closure import PACKAGE
from edgekd.compress._channels import cells, ledger, norms, rules
from edgekd.compress._channels.asking import Operator, tensors
from edgekd.compress._channels.failures import FAILURES
from edgekd.compress._channels.ledger import Block
from edgekd.compress._channels.traced import OUTPUTS, Arguments, Attribute, Call, Keywords, Trace, named_tensors

# Names of attributes that may be numbers of channels.
SIZES = re.compile("channel|dim|size|width|feature|hidden|embed|plane|filter|^in_|^out_|^c[0-9]*$")
TORCH = os.path.dirname(torch.__file__)
RESHAPED_IN_PLACE = frozenset(("as_strided_", "squeeze_", "unsqueeze_", "transpose_", "t_"))
# Functions that make tensors of given sizes: states that a network begins with.
CREATED = frozenset(["zeros", "ones", "full", "empty", "new", "new_zeros", "new_ones", "new_full", "new_empty"])
# Functions of a network whose arguments may hold numbers of channels, by name.
SIZED = frozenset(
    [
        *CREATED,
        "view",
        "reshape",
        "expand",
        "unflatten",
        "split",
        "split_with_sizes",
        "narrow",
        "__getitem__",
        "__setitem__",
        "conv1d",
        "conv2d",
        "conv3d",
        "pad",
        "layer_norm",
        "local_response_norm",
        "scaled_dot_product_attention",
    ]
)


# The names of what such functions are given, in order; another name for the same behind a bar.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "reshape": ("input", "shape"),
    "unflatten": ("input", "dim", "sizes"),
    "split": ("tensor|input", "split_size_or_sections|split_size", "dim"),
    "split_with_sizes": ("input", "split_sizes", "dim"),
    "narrow": ("input", "dim", "start", "length"),
    **dict.fromkeys(
        ["conv1d", "conv2d", "conv3d"], ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    ),
    "pad": ("input", "pad", "mode", "value"),
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "local_response_norm": ("input", "size", "alpha", "beta", "k"),
    "scaled_dot_product_attention": ("query", "key", "value", "attn_mask", "dropout_p", "is_causal"),
}


def by_place(name: str, args: Arguments, kwargs: Keywords) -> tuple[Arguments, Keywords]:
    """The arguments of such a function by their places, up to the first that is not given, whatever names they had."""
    placed, named = list(args), dict(kwargs)
    for parameter in PARAMETERS.get(name, ())[len(args) :]:
        given = next((key for key in parameter.split("|") if key in named), None)
        if given is None:
            break
        placed.append(named.pop(given))
    return tuple(placed), named


def sized(name: str, args: Arguments) -> bool:
    """Whether a call is one of those that can be told other numbers."""
    return name in SIZED and (name in CREATED or bool(args and isinstance(args[0], Tensor)))


class Sites:
    """Names the calls of one run: ``net.py:31 view 2`` is the second call of ``view`` from that line.

    A network that takes another branch once it is narrower makes other calls, but at other lines.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def name(self, function: str) -> str:
        """Of a call that is being made: the innermost line outside of torch."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename.startswith(TORCH):
            frame = frame.f_back
        where = "torch"  # a module of torch's own, called by one of its own
        if frame is not None and not frame.f_code.co_filename.startswith(str(PACKAGE)):
            where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        site = f"{where} {function}"
        self.counts[site] += 1
        return f"{site} {self.counts[site]}"


def run(module: nn.Module, inputs: Sequence[Tensor], others: Sequence[Tensor]) -> Trace:
    """The trace of a network in evaluation mode; whatever it raises is the caller's to tell.

    Args:
        inputs: of ``SAMPLES`` samples.
        others: of ``OTHERS``, which tell the sizes that follow from the number of samples.
    """
    trace = Trace()
    for name, tensor in named_tensors(module).items():
        axis_numbers = [trace.ledger.fresh(size) if size > 1 else None for size in tensor.shape]
        trace.parameters[name] = axis_numbers
        trace.put(tensor, tuple(Block((axis,), n) for axis, n in enumerate(axis_numbers) if n is not None))
        trace.inherit(tensor, frozenset([name]))
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operator for a whole encoder layer
    try:
        _listened(trace, module.eval(), inputs)
        _measured(trace, module, others)
        statistics, trace.statistics = trace.statistics, {}
        with contextlib.suppress(*FAILURES):  # heads that only train; one that can't train is told elsewhere
            _listened(trace, module.train(), inputs)
            _measured(trace, module, others)
        trace.statistics = statistics
    finally:
        module.eval()
        torch.backends.mha.set_fastpath_enabled(fast)
    return trace


def _listened(trace: Trace, module: nn.Module, inputs: Sequence[Tensor]) -> None:
    hooks = [
        part.register_forward_pre_hook(partial(_sizes, trace, path), with_kwargs=True)
        for path, part in module.named_modules()
        if not type(part).__module__.startswith("torch.")
    ]
    trace.operators = 0
    try:
        with torch.no_grad(), _Operators(trace) as operators, _Functions(trace, operators, _mode(module)):
            answers = module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    for tensor in tensors(answers):
        ledger.fixed(trace.ledger, trace.labels(tensor), OUTPUTS)


def _measured(trace: Trace, module: nn.Module, others: Sequence[Tensor]) -> None:
    """Note the shapes that the same calls give for another number of samples."""
    calls = trace.calls[_mode(module)]
    shapes = _Shapes()
    with contextlib.suppress(*FAILURES), torch.no_grad(), shapes:
        module(*others)
    for site, call_shapes in shapes.by_site.items():
        if site in calls and [len(s) for s in call_shapes] == [len(s) for s, _ in calls[site].outside]:
            calls[site] = replace(calls[site], others=call_shapes)


def _sizes(trace: Trace, path: str, module: nn.Module, args: Arguments, kwargs: Keywords) -> None:
    """Note the attributes that are sizes of what the module is given."""
    with _unheard():
        given = [(t, block) for t in tensors([args, kwargs]) for block in trace.labels(t) if len(block.axes) == 1]
        for name, value in vars(module).items():
            if isinstance(value, bool) or not isinstance(value, int) or not SIZES.search(name):
                continue
            trace.attributes += [Attribute(path, name, b.numbers) for t, b in given if t.shape[b.axes[0]] == value]


def _mode(module: nn.Module) -> str:
    return "train" if module.training else "eval"


class _Operators(TorchDispatchMode):
    """Every operator's outputs are labelled by its rule."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace, self.silent = trace, False

    def __torch_dispatch__(
        self, func: torch._ops.OpOverload, types: object, args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        self.trace.operators += func.overloadpacket.__name__ in norms.STATISTICS
        if func.overloadpacket.__name__ in RESHAPED_IN_PLACE:
            with _unheard():
                before = args[0].detach()  # as it was
            output = func(*args, **(kwargs or {}))
            args = (before, *args[1:])
        else:
            output = func(*args, **(kwargs or {}))
        if not self.silent:
            with _unheard():
                rules.follow(self.trace, func, Operator(args, kwargs or {}, output))
        return output


def _unheard() -> contextlib.AbstractContextManager[object]:
    """What a rule itself asks of tensors is no part of the network."""
    return torch.utils._python_dispatch._disable_current_modes()


class _Functions(TorchFunctionMode):
    """Keeps the calls of ``SIZED``; those of ``CELLS`` are followed as a whole."""

    def __init__(self, trace: Trace, operators: _Operators, mode: str) -> None:
        super().__init__()
        self.trace, self.operators, self.mode, self.sites = trace, operators, mode, Sites()

    def __torch_function__(
        self, func: Any, types: object, args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        name = getattr(func, "__name__", "")
        args, kwargs = by_place(name, args, kwargs or {})
        whole, has_sizes = cells.CELLS.get(name), sized(name, args)
        if whole is None and not has_sizes:
            return func(*args, **kwargs)
        inside = self.trace.labels(args[0]) if args and isinstance(args[0], Tensor) else ()
        site = self.sites.name(name) if has_sizes else ""
        before, self.operators.silent = self.operators.silent, self.operators.silent or whole is not None
        try:
            output = func(*args, **kwargs)
        finally:
            self.operators.silent = before
        if whole is not None:
            rules.attempt(self.trace, name, Operator(args, kwargs, output), whole)
        if has_sizes:
            outside = tuple((tuple(t.shape), self.trace.labels(t)) for t in tensors(output))
            self.trace.calls[self.mode][site] = Call(name, args, kwargs, inside, outside)
        return output


class _Shapes(TorchFunctionMode):
    """The shapes that each call of ``SIZED`` gives."""

    def __init__(self) -> None:
        super().__init__()
        self.sites = Sites()
        self.by_site: dict[str, tuple[tuple[int, ...], ...]] = {}

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: Arguments = (),
        kwargs: Keywords | None = None,
    ) -> object:
        name = getattr(func, "__name__", "")
        args, kwargs = by_place(name, args, kwargs or {})
        site = self.sites.name(name) if sized(name, args) else ""
        output = func(*args, **kwargs)
        if site:
            self.by_site[site] = tuple(tuple(t.shape) for t in tensors(output))
        return output
