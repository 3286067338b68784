"""The weights of a user's checkpoint: read from whatever file holds them, and fitted to a network without a guess.

A file is known by its content, not by its name. Weights that a checkpoint holds more than once (plain, and as moving
averages) are never mixed: where the recipe does not say which, that is asked.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from edgekd.base.errors import RecipeError, Shown
from edgekd.base.shards import INDEX, shards
from edgekd.learn.quiet import quiet

FILES = ("model.safetensors", "pytorch_model.bin")  # as model hubs name them
COUNTED = "num_batches_tracked"  # how often a BatchNorm has run: what it answers does not depend on it
PICKLES = (b"PK\x03\x04", b"\x80\x02")  # what torch.save writes: a zip file, before torch 1.6 bare pickles
# What damaged checkpoints make torch's readers raise.
DAMAGED = (
    *(RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(AssertionError, OverflowError, NotImplementedError, struct.error),
)
SHOWN = 20
NOTES = (bool, int, float, str, type(None))  # what stands beside the tensors of a flat checkpoint

State = dict[str, Tensor]


def read(path: Path, state_key: str | None, name: str = "teacher") -> State:
    """The state_dict in a checkpoint.

    Args:
        path: a safetensors file, a pickle (read with ``weights_only`` and nothing else), the index of one that lies in
            several files, or a folder that holds one of these under the name that model hubs give it.
        state_key: dotted path to the state_dict inside it; keys of the file may hold dots themselves.
        name: of the teacher, for errors.

    Raises:
        RecipeError: no such file, no checkpoint, no such key; names the file and what is there.
    """
    state = _read(_file(path, name), f"{name}.checkpoint: {path.name}")
    if state_key:
        state = _at(state, state_key, f"{name}.state_key")
    state = _tensors(state, name)
    for what, odd in (
        ("a quantized tensor", "is_quantized"),
        ("a tensor without numbers (of torch's meta)", "is_meta"),
    ):
        if marked := [str(key) for key, value in state.items() if getattr(value, odd)]:
            raise RecipeError(what, where=f"{name}.checkpoint: {path.name}", found=marked[0], allowed="floats")
    return {str(key): value if value.layout == torch.strided else value.to_dense() for key, value in state.items()}


def _tensors(content: object, name: str) -> Mapping[Any, Tensor]:
    """The tensors of a state_dict; an epoch, a loss or a note beside them is no weight, and is left out.

    Raises:
        RecipeError: there are none, or something else stands beside them, so that what is meant lies deeper.
    """
    table: Mapping[object, object] = content if isinstance(content, Mapping) else {}
    tensors = {key: value for key, value in table.items() if isinstance(value, Tensor)}
    odd = [str(key) for key, value in table.items() if not isinstance(value, (Tensor, *NOTES))]
    if tensors and not odd:
        return tensors
    where, states = f"{name}.state_key", _states(content)
    if tensors and not states:
        kinds = ", ".join(f"{key!r}" for key in odd[:SHOWN])
        hint = "save the tensors alone, or under a key of their own"
        raise RecipeError("holds more than tensors", where=where, found=Shown(kinds), hint=hint)
    allowed = states or ([str(key) for key in table][:SHOWN] if table else type(content).__name__)
    raise RecipeError("not a state_dict; name the key that holds it", where=where, allowed=allowed)


def check_state(module: nn.Module, where: str) -> None:
    """A network's state holds tensors alone, and these hold numbers.

    Raises:
        RecipeError: it does not; names the first entry that is none.
    """
    state = module.state_dict()
    empty = next((name for name, value in (*state.items(), *module.named_buffers()) if _is_meta(value)), None)
    if empty is not None:
        hint = "make the network on the CPU, or give it numbers: to_empty, then load_state_dict"
        raise RecipeError("a tensor without numbers (of torch's meta)", where=where, found=empty, hint=hint)
    odd = next((name for name, value in state.items() if not isinstance(value, Tensor)), None)
    if odd is not None:
        raise RecipeError(
            "its state holds what is no tensor, and can't be kept",
            where=where,
            found=f"{odd!r} in {type(module).__name__}",
            hint="what get_extra_state gives goes into a buffer; in place of a quantized network goes its float one",
        )


def _is_meta(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_meta


def chosen(state: State, prefix: str | None, wanted: Mapping[str, Tensor], where: str) -> State:
    """Of a checkpoint's tensors those that the recipe means, under the names of the network.

    Args:
        prefix: ``strip_prefix``; those that begin with it, without a second copy deeper inside, and no others; ``""``:
            those without any; None: all of them, where there is no choice.
        wanted: the network's own state_dict.

    Raises:
        RecipeError: nothing begins so; or the weights are there more than once, and it is not said which are meant.
    """
    if prefix:
        stripped = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if not stripped:
            raise RecipeError(
                "no tensor of the checkpoint begins so", where=where, found=prefix, allowed=_prefixes(state, wanted)
            )
        copies = _prefixes(stripped, wanted)  # "module." is meant, and "module.ema." is there, too
        others = tuple(copy for copy in copies if copy and "" in copies and stripped.keys() != wanted.keys())
        return {name: value for name, value in stripped.items() if not (others and name.startswith(others))}
    if state.keys() == wanted.keys():  # of networks that hold others like themselves, "next." is no prefix
        return state
    copies = _prefixes(state, wanted)
    if prefix is None and len(copies) > 1:
        raise RecipeError(
            "the checkpoint holds these weights more than once, and they are never mixed",
            where=where,
            allowed=[f'strip_prefix = "{copy}"' for copy in copies],
        )
    others = tuple(copy for copy in copies if copy)
    return {name: value for name, value in state.items() if not ("" in copies and others and name.startswith(others))}


def load(module: nn.Module, state: State, where: str) -> None:
    """Load tensors into a network, each of its own.

    A tensor that the network uses under two names may be there once. Counters of BatchNorm may be missing.

    Raises:
        RecipeError: a tensor is missing, too many, of another shape or kind of number, or not finite; names it.
    """
    wanted = module.state_dict()
    state = {name: value for name, value in state.items() if name in wanted or not name.endswith(COUNTED)}
    state |= {name: wanted[name] for name in wanted if name.endswith(COUNTED) and name not in state}
    state |= _tied(wanted, state, where)
    for name, tensor in wanted.items():
        if name not in state:
            prefixes = [p for p in _prefixes(state, wanted) if p]
            hint = f'try strip_prefix = "{prefixes[0]}"' if prefixes else None
            raise RecipeError(
                f"the checkpoint lacks {name!r}", where=where, found=name, allowed=list(state)[:200], hint=hint
            )
        if not _fits(state[name], tensor):
            shapes = tuple(state[name].shape), str(tuple(tensor.shape))
            raise RecipeError(f"{name!r} has another shape", where=where, found=shapes[0], allowed=shapes[1])
        if not _keeps(state[name], tensor.dtype):
            types, hint = (str(state[name].dtype), str(tensor.dtype)), "whole numbers may be codes of quantized weights"
            hint = hint if tensor.is_floating_point() and not state[name].is_complex() else None
            raise RecipeError(f"{name!r} has other numbers", where=where, found=types[0], allowed=types[1], hint=hint)
    for name in state:
        if name not in wanted:
            raise RecipeError("the model has no such tensor", where=where, found=name, allowed=list(wanted)[:200])
    buffers = {name for name, _ in module.named_buffers()}
    state = {name: value.to(wanted[name].dtype) for name, value in state.items()}  # float16 has no number above 65504
    check_finite(state, where, {name: wanted[name] for name in buffers & wanted.keys() if not is_lazy(wanted[name])})
    module.load_state_dict(state)


def _fits(value: Tensor, wanted: Tensor) -> bool:
    """Of one shape; a lazy layer takes that of what it is given."""
    return is_lazy(wanted) or value.shape == wanted.shape


def _keeps(value: Tensor, wanted: torch.dtype) -> bool:
    """Whether a tensor means the same as one of the network's type: floats as floats, others number by number."""
    if wanted.is_floating_point or wanted.is_complex:
        return value.is_floating_point() or (wanted.is_complex and value.is_complex())
    return not value.is_complex() and torch.equal(value.to(wanted).to(value.dtype), value)


def check_finite(state: Mapping[str, Tensor], where: str, masks: Mapping[str, Tensor] | None = None) -> None:
    """Every number is one.

    Args:
        masks: buffers as the network makes them: where those hold an infinity (attention masks do), it may stand.

    Raises:
        RecipeError: names the first tensor that holds a NaN or an infinity, and how many of each.
    """
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        value = tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
        bad = ~torch.isfinite(value)
        if masks and name in masks and masks[name].shape == value.shape:
            bad &= torch.isfinite(masks[name]) | torch.isnan(value)
        if bool(bad.any()):
            nan = int((torch.isnan(value) & bad).sum())
            counts = [f"{nan} NaN" if nan else "", f"{int(bad.sum()) - nan} Inf" if int(bad.sum()) > nan else ""]
            summary = " and ".join(filter(None, counts))
            raise RecipeError(
                f"tensor {name!r} is not finite", where=where, found=f"{summary} of {value.numel()}", allowed="numbers"
            )


def _file(path: Path, name: str) -> Path:
    """The file that a checkpoint is read from: itself, or inside a folder the one with a hub's name."""
    if path.is_dir():
        names = [*(f"{file}{INDEX}" for file in FILES), *FILES]
        inside = [path / file for file in names if (path / file).is_file()]
        if not inside:
            where = f"{name}.checkpoint"
            raise RecipeError("no checkpoint in this folder", where=where, found=str(path), allowed=", ".join(names))
        return inside[0]
    if not path.is_file():
        raise RecipeError("no such file", where=f"{name}.checkpoint", found=str(path))
    return path


def _read(path: Path, where: str) -> Any:
    with path.open("rb") as file:
        begins = file.read(64)
    if begins.startswith(b"version https://git-lfs"):
        raise RecipeError("a pointer of Git LFS, not the file", where=where, hint="git lfs pull")
    if path.name.endswith(INDEX):
        return _from_shards(path, where)
    # A safetensors file begins with the length of its JSON header, 8 bytes, and the header's brace.
    if begins[8:9] == b"{" or (path.suffix == ".safetensors" and not begins.startswith(PICKLES)):
        try:
            return load_file(path)
        except (SafetensorError, OSError) as err:
            raise RecipeError(f"not a safetensors file ({err})", where=where) from err
    try:
        with quiet(), path.open("rb") as file:  # by its name torch would take some pickles for safetensors
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        raise RecipeError(
            "holds more than weights, and other pickles are never run"
            if begins.startswith(PICKLES)
            else "neither a safetensors file nor a checkpoint of torch",
            where=where,
            hint="save its state_dict, best as safetensors",
        ) from err
    except DAMAGED as err:
        reason = (str(err).splitlines() or [type(err).__name__])[0]
        raise RecipeError(f"can't be read ({reason})", where=where) from err


def _from_shards(path: Path, where: str) -> State:
    try:
        named = shards(path)
    except (OSError, RecipeError) as err:
        raise RecipeError("not an index of shards", where=where, allowed='{"weight_map": {tensor: file}}') from err
    state: State = {}
    for file in sorted(set(named.values())):
        if not file.is_file():
            raise RecipeError("a shard is missing", where=where, found=file.name)
        inside = _read(file, f"{where} ({file.name})")
        for name in (name for name, place in named.items() if place == file):
            if name not in inside:
                raise RecipeError("the shard lacks a tensor of the index", where=f"{where} ({file.name})", found=name)
            state[name] = inside[name]
    return state


def _at(content: object, path: str, where: str) -> Any:
    """What stands at a dotted path; a key that holds dots itself comes first."""
    if not isinstance(content, Mapping):
        raise RecipeError("no such key in the checkpoint", where=where, found=path, allowed=type(content).__name__)
    by_name = {str(key): value for key, value in content.items()}
    if path in by_name:
        return by_name[path]
    parts = path.split(".")
    for count in range(len(parts) - 1, 0, -1):
        key, rest = ".".join(parts[:count]), ".".join(parts[count:])
        if isinstance(by_name.get(key), Mapping):
            return _at(by_name[key], rest, where)
    flat = any(key.startswith(f"{path}.") for key in by_name)
    hint = f'its tensors have names that begin so: strip_prefix = "{path}."' if flat else None
    raise RecipeError(
        "no such key in the checkpoint", where=where, found=path, allowed=list(by_name)[:SHOWN], hint=hint
    )


def _states(content: object, path: str = "") -> list[str]:
    """Dotted paths of what are state_dicts inside a checkpoint."""
    if not isinstance(content, Mapping):
        return []
    if path and content and all(isinstance(value, Tensor) for value in content.values()):
        return [path]
    return [inner for key, value in content.items() for inner in _states(value, f"{path}.{key}".lstrip("."))]


def _prefixes(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """What stands before the network's names in a checkpoint, for at least half of them: "", "module.", "ema." ..."""
    names = {name for name in wanted if not name.endswith(COUNTED)}
    counts: dict[str, int] = {}
    for key, value in state.items():
        parts = key.split(".")
        for start in range(len(parts)):
            name = ".".join(parts[start:])
            if name in names and _fits(value, wanted[name]):
                prefix = key.removesuffix(name)
                counts[prefix] = counts.get(prefix, 0) + 1
                break  # in networks that hold others like themselves what follows is a name, too
    return [prefix for prefix, count in counts.items() if 2 * count >= len(names)]


def _tied(wanted: Mapping[str, Tensor], state: State, where: str) -> State:
    """Tensors that the network uses under several names, and the checkpoint holds under one.

    Raises:
        RecipeError: it holds them under several, and not alike.
    """
    groups: dict[object, list[str]] = {}
    for name, tensor in wanted.items():
        if not is_lazy(tensor) and tensor.numel() and tensor.layout == torch.strided:
            place = tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride()
            groups.setdefault(place, []).append(name)
    tied: State = {}
    for names in groups.values():
        there = [name for name in names if name in state]
        for other in there[1:]:
            if not torch.equal(state[there[0]], state[other]):
                both = f"{there[0]!r} and {other!r}"
                raise RecipeError(f"{both} are one tensor of the model, and differ in the checkpoint", where=where)
        tied |= {name: state[there[0]] for name in names if there and name not in state}
    return tied
