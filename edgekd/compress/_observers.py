"""Fake quantization whose range is found by calibration in fixed memory, and then moves on with the training.

Ranges: ``min_max`` is all that was seen; ``percentile`` leaves the outermost numbers out; ``mse`` is the range whose
rounding has the least squared error (Nagel et al. 2021, arXiv:2106.08295, section 3.1).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from edgekd.compress._histogram import CANDIDATES, LEAST, Histogram
from edgekd.learn import global_batch
from edgekd.learn.quiet import quiet

with quiet():
    from torchao.quantization.pt2e import FakeQuantizeBase

KINDS = ("moving_average", "min_max", "percentile", "mse")
STEP_SIZES = ("observed", "learned")
RATE = 0.01  # at which a range follows the batches of a training
# A range whose shorter side is at least so much of the longer one has its zero in the middle: OpenVINO's kernels then
# skip the work on zero points (normalisations and products 1.02 to 1.08 times as fast, convolutions at most 1.005), and
# a step grows by 60 % at most.
BALANCED = 0.25
PER_CHANNEL = (torch.per_channel_symmetric, torch.per_channel_affine)
SYMMETRIC = (torch.per_tensor_symmetric, torch.per_channel_symmetric)


class Rounding(FakeQuantizeBase):
    """Rounds to int8 and back, by a range.

    While it calibrates it counts what it sees, and passes it on. ``settle`` chooses the range. In a training the range
    keeps its proportion to the moving average of what each batch holds (weights: to what they are); learned step
    sizes are parameters instead.

    Args:
        ranges: one of ``KINDS``.
        percent: of ``percentile``, 50..100.
        learned: whether the step size is a parameter.
        constant: whether it sees weights, which are the same in every batch.
        middle: uint8 ranges of both signs have their zero at 128; those of one sign begin at zero.
        eps: the least step size.
    """

    scale: Tensor
    zero_point: Tensor
    low: Tensor
    high: Tensor
    share: Tensor

    def __init__(
        self,
        ranges: str,
        percent: float,
        learned: bool,
        constant: bool,
        middle: bool,
        eps: float,
        dtype: torch.dtype,
        quant_min: int,
        quant_max: int,
        qscheme: torch.qscheme,
        **_: object,
    ) -> None:
        super().__init__()
        self.ranges, self.percent, self.learned, self.constant, self.middle = ranges, percent, learned, constant, middle
        self.eps, self.dtype, self.quant_min, self.quant_max, self.qscheme = eps, dtype, quant_min, quant_max, qscheme
        self.is_dynamic, self.ch_axis, self.per_channel = False, 0, qscheme in PER_CHANNEL
        self.register_buffer("scale", torch.ones(1))
        self.register_buffer("zero_point", torch.zeros(1, dtype=torch.int32))
        self.register_buffer("low", torch.zeros(1))
        self.register_buffer("high", torch.zeros(1))
        self.register_buffer("share", torch.ones(2, 1))  # of the range in what is seen, below and above zero
        self.register_parameter("log_step", None)
        self.histogram: Histogram | None = None
        self.settled = self.begun = False

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        if not self.settled:
            self._watch(x.detach())
            return x
        if self.log_step is None and int(self.observer_enabled):
            self._follow(x.detach())
            self._set(self.low * self.share[0], self.high * self.share[1])
        if not int(self.fake_quant_enabled):
            return x
        low, high = self.quant_min, self.quant_max
        if self.log_step is not None and torch.is_grad_enabled():
            return self._learning(x, self.log_step)
        scale = self.calculate_qparams()[0]
        if self.per_channel:
            return torch.fake_quantize_per_channel_affine(x, scale, self.zero_point, 0, low, high)
        if x.is_cuda:
            return torch.fake_quantize_per_tensor_affine(x, scale, self.zero_point, low, high)
        return _Rounded.apply(x, float(scale), float(self.zero_point), low, high)

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """(scale, zero point): (1,), or (C,) where each channel has its own."""
        if self.log_step is None:
            return self.scale, self.zero_point
        return torch.exp(self.log_step.detach()), self.zero_point

    def set_rows(self, scale: Tensor) -> None:
        """Give each row of a weight matrix a scale, from now on; for good."""
        self.scale, self.zero_point = scale.float(), torch.zeros(len(scale), dtype=torch.int32)
        self.qscheme, self.per_channel = torch.per_channel_symmetric, True
        self.register_parameter("log_step", None)

    def settle(self) -> None:
        """Choose the range from what was counted, which is then forgotten."""
        if self.settled or not self.begun:
            return
        low, high = self._chosen()
        self.share = torch.stack([_ratio(low, self.low), _ratio(high, self.high)])
        self._set(low, high)
        self.histogram, self.settled = None, True
        if self.learned:
            self.log_step = nn.Parameter(torch.log(self.scale))

    def _watch(self, x: Tensor) -> None:
        if self.constant:
            self.weights = x
        elif self.ranges != "moving_average":
            self.histogram = self.histogram or Histogram()
            self.histogram.add(x)
        self._follow(x)

    def _follow(self, x: Tensor) -> None:
        if self.per_channel:
            low, high = torch.aminmax(x.reshape(x.shape[0], -1), dim=1)
        else:
            low, high = x.amin().reshape(1).float(), x.amax().reshape(1).float()
        if not self.constant:
            low, high = global_batch.widest(low, high)
        low, high = low.clamp(max=0), high.clamp(min=0)
        if self.begun and not self.constant:
            low, high = self.low + RATE * (low - self.low), self.high + RATE * (high - self.high)
        self.low, self.high, self.begun = low, high, True

    def _chosen(self) -> tuple[Tensor, Tensor]:
        if self.constant:
            weights, self.weights = self.weights, torch.empty(0)
            return self._of_weights(weights.reshape(len(self.low), -1))
        if self.histogram is None or self.histogram.exponent is None:
            return self.low, self.high
        if self.ranges == "percentile":
            low, high = self.histogram.percentile(self.percent)
        elif self.ranges == "mse":
            low, high = self.histogram.least_error(self.grid, self.quant_min, self.quant_max)
        else:
            low, high = self.histogram.low, self.histogram.high
        return torch.tensor([min(low, 0.0)]), torch.tensor([max(high, 0.0)])

    def _of_weights(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Of (C, n) weights each row's range: percentiles need more numbers than a row has, and leave it whole."""
        if self.ranges != "mse":
            return self.low, self.high
        best, share = torch.full((len(rows),), math.inf), torch.ones(len(rows))
        for part in torch.linspace(1.0, LEAST, CANDIDATES).tolist():
            scale, zero = (v.unsqueeze(1) for v in self.grid(self.low * part, self.high * part))
            rounded = torch.clamp(torch.round(rows / scale) + zero, self.quant_min, self.quant_max)
            error = ((rounded - zero) * scale - rows).square().sum(dim=1)
            share, best = torch.where(error < best, part, share), torch.minimum(error, best)
        return self.low * share, self.high * share

    def _set(self, low: Tensor, high: Tensor) -> None:
        scale, zero = self.grid(low, high)
        self.scale, self.zero_point = scale.float(), zero.to(torch.int32)

    def grid(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """(K,) scales and zero points of the ranges from ``low`` <= 0 to ``high`` >= 0."""
        least, most = self.quant_min, self.quant_max
        zero = torch.zeros_like(low)
        if self.middle:
            both = (low < 0) & (high > 0)
            scale = torch.where(both, torch.maximum(-low / 128, high / 127), (high - low) / 255)
            zero = torch.where(both, 128.0, torch.where(low < 0, 255.0, 0.0).to(low.dtype))
        elif self.qscheme in SYMMETRIC:
            scale = torch.maximum(-low, high) / ((most - least) / 2)
        else:
            scale = ((high - low) / (most - least)).clamp(min=self.eps)
            zero = torch.clamp(least - torch.round(low / scale), least, most)
            middle = (least + most + 1) // 2
            level = (high > 0) & (torch.minimum(-low, high) >= BALANCED * torch.maximum(-low, high))
            even = torch.maximum(-low / (middle - least), high / (most - middle))
            scale, zero = torch.where(level, even, scale), torch.where(level, float(middle), zero)
        return scale.clamp(min=self.eps), zero

    def _learning(self, x: Tensor, log_step: Tensor) -> Tensor:
        """With the gradients of learned step size quantization (Esser et al. 2020, arXiv:1902.08153, section 2).

        That of the step size is scaled by g = 1 / sqrt(n q), where n numbers of a sample share the step and q is the
        highest step. The parameter is the logarithm: a step size stays positive, and Adam moves it in proportion.
        """
        scale = _Exp.apply(log_step)
        number = x[0].numel()  # of a sample; of a weight tensor: of an output channel
        if self.constant and not self.per_channel:
            number = x.numel()
        top = max(self.quant_max - int(self.zero_point[0]), int(self.zero_point[0]) - self.quant_min)
        factor = 1 / math.sqrt(number * top)
        zero, low, high = self.zero_point.float(), self.quant_min, self.quant_max
        if self.per_channel:
            return torch._fake_quantize_learnable_per_channel_affine(x, scale, zero, 0, low, high, factor)
        return torch._fake_quantize_learnable_per_tensor_affine(x, scale, zero, low, high, factor)


class _Rounded(torch.autograd.Function):
    """``fake_quantize_per_tensor_affine`` to the bit, in plain passes: a CPU vectorizes these.

    The gradient goes through where nothing was cut off.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, zero: float, low: int, high: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.ends = (low - zero - 0.5) * scale, (high - zero + 0.5) * scale
        inverse = float(torch.tensor(1.0) / torch.tensor(scale))
        return (x.float() * inverse).round_().clamp_(low - zero, high - zero).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(grads[0], x, *ctx.ends), None, None, None, None


class _Exp(torch.autograd.Function):
    """exp whose gradient is divided by its value, so that a plain step changes exp(p) as it would change a parameter.

    With s = exp(p), p - r (ds / s) gives s - r ds to the first order.
    """

    @staticmethod
    def forward(ctx: Any, p: Tensor) -> Tensor:
        s = torch.exp(p)
        ctx.save_for_backward(s)
        return s

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (s,) = ctx.saved_tensors
        return grads[0] / s


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole != 0, part / torch.where(whole != 0, whole, 1.0), 1.0)
