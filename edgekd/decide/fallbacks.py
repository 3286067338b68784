"""Why a candidate does not ship, in words: from its ONNX file and from the kernels that the runtime really ran.

Pure: files and kernels in, sentences out. What the scheme wanted in int8 is read off the file, what became of it off
the kernels, and the reason off the file again: around a layer that computes in float something is not quantized.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from edgekd.base import units
from edgekd.decide import kernel_costs
from edgekd.decide.kernel_costs import MIXED, kind_of
from edgekd.decide.onnx_graph import Graph, Layer, Node
from edgekd.document.candidate import Kernels
from edgekd.document.kernel import Kernel
from edgekd.spec.mixed import MixedNumerics
from edgekd.spec.target import Numerics

NAMED = 4  # layers of one reason that are named; of the others only the number
WORDS = {
    "conv": ("convolution", "convolutions"),
    "linear": ("linear layer", "linear layers"),
    "add": ("addition", "additions"),
    "pool": ("pooling", "poolings"),
    "concat": ("concatenation", "concatenations"),
}
ROWS = 2000  # kernels that a report tells one by one; of more only the sums
NOTABLE = 0.05  # share of the time from which a kind of kernels is worth a word


@dataclass(frozen=True)
class Profile:
    """One candidate as its runtime ran it.

    Attributes:
        kernels: None where the runtime does not tell.
    """

    name: str
    numerics: Numerics
    graph: Graph
    kernels: Sequence[Kernel] | None = None
    float_ops: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Microseconds of all kernels; 0 where they are not told."""
        return sum(k.microseconds or 0.0 for k in self.kernels or ())

    @property
    def computes_in_int8(self) -> bool:
        return self.numerics.activations in ("uint8", "int8")


@dataclass(frozen=True)
class Fallback:
    """A layer that the scheme wanted in int8 and that ran in float, and why."""

    layer: Layer
    kernel: str
    why: str


def fell_back(profile: Profile) -> list[Fallback]:
    """Every layer that was to run in int8 and did not; of kernels that are not told, nothing is said."""
    if not profile.computes_in_int8:
        return []
    ran = _by_layer(profile)
    fallbacks = []
    for layer in profile.graph.wanted(profile.numerics.ops):
        kernel = ran.get(layer.node.name)
        if kernel is not None and kernel.precision.startswith(("float", "bfloat")):
            fallbacks.append(Fallback(layer, kernel.op, why_float(profile, layer, kernel)))
    return fallbacks


def counts(profile: Profile) -> dict[str, dict[str, int]]:
    """By kind of layer: how many the scheme wanted in int8, how many ran so, how many in float, how many untold."""
    if not profile.computes_in_int8:
        return {}
    ran, floats = _by_layer(profile), {fallback.layer.node.name for fallback in fell_back(profile)}
    table: dict[str, dict[str, int]] = {}
    for layer in profile.graph.wanted(profile.numerics.ops):
        row = table.setdefault(layer.kind, {"wanted": 0, "int8": 0, "float": 0, "untold": 0})
        row["wanted"] += 1
        name = layer.node.name
        row["float" if name in floats else "int8" if name in ran else "untold"] += 1
    return table


def why_float(profile: Profile, layer: Layer, kernel: Kernel) -> str:
    """What in the file keeps a layer out of an int8 kernel."""
    node = layer.node
    for reason in (_weight(profile, layer), _input(profile, layer), _output(profile, layer)):
        if reason:
            return reason
    if node.group > 1:
        return f"it has {node.group} groups, for which this runtime took {kernel.op} in {kernel.precision}"
    took = f"the runtime took {kernel.op} in {kernel.precision}"
    if profile.numerics.activations == "int8":
        return f"all around it is quantized, but to symmetric int8, which this runtime does not fuse here: {took}"
    return f"all around it is quantized; {took} all the same"


def _weight(profile: Profile, layer: Layer) -> str | None:
    graph = profile.graph
    if layer.kind not in ("conv", "linear"):
        return None
    if not graph.is_constant(layer.node.inputs[1]):
        return "its weight is not constant"
    if graph.dequantized(layer.node.inputs[1]):
        return None
    mixed = isinstance(profile.numerics, MixedNumerics)
    return "float was measured to be faster here" if mixed else "its weights stand in float in the file"


def _input(profile: Profile, layer: Layer) -> str | None:
    graph = profile.graph
    for name in layer.node.inputs[: 1 if layer.kind in ("conv", "linear") else None]:
        if graph.dequantized(name):
            continue
        before = graph.producer(name)
        if before is None:
            return "its input, the network's own, is not quantized"
        return f"its input is not quantized: {_stays(profile, before, 'before')}"
    return None


def _output(profile: Profile, layer: Layer) -> str | None:
    """A linear layer may give float; the others need QuantizeLinear behind them, or a ReLU and then that."""
    if layer.kind == "linear":
        return None
    graph, node = profile.graph, layer.node
    for after in graph.readers(node.outputs[0]):
        if after.op in ("Relu", "Clip"):
            behind = graph.readers(after.outputs[0])
            zero, lowest = next(((q.zero, q.lowest) for q in behind if q.op == "QuantizeLinear"), (None, None))
            if zero is not None and zero != lowest:
                return (
                    f"the {after.op} after it is not absorbed by QuantizeLinear, whose zero point {zero} is not the "
                    f"lowest value, {lowest}: symmetric activations, which this runtime does not fuse"
                )
            after = next((r for r in behind if r.op != "QuantizeLinear"), None) or next(iter(behind), after)
        if after.op != "QuantizeLinear":
            return f"its output is not quantized: {_stays(profile, after, 'after')}"
    return None if graph.readers(node.outputs[0]) else "its output is the network's own, in float"


def _stays(profile: Profile, node: Node, where: str) -> str:
    """A node that stays float, and why where that is known of it, or of one of the nodes that it gets floats from."""
    known = profile.float_ops
    if node.op in known:
        return f"{node.name} {where} it stays float ({known[node.op]})"
    if where == "before":
        for behind in profile.graph.floats_behind(node):
            if behind.op in known:
                return f"{node.name} before it stays float, behind {behind.name} ({known[behind.op]})"
    return f"{node.name} {where} it stays float"


def _by_layer(profile: Profile) -> dict[str, Kernel]:
    """The kernel of each node of the file, where the runtime tells it and it has one precision."""
    ran: dict[str, Kernel] = {}
    nodes = {node.name: node for node in profile.graph.nodes}
    outputs = {name: node.name for node in profile.graph.nodes for name in node.outputs}
    for kernel in profile.kernels or ():
        if kernel.op in MIXED or " to " in kernel.precision:
            continue
        for name in kernel.layers:
            layer = name if name in nodes else outputs.get(name)
            if layer is not None:
                ran.setdefault(layer, kernel)
    return ran


def by_kind(profile: Profile) -> dict[str, float]:
    """Microseconds by kind of kernel, the longest first; conversions between int8 and float are a kind."""
    spent: dict[str, float] = {}
    for kernel in profile.kernels or ():
        spent[kind_of(kernel)] = spent.get(kind_of(kernel), 0.0) + (kernel.microseconds or 0.0)
    return {kind: round(spent[kind], 1) for kind in sorted(spent, key=lambda k: -spent[k])}


def about_fallbacks(profile: Profile) -> str | None:
    """``3 of 21 convolutions fell back to float: Conv_4, ... (its input is not quantized: ...)``."""
    table, parts = counts(profile), []
    for kind, row in table.items():
        fallbacks = [one for one in fell_back(profile) if one.layer.kind == kind]
        if fallbacks:
            some = f"{len(fallbacks)} of {_count(row['wanted'], kind)} fell back to float"
            parts.append(f"{some}: {_grouped(fallbacks)}")
    return "; ".join(parts) or None


def _grouped(fallbacks: Sequence[Fallback]) -> str:
    """Layers that fell back for a like reason together; the reason is that of the first."""
    groups: dict[str, list[Fallback]] = {}
    for one in fallbacks:
        like = "".join(c for c in one.why if not c.isdigit())
        groups.setdefault(like, []).append(one)
    parts = []
    for group in groups.values():
        names = [one.layer.node.name for one in group]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        parts.append(f"{', '.join(names[:NAMED])}{more} ({group[0].why})")
    return ", ".join(parts)


def about_int8(profile: Profile) -> str | None:
    """``3 of 3 convolutions and 1 of 1 linear layer run in int8 kernels``; None where nothing is told."""
    table = counts(profile)
    parts = [f"{row['int8']} of {_count(row['wanted'], kind)}" for kind, row in table.items() if row["int8"]]
    if not parts:
        return None
    *most, last = parts
    return f"{', '.join(most)}{' and ' if most else ''}{last} run in int8 kernels"


def _count(number: int, kind: str) -> str:
    return f"{number} {WORDS[kind][number != 1]}"


def about_conversions(profile: Profile) -> str | None:
    """``2 conversions (DequantizeLinear, QuantizeLinear) take 18 % of the time``, from 5 % on."""
    conversions = [k for k in profile.kernels or () if kind_of(k) == "conversions"]
    share = sum(k.microseconds or 0.0 for k in conversions) / profile.total if profile.total else 0.0
    if share < NOTABLE:
        return None
    word = "conversion takes" if len(conversions) == 1 else "conversions take"
    ops = "/".join(dict.fromkeys(k.op for k in conversions))
    return f"{len(conversions)} {word} {units.share(share, 0)} of the time ({ops})"


def about_time(profile: Profile) -> str | None:
    """Where a candidate's time goes: ``convolutions take 80 % of the time, linear layers 12 %``."""
    if not profile.total:
        return None
    spent = [(kind, us / profile.total) for kind, us in by_kind(profile).items() if us / profile.total >= NOTABLE][:3]
    return "of its time " + ", ".join(f"{kind} take {units.share(share, 0)}" for kind, share in spent)


def about_slower(profile: Profile, other: Profile) -> str | None:
    """Which kinds of kernels take longer than in another candidate, by both profiles; the largest losses first."""
    if not profile.total or not other.total:
        return None
    here, there = by_kind(profile), by_kind(other)
    losses = {kind: here[kind] - there.get(kind, 0.0) for kind in here}
    edges = sum(here.get(kind, 0.0) - there.get(kind, 0.0) for kind in ("conversions", "layout"))
    lost = profile.total - other.total
    if profile.computes_in_int8 and not fell_back(profile) and edges > 0 and 0 < lost <= edges:
        ops = dict.fromkeys(k.op for k in profile.kernels or () if kind_of(k) in ("conversions", "layout"))
        return (
            f"the net is too small: conversions and layout ({', '.join(ops)}) cost {edges:.0f} of "
            f"{units.in_us(profile.total)} more than in {other.name}"
        )
    worst = [kind for kind in sorted(losses, key=lambda k: -losses[k]) if losses[kind] >= NOTABLE * profile.total][:3]
    comparisons = [f"{kind} {units.in_us(here[kind])} against {there.get(kind, 0.0):.0f}" for kind in worst]
    return f"in the profile it loses to {other.name} in {', '.join(comparisons)}" if comparisons else None


def about_size(profile: Profile, other: Profile) -> str:
    """Which operators' constants make a file as large as it is: ``weights of Conv 282.1 kB against 72.4 in int8``."""
    here = profile.graph.bytes_by_op()
    there = other.graph.bytes_by_op() if other is not profile else {}
    apart = {op: abs(here[op] - there.get(op, 0)) for op in here}
    least = NOTABLE * max(apart.values(), default=0)
    largest = sorted((op for op in apart if apart[op] >= least), key=lambda op: (-apart[op], op))[:2]
    if other is profile:
        return "weights of " + ", ".join(f"{op} {units.in_kb(here[op])}" for op in largest)
    comparisons = [f"{op} {units.in_kb(here[op])} against {there.get(op, 0) / 1e3:.1f}" for op in largest]
    return f"weights of {', '.join(comparisons)} in {other.name}"


def reasons(profile: Profile, other: Profile, how: Collection[str]) -> str:
    """Why a candidate was refused, in words that name operators.

    Args:
        profile: the refused.
        other: what it was held against: dense fp32, or what ships.
        how: in what it fell short: ``latency``, ``size``, ``answers`` (accuracy, parity); several of them at once.
    """
    parts: list[str | None] = [about_fallbacks(profile)]
    if "answers" in how:
        parts.append(about_int8(profile) or about_size(profile, other))
    if "latency" in how:
        slower = about_slower(profile, other) if other is not profile else None
        parts += [slower, about_conversions(profile)]
        if not any(parts):
            parts += [about_int8(profile), about_time(profile)]
    if "size" in how:
        parts.append(about_size(profile, other))
    if any(parts):
        return "; ".join(dict.fromkeys(part for part in parts if part))  # one reason may answer two questions
    ops = ", ".join(f"{count} {op}" for op, count in profile.graph.layers().items())
    untold = "" if profile.kernels else "what the runtime ran of it is not known; "
    return f"{untold}the file has {ops or 'no layers with weights'}"


def record(profile: Profile) -> Kernels | None:
    """The report's ``kernels``: what ran, in numbers; None where the runtime does not tell."""
    if profile.kernels is None:
        return None
    table: Kernels = {
        "layers": counts(profile),
        "fell_back": [
            {"layer": one.layer.node.name, "kernel": one.kernel, "why": one.why} for one in fell_back(profile)
        ],
        "microseconds": by_kind(profile),
        "ops": dict(Counter(kernel.op for kernel in profile.kernels)),
    }
    if len(profile.kernels) <= ROWS:
        table["rows"] = kernel_costs.rows(profile.kernels)
    return table


def by_profile(profiles: Mapping[str, Profile]) -> Callable[[str, str, Collection[str]], str]:
    """What ``choose`` appends to a verdict: ``told(refused, held against, in what)``."""
    return lambda name, other, how: reasons(profiles[name], profiles[other], how)
