"""A user's network made fit for a build: copied, in float32, its constants in view, its answers as logits.

Networks come as people have them: with the last batch's features kept, in half precision, with a softmax at the end.
None of that is a reason to fail, or to train something else than what was meant; what is changed is told.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import FactoryError, RecipeError
from edgekd.learn import outputs as outputs_
from edgekd.learn import weights
from edgekd.learn.foreign import Foreign
from edgekd.learn.probabilities import IN_LOGITS, ends_in
from edgekd.learn.student import SplitHeads, evaluated
from edgekd.learn.teacher import PickedOutput, bare
from edgekd.tasks import Heads

Tensors = tuple[Tensor, ...]
Note = Callable[[str], None]
SPREAD = (nn.DataParallel, nn.parallel.DistributedDataParallel)  # want their weights on GPUs, and nowhere else
SAME = 1e-3  # of the largest answer: threads and kernels differ by about 1e-6 of it


def copied(module: nn.Module, where: str) -> nn.Module:
    """A copy of a user's network, which is only read.

    Tensors that a forward pass has left in it (features that are kept, weights that a hook computes) hang on a graph
    that can't be copied: their values are. What ``torch.compile`` or ``DataParallel`` wraps is copied without that.

    Raises:
        FactoryError: it can't be copied; names the attribute.
    """
    module = unwrapped(module)
    memo: dict[int, object] = {
        id(tensor): tensor.detach().clone()
        for part in module.modules()
        for tensor in _tensors(list(vars(part).values()))
        if tensor.grad_fn is not None
    }
    for buffer in module.buffers():
        if isinstance(buffer, UninitializedBuffer):  # torch copies parameters without a size, and no such buffers
            of: dict[str, object] = {"device": buffer.device, "dtype": buffer.dtype}
            memo[id(buffer)] = UninitializedBuffer(buffer.requires_grad, **of)  # type: ignore[arg-type]
    try:
        with torch.no_grad():  # TorchScript clones its parameters
            duplicate: nn.Module = plugins.call_user(copy.deepcopy, where, module, memo)
    except FactoryError as err:
        place = next((place for place, value in _attributes(module) if not _copies(value)), None)
        named = "the network" if place is None else f"its attribute {place!r}"
        raise FactoryError(
            f"{named} can't be copied ({err.__cause__})",
            where=where,
            hint="take it off the network, or give a factory that makes it anew",
        ) from err
    return duplicate


def unwrapped(module: nn.Module) -> nn.Module:
    """The network inside of what ``torch.compile`` or ``DataParallel`` made of it."""
    while (inner := getattr(module, "_orig_mod", module.module if isinstance(module, SPREAD) else None)) is not None:
        module = inner
    return module


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[nn.Module]:
    """A network in evaluation mode; its modules' modes are as they were afterwards. Frozen TorchScript has none."""
    modes = {part: part.training for part in module.modules() if hasattr(part, "training")}
    try:
        yield evaluated(module)
    finally:
        for part, mode in modes.items():
            part.training = mode


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's state dict, on the CPU: what trains on leaves it as it is."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def settle(module: nn.Module) -> None:
    """Tensors that a forward pass has left in a network lose the graph they hang on, so that it can be copied."""
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, Tensor | list | tuple | dict) and any(t.grad_fn is not None for t in _tensors(value)):
                vars(part)[name] = _detached(value)


def twin(module: nn.Module) -> nn.Module:
    """A copy of a network, whatever a forward pass has left in it, such as weights that ``nn.utils.prune`` masks."""
    settle(module)
    return copy.deepcopy(module)


def ready(
    module: nn.Module,
    x: Tensors,
    sizes: Sequence[int],
    where: str,
    note: Note,
    link: str = "",
    heads: Heads | None = None,
) -> nn.Module:
    """A network in float32, whose constants move with it, and which answers in logits.

    Args:
        module: changed in place, and wrapped where it ends in a softmax, or returns more than its scores, or these in
            another form than a row a sample.
        x: real samples, as it is given them.
        sizes: how many classes each head has.
        where: whose it is: a step's name.
        note: told what was changed.
        link: what makes probabilities of its answers, see ``tasks.Task``.
        heads: what it has to answer, where that is known.

    Raises:
        FactoryError: what it raises on such samples.
        RecipeError: a parameter is not finite, the state holds more than tensors, or no output can be told to be the
            scores.
    """
    weights.check_state(bare(module), where)
    _no_nested_tensors(module)
    module, returned = _in_float32(module, x, where, note)
    module = _picked(module, returned, sum(sizes), where, heads)
    outputs = returned
    if isinstance(module, PickedOutput):
        scores = module.pick(returned)
        _tell_left_out(returned, scores, where, note)
        outputs = module.row(scores)
    bare_module = bare(module)
    running = {name: b for name, b in bare_module.named_buffers() if name.endswith(("running_mean", "running_var"))}
    weights.check_finite({**dict(bare_module.named_parameters()), **running}, where)
    ask = None if isinstance(bare_module, Foreign) else lambda: _parts(_said(module, x, where))
    if not ends_in(link, outputs, sizes, ask):
        kind = outputs.dtype if isinstance(outputs, Tensor) else torch.float32
        if kind == torch.float32 or not kind.is_floating_point or isinstance(module, PickedOutput | SplitHeads):
            return module
        note(f"the {where} answers in {str(kind).removeprefix('torch.')}: they are made float32, in its file too")
        return PickedOutput(module)
    note(
        f"the {where} ends in a {link}: {IN_LOGITS[link]} of its probabilities counts as its logits, in losses, in the "
        f"file that ships and in predict, so that nothing is {link}ed twice"
    )
    module = module if isinstance(module, PickedOutput | SplitHeads) else PickedOutput(module)
    module.probabilities = link
    return module


def _in_float32(module: nn.Module, x: Tensors, where: str, note: Note) -> tuple[nn.Module, object]:
    """A network in float32, unless its own forward pass casts what it is given, and what it returns."""
    spare = None
    halves = {p.dtype for p in (*module.parameters(), *module.buffers()) if p.dtype in (torch.float16, torch.bfloat16)}
    if halves or any(p.dtype == torch.float64 for p in module.parameters()):
        spare = copied(module, where)
    _constants_in_view(module, x, where, note)
    module.float()
    try:
        returned = _returned(module, x, where)
    except FactoryError:
        if spare is None:
            raise
        return spare, _returned(spare, x, where)
    if halves:
        kinds = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in halves))
        note(f"the {where} holds {kinds} numbers: it is run in float32")
    return module, returned


def _picked(module: nn.Module, returned: object, columns: int, where: str, heads: Heads | None) -> nn.Module:
    """A network that gives no row a sample, or more than that, wrapped so that it does."""
    if isinstance(module, SplitHeads):
        return module
    picked = module if isinstance(module, PickedOutput) else PickedOutput(module)
    picked.expect(columns, where, heads)
    is_row = isinstance(returned, Tensor) and picked.row(returned) is returned
    return module if is_row else picked


def answers(module: nn.Module, x: Tensors, where: str) -> Tensor:
    """(N, K) what a network says in evaluation mode; its modules' modes are as they were afterwards."""
    return torch.cat(tuple(_parts(_said(module, x, where))), dim=1).float()


def check_answers(
    scores: object, where: str, split: str, index: AnyArray | None = None, *, may_miss: bool = False
) -> None:
    """Every number of (N, K) scores is one.

    Args:
        scores: an array or a tensor.
        split: what the samples are of; ``index``: their places in it, absent: 0..N-1.
        may_miss: a row of NaN alone is a sample that has no answer.

    Raises:
        RecipeError: names the first sample that is answered with NaN or an infinity, and says of how many more.
    """
    tensor = torch.as_tensor(scores)
    odd = (~torch.isfinite(tensor)).any(dim=1)
    if may_miss:
        odd &= ~torch.isnan(tensor).all(dim=1)
    bad = odd.nonzero()[:, 0].tolist()
    if bad:
        kind = "NaN" if bool(torch.isnan(tensor[bad[0]]).any()) else "Inf"
        first = bad[0] if index is None else int(index[bad[0]])
        more = f" and {len(bad) - 1} more of {len(tensor)}" if len(bad) > 1 else ""
        raise RecipeError(
            "its answers are not finite",
            where=where,
            found=f"{kind} for sample {first} of {split}{more}",
            allowed="numbers",
            hint="does it divide by 0, take a logarithm of 0, or overflow there?",
        )


def fault(module: nn.Module, state: Mapping[str, Tensor]) -> str | None:
    """Load the weights that a rebuilt network was trained to; in words what does not fit, None where all does."""
    try:
        module.load_state_dict(state)
    except RuntimeError as err:
        lines = [line.strip() for line in str(err).splitlines() if line.strip()]
        return lines[1] if len(lines) > 1 else lines[0]
    return None


def difference(module: nn.Module, x: Tensors, expected: Tensor, where: str) -> str | None:
    """In words how a network's answers differ from those that are known; None where they don't."""
    now = answers(module, x, where)
    limit = SAME * max(float(expected.abs().max()), 1e-3)
    if now.shape == expected.shape and float((now - expected).abs().max()) <= limit:
        return None
    return (
        f"answers of {now.shape}, and {expected.shape} when it was trained"
        if now.shape != expected.shape
        else (f"answers that differ by up to {float((now - expected).abs().max()):.2g}")
    )


def check_trains(module: nn.Module, where: str, note: Note | None = None) -> None:
    """Some parameter of a network that is to be trained does train; that some don't is told.

    Raises:
        RecipeError: none does.
    """
    parameters = list(module.parameters())
    frozen = sum(not p.requires_grad for p in parameters)
    if frozen == len(parameters):
        raise RecipeError(
            "no parameter trains",
            where=where,
            found=f"{frozen} parameters, all with requires_grad = False" if frozen else "no parameters",
            hint="thaw some with requires_grad_(True); a network that is finished goes in as a teacher",
        )
    if frozen and note:
        note(f"of {len(parameters)} parameters of the {where} {frozen} are frozen (requires_grad = False) and stay")


def check_gradient(module: nn.Module, scores: Tensor, where: str) -> None:
    """A gradient of a network's (N, K) scores reaches a parameter that trains.

    Raises:
        RecipeError: it reaches none.
        FactoryError: what the way back through the network raises.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    if scores.is_floating_point() and scores.requires_grad:
        total = scores.float().sum()
        if any(g is not None for g in plugins.call_user(torch.autograd.grad, where, total, trained, allow_unused=True)):
            return
    raise RecipeError(
        "no gradient reaches a parameter",
        where=where,
        hint="does forward run under torch.no_grad or inference_mode, or end in detach, argmax or a constant?",
    )


def _no_nested_tensors(module: nn.Module) -> None:
    """Torch's encoder packs padded sequences, in evaluation alone, into tensors that have no sizes."""
    for part in module.modules():
        if isinstance(part, nn.TransformerEncoder):
            part.use_nested_tensor = part.enable_nested_tensor = False


def _tell_left_out(returned: object, scores: Tensor, where: str, note: Note) -> None:
    """A note on what a network returns beside its scores."""
    every = list(outputs_.leaves(returned))
    others = [leaf for leaf in every if leaf.tensor is not scores]
    taken = next((leaf.name for leaf in every if leaf.tensor is scores), "")
    if others and taken:
        note(f"of what the {where} returns {taken} is taken, and left out: {outputs_.listed(others)}")


def _said(module: nn.Module, x: Tensors, where: str) -> Any:
    """What a network says in evaluation mode, the scores of all its classes where the recipe picks some."""
    returned = _returned(module, x, where)
    return module.row(module.pick(returned)) if isinstance(module, PickedOutput) else returned


def _returned(module: nn.Module, x: Tensors, where: str) -> object:
    """What a network returns in evaluation mode, all of it, before anything is picked."""
    with evaluating(module), torch.no_grad():
        return plugins.call_user(module.returned if isinstance(module, PickedOutput) else module, where, *x)


def _parts(outputs: Any) -> Sequence[Tensor]:
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


def _constants_in_view(module: nn.Module, x: Tensors, where: str, note: Note) -> None:
    """Tensors that a network keeps as plain attributes become buffers: they move and change type as it does.

    What a forward pass writes (features that are kept) is no constant.
    """
    before = dict(_plain(module))
    if not before:
        return
    with contextlib.suppress(FactoryError):  # in half precision it may not run yet
        _said(module, x, where)
    after = dict(_plain(module))
    for (path, name), value in before.items():
        if after.get((path, name)) is not value:
            continue
        if value.requires_grad:
            place = f"{path}.{name}".lstrip(".")
            note(f"{place} of the {where} wants a gradient and is no nn.Parameter: no optimizer sees it, it stays")
        part = module.get_submodule(path)
        delattr(part, name)
        part.register_buffer(name, value.detach(), persistent=False)


def _plain(module: nn.Module) -> Iterator[tuple[tuple[str, str], Tensor]]:
    """The tensors among the plain attributes of a network, by module path and name."""
    for path, part in module.named_modules():
        if not isinstance(part, torch.jit.ScriptModule):
            yield from (((path, name), value) for name, value in vars(part).items() if type(value) is Tensor)


def _tensors(value: Any, depth: int = 4) -> Iterator[Tensor]:
    """The tensors in a value, in lists and tables of it too; not those of modules."""
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, dict | list | tuple | set):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _tensors(inner, depth - 1)


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: _detached(inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_detached(inner) for inner in value)
    return value


def _attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name != "_modules":
                yield f"{path}.{name}".lstrip("."), value


def _copies(value: object) -> bool:
    try:
        plugins.call_user(copy.deepcopy, "", value)
    except FactoryError:
        return False
    return True


class Still(nn.Module):
    """A converted graph, which does not know what training is and refuses to be told."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def train(self, mode: bool = True) -> Still:
        return self

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.module(*inputs)
