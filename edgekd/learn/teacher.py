"""A teacher: trained here, or the user's own with a checkpoint that is only read; and a student's own checkpoint."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from edgekd.base import plugins, watch
from edgekd.base.errors import FactoryError, RecipeError
from edgekd.base.preprocess import Ops
from edgekd.learn import outputs, weights
from edgekd.learn.calls import Call
from edgekd.learn.data import Pipeline
from edgekd.learn.flat import FlatScores, Form, in_words
from edgekd.learn.models import Family, HeadsFamily
from edgekd.learn.rescaled import Rescaled
from edgekd.learn.student import as_float32, as_logits
from edgekd.spec.recipe import StudentTable, Teacher
from edgekd.tasks import Heads


class PickedOutput(nn.Module):
    """Picks the logits out of what a teacher returns, and our classes out of the logits.

    Args:
        module: returns a tensor, a tuple, a dict, or an object with named fields (such as ``.logits``).
        output: which one holds the logits: an index or a name; None: they are found, see ``outputs.logits``.
        classes: for each of our classes, the index of the teacher's.
        around: how many numbers of a sample's row have one class before the classes are counted on, and behind: the
            sizes before and behind the axis of the classes, (1, 1) of one answer a sample.

    Attributes:
        probabilities: what makes its answers probabilities, ``softmax`` or ``sigmoid``; "": they are none.
        columns: how many scores a sample has, where that is known; it tells them from other outputs.
        points: they are x and y of points.
        where: whose it is, and ``allowed``: what it may return, for errors.
    """

    def __init__(
        self,
        module: nn.Module,
        output: str | int | None = None,
        classes: tuple[int, ...] | None = None,
        around: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        self.module, self.probabilities = module, ""
        self.columns: int | None = None
        self.where, self.points, self.allowed = "teacher", False, ""
        self._output = output
        self._classes, self._around = None if classes is None else list(classes), around

    def forward(self, *inputs: Tensor) -> Tensor:
        logits = self.whole(*inputs)
        if self.probabilities:
            logits = as_logits(logits, self.training, self.probabilities)
        logits = as_float32(logits)
        if self._classes is None or logits.ndim < 2:  # whose shape is told by who asks
            return logits
        before, behind = self._around
        has_places = before * behind > 1
        if has_places and (logits.ndim > 2 or logits.shape[1] % (before * behind)):
            return logits
        columns = logits.shape[1] // (before * behind)
        if max(self._classes) >= columns:
            raise RecipeError(
                "the teacher has no such class",
                where="teacher.classes",
                found=max(self._classes),
                allowed=f"0..{columns - 1}, its columns",
            )
        if has_places:
            return logits.unflatten(1, (before, columns, behind))[:, :, self._classes].flatten(1)
        return logits[:, self._classes]

    def expect(self, columns: int, where: str, heads: Heads | None = None) -> None:
        """What is known of the scores from now on: how many there are, where classes are not picked, whose they are,
        and of which outputs.
        """
        self.columns, self.where = columns if self._classes is None else None, where
        if heads is not None:
            self.points = len(heads) == 1 and all(task.geometry == "points" for task in heads.tasks.values())
            self.allowed = in_words(heads) if len(heads) > 1 else ""

    def whole(self, *inputs: Tensor) -> Tensor:
        """What the network says of all its classes, as it says it: (N, columns)."""
        return self.row(self.pick(self.returned(*inputs)))

    def row(self, scores: Tensor) -> Tensor:
        """See ``outputs.row``."""
        return outputs.row(scores, self.columns, self.points)

    def returned(self, *inputs: Tensor) -> object:
        """All that the network returns."""
        return self.module(*inputs)

    def pick(self, given: object) -> Tensor:
        """The scores of all classes among what the network returned."""
        if isinstance(given, Tensor):
            return given
        if self._output is None:
            leaf = outputs.logits(given, self.columns, self.where, points=self.points, allowed=self.allowed)
            return leaf.tensor
        return _named(given, self._output)


def bare(module: nn.Module) -> nn.Module:
    """The network itself, without the wrappers that pick its outputs, scale them and call its arguments by name."""
    while isinstance(module, PickedOutput | Call | FlatScores | Rescaled):
        module = module.module
    return module


def build(
    model: Mapping[str, Any], where: str, input_shape: tuple[int, ...], classes: int, form: Form | None = None
) -> nn.Module:
    """An untrained network from a recipe's ``model`` table.

    Args:
        form: what it has to answer, where that are not ``classes`` scores in a row.

    Raises:
        RecipeError: the family does not know the table's keys, can't read such inputs, or has no such answers.
    """
    family = plugins.build("models", model, where)
    try:
        with watch.watching(model["kind"]) if ":" in model["kind"] else contextlib.nullcontext():
            if form is None or (form.is_flat and not isinstance(family, HeadsFamily)):
                module = plugins.call_user(family.build, where, input_shape, classes)
            elif isinstance(family, HeadsFamily):
                module = plugins.call_user(family.build_heads, where, input_shape, form.heads)
            else:
                module = _of_users(family, model, where, input_shape, form.heads)
    except ValueError as err:  # of a built-in family
        raise RecipeError(
            f"can't be built for inputs of {input_shape}: {err}", where=where, found=model["kind"]
        ) from err
    if not isinstance(module, nn.Module):
        raise FactoryError("gave no nn.Module", where=where, found=type(module).__name__)
    return module if form is None else form.flat(module, isinstance(family, HeadsFamily))


def _of_users(
    family: Family, model: Mapping[str, object], where: str, input_shape: tuple[int, ...], heads: Heads
) -> nn.Module:
    """A network of a user's own with an answer at each place, which knows its shape but for the number of names."""
    if model["kind"] != "python" and ":" not in str(model["kind"]):
        task = type(next(iter(heads.tasks.values()))).__name__
        have = [kind for kind in plugins.kinds("models") if hasattr(plugins.load("models", kind, where), "build_heads")]
        allowed = f"{', '.join(have)}, which read other samples each; or a network of your own"
        raise RecipeError(f"has no answers for {task}", where=f"{where}.kind", found=model["kind"], allowed=allowed)
    names = max(where.stop for where in heads.name_columns.values())
    module: nn.Module = plugins.call_user(family.build, where, input_shape, names)
    return module


def load_teacher(
    table: Teacher, input_shape: tuple[int, ...], classes: int, name: str = "teacher", form: Form | None = None
) -> nn.Module:
    """Build the teacher of a recipe and, where it has a checkpoint, load that.

    Args:
        input_shape: (C, H, W) of one model input.
        classes: how many classes the student has; with ``table.classes`` the teacher may know more.
        name: of several, for errors.
        form: see ``build``.

    Raises:
        RecipeError: the checkpoint is missing, unreadable, or of another shape; names the first tensor that differs.
    """
    teacher_classes = classes if table.classes is None else max(classes, *(c + 1 for c in table.classes))
    module = build(table.model, f"{name}.model", input_shape, teacher_classes, form)
    check_classes(table, classes, name, None if form is None else form.heads)
    if table.checkpoint is not None:
        state, where = _state(table, table.checkpoint, module, name)
        if table.classes is not None and (more := _classes_of(bare(module), state, teacher_classes)):
            module = build(table.model, f"{name}.model", input_shape, more, form)
        weights.load(bare(module), state, where)
    return wrap(module, table, classes, name, None if form is None else form.heads)


def load_student(
    table: StudentTable, input_shape: tuple[int, ...], classes: int, form: Form | None = None
) -> nn.Module:
    """Build the student of a recipe that has a model of its own and, where it has a checkpoint, load that.

    Args:
        input_shape: of one model input; classes: of all heads together; form: see ``build``.

    Raises:
        RecipeError: as ``load_teacher``.
    """
    module = build(table.model or {}, "student.model", input_shape, classes, form)
    if table.checkpoint is not None:
        weights.load(bare(module), *_state(table, table.checkpoint, module, "student"))
    return module


def _state(table: Teacher | StudentTable, file: str, module: nn.Module, name: str) -> tuple[weights.State, str]:
    """Of a checkpoint's tensors those that a network's table means, and where they stand, for errors."""
    where = f"{name}.checkpoint: {Path(file).name}"
    weights.check_state(bare(module), name)
    state = weights.read(Path(file), table.state_key, name)
    return weights.chosen(state, table.strip_prefix, bare(module).state_dict(), where), where


def check_classes(table: Teacher, classes: int, name: str, heads: Heads | None = None) -> None:
    """Where the recipe says for our classes which the teacher's are, it says it of each; ``heads``: what these are of.

    Raises:
        RecipeError: of more or fewer than the student has.
    """
    before, behind = _around(heads)
    classes //= before * behind
    if table.classes is not None and len(table.classes) != classes:
        raise RecipeError(
            "one teacher class for each of ours is needed",
            where=f"{name}.classes",
            found=len(table.classes),
            allowed=str(classes),
        )


def preprocess_of(
    table: Teacher, shape: tuple[int, ...], dtype: str, name: str, ops: Ops = (), *, learned: bool = False
) -> tuple[Pipeline | None, str]:
    """The preprocessing of a teacher's own, and a note on it: the recipe's, else what its weights were trained with.

    Args:
        shape, dtype: of one raw sample.
        ops: the data's.
        learned: texts are read by a vocabulary that was learned from them, which no other network knows.

    Returns:
        None where it is the data's.
    """
    if ops and ops[-1]["op"] == "wordpiece" and table.preprocess is None and table.model.get("folder"):
        tokens = getattr(plugins.build("models", table.model, f"{name}.model"), "tokens", None)
        return (None, "") if tokens is None else tokens(ops[-1], f"{name}.model.folder", learned)
    users = table.model.get("kind") == "python" or ":" in str(table.model.get("kind"))
    has_weights = table.checkpoint is not None or table.model.get("folder")
    if table.preprocess is not None or not has_weights or users or dtype != "uint8" or len(shape) != 3:
        return table.preprocess, ""
    read = getattr(plugins.build("models", table.model, f"{name}.model"), "preprocess", None)
    return (None, "") if read is None else read(shape)


def _classes_of(module: nn.Module, state: Mapping[str, Tensor], classes: int) -> int | None:
    """How many classes a checkpoint has, where its head alone is larger than the module's."""
    wanted = module.state_dict()
    known = {n: wanted[n].shape for n in state.keys() & wanted.keys() if not is_lazy(wanted[n])}
    odd = [(known[n], t.shape) for n, t in state.items() if n in known and known[n] != t.shape]
    rows = {theirs[0] for ours, theirs in odd if ours[:1] == (classes,) and ours[1:] == theirs[1:]}
    return rows.pop() if len(rows) == 1 and all(ours[1:] == theirs[1:] for ours, theirs in odd) else None


def wrap(
    module: nn.Module,
    table: Teacher,
    classes: int | None = None,
    name: str = "teacher",
    heads: Heads | None = None,
) -> nn.Module:
    """The module with its outputs picked as the recipe says; ``classes``: how many the student has, of ``heads``."""
    picked = PickedOutput(module, table.output, table.classes, _around(heads))
    if classes is not None:
        picked.expect(classes, name, heads)
    return picked


def _around(heads: Heads | None) -> tuple[int, int]:
    """See ``PickedOutput``; of several outputs side by side (1, 1)."""
    if heads is None or len(heads) > 1 or not heads.dense:
        return 1, 1
    ((name, shape),) = heads.shapes.items()
    axis = heads.tasks[name].axis
    return math.prod(shape[:axis]), math.prod(shape[axis + 1 :])


def _named(given: object, output: str | int) -> Tensor:
    """The output that a recipe names."""
    parts = outputs.fields(given)
    if parts is None:
        kind = f"{type(given).__module__}.{type(given).__qualname__}".removeprefix("builtins.")
        raise RecipeError("its forward gives no tensor", where="teacher", found=kind, allowed=outputs.CONTAINERS)
    picked = (
        list(parts.values())[output]
        if isinstance(output, int) and -len(parts) <= output < len(parts)
        else parts.get(output)
    )
    if not isinstance(picked, Tensor):
        allowed = [str(name) for name in parts]
        raise RecipeError("the teacher has no such output", where="teacher.output", found=output, allowed=allowed)
    return picked
