"""Factorised layers: a linear layer as two with a narrow middle, a k x k convolution as k x k to the middle and 1 x 1.

From the front to the back, each layer is fitted by least squares to what it gave in the whole network, on the inputs
that the network gives it now, so that errors don't add up (Zhang et al. 2016, arXiv:1505.06798, asymmetric). Of given
rank the best fit is a regression whose fitted values keep their largest components (Izenman 1975, reduced-rank
regression); on white inputs of an unchanged network that is the weights' singular value decomposition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.compress._base import Context
from edgekd.compress._rounding import Wish, spread, told
from edgekd.compress._structure import SAMPLES, Structural, computes_as
from edgekd.learn import embeddings, nets, taps
from edgekd.learn.student import Record, Student, evaluated
from edgekd.learn.teacher import bare

RIDGE = 1e-4  # of the inputs' mean square: pulls towards the old weights where the samples don't say
AT_ONCE = 2**24  # numbers of unfolded inputs


@dataclass(frozen=True)
class LowRank(Structural):
    """Factorise Linear and Conv2d layers where that saves multiply-adds; grouped and shared ones stay as they are.

    Attributes:
        ratio: share of the layers' multiply-adds that stays, 0 < ratio < 1; each rank is a multiple of ``multiple``,
            rounded up in some and down in others, so that the share of all weights together is as asked.
        layers: paths of the layers; absent: all of them.
        multiple: of ranks; 0: the target's ``channel_multiple``.
        samples: of the training data, 1 or more, that the layers are fitted to.
    """

    suffix: ClassVar[str] = "low-rank"
    ratio: float = 0.5
    layers: tuple[str, ...] = ()
    multiple: int = 0
    samples: int = SAMPLES

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise ValueError("ratio: allowed is 0 < ratio < 1")
        if not 0 <= self.multiple <= 1024:
            raise ValueError("multiple: allowed is 0 to 1024")
        if self.samples < 1:
            raise ValueError("samples: allowed is at least 1")

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where a layer is not there, or none would get smaller."""
        known = _factorable(student)
        for path in self.layers:
            if path not in known:
                raise ExportError("no such layer to factorise", where="low_rank.layers", found=path, allowed=known)
        if not self._ranks(student, context):
            shapes = [f"{path}: {' x '.join(map(str, layer.weight.flatten(1).shape))}" for path, layer in known.items()]
            raise ExportError(
                "no layer has fewer multiply-adds at such a rank",
                where="low_rank",
                found=", ".join(shapes)
                or "no linear layer or plain convolution of its own weights that the network calls once",
                allowed=f"a layer to which two of rank {self.multiple or context.channel_multiple} or more are less",
            )

    def apply(self, student: Student, context: Context) -> Student:
        """The student with fitted factors; its record holds their ranks, and the share of its outputs each misses."""
        ranks = self._ranks(student, context)
        whole = evaluated(nets.twin(student.module)).requires_grad_(False)
        module = nets.twin(whole)
        left = {}
        for path, rank in ranks.items():
            fit = _moments(student, whole, module, path, context).fit(rank)
            left[path] = fit.left
            _put(module, path, rank)
            with torch.no_grad():
                _write(_network(module).get_submodule(path), fit)
        layers: dict[str, Any] = {path: _network(whole).get_submodule(path) for path in ranks}
        shapes: dict[str, Any] = {path: layer.weight.flatten(1).shape for path, layer in layers.items()}
        had = {path: outputs * inputs for path, (outputs, inputs) in shapes.items()}
        kept = {path: ranks[path] * (outputs + inputs) for path, (outputs, inputs) in shapes.items()}
        wanted = {path: round(self.ratio * count, 2) for path, count in had.items()}
        summary = {"asked": round(1 - self.ratio, 6), **told("weights", had, kept, wanted, {})}
        record = {"kind": "low_rank", "ranks": ranks, "left": left, **summary}
        factorised = student.with_module(_factorised(student, ranks), record)
        factorised.module.load_state_dict(module.state_dict())
        return factorised

    def replay(self, student: Student, record: Record) -> Student:
        """The same factors, their weights the caller's to load."""
        return student.with_module(_factorised(student, record["ranks"]), record)

    def _ranks(self, student: Student, context: Context) -> dict[str, int]:
        """The rank of each layer that gets smaller by it, in the order in which they run."""
        multiple = self.multiple or context.channel_multiple
        wishes = {}
        for path, layer in _factorable(student).items():
            outputs, inputs = layer.weight.flatten(1).shape
            most = (inputs * outputs - 1) // (inputs + outputs) // multiple * multiple
            if most and (not self.layers or path in self.layers):
                wanted = self.ratio * inputs * outputs / (inputs + outputs)
                wishes[path] = Wish(wanted, multiple, most, multiple, inputs + outputs)
        return dict(zip(wishes, spread(list(wishes.values())), strict=True))


class Factors(nn.Sequential):
    """Two layers in place of one, for code that doesn't call a layer but reads what it holds, too: attention does.

    A hook that does nothing keeps torch's own transformer layers from their fused path, which would multiply with the
    whole matrix.
    """

    def __init__(self, first: nn.Module, last: nn.Module) -> None:
        super().__init__(first, last)
        self.register_forward_pre_hook(_nothing)

    @property
    def weight(self) -> Tensor:
        """The layer's matrix, or its kernels, which the two make together."""
        first, last = _weight(self[0]), _weight(self[1])
        return (last.flatten(1) @ first.flatten(1)).reshape(len(last), *first.shape[1:])

    @property
    def bias(self) -> Tensor | None:
        """The layer's bias."""
        return _bias(self[1])

    def __getattr__(self, name: str) -> Any:
        """``in_features``, ``kernel_size``, ...: of the first, but for what tells of the outputs."""
        if name.startswith("_") or name in ("weight", "bias"):
            return super().__getattr__(name)
        parts = self.__dict__.get("_modules") or {}
        part = parts.get("1" if name.startswith("out_") else "0")
        return super().__getattr__(name) if name in parts or not hasattr(part, name) else getattr(part, name)


def _weight(layer: nn.Module) -> Tensor:
    if isinstance(layer.weight, Tensor):
        return layer.weight
    raise ExportError("a layer without a weight", where="low_rank", found=type(layer).__name__)


def _bias(layer: nn.Module) -> Tensor | None:
    return layer.bias if isinstance(layer.bias, Tensor) else None


def _nothing(layer: nn.Module, args: object) -> None:
    return None


@dataclass(frozen=True)
class Fit:
    """The factors of a layer: (outputs, rank) and (rank, inputs), the bias, and the share of the power not met."""

    outer: Tensor
    inner: Tensor
    bias: Tensor | None
    left: float


@dataclass
class Moments:
    """Sums over everything a layer is given and should give; their size does not grow with the samples.

    Attributes:
        weight: (outputs, inputs) of the layer as it was; ``biased`` whether it adds a bias.
    """

    weight: Tensor
    biased: bool
    count: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, x: Tensor, y: Tensor) -> None:
        """(n, inputs) rows that the layer is given, and the (n, outputs) that it should give."""
        x, y = x.double(), y.double()
        new = {"xx": x.T @ x, "yx": y.T @ x, "yy": y.square().sum(), "x": x.sum(0), "y": y.sum(0)}
        self.sums = {name: self.sums[name] + value if self.sums else value for name, value in new.items()}
        self.count += len(x)

    def fit(self, rank: int) -> Fit:
        """The factors of this rank that come closest."""
        xx, yx, yy, x, y = (value / self.count for value in self.sums.values())
        power = float(yy)
        if self.biased:
            xx, yx, yy = xx - torch.outer(x, x), yx - torch.outer(y, x), yy - y.square().sum()
        pull = max(RIDGE * float(xx.diagonal().mean()), 1e-12)
        ridged = xx + pull * torch.eye(len(xx), dtype=xx.dtype)
        root = torch.linalg.cholesky(ridged)
        best = torch.cholesky_solve((yx + pull * self.weight.double()).T, root).T
        outer = torch.linalg.svd(best @ root, full_matrices=False).U[:, :rank]
        if outer.shape[1] < rank:  # more than there are outputs or inputs: the rest is idle
            outer = functional.pad(outer, (0, rank - outer.shape[1]))
        inner = outer.T @ best
        product = outer @ inner
        error = float(yy - 2 * (product * yx).sum() + ((product @ xx) * product).sum())
        bias = (y - product @ x).float() if self.biased else None
        # Each factor carries the root of the power, which fake quantization and training like better.
        scale = inner.norm(dim=1).clamp(min=1e-12).sqrt()
        return Fit((outer * scale).float(), (inner / scale[:, None]).float(), bias, max(error, 0.0) / max(power, 1e-12))


class _Reached(Exception):
    """A layer was reached: the rest of the network need not run."""


def _network(module: nn.Module) -> nn.Module:
    return bare(taps.network(module))


def _factorable(student: Student) -> dict[str, Any]:
    """Linear layers and plain convolutions by path, in the order in which they run; only those that run once.

    One whose weight is another's, too, such as an embedding's, stays: apart they would hold more than together. So
    does one that computes more than torch's own, as those do that pad by the size of what they are given.
    """
    module = evaluated(nets.twin(student.module))
    held = Counter(id(held) for part in module.modules() for held in part._parameters.values())
    names: dict[nn.Module, str] = {
        part: path
        for path, part in _network(module).named_modules()
        if computes_as(part, nn.Linear, nn.Conv2d)
        and (isinstance(part, nn.Linear) or (isinstance(part, nn.Conv2d) and _is_plain(part)))
        and held[id(part.weight)] <= 1
    }
    order: list[nn.Module] = []
    for part in names:
        part.register_forward_hook(lambda layer, args, out: order.append(layer))
    with torch.no_grad():
        plugins.call_user(module, "low_rank", *student.example())
    return {names[part]: part for part in order if order.count(part) == 1}


def _is_plain(layer: nn.Conv2d) -> bool:
    """One group, zeros around it, and as many as numbers say, not a word."""
    return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _moments(student: Student, whole: nn.Module, module: nn.Module, path: str, context: Context) -> Moments:
    """What a layer is given in the network as it is now, and what it gave in the whole one; padding of texts is not."""
    layer: Any = _network(whole).get_submodule(path)
    moments = Moments(layer.weight.flatten(1), layer.bias is not None)
    with torch.no_grad():
        for inputs in context.calibration:
            (_, y), (x, _) = _seen(whole, path, inputs), _seen(module, path, inputs)
            for rows, wanted in _rows(layer, x, y, embeddings.mask(student, inputs)):
                moments.add(rows, wanted)
    return moments


def _seen(module: nn.Module, path: str, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """What a layer is given, and what it gives."""
    seen: list[tuple[Tensor, Tensor]] = []

    def stop(layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        seen.append((args[0], out))
        raise _Reached

    handle = _network(module).get_submodule(path).register_forward_hook(stop)
    try:
        module(*inputs)
    except _Reached:
        pass
    finally:
        handle.remove()
    return seen[0]


def _rows(
    layer: nn.Linear | nn.Conv2d, x: Tensor, y: Tensor, mask: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every position of every sample as rows, (n, inputs) and (n, outputs), a few samples at a time.

    Args:
        mask: (N, L), 1 for tokens; padding is nothing that a layer over (N, L, D) sequences should be fitted to.
    """
    if isinstance(layer, nn.Linear):
        x, y = (embeddings.of_tokens(each, mask) for each in (x, y))
        yield x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
        return
    if isinstance(layer.padding, str):
        raise ExportError("padding in words", where="low_rank", found=layer.padding, allowed="numbers")
    some = max(1, AT_ONCE // (layer.weight[0].numel() * y[0, 0].numel()))
    for part, wanted in zip(x.split(some), y.split(some), strict=True):
        rows = functional.unfold(part, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        yield rows.transpose(1, 2).flatten(0, 1), wanted.flatten(2).transpose(1, 2).flatten(0, 1)


def _factorised(student: Student, ranks: Mapping[str, int]) -> nn.Module:
    """A copy of the network with two layers in place of each, whatever their weights."""
    module = nets.twin(student.module)
    for path, rank in ranks.items():
        _put(module, path, rank)
    return module


def _put(module: nn.Module, path: str, rank: int) -> None:
    parent, _, name = path.rpartition(".")
    layer = _network(module).get_submodule(path)
    if not isinstance(layer, nn.Linear | nn.Conv2d):
        raise ExportError("neither a Linear nor a Conv2d", where=f"low_rank: {path}", found=type(layer).__name__)
    with torch.random.fork_rng(devices=[]):
        factors = _pair(layer, rank).train(layer.training)
    _network(module).get_submodule(parent).register_module(name, factors)


def _pair(layer: nn.Linear | nn.Conv2d, rank: int) -> Factors:
    if isinstance(layer, nn.Linear):
        first = nn.Linear(layer.in_features, rank, bias=False)
        return Factors(first, nn.Linear(rank, layer.out_features, bias=layer.bias is not None))
    kernel, stride, padding, dilation = layer.kernel_size, layer.stride, layer.padding, layer.dilation
    size: object = kernel
    factors = Factors(
        nn.Conv2d(layer.in_channels, rank, size, stride, padding, dilation, bias=False),  # type: ignore[arg-type]
        nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None),
    )
    last = layer.weight.is_contiguous(memory_format=torch.channels_last)
    return factors.to(memory_format=torch.channels_last) if last else factors  # type: ignore[call-overload]


def _write(pair: nn.Module, fit: Fit) -> None:
    """The factors' numbers into the two layers."""
    inner, outer = pair.get_submodule("0"), pair.get_submodule("1")
    for layer, factor in ((inner, fit.inner), (outer, fit.outer)):
        _weight(layer).copy_(factor.reshape(_weight(layer).shape))
    if fit.bias is not None and (bias := _bias(outer)) is not None:
        bias.copy_(fit.bias)
