"""A network is run once, and every operator that it really calls says which channels it passes on: see ``_rules``.

Two modes listen: the dispatcher's, where torch's many functions have become few operators (``aten.convolution``,
``aten.addmm``, views), and that of the functions themselves, where a network's own numbers can be seen: ``view(-1,
512)``, ``split([64, 64], 1)``, ``x[:, :32]``. These ``Call``s can be given other numbers (``_resized``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from edgekd.compress import _axes, _rules, _rules_cells
from edgekd.compress._axes import Block, Labels, Ledger, Numbers

RESHAPED_IN_PLACE = frozenset(("as_strided_", "squeeze_", "unsqueeze_", "transpose_", "t_"))
OUTPUTS = "its channels become the outputs"
# Functions of a network whose arguments may hold numbers of channels, by name.
SIZED = frozenset(
    [
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
        "repeat",
        "scaled_dot_product_attention",
    ]
)


@dataclass(frozen=True)
class Call:
    """One call of a function in ``SIZED``: arguments as they were, and the labels of what went in and came out."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inside: Labels
    outside: tuple[tuple[tuple[int, ...], Labels], ...]


@dataclass
class Trace:
    """What a run of a network told.

    Attributes:
        parameters: the numbers along each axis of each parameter and buffer; None: an axis of size 1 or less.
        reads: axes of parameters along which a layer reads, by (name, axis).
        calls: in order, of evaluation and of training; see ``SIZED``.
        blocks: every block of several axes that there was: in the end one of them must carry the channels.
    """

    ledger: Ledger = field(default_factory=Ledger)
    parameters: dict[str, list[Numbers | None]] = field(default_factory=dict)
    reads: set[tuple[str, int]] = field(default_factory=set)
    calls: dict[str, list[Call]] = field(default_factory=lambda: {"eval": [], "train": []})
    blocks: list[Numbers] = field(default_factory=list)
    _labels: dict[tuple[Any, ...], Labels] = field(default_factory=dict)
    _weights: dict[tuple[Any, ...], frozenset[str]] = field(default_factory=dict)
    _alive: list[Tensor] = field(default_factory=list)

    def labels(self, tensor: Tensor) -> Labels:
        """Of a tensor that was seen; () of others."""
        return self._labels.get(_place(tensor), ())

    def put(self, tensor: Tensor, labels: Labels) -> None:
        """Label a tensor."""
        self._alive.append(tensor)
        self._labels[_place(tensor)] = labels
        self.blocks += [block.numbers for block in labels if len(block.axes) > 1]

    def weights(self, tensor: Tensor) -> frozenset[str]:
        """The parameters that a tensor was made of, where nothing else is in it."""
        return self._weights.get(_place(tensor), frozenset())

    def inherit(self, tensor: Tensor, names: frozenset[str]) -> None:
        """Note what ``weights`` says."""
        if names:
            self._weights[_place(tensor)] = names

    def read(self, weight: Tensor, numbers: Numbers) -> None:
        """A layer reads along an axis of its weight, which has these numbers."""
        for name in self.weights(weight):
            for axis, own in enumerate(self.parameters[name]):
                if own is not None and numbers.size and own[0] <= numbers.min() and numbers.max() <= own[-1]:
                    self.reads.add((name, axis))


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Views of the same numbers in the same shape are one tensor."""
    storage = tensor.untyped_storage()._cdata
    return storage, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def run(module: nn.Module, inputs: Sequence[Tensor]) -> Trace:
    """The trace of a network in evaluation mode on these inputs; whatever it raises is the caller's to tell."""
    trace = Trace()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        own = [trace.ledger.fresh(size) if size > 1 else None for size in tensor.shape]
        trace.parameters[name] = own
        trace.put(tensor, tuple(Block((axis,), n) for axis, n in enumerate(own) if n is not None))
        trace.inherit(tensor, frozenset([name]))
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operator for a whole encoder layer
    try:
        _listened(trace, module.eval(), inputs)
        with contextlib.suppress(RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError):
            _listened(trace, module.train(), inputs)  # heads that only train; one that can't train is told elsewhere
    finally:
        module.eval()
        torch.backends.mha.set_fastpath_enabled(fast)
    return trace


def _listened(trace: Trace, module: nn.Module, inputs: Sequence[Tensor]) -> None:
    with torch.no_grad(), _Operators(trace) as operators, _Functions(trace, operators, _mode(module)):
        answers = module(*inputs)
    for tensor in _rules.tensors(answers):
        _axes.fixed(trace.ledger, trace.labels(tensor), OUTPUTS)


def _mode(module: nn.Module) -> str:
    return "train" if module.training else "eval"


class _Operators(TorchDispatchMode):
    """Every operator's outputs are labelled by its rule."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace, self.silent = trace, False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket.__name__ in RESHAPED_IN_PLACE:
            with _unheard():
                before = args[0].detach()  # as it was
            made = func(*args, **(kwargs or {}))
            args = (before, *args[1:])
        else:
            made = func(*args, **(kwargs or {}))
        if not self.silent:
            with _unheard():
                _rules.follow(self.trace, func, args, kwargs or {}, made)
        return made


def _unheard() -> Any:
    """What a rule itself asks of tensors is no part of the network."""
    return torch.utils._python_dispatch._disable_current_modes()


class _Functions(TorchFunctionMode):
    """Keeps the calls of ``SIZED``; recurrent cells are followed as a whole."""

    def __init__(self, trace: Trace, operators: _Operators, mode: str) -> None:
        super().__init__()
        self.trace, self.operators, self.mode = trace, operators, mode

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        whole: Callable[..., None] | None = _rules_cells.CELLS.get(name)
        if whole is not None:
            before, self.operators.silent = self.operators.silent, True
            try:
                made = func(*args, **kwargs)
            finally:
                self.operators.silent = before
            whole(self.trace, args, made)
            return made
        if name not in SIZED or not (args and isinstance(args[0], Tensor)):
            return func(*args, **kwargs)
        inside = self.trace.labels(args[0])
        made = func(*args, **kwargs)
        outside = tuple((tuple(t.shape), self.trace.labels(t)) for t in _rules.tensors(made))
        self.trace.calls[self.mode].append(Call(name, args, kwargs, inside, outside))
        return made
