"""A teacher: trained here, or the user's own with a checkpoint that is only read."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgekd import plugins
from edgekd.errors import RecipeError
from edgekd.learn.quiet import quiet
from edgekd.recipe import Teacher


class Logits(nn.Module):
    """Picks the logits out of what a teacher returns, and our classes out of the logits.

    Args:
        module: returns a tensor, a tuple, a dict, or an object with named fields (such as ``.logits``).
        output: which one holds the logits: an index or a name; None: the tensor itself, the first, or ``logits``.
        classes: for each of our classes, the index of the teacher's.
    """

    def __init__(
        self, module: nn.Module, output: str | int | None = None, classes: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        self.module = module
        self._output = output
        self._classes = None if classes is None else list(classes)

    def forward(self, *inputs: Tensor) -> Tensor:
        logits = _pick(self.module(*inputs), self._output)
        return logits if self._classes is None else logits[:, self._classes]


def bare(module: nn.Module) -> nn.Module:
    """The network itself, without the wrappers that pick its outputs."""
    while isinstance(module, Logits):
        module = module.module
    return module


def build(model: Mapping[str, Any], where: str, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """An untrained network from a recipe's ``model`` table.

    Raises:
        RecipeError: the family does not know the table's keys, or can't read such inputs.
    """
    family = plugins.build("models", model, where)
    try:
        made: nn.Module = family.build(input_shape, classes)
    except ValueError as err:
        raise RecipeError(
            f"can't be built for inputs of {input_shape}: {err}", where=where, found=model["kind"]
        ) from err
    return made


def load_teacher(table: Teacher, input_shape: tuple[int, ...], classes: int, name: str = "teacher") -> nn.Module:
    """Build the teacher of a recipe and, where it has a checkpoint, load that.

    Args:
        input_shape: (C, H, W) of one model input.
        classes: how many classes the student has; with ``table.classes`` the teacher may know more.
        name: of several, for errors.

    Raises:
        RecipeError: the checkpoint is missing, unreadable, or of another shape; names the first tensor that differs.
    """
    own = classes if table.classes is None else max(classes, *(c + 1 for c in table.classes))
    module = build(table.model, f"{name}.model", input_shape, own)
    if table.classes is not None and len(table.classes) != classes:
        raise RecipeError(
            "one teacher class for each of ours is needed",
            where=f"{name}.classes",
            found=len(table.classes),
            allowed=str(classes),
        )
    if table.checkpoint is not None:
        where = f"{name}.checkpoint: {Path(table.checkpoint).name}"
        state = read_checkpoint(Path(table.checkpoint), table.state_key, table.strip_prefix, name)
        if table.classes is not None and (more := _classes_of(bare(module), state, own)):
            module = build(table.model, f"{name}.model", input_shape, more)
        _check_state(bare(module), state, where)
        bare(module).load_state_dict(state)
    return wrap(module, table)


def _classes_of(module: nn.Module, state: Mapping[str, Tensor], classes: int) -> int | None:
    """How many classes a checkpoint has, where its head alone is larger than the module's."""
    wanted = module.state_dict()
    odd = [(wanted[n].shape, t.shape) for n, t in state.items() if n in wanted and wanted[n].shape != t.shape]
    rows = {theirs[0] for ours, theirs in odd if ours[:1] == (classes,) and ours[1:] == theirs[1:]}
    return rows.pop() if len(rows) == 1 and all(ours[1:] == theirs[1:] for ours, theirs in odd) else None


def wrap(module: nn.Module, table: Teacher) -> nn.Module:
    """The module with its outputs picked as the recipe says."""
    return Logits(module, table.output, table.classes)


def read_checkpoint(
    path: Path, state_key: str | None, strip_prefix: str | None, name: str = "teacher"
) -> dict[str, Tensor]:
    """The state_dict in a safetensors file, or in a pickle read with ``weights_only`` and nothing else."""
    where = f"{name}.checkpoint: {path.name}"
    if not path.is_file():
        raise RecipeError("no such file", where=f"{name}.checkpoint", found=str(path))
    found = _read(path, where)
    for part in state_key.split(".") if state_key else []:
        if not isinstance(found, Mapping) or part not in found:
            keys = [str(k) for k in found] if isinstance(found, Mapping) else []
            raise RecipeError("no such key in the checkpoint", where=f"{name}.state_key", found=part, allowed=keys[:20])
        found = found[part]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        keys = [str(k) for k in found][:20] if isinstance(found, Mapping) else []
        raise RecipeError("not a state_dict; name the key that holds it", where=f"{name}.state_key", allowed=keys)
    prefix = strip_prefix or ""
    return {str(key).removeprefix(prefix): value for key, value in found.items()}


def _read(path: Path, where: str) -> Any:
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as err:
            raise RecipeError(f"not a safetensors file ({err})", where=where) from err
    try:
        with quiet():
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        raise RecipeError(
            "holds more than weights, and other pickles are never run",
            where=where,
            hint="save its state_dict, best as safetensors",
        ) from err
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as err:
        raise RecipeError(f"can't be read ({str(err).splitlines()[0]})", where=where) from err


def _check_state(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    wanted = module.state_dict()
    for name, tensor in wanted.items():
        if name not in state:
            raise RecipeError(f"the checkpoint lacks {name!r}", where=where, found=name, allowed=list(state)[:200])
        if state[name].shape != tensor.shape:
            raise RecipeError(
                f"{name!r} has another shape",
                where=where,
                found=tuple(state[name].shape),
                allowed=str(tuple(tensor.shape)),
            )
    for name in state:
        if name not in wanted:
            raise RecipeError("the model has no such tensor", where=where, found=name, allowed=list(wanted)[:200])


def _pick(given: Any, output: str | int | None) -> Tensor:
    if isinstance(given, Tensor):
        return given
    named = "logits" in given if isinstance(given, Mapping) else hasattr(given, "logits")
    if isinstance(output, str) or (output is None and named):
        name = output or "logits"
        found = given.get(name) if isinstance(given, Mapping) else getattr(given, str(name), None)
    elif isinstance(given, list | tuple) and (output or 0) < len(given):
        found = given[output or 0]
    elif isinstance(given, Mapping):
        found = next(iter(given.values()), None) if output is None else None
    else:
        found = None
    if not isinstance(found, Tensor):
        names = (
            list(given) if isinstance(given, Mapping) else range(len(given)) if isinstance(given, list | tuple) else []
        )
        raise RecipeError(
            "the teacher has no such output", where="teacher.output", found=output, allowed=[str(n) for n in names]
        )
    return found
