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
    normalized, mean, variance, count = _Normalized.apply(x, gamma, beta, eps)
    with torch.no_grad():
        for running, value in ((running_mean, mean), (running_var, variance * (count / (count - 1)))):
            if running is not None:
                running.mul_(1 - momentum).add_(value.to(running.dtype), alpha=momentum)
    output: Tensor = normalized.to(input.dtype)
    return output


class _Normalized(torch.autograd.Function):
    """Each channel's mean and variance over all ranks' rows, of the sums of each rank's, and the result."""

    @staticmethod
    def forward(
        ctx: Untyped, x: Tensor, gamma: Tensor, beta: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        channels = x.shape[1]
        mean, variance = torch.ops.aten.batch_norm_update_stats(x, None, None, 0.0)  # four times as fast as var_mean
        mean = mean.double()  # in which sums of squares lose nothing that float32 has
        parts = torch.cat([mean, mean.square().add_(variance), mean.new_ones(1)]).mul_(x.numel() // channels)
        mean, square, count = ranks.summed(parts).split([channels, channels, 1])
        mean, square = mean / count, square / count
        mean, variance = mean.float(), square.sub_(mean.square()).clamp_min_(0).float()
        ctx.save_for_backward(x, gamma, mean, variance, count)
        ctx.eps = eps
        result = torch.batch_norm(x, gamma, beta, mean, variance, False, 0.0, eps, False)
        ctx.mark_non_differentiable(mean, variance, rows := count.float())
        return result, mean, variance, rows

    @staticmethod
    def backward(ctx: Untyped, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, mean, variance, count = ctx.saved_tensors
        inverse = (variance + ctx.eps).rsqrt()
        # In the order of x in memory: kernels that find two orders go through them element by element.
        last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
        grad = grads[0].contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        wanted = (False, True, True)
        of_gamma, of_beta = torch.ops.aten.native_batch_norm_backward(
            grad, x, gamma, None, None, mean, inverse, True, ctx.eps, wanted
        )[1:]
        sums = ranks.summed(torch.cat([of_gamma, of_beta])) / count.float()
        factor = gamma * inverse
        along, shift = sums.split(len(gamma))
        # (grad - normalized x * along - shift) * factor: the kernel that normalizes also scales and shifts.
        part = torch.batch_norm(x, -along * factor, -shift * factor, mean, variance, False, 0.0, ctx.eps, False)
        return part.addcmul_(grad, factor.reshape(1, -1, *[1] * (x.ndim - 2))), of_gamma, of_beta, None
