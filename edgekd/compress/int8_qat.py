"""Quantization-aware training to int8: torchao's PT2E flow with our own annotator, in the target's numerics.

``apply`` exports the network and puts fake quantization where the target's kernels quantize (Jacob et al. 2018,
arXiv:1712.05877); the pipeline then trains it against the teacher; ``finish`` folds BatchNorm and turns fake
quantization into QuantizeLinear / DequantizeLinear. The weights of the epoch are kept whose finished network has the
best value on validation, or those before the first, where it gains no more than chance (``learn/judging.py``).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch

from edgekd.base.errors import ExportError
from edgekd.compress._base import Context
from edgekd.compress._bias import correct_biases
from edgekd.compress._clips import end_at_clips
from edgekd.compress._fold import fold_batchnorm
from edgekd.compress._grid import snap_biases
from edgekd.compress._mixed import leave_float
from edgekd.compress._observers import KINDS, STEP_SIZES
from edgekd.compress._prepared import QatModule, prepare
from edgekd.compress._recurrent import share_scales
from edgekd.compress._sensitivity import most_sensitive, sensitivity
from edgekd.compress._specs import Ranging
from edgekd.compress._structure import SAMPLES
from edgekd.compress._unrounded import (
    float_attention,
    fuse_chains,
    fuse_residuals,
    round_residuals,
    unrounded_sequences,
)
from edgekd.learn import embeddings
from edgekd.learn.quiet import quiet
from edgekd.learn.student import Record, Student, evaluated, joined
from edgekd.spec.mixed import MixedNumerics
from edgekd.spec.target import Numerics

with quiet():
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e


@dataclass(frozen=True)
class Int8Qat:
    """Train with the target's rounding in the loop.

    Attributes:
        scheme: of the target's numerics; absent: its first quantized one.
        samples: of the training data, 1 or more, that set the ranges before the first step.
        freeze_bn_after: share of the epochs, 0..1, after which BatchNorm uses its running statistics: from then on
            the network trains as it will run. 0: from the start.
        freeze_ranges_after: share of the epochs, 0..1, after which the ranges stand still.
        ranges: how they are set before the first step: ``moving_average`` of the smallest and largest of each batch,
            ``min_max`` of all, ``percentile`` of all, or ``mse``: the least squared error. Afterwards they follow what
            the batches hold, in the same proportion.
        percentile: 50..100 %, of the numbers below the upper end of a range, and above the lower one. Of activations:
            weights keep their whole range.
        step_sizes: ``observed``, from the ranges; or ``learned`` like weights, from there on (Esser et al. 2020,
            arXiv:1902.08153): ``freeze_ranges_after`` does not hold them.
        bias_correction: take the shift of each layer's mean out of its bias, before the first step.
        equalize: give the channels between two layers ranges alike first, where nothing but a ReLU, a pooling or the
            like stands between (Nagel et al. 2019, arXiv:1906.04721): they share one scale.
        float_layers: paths of modules that stay in float, with all that is in them.
        most_float: so many of the layers whose rounding moves the answers most stay in float, too.
    """

    quantizes: ClassVar[bool] = True
    trains: ClassVar[bool] = True
    timed: ClassVar[bool] = False
    scheme: str = ""
    samples: int = SAMPLES
    freeze_bn_after: float = 0.0
    freeze_ranges_after: float = 0.67
    ranges: str = "mse"
    percentile: float = 99.99
    step_sizes: str = "observed"
    bias_correction: bool = True
    equalize: bool = False
    float_layers: tuple[str, ...] = ()
    most_float: int = 0

    def __post_init__(self) -> None:
        for name in ("freeze_bn_after", "freeze_ranges_after"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: allowed is 0 to 1")
        if self.samples < 1:
            raise ValueError("samples: allowed is at least 1")
        if not 50 <= self.percentile <= 100:
            raise ValueError("percentile: allowed is 50 to 100")
        if self.most_float < 0:
            raise ValueError("most_float: allowed is 0 or more")
        for name, allowed in (("ranges", KINDS), ("step_sizes", STEP_SIZES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: found {getattr(self, name)!r}; allowed: {', '.join(allowed)}")

    @property
    def suffix(self) -> str:
        """``mixed`` where layers stay in float."""
        return "mixed" if self.float_layers or self.most_float else ""

    @property
    def _ranging(self) -> Ranging:
        return Ranging(self.ranges, self.percentile, self.step_sizes)

    def parts(self) -> tuple[Record, ...]:
        """One step."""
        return ()

    def requires(self, student: Student, context: Context) -> None:
        """Raise ExportError where the target has no int8 scheme, or the network can't be exported."""
        _scheme(context)
        if isinstance(student.module, QatModule):
            raise ExportError("the network is quantized already", where="int8_qat", allowed="one int8_qat, the last")

    def apply(self, student: Student, context: Context) -> Student:
        """The network with fake quantization in it, its ranges set from the calibration batches."""
        stay = list(self.float_layers)
        prepared, sensitivities = self._calibrated(student, context, stay)
        record = {
            "kind": "int8_qat",
            "numerics": _scheme(context).model_dump(mode="json"),
            "sensitivity": sensitivities,
        }
        if self.most_float:
            if self.most_float >= len(sensitivities):
                allowed = f"less than the {len(sensitivities)} layers that are quantized"
                raise ExportError("nothing would be quantized", where="int8_qat: most_float", allowed=allowed)
            stay += most_sensitive(sensitivities, self.most_float)
            prepared, _ = self._calibrated(student, context, stay)
        if self.bias_correction:
            correct_biases(prepared, context.calibration, embeddings.mask_place(student))
        return student.with_module(prepared, {**record, "float_layers": stay})

    def _calibrated(self, student: Student, context: Context, stay: list[str]) -> tuple[QatModule, dict[str, float]]:
        """The prepared network, its ranges set, and what each layer's rounding does."""
        prepared = self._prepared(student, _scheme(context), stay)
        prepared.observe(context.calibration)
        heads = [int(spec.shape[1] or 1) for spec in student.outputs]
        return prepared, sensitivity(prepared, context.calibration, heads, context.teacher, exclusive=context.exclusive)

    def _prepared(self, student: Student, numerics: Numerics, stay: list[str]) -> QatModule:
        frozen = self.freeze_bn_after == 0
        return prepare(student, numerics, self._ranging, stay, frozen, equalized=self.equalize)

    def replay(self, student: Student, record: Record) -> Student:
        """The same graph from the float student; the weights and ranges are the caller's to load."""
        numerics = Numerics.model_validate(record["numerics"])
        prepared = self._prepared(student, numerics, record["float_layers"])
        prepared.observe([tuple(torch.zeros_like(x) for x in student.example())])  # gives the ranges their shapes
        return student.with_module(prepared, record)

    def begin_epoch(self, student: Student, epoch: int, epochs: int) -> None:
        """Freeze BatchNorm's statistics and the ranges, each from its share of the epochs on."""
        module = _quantized(student)
        module.bn_frozen = epoch >= self.freeze_bn_after * epochs
        module.ranges_frozen = epoch > 0 and epoch >= self.freeze_ranges_after * epochs

    def finish(self, student: Student, numerics: Numerics | None = None) -> Student:
        """The int8 network, ready to be exported, as the target's runtime computes it; the student stays as it is."""
        with quiet():
            module = copy.deepcopy(_quantized(student)).eval()
            fold_batchnorm(module.graph)
            if numerics is not None and numerics.recurrent == "shared":
                share_scales(module.graph)
            converted = convert_pt2e(module.graph)
        end_at_clips(converted)
        snap_biases(converted)
        if numerics is not None and numerics.chains == "fused":
            fuse_chains(converted)
            round_residuals(converted)
        if numerics is not None and numerics.attention == "float":
            float_attention(converted)
        if numerics is not None and numerics.recurrent == "unrounded":
            unrounded_sequences(converted)
        if isinstance(numerics, MixedNumerics):
            leave_float(converted, numerics)
        if numerics is not None and numerics.residual == "fused":
            fuse_residuals(converted)
        return student.with_module(converted)

    def ensures(self, before: Student, after: Student) -> None:
        """Something is quantized, the output keeps its shape, parameters are finite."""
        module = _quantized(after)
        if not module.quantized:
            raise ExportError("nothing in this network can be quantized by the target's ops", where="int8_qat")
        module.eval()
        with torch.no_grad():
            got = joined(module(*after.example()))
            wanted = joined(evaluated(before.module)(*before.example()))
        if got.shape != wanted.shape:
            raise ExportError("the output's shape changed", where="int8_qat", found=tuple(got.shape))
        for name, parameter in module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ExportError("a parameter is not finite", where=f"int8_qat: {name}")


def _scheme(context: Context) -> Numerics:
    """The target's int8 scheme.

    Raises:
        ExportError: it has none.
    """
    if context.numerics is None or not context.numerics.quantized:
        raise ExportError("the target has no int8 numerics", where="int8_qat")
    return context.numerics


def _quantized(student: Student) -> QatModule:
    """A student's network with fake quantization in it.

    Raises:
        ExportError: the pass was not applied to it.
    """
    if not isinstance(student.module, QatModule):
        raise ExportError("a network without fake quantization", where="int8_qat", found=type(student.module).__name__)
    return student.module
