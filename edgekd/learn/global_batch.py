"""One batch over several ranks: each has its rows of it, and what looks at a whole batch sees the whole one.

A rank runs the network on its rows. Every loss is computed of all rows, on every rank: so that losses that compare
samples with each other, weights of classes and samples without a label mean what they mean in one process. Its gradient
goes back through a rank's own rows, and the parameters' gradients are summed. BatchNorm's statistics and the observers'
ranges are of all rows as well. What differs from one process is the order of additions.

``DistributedDataParallel`` averages losses of shares instead, leaves BatchNorm and ranges to each rank, and wants to
know which parameters get no gradient; ``SyncBatchNorm`` takes no CPU tensors, and an exported graph holds none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from edgekd.learn import ranks

Untyped = Any  # what torch hands over
Operator = Callable[..., Tensor]
_total: int | None = None  # rows of the batch that is shared just now


def rows_of(total: int) -> slice:
    """This rank's rows of a batch of so many. A batch with fewer rows than there are ranks is everybody's, whole."""
    return slice(*ranks.share(total)) if total >= ranks.count() else slice(0, total)


@contextmanager
def shared(total: int) -> Iterator[bool]:
    """A batch of so many rows, of which ``rows_of`` are this rank's; False: all of them are."""
    global _total
    _total = total if 1 < ranks.count() <= total else None
    try:
        yield _total is not None
    finally:
        _total = None


@contextmanager
def network(seed: Sequence[int]) -> Iterator[None]:
    """Inside, a network in training mode runs on this rank's rows: BatchNorm reads all of them.

    Args:
        seed: of the step. Each rank drops other units; a loss draws the same numbers on all.
    """
    if _total is None:
        yield
        return
    with torch.random.fork_rng(devices=[]), _SharedBatchNorm():
        torch.manual_seed(hash((*seed, ranks.number())) % 2**63)
        yield


def gathered(mine: Tensor) -> Tensor:
    """(N, ...) all rows, of (n, ...), this rank's: gradients go back to these."""
    if _total is None:
        return mine
    whole: Tensor = _Gathered.apply(mine, rows_of(_total), _total)
    return whole


def widest(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest over all rows, of those over this rank's."""
    if _total is None:
        return low, high
    ends = ranks.largest(torch.cat([-low, high]))
    return -ends[: len(low)], ends[len(low) :]


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sum what each rank's rows say of the parameters; one that no rank has a gradient of keeps none."""
    trained = [p for p in parameters if p.requires_grad]
    known = torch.tensor([float(p.grad is not None) for p in trained], device=trained[0].device)
    parts = [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1).float() for p in trained]
    whole = ranks.summed(torch.cat([known, *parts]))
    sums = whole[len(trained) :].split([p.numel() for p in trained])
    for parameter, total, somewhere in zip(trained, sums, whole[: len(trained)].tolist(), strict=True):
        parameter.grad = total.reshape(parameter.shape).to(parameter.dtype) if somewhere else None


class _Gathered(torch.autograd.Function):
    """See ``gathered``."""

    @staticmethod
    def forward(ctx: Untyped, mine: Tensor, rows: slice, total: int) -> Tensor:
        ctx.rows = rows
        whole = mine.new_zeros(total, *mine.shape[1:])
        whole[rows] = mine
        return ranks.summed(whole)

    @staticmethod
    def backward(ctx: Untyped, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0][ctx.rows], None, None


class _SharedBatchNorm(TorchFunctionMode):
    """BatchNorm in training mode, as a module, a function or an operator of an exported graph."""

    def __torch_function__(
        self,
        func: Operator,
        types: object,
        args: Sequence[Untyped] = (),
        kwargs: dict[str, Untyped] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if func is functional.batch_norm:
            return _function(*args, **kwargs)
        if func in (torch.batch_norm, torch.ops.aten.batch_norm.default, torch.ops.aten.batch_norm):
            return _operator(*args, **kwargs)
        return func(*args, **kwargs)


def _function(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """As ``torch.nn.functional.batch_norm``, whose arguments it has."""
    return _operator(input, weight, bias, running_mean, running_var, training, momentum, eps, True)


def _operator(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """As ``torch.batch_norm``, whose arguments it has."""
    if not training:
        return torch.batch_norm(input, weight, bias, running_mean, running_var, False, momentum, eps, cudnn_enabled)
    x = input.float()
    gamma = x.new_ones(x.shape[1]) if weight is None else weight.float()
    beta = x.new_zeros(x.shape[1]) if bias is None else bias.float()
    normalized, mean, variance = _Normalized.apply(x, gamma, beta, eps)
    with torch.no_grad():
        for running, value in ((running_mean, mean), (running_var, variance)):
            if running is not None:
                running.lerp_(value.to(running.dtype), momentum)
    output: Tensor = normalized.to(input.dtype)
    return output


class _Normalized(torch.autograd.Function):
    """Each channel's mean and unbiased variance over all ranks' rows, of the sums of each rank's, and the result."""

    @staticmethod
    def forward(ctx: Untyped, x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        channels = x.shape[1]
        # Four times as fast as var_mean.
        mean, variance = map(_numbers, torch.ops.aten.batch_norm_update_stats(x, None, None, 0.0))
        sums = x.new_empty(2 * channels + 1, dtype=torch.float64)  # of squares, which lose nothing that float32 has
        mine = _numbers(sums)
        mine[:channels] = mean
        mine[channels:-1] = mine[:channels] ** 2 + variance
        mine[-1] = 1
        mine *= x.numel() // channels
        whole = _numbers(ranks.summed(sums))
        ctx.count = count = whole[-1]
        ctx.mean = mean = whole[:channels] / count
        variance = (whole[channels:-1] / count - mean**2).clip(0)
        ctx.inverse = inverse = (variance + eps) ** -0.5
        factor = _numbers(gamma) * inverse
        result = _scaled(x, factor, _numbers(beta) - mean * factor)
        unbiased = variance * (count / (count - 1))
        statistics = _tensor(mean), _tensor(unbiased)
        ctx.save_for_backward(x, gamma)
        ctx.mark_non_differentiable(*statistics)
        return result, *statistics

    @staticmethod
    def backward(ctx: Untyped, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma = ctx.saved_tensors
        mean, inverse = ctx.mean, ctx.inverse
        # In the order of x in memory: kernels that find two orders go through them element by element.
        grad = grads[0].contiguous(memory_format=torch.channels_last if _is_last(x) else torch.contiguous_format)
        of_gamma, of_beta = torch.ops.aten.native_batch_norm_backward(
            grad, x, gamma, None, None, _tensor(mean), _tensor(inverse), True, 0.0, (False, True, True)
        )[1:]
        factor = _numbers(gamma) * inverse
        sums = _numbers(ranks.summed(torch.cat([of_gamma, of_beta]))).reshape(2, -1)
        along, shift = sums * (-factor / ctx.count)
        # (grad - normalized x * along - shift) * factor, in two passes.
        part = _scaled(x, along * inverse, shift - along * inverse * mean)
        return part.addcmul_(grad, _along(factor, x)), of_gamma, of_beta, None


def _scaled(x: Tensor, factor: Untyped, shift: Untyped) -> Tensor:
    """Each channel times a number, and a number added: in half the time of ``torch.batch_norm`` where it can be."""
    if _is_last(x):
        return torch.addcmul(_along(shift, x), x, _along(factor, x))
    zeros, ones = x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])
    return torch.batch_norm(x, _tensor(factor), _tensor(shift), zeros, ones, False, 0.0, 0.0, False)


def _is_last(x: Tensor) -> bool:
    """Whether a sample's channels of one place lie side by side."""
    return x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)


def _along(few: Untyped, x: Tensor) -> Tensor:
    """A number a channel, as it multiplies x."""
    return _tensor(few).reshape(1, -1, *[1] * (x.ndim - 2))


def _numbers(few: Tensor) -> Untyped:
    """As an array of numpy, where it can be: each operation on so few takes 1 us there, and 5 as tensors."""
    return few.detach().numpy() if few.device.type == "cpu" else few.detach()


def _tensor(few: Untyped) -> Tensor:
    """In float32, of what ``_numbers`` gave."""
    return torch.from_numpy(few.astype(np.float32)) if isinstance(few, np.ndarray) else few.float()
