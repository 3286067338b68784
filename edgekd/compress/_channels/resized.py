"""Networks whose own code holds numbers of channels: ``view(-1, 512)``, ``split([64, 64], 1)``, ``x[:, :32]``.

The code is the user's and stays as it is. A cut network is run under a mode that gives some of its calls other numbers:
which calls (see ``tracing.Sites``), and which numbers, is plain data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from edgekd.compress._channels import ledger, neighbours
from edgekd.compress._channels.ledger import Block, Labels
from edgekd.compress._channels.traced import Arguments, Call, Keywords
from edgekd.compress._channels.tracing import CREATED, Sites, by_place, sized

Change = dict[str, Any]  # of one call, as JSON
Changes = dict[str, dict[str, Change]]  # of evaluation and of training, by the site of the call


@dataclass(frozen=True)
class Left:
    """Which channels are left: ``stays`` of each number, and whether it ``can_go`` at all, in whatever plan."""

    stays: NDArray[np.bool_]
    can_go: NDArray[np.bool_]

    def along(self, block: Block, axis: int) -> NDArray[np.bool_] | None:
        """The positions along an axis of a block that are left; None where none can ever go."""
        if not self.can_go[block.numbers].any():
            return None
        at = block.axes.index(axis)
        others = tuple(a for a in range(block.numbers.ndim) if a != at)
        return np.atleast_1d(np.any(self.stays[block.numbers], axis=others))


def changes(calls: Mapping[str, Mapping[str, Call]], left: Left) -> Changes:
    """What must be told to the calls of a network that loses channels: every size that has channels, as some are
    computed from others that change; and every one that has none and stays the same for more samples, which the network
    may compute from others that change, too: ``y.reshape(b, n, x.shape[-1])`` where x loses channels and y does not."""
    return {
        mode: {site: change for site, call in by_site.items() if (change := _change(call, left))}
        for mode, by_site in calls.items()
    }


def apply(module: nn.Module, call_changes: Changes) -> nn.Module:
    """The network, in place, that makes its calls with other numbers."""
    if not any(call_changes.values()):
        return module
    before: Changes = {}
    kind = type(module)
    if isinstance(module, _Resized):
        before = module.resized_calls
    else:
        module.__class__ = type(kind.__name__, (_Resized, kind), {"__module__": kind.__module__})
    merged = {
        mode: {
            **before.get(mode, {}),
            **{n: _over(before.get(mode, {}).get(n, {}), change) for n, change in now.items()},
        }
        for mode, now in call_changes.items()
    }
    setattr(module, "resized_calls", merged)  # noqa: B010  # typed, it would be a tensor or a module
    return module


def _over(before: Change, change: Change) -> Change:
    """What a call that is told something already must be told now."""
    merged = dict(before)
    for key, value in change.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


class _Resized(nn.Module):
    """What a network becomes whose calls are told other numbers."""

    resized_calls: Changes

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The network's own, under the mode."""
        samples = args[0].shape[0] if args and isinstance(args[0], Tensor) else 1
        with _Told(self.resized_calls["train" if self.training else "eval"], samples):
            return super().forward(*args, **kwargs)


class _Told(TorchFunctionMode):
    """Gives calls their numbers; ``samples``: how many the network is given."""

    def __init__(self, by_site: Mapping[str, Change], samples: int) -> None:
        super().__init__()
        self.by_site, self.samples, self.sites = by_site, samples, Sites()

    def __torch_function__(
        self, func: Callable[..., object], types: object, args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        name = getattr(func, "__name__", "")
        args, kwargs = by_place(name, args, kwargs or {})
        if sized(name, args):
            change = self.by_site.get(self.sites.name(name))
            if change is not None and "stay" in change:
                return neighbours.response_norm(change["stay"], *args, **kwargs)
            if change is not None:
                of_samples = {axis: size * self.samples for axis, size in change.get("of_one", {}).items()}
                change = {**change, "sizes": {**change.get("sizes", {}), **of_samples}} if of_samples else change
                args, kwargs = _changed(name, args, kwargs, change)
        return func(*args, **kwargs)


def _sizes(shape: Sequence[int], labels: Labels, left: Left) -> dict[int, int]:
    """The size of every axis that has channels, without those that go."""
    sizes = {}
    for block in labels:
        for axis in block.axes:
            if (kept := left.along(block, axis)) is not None:
                sizes[axis] = int(kept.sum())
    return sizes


def _change(call: Call, left: Left) -> Change | None:
    """What a call must be told; None: nothing."""
    x = call.args[0]
    (shape, labels), *_ = call.outside or (((), ()),)
    sizes = _sizes(shape, labels, left)
    if call.name in CREATED or call.name in ("view", "reshape", "expand"):
        given = _given(call.name, call.args, call.kwargs)
        sizes = {**_same(call, 0), **sizes}
        return _shaped(call, {axis: size for axis, size in sizes.items() if axis < len(given) and given[axis] != -1})
    sizes = {axis: size for axis, size in sizes.items() if not call.grows(0, axis)}
    if call.name == "unflatten":
        first = (call.args[1] if len(call.args) > 1 else call.kwargs["dim"]) % x.ndim
        parts = call.args[2] if len(call.args) > 2 else call.kwargs["sizes"]
        sizes = {**_same(call, 0), **sizes}
        new_sizes = {str(axis - first): n for axis, n in sizes.items() if first <= axis < first + len(parts)}
        return {"parts": {k: n for k, n in new_sizes.items() if parts[int(k)] != -1}} if new_sizes else None
    if call.name in ("split", "split_with_sizes"):
        return _split(call, left)
    if call.name in ("__getitem__", "__setitem__"):
        return _picked(call, left)
    if call.name == "narrow":
        axis = call.args[1] % x.ndim
        start = int(call.args[2])
        start += x.shape[axis] if start < 0 else 0
        bounds = _range(call.inside, axis, start, start + call.args[3], left)
        return None if bounds is None else {"narrow": [bounds[0], bounds[1] - bounds[0]]}
    if call.name == "layer_norm":
        normalized_shape = list(call.args[1] if len(call.args) > 1 else call.kwargs["normalized_shape"])
        first = x.ndim - len(normalized_shape)
        new_sizes = {str(axis - first): n for axis, n in sizes.items() if axis >= first}
        return {"shape": new_sizes} if new_sizes else None
    if call.name == "pad":
        return _padded(call, left)
    if call.name in ("conv1d", "conv2d", "conv3d"):
        axis = x.ndim - call.args[1].ndim + 1
        groups = call.args[6] if len(call.args) > 6 else call.kwargs.get("groups", 1)
        inside = _sizes(x.shape, call.inside, left)
        return {"groups": inside[axis]} if 1 < groups == x.shape[axis] and axis in inside else None
    if call.name == "local_response_norm":
        block = ledger.block_of(call.inside, 1)
        stays = None if block is None else left.along(block, 1)
        return None if stays is None or stays.all() else {"stay": np.flatnonzero(stays).tolist()}
    if call.name == "scaled_dot_product_attention" and call.kwargs.get("scale") is None:
        return {"scale": 1 / math.sqrt(x.shape[-1])} if _sizes(x.shape, call.inside, left) else None
    return None


def _same(call: Call, output: int) -> dict[int, int]:
    """The size of every axis of what came out that did not grow with samples or texts."""
    if output >= len(call.others):
        return {}
    return {axis: size for axis, size in enumerate(call.outside[output][0]) if not call.grows(output, axis)}


def _shaped(call: Call, sizes: Mapping[int, int]) -> Change | None:
    """New sizes for a call that is given all of them: ``of_one`` sample where they grow with their number."""
    fixed = {str(axis): size for axis, size in sizes.items() if not call.grows(0, axis)}
    of_one = {str(a): one for a, size in sizes.items() if call.grows(0, a) and (one := call.of_one(0, a, size))}
    change = {"sizes": fixed, "of_one": of_one}
    return {key: value for key, value in change.items() if value} or None


def _given(name: str, args: Arguments, kwargs: Mapping[str, object]) -> Arguments:
    """The sizes that a view, or a new tensor, is asked for."""
    args = args[_before(name) :]
    first = args[0] if args else kwargs.get(_keyword(name), ())
    return tuple(first) if isinstance(first, list | tuple) else args


def _before(name: str) -> int:
    """How many arguments of such a call stand before its sizes."""
    return 0 if name in CREATED and not name.startswith("new") else 1


def _keyword(name: str) -> str:
    return "shape" if name == "reshape" else "size"


def _with_sizes(
    name: str, args: Arguments, kwargs: Mapping[str, object], new_sizes: Mapping[str, int]
) -> tuple[Arguments, Mapping[str, object]]:
    """The arguments of such a call with other sizes in them."""
    sizes = list(_given(name, args, kwargs))
    for axis, size in new_sizes.items():
        sizes[int(axis)] = size
    before = _before(name)
    if len(args) == before:
        return args, {**kwargs, _keyword(name): tuple(sizes)}
    together = isinstance(args[before], list | tuple) or name == "reshape"
    behind = args[before + 1 :] if isinstance(args[before], list | tuple) else ()
    return (*args[:before], *([tuple(sizes)] if together else sizes), *behind), kwargs


def _split(call: Call, left: Left) -> Change | None:
    given = call.args[1] if len(call.args) > 1 else next(iter(call.kwargs.values()))
    axis = call.args[2] if len(call.args) > 2 else call.kwargs.get("dim", 0)
    axis %= call.args[0].ndim
    new = [_sizes(shape, labels, left).get(axis, shape[axis]) for shape, labels in call.outside]
    labelled = any(axis in _sizes(shape, labels, left) for shape, labels in call.outside)
    same = all(axis in _same(call, output) for output in range(len(call.outside)))
    return None if not labelled and not same else {"split": new[0] if isinstance(given, int) else new}


def _padded(call: Call, left: Left) -> Change | None:
    """New channels at an end of an axis go, too."""
    x, pads = call.args[0], list(call.args[1])
    ((_, labels),) = call.outside
    new_pads = list(pads)
    for i in range(len(pads) // 2):
        axis = x.ndim - 1 - i
        block = ledger.block_of(labels, axis)
        if block is not None and len(block.axes) == 1 and min(pads[2 * i : 2 * i + 2]) >= 0:
            kept, before, behind = left.stays[block.numbers], *pads[2 * i : 2 * i + 2]
            new_pads[2 * i : 2 * i + 2] = int(kept[:before].sum()), int(kept[len(kept) - behind :].sum())
    return {"pad": new_pads} if new_pads != pads else None


def _picked(call: Call, left: Left) -> Change | None:
    """``x[:, a:b]`` and ``x[:, i]``."""
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    new_index: dict[str, int | list[int]] = {}
    rank, axis = call.args[0].ndim, 0
    used = sum(1 for part in index if part is not None and part is not Ellipsis)
    for at, part in enumerate(index):
        if part is None:
            continue
        if part is Ellipsis:
            axis += rank - used
            continue
        size = call.args[0].shape[axis]
        if isinstance(part, slice) and all(isinstance(end, int | None) for end in (part.start, part.stop)):
            start, stop, step = part.indices(size)
            bounds = _range(call.inside, axis, start, stop, left) if step == 1 else None
            if bounds is not None:
                new_index[str(at)] = [*bounds]
        elif isinstance(part, int) and not isinstance(part, bool):
            bounds = _range(call.inside, axis, part % size, part % size + 1, left)
            if bounds is not None:
                new_index[str(at)] = bounds[0]
        axis += 1
    return {"index": new_index} if new_index else None


def _range(labels: Labels, axis: int, start: int, stop: int, left: Left) -> tuple[int, int] | None:
    """Where a part of an axis lies once channels have gone; None where it lies as before."""
    block = ledger.block_of(labels, axis)
    kept = None if block is None else left.along(block, axis)
    if kept is None:
        return None
    return int(kept[:start].sum()), int(kept[:stop].sum())


def _changed(name: str, args: Arguments, kwargs: Keywords, change: Change) -> tuple[Arguments, Keywords]:
    """The arguments with a call's own numbers in them."""
    if "sizes" in change:
        return _with_sizes(name, args, kwargs, change["sizes"])
    if "parts" in change:
        parts = list(args[2] if len(args) > 2 else kwargs["sizes"])
        for axis, size in change["parts"].items():
            parts[int(axis)] = size
        return (args[0], args[1] if len(args) > 1 else kwargs["dim"], tuple(parts)), {}
    if "split" in change:
        axis = args[2] if len(args) > 2 else kwargs.get("dim", 0)
        return (args[0], change["split"], axis), {}
    if "narrow" in change:
        return (*args[:2], *change["narrow"]), kwargs
    if "shape" in change:
        shape = list(args[1] if len(args) > 1 else kwargs["normalized_shape"])
        for axis, size in change["shape"].items():
            shape[int(axis)] = size
        rest = {key: value for key, value in kwargs.items() if key != "normalized_shape"}
        return (args[0], tuple(shape), *args[2:]), rest
    if "pad" in change:
        return (args[0], change["pad"], *args[2:]), kwargs
    if "groups" in change:
        return (*args[:6], change["groups"]) if len(args) > 6 else args, (
            kwargs if len(args) > 6 else {**kwargs, "groups": change["groups"]}
        )
    if "scale" in change:
        return args, {**kwargs, "scale": change["scale"]}
    index = list(args[1] if isinstance(args[1], tuple) else (args[1],))
    for at, part in change["index"].items():
        index[int(at)] = slice(*part) if isinstance(part, list) else part
    return (args[0], tuple(index) if isinstance(args[1], tuple) else index[0], *args[2:]), kwargs
