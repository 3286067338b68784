"""Taps: what named layers of a network give, by module path; the hooks are always taken off again."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from edgekd.base.errors import RecipeError
from edgekd.learn.foreign import Foreign
from edgekd.learn.student import SplitHeads
from edgekd.learn.teacher import bare

LISTED = 40
# Layers that take and give (N, C, L); others that compute give their channels last.
ALONG_LENGTH = (
    *(nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d, nn.InstanceNorm1d, nn.GroupNorm),
    *(nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveMaxPool1d, nn.AdaptiveAvgPool1d),
)


def network(module: nn.Module) -> nn.Module:
    """A student's own network, without the wrapper that parts its scores by head."""
    return module.module if isinstance(module, SplitHeads) else module


def missing(module: nn.Module, paths: Sequence[str]) -> list[str]:
    """Those paths that a network does not have. An exported graph keeps names of modules that it no longer calls."""
    if (outside := _foreign(module)) is not None:
        inner = {"", *outside.layers()}
        return [path for path in paths if path not in inner]
    known = _layers(module)
    return [path for path in paths if _parted(path)[0] not in known]


def gives_channels_first(module: nn.Module, path: str) -> bool:
    """Whether a layer gives sequences as (N, C, L): the last of its parts that has weights, or pools, does."""
    layer = _layers(module).get(_parted(path)[0])
    parts = [] if layer is None else [*layer.modules()]
    telling = [part for part in parts if isinstance(part, ALONG_LENGTH) or [*part.parameters(recurse=False)]]
    return bool(telling) and isinstance(telling[-1], ALONG_LENGTH)


def _foreign(module: nn.Module) -> Foreign | None:
    """What another program runs of a network, where that is all of it."""
    inner = bare(network(module))
    return inner if isinstance(inner, Foreign) else None


def _parted(path: str) -> tuple[str, int]:
    """``"encoder.0.attention:1"`` -> its layer, and which of the tensors that it gives; without a number the first."""
    layer, colon, number = path.rpartition(":")
    return (layer, int(number)) if colon and number.isdecimal() and len(number) < 10 else (path, 0)


def _layers(module: nn.Module) -> dict[str, nn.Module]:
    """Layers by path, "" the network as it is; wrappers that only pick or part outputs don't lengthen the paths.

    Those of TorchScript take no hooks.
    """
    whole = network(module)
    inner = bare(whole)
    layers = {path: part for path, part in inner.named_modules() if not isinstance(part, torch.jit.ScriptModule)}
    if not isinstance(whole, torch.jit.ScriptModule):
        layers[""] = whole
    if not isinstance(inner, GraphModule):
        return layers
    called = {"", *(str(node.target) for node in inner.graph.nodes if node.op == "call_module")}
    return {path: layer for path, layer in layers.items() if path in called}


def check(module: nn.Module, paths: Sequence[str], where: str) -> None:
    """Raise RecipeError for the first path that does not exist; lists the ones that do, of many the nearest."""
    for path in missing(module, paths):
        outside = _foreign(module)
        names = [name for name in (outside.layers() if outside else _layers(module)) if name]
        near = names if len(names) <= LISTED else difflib.get_close_matches(path, names, n=LISTED, cutoff=0.0)
        hint = None if near is names else f"these are the nearest of {len(names)}"
        raise RecipeError("no such layer", where=where, found=path, allowed=near, hint=hint)


def blocks(module: nn.Module, least: int = 5) -> list[str]:
    """Paths of a network's blocks, front to back: its parts with weights, taken apart level by level until there are
    ``least``. A part that holds nothing but single layers (convolution, BatchNorm, ReLU) stays whole.
    """
    parts = {"": bare(network(module))}
    while len(parts) < least or any(isinstance(part, nn.ModuleList) for part in parts.values()):
        opened = {path: part for whole in parts.items() for path, part in _opened(*whole)}
        if opened.keys() == parts.keys():
            break
        parts = opened
    return [path for path in parts if path]


def _opened(path: str, part: nn.Module) -> list[tuple[str, nn.Module]]:
    """The parts of a part, those without weights left out; or itself. A ModuleList is never called: it must open."""
    parts = dict(part.named_children())
    whole = not any(any(True for _ in inner.children()) for inner in parts.values())
    if path and whole and not isinstance(part, nn.ModuleList):
        return [(path, part)]
    return [
        (f"{path}.{name}".lstrip("."), inner) for name, inner in parts.items() if any(True for _ in inner.parameters())
    ]


@contextmanager
def tapped(module: nn.Module, paths: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """A dict that each forward pass fills with the outputs of the layers; "" is the network itself.

    Where a layer gives several tensors (a tuple, or an object such as transformers return) the first one counts, or
    the one whose number stands behind a colon: ``"bert.encoder.layer.0.attention.self:1"`` is an attention matrix.
    """
    outputs: dict[str, Tensor] = {}
    parts, outside = _layers(module), _foreign(module)
    hooked = [path for path in dict.fromkeys(paths) if outside is None or not path]
    handles = [parts[_parted(path)[0]].register_forward_hook(_hook(outputs, path)) for path in hooked]
    inner = [path for path in dict.fromkeys(paths) if path not in hooked]
    with outside.tapped(inner, outputs) if outside and inner else contextlib.nullcontext():
        try:
            yield outputs
        finally:
            for handle in handles:
                handle.remove()


def _hook(outputs: dict[str, Tensor], path: str) -> Callable[[nn.Module, object, object], None]:
    def keep(layer: nn.Module, inputs: object, output: object) -> None:
        # A copy: where an operation in place follows (ReLU(inplace=True)), what the layer gave would be gone.
        outputs[path] = _tensor(output, _parted(path)[1], path).clone()

    return keep


def _tensor(output: object, number: int, path: str) -> Tensor:
    if isinstance(output, Tensor) and number == 0:
        return output
    several = hasattr(output, "values") and not isinstance(output, Tensor)
    parts = list(output.values()) if several else output  # type: ignore[attr-defined]
    if isinstance(parts, list | tuple) and number < len(parts):
        return _tensor(parts[number], 0, path)
    what = "no tensor" if number == 0 else f"no tensor of number {number}"
    raise RecipeError(f"this layer gives {what}", where=path, found=type(output).__name__)
