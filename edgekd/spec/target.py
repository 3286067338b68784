"""``targets/<name>.toml`` -> Target: what a runtime on a device wants, as facts and no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from edgekd.base import backend_facts, plugins, target_files
from edgekd.base.disk import users_path
from edgekd.base.errors import TargetError
from edgekd.base.limits import most_tolerance
from edgekd.base.target_files import folder as folder
from edgekd.base.target_files import names as names
from edgekd.spec.validation import Frozen, explain

# Which weights go with which activations; float32 with int8 is a file of int8 weights that computes in float.
WEIGHTS_OF = {
    "float32": ("float32", "int8"),
    "float16": ("float16",),
    "uint8": ("int8",),
    "int8": ("int8",),
}

Op = Literal["conv", "linear", "add", "pool", "concat", "embedding", "gate", "norm", "attention", "recurrent"]


# What of a scheme is a runtime's own: how it fuses, which concerns the file alone.
FUSED = ("residual", "chains", "attention", "recurrent")
STATE_SCALE = 1 / 127  # of an LSTM's states in int8: they lie between -1 and 1


class Numerics(Frozen):
    """One number format that a target runs well, and the name of its candidate.

    ``weight_bits = 7`` keeps int8 weights within -63..63: kernels of CPUs without VNNI add two products in
    16 bits and would saturate on larger ones.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="of its candidate")
    activations: Literal["float32", "float16", "uint8", "int8"] = Field(
        default="float32", description="type of what flows between layers"
    )
    activation_symmetric: bool = Field(
        default=False, description="zero in the middle of the steps; with uint8 only where a range has both signs"
    )
    input_symmetric: bool = Field(default=False, description="the same, for the network's inputs alone")
    weights: Literal["float32", "float16", "int8"] = Field(default="float32", description="type of the weights")
    weight_bits: int = Field(default=8, ge=4, le=8, description="that int8 weights use")
    per_channel: bool = Field(default=True, description="a scale for each output channel of a weight")
    per_channel_from: int = Field(
        default=1, ge=1, le=65536, description="a linear layer of fewer inputs has one scale: many would cost more"
    )
    per_channel_rows: int = Field(
        default=1, ge=1, le=65536, description="a linear layer over fewer rows of a sample has one scale, if it is wide"
    )
    ops: tuple[Op, ...] = Field(
        default=(),
        description="what is quantized; gate: products and sigmoids, norm: a BatchNorm behind no layer, "
        "attention: products of matrices that are both activations, recurrent: LSTMs",
    )
    residual: Literal["quantized", "fused"] = Field(
        default="quantized",
        description="fused: the runtime convolves and adds at once, and does not round a convolution before the sum, "
        "whatever the file says",
    )
    chains: Literal["quantized", "fused"] = Field(
        default="quantized", description="fused: what only float operators read is not rounded in the file"
    )
    attention: Literal["quantized", "float"] = Field(
        default="quantized", description="float: what only products of matrices read is not rounded in the file"
    )
    recurrent: Literal["separate", "shared", "unrounded"] = Field(
        default="separate",
        description="shared: the runtime adds the products of a recurrent layer's input and state as integers, so they "
        "have one scale; unrounded: what such a layer reads is not rounded in the file",
    )
    tolerance: float = Field(default=1e-3, gt=0, description="parity, as a share of the score range")

    @model_validator(mode="after")
    def _as_a_bundle_may(self) -> Numerics:
        if self.tolerance > (most := most_tolerance(self.quantized)):
            raise ValueError(f"tolerance: at most {most:g} for weights in {self.weights}")
        return self

    @property
    def written(self) -> Numerics:
        """What the file says: all that is rounded, also what the runtime then leaves out; ``residual``."""
        return self.model_copy(update={"residual": "quantized"})

    @property
    def trained(self) -> dict[str, object]:
        """What a training depends on; how a runtime fuses concerns the file and what it is held against."""
        return self.model_dump(exclude={*FUSED, "tolerance"})

    @property
    def judged(self) -> Numerics:
        """What the epochs of a training are judged by, whichever of the targets that share it came first: the file of a
        runtime that fuses nothing."""
        return self.model_copy(update={key: type(self).model_fields[key].default for key in FUSED})

    @property
    def unrounded(self) -> str:
        """What tells apart the files of one trained network: which roundings of its training are left out."""
        return f"{self.chains} {self.attention} {self.recurrent}" if self.quantized else ""

    @property
    def quantized(self) -> bool:
        return self.weights == "int8"

    @property
    def half(self) -> bool:
        return self.weights == "float16"


class Shapes(Frozen):
    """Sizes that the target's kernels like."""

    batch: int = Field(default=1, ge=1, le=4096, description="samples of a run, as an app asks")
    channel_multiple: int = Field(default=1, ge=1, le=256, description="that pruning rounds channel counts to")


class Target(Frozen):
    """A place to run. ``numerics`` stands in order of preference, fp32 always among them.

    ``float_ops`` says of operators that the int8 files leave in float why that is so here, for the report.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="the file's name without its ending")
    description: str = Field(default="", description="what it is, for lists and reports")
    backend: str = Field(description="a built-in backend, or package.module:Class")
    options: dict[str, Any] = Field(default_factory=dict, description="the backend's own keys")
    also: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="other backends that open the very same file, and their options"
    )
    numerics: tuple[Numerics, ...] = Field(min_length=1, description="number formats, in order of preference")
    shapes: Shapes = Field(default=Shapes(), description="sizes that its kernels like")
    opset: int = Field(default=20, ge=17, le=23, description="ONNX operator set of its files")
    passes: tuple[str, ...] = Field(default=(), description="graph passes that its files get beside the usual ones")
    isa: tuple[str, ...] = Field(default=(), description="CPU features that the files need, as host.py names them")
    float_ops: dict[str, str] = Field(default_factory=dict, description="ONNX operator: why it stays in float")

    @property
    def quantized(self) -> Numerics | None:
        """The first quantized scheme, or None."""
        return self.scheme("")

    def scheme(self, name: str) -> Numerics | None:
        """The quantized scheme of a name, or the first where that is empty; None where there is none."""
        return next((n for n in self.numerics if n.quantized and name in ("", n.name)), None)

    @property
    def half(self) -> Numerics | None:
        return next((n for n in self.numerics if n.half), None)

    @property
    def dense(self) -> Numerics:
        return next(n for n in self.numerics if not n.quantized and not n.half)


def load(name_or_path: str) -> Target:
    """A target by built-in name or by path.

    Raises:
        TargetError: unknown name, unreadable file, wrong key or value, no float scheme to fall back on.
    """
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        path = users_path(name_or_path, "--target")
        if not path.is_file():
            raise TargetError("no such target file", where=name_or_path)
    elif name_or_path in names():
        path = folder() / f"{name_or_path}.toml"
    else:
        raise TargetError("unknown target", where="--target", found=name_or_path, allowed=names())
    return parse(path)


def parse(path: Path) -> Target:
    """Read one target file."""
    try:
        target = Target.model_validate(target_files.read(path))
    except ValidationError as err:
        raise explain(err, Target, path.name, TargetError) from err
    if missing := _missing_passes(target):
        target = target.model_copy(update={"passes": (*target.passes, *missing)})
    if all(n.quantized or n.half for n in target.numerics):
        raise TargetError("no float32 candidate: int8 needs one to be compared with", where=f"{path.name}: numerics")
    known = plugins.kinds("passes")
    if unknown := [kind for kind in target.passes if kind not in known and ":" not in kind]:
        raise TargetError("unknown graph pass", where=f"{path.name}: passes", found=unknown[0], allowed=known)
    if len({n.name for n in target.numerics}) < len(target.numerics):
        raise TargetError("two candidates of one name", where=f"{path.name}: numerics")
    for scheme in target.numerics:
        allowed = WEIGHTS_OF[scheme.activations]
        if scheme.weights not in allowed:
            raise TargetError(
                f"{scheme.activations} activations with {scheme.weights} weights",
                where=f"{path.name}: numerics: {scheme.name}",
                found=scheme.weights,
                allowed=allowed,
            )
    for kind in ("float32", "float16"):
        if len(alike := [n.name for n in target.numerics if n.weights == kind]) > 1:
            raise TargetError(f"one {kind} scheme a target", where=f"{path.name}: numerics", found=alike)
    return target


def _missing_passes(target: Target) -> list[str]:
    """Graph passes that the target's backends ask for, and its file does not name. An unknown backend is told later,
    by who makes it."""
    known = backend_facts.every()
    needed = [name for kind in (target.backend, *target.also) if kind in known for name in known[kind].passes]
    return [name for name in dict.fromkeys(needed) if name not in target.passes]
