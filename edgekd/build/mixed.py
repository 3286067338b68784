"""Mixed precision, decided by a target's own time: parts of an int8 file that its runtime computes faster in float.

The runtime's profiles say what is worth a try (``decide/mixed_precision.py``); each try is a file that is timed in
turns with the best before, in processes of their own. What is kept is exported as any candidate, scored and measured,
and takes the int8 file's place where its accuracy allows.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from onnxscript import ir
from torch.fx import GraphModule

from edgekd.base import units
from edgekd.base.errors import EdgekdError, ExportError
from edgekd.build import exports, measure, step_keys, timing
from edgekd.build.evaluation import EvaluationSet
from edgekd.build.kept import document
from edgekd.build.measure import Measured, MeasuredCandidate
from edgekd.build.plan import ExportStep, MeasureStep, PlannedCandidate, TrainedStep
from edgekd.build.store import canonical
from edgekd.build.torch_reference import TorchReference
from edgekd.build.trained import Trained
from edgekd.build.workspace import Workspace
from edgekd.decide import mixed_precision
from edgekd.decide.budget import by_wish, unmet
from edgekd.decide.mixed_precision import Group, Network, Profile, Ratio, Try
from edgekd.document.mixed import Mixed
from edgekd.lower import roundings
from edgekd.lower.lower import to_onnx
from edgekd.runtime.bench import ratio_ci, summary
from edgekd.runtime.runners import LocalRunner
from edgekd.spec.mixed import MixedNumerics, mixed
from edgekd.spec.recipe import Budget

NAMED = 4  # layers that a note names
ROUNDS = "quantized_decomposed.quantize_per_tensor.default"  # what rounds an activation in torch
SECONDS = 0.4  # of timing each of two files, in each of two processes


@dataclass(frozen=True)
class Refinement:
    """What mixed precision is decided with: a build up to its measurements."""

    workspace: Workspace
    trained: Mapping[str, Trained]
    torch_reference: TorchReference
    evaluation: EvaluationSet
    budget: Budget
    seconds: float
    traces: exports.Traces

    def target(self, step: MeasureStep, onnx: Mapping[str, bytes], before: Measured) -> Measured:
        """A target's candidates, those in int8 with parts in float where that is faster; else as they were."""
        plan, runner = self.workspace.plan, self.workspace.runner
        candidates = {c.name: c for c in plan.candidates[before.runtime.name]}
        int8 = [name for name, c in candidates.items() if c.numerics.activations in ("uint8", "int8")]
        # A file that other runtimes open, too, promises equal answers, and not this one's time.
        if not int8 or self.budget.prefer == "size" or step.runtime.also:
            return before
        if not isinstance(runner, LocalRunner):
            self.workspace.note(f"{step.runtime.name}: measured on a device, where mixed precision is not tried")
            return before
        decisions = {name: self.decided(step, candidates[name], before) for name in int8}
        after = self._measured(step, candidates, onnx, before, decisions)
        refused = {name: why for name in decisions if (why := _refusal(name, before, after, self.budget))}
        if refused:
            for name, why in refused.items():
                decisions[name] = {**decisions[name], "refused": why}
            after = self._measured(step, candidates, onnx, before, decisions)
        for name, decision in decisions.items():
            after.candidates[name].mixed = decision if decision["groups"] else None
            if sentence := told(decision):
                self.workspace.note(f"{step.runtime.name}, {name}: {sentence}")
        return after

    def decided(self, step: MeasureStep, candidate: PlannedCandidate, before: Measured) -> Mixed:
        """Which parts of a candidate are computed in float; found in the store where it was decided before."""
        store, int8 = self.workspace.store, before.candidates[candidate.name]
        measured = measure.stored_key(step, {candidate.name: int8.files}, self.workspace.runner)
        key = step_keys.key("measure", "mixed", measured)
        known = document(store, key, "mixed.json", Mixed)
        if known is None:
            known = self._decide(candidate, before)
            store.put(key, {"mixed.json": canonical(known)})
        return known

    def _decide(self, candidate: PlannedCandidate, before: Measured) -> Mixed:
        int8 = before.candidates[candidate.name]
        floats = [c for c in before.candidates.values() if not c.numerics.quantized and c.pruned == candidate.pruned]
        kernels, beside = int8.kernels, next((c.kernels for c in floats if c.kernels), None)
        if not kernels or not beside or not mixed_precision.promising(kernels, beside):
            return _nothing()
        self.workspace.progress({"step": f"mixed precision {before.runtime.name} {candidate.name}", "epoch": None})
        trials = Trials(self, candidate, before)
        try:
            groups = trials.groups()
        except ExportError:  # without its roundings it is no network that this runtime takes
            return _nothing()
        times, sizes = functools.partial(trials.timed, groups), functools.partial(trials.larger, groups)
        kept, tries = mixed_precision.search(len(groups), times, sizes)
        return _document(groups, kept, tries, trials.names)

    def _measured(
        self,
        step: MeasureStep,
        planned: Mapping[str, PlannedCandidate],
        onnx: Mapping[str, bytes],
        before: Measured,
        decisions: Mapping[str, Mixed],
    ) -> Measured:
        """All candidates measured anew where some of them have parts in float now."""
        again = {name: _in_place(c, decisions.get(name)) for name, c in planned.items()}
        files = {
            name: self._exported(c, c.numerics) for name, c in again.items() if isinstance(c.numerics, MixedNumerics)
        }
        if not files:
            return before
        of_torch = {c.name: self.torch_reference(c.step, "validation", numerics=c.numerics) for c in again.values()}
        store, runner = self.workspace.store, self.workspace.runner
        return measure.run(
            step, list(again.values()), {**onnx, **files}, self.evaluation, of_torch, store, self.seconds, runner
        )

    def _exported(self, candidate: PlannedCandidate, numerics: MixedNumerics) -> bytes:
        """The file of a candidate with parts in float: of the same trace, without their roundings."""
        step, store = self.workspace.plan.get(candidate.export, ExportStep), self.workspace.store
        key = step_keys.key("lower", "mixed", step.key, numerics.unrounded)
        files = store.get(key, ("model.onnx",))
        if files is None:
            subject, metadata = self.trained[candidate.step].student, exports.metadata(self.workspace)
            traced = exports.trace(self.workspace, step, subject, self.traces)
            traced = roundings.without(traced, numerics.float_activations, numerics.float_weights)
            data = to_onnx(subject, opset=step.opset, metadata=metadata, asked=step.passes, traced=traced)
            files = store.put(key, {"model.onnx": data})
        return files["model.onnx"]


@dataclass
class Trials:
    """Files of one int8 network with parts in float, made of its trace to be timed; each is made once."""

    refinement: Refinement
    candidate: PlannedCandidate
    before: Measured
    files: dict[frozenset[int], dict[str, bytes]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        workspace = self.refinement.workspace
        self.step = workspace.plan.get(self.candidate.export, ExportStep)
        self.student = self.refinement.trained[self.candidate.step].student
        self.trace = exports.trace(workspace, self.step, self.student, self.refinement.traces)

    def groups(self) -> list[Group]:
        """What the profiles of the int8 file, and of the same without any rounding, say is worth a try.

        Raises:
            ExportError: the network is none without roundings.
        """
        int8, workspace = self.before.candidates[self.candidate.name], self.refinement.workspace
        if self.step.numerics.weight_bits < 8 and not roundings.rounds_float_sums(self.trace):
            return []  # 7 bits promise the same answers on every CPU, which float sums would break
        plain = roundings.without(self.trace, roundings.every(self.trace), roundings.weights(self.trace))
        names = [roundings.rewritten(model, self.step.passes)[1] for model in (self.trace, plain)]
        files = {"float": self._lowered(plain)}
        job = timing.job_of(self.before.runtime, files, self.refinement.evaluation, "float", 0.0)
        kernels = workspace.runner.kernels(job, quick=False)["float"]
        if not kernels or not int8.kernels or not self._is_numbered_alike():
            return []
        total = sum(kernel.microseconds or 0.0 for kernel in int8.kernels)
        overhead = max(0.0, total - 1e3 * summary(int8.samples)["p50"]) / len(int8.kernels)
        self.names = {unit: name for name, unit in reversed(names[0].items())}
        profiles = (Profile(int8.kernels, names[0], overhead), Profile(kernels, names[1], overhead))
        return Network(roundings.units(self.trace), *profiles, self.step.numerics.chains == "fused").groups()

    def _is_numbered_alike(self) -> bool:
        """Whether the roundings of the trace are those of the network in torch, which its file is held against."""
        parent = self.refinement.workspace.plan.get(self.step.parent, TrainedStep)
        network = exports.finished(parent, self.student, self.step.numerics.written).module
        if not isinstance(network, GraphModule):
            return False
        here = [node.args[1] for node in network.graph.nodes if str(node.target) == ROUNDS]
        there = roundings.scales(self.trace)
        return len(here) == len(there) and np.allclose(np.array(here, float), np.array(there, float), rtol=1e-6)

    def timed(self, groups: list[Group], chosen: frozenset[int], best: frozenset[int]) -> Ratio | None:
        """The time of one set of groups in float over that of another; None where no such file can be made."""
        runtime, runner = self.before.runtime, self.refinement.workspace.runner
        if not set(roundings.weights(self.trace)) - _roundings(groups, chosen)[1]:
            return None  # the float candidate's own file
        try:
            files = {str(i): self._file(groups, numbers) for i, numbers in enumerate((best, chosen))}
            job = timing.job_of(runtime, files, self.refinement.evaluation, "0", SECONDS)
            sessions = [runner.bench(job) for _ in range(2)]
        except EdgekdError:  # a file that this runtime does not take is no faster one
            return None
        samples = timing.pooled(sessions, job)
        middle, (low, high) = ratio_ci(samples["1"], samples["0"])
        return middle, low, high

    def larger(self, groups: list[Group], chosen: frozenset[int], best: frozenset[int]) -> float:
        """The bytes of one set's files over those of another."""
        here, there = (sum(map(len, self._file(groups, numbers).values())) for numbers in (chosen, best))
        return here / there

    def _file(self, groups: list[Group], numbers: frozenset[int]) -> dict[str, bytes]:
        if not numbers:
            return self.before.candidates[self.candidate.name].files
        if numbers not in self.files:
            activations, weights = _roundings(groups, numbers)
            self.files[numbers] = self._lowered(roundings.without(self.trace, activations, weights))
        return self.files[numbers]

    def _lowered(self, trace: ir.Model) -> dict[str, bytes]:
        data = to_onnx(self.student, opset=self.step.opset, metadata={}, asked=self.step.passes, traced=trace)
        return self.before.runtime.backend.lower(data)


def told(decision: Mixed) -> str | None:
    """What became of it, in words; None where nothing was clearly faster."""
    kept = [group for group in decision["groups"] if group["in_float"]]
    if not kept:
        return None
    layers = [name for group in kept for name in group["layers"]]
    some = f"{', '.join(layers[:NAMED])}{', ...' if len(layers) > NAMED else ''}"
    count = f"{len(layers)} {'layer' if len(layers) == 1 else 'layers'} ({some})"
    parts = count if layers else "what lies between floats"
    faster = float(np.prod([one["ratio"] for one in decision["tries"] if one["kept"]]))
    sentence = f"{parts} in float: {faster:.2f} x the time of the file that is all in int8"
    return f"{sentence}; not taken: {decision['refused']}" if decision["refused"] else sentence


def _refusal(name: str, before: Measured, after: Measured, budget: Budget) -> str | None:
    """Why a candidate with parts in float may not take the place of the one before; None where it may."""
    old, new = before.candidates[name], after.candidates[name]
    if new.files == old.files:
        return None
    if (gap := measure.parity_gap(new)) is not None:
        return gap
    teacher = before.evaluation.teacher_value("validation")
    missed = [set(unmet(budget, _held(candidate, teacher))) for candidate in (old, new)]
    if new.value_validation < old.value_validation and "max_drop" in missed[1]:
        return f"{new.value_validation:.4f} on validation, where the int8 file has {old.value_validation:.4f}"
    if "min_cosine" in missed[1] - missed[0]:
        return f"a mean cosine of {new.cosine:.4f} to the fp32 file's vectors is less than min_cosine"
    if "max_size_kb" in missed[1] - missed[0]:
        return f"{units.size(new.size_bytes)} are more than max_size_kb"
    return None


def _held(candidate: MeasuredCandidate, teacher: float) -> dict[str, float | None]:
    p50_ms, drop = summary(candidate.samples)["p50"], teacher - candidate.value_validation
    return by_wish(drop=drop, latency_ms=p50_ms, size_bytes=candidate.size_bytes, cosine=candidate.cosine)


def _in_place(candidate: PlannedCandidate, decision: Mixed | None) -> PlannedCandidate:
    if decision is None or decision["refused"] or not (decision["activations"] or decision["weights"]):
        return candidate
    numerics = mixed(candidate.numerics, tuple(decision["activations"]), tuple(decision["weights"]))
    return replace(candidate, numerics=numerics)


def _roundings(groups: list[Group], numbers: frozenset[int]) -> tuple[set[int], set[int]]:
    chosen = [groups[number] for number in numbers]
    return {n for group in chosen for n in group.activations}, {n for group in chosen for n in group.weights}


def _nothing() -> Mixed:
    return {"groups": [], "tries": [], "activations": [], "weights": [], "refused": None}


def _document(groups: list[Group], kept: frozenset[int], tries: list[Try], names: Mapping[str, str]) -> Mixed:
    activations, weights = _roundings(groups, kept)
    return {
        "groups": [
            {
                "layers": [names.get(unit, unit) for unit in group.layers],
                "int8_us": round(group.int8_us, 1),
                "float_us": round(group.float_us, 1),
                "promised_us": round(group.gain_us, 1),
                "in_float": number in kept,
            }
            for number, group in enumerate(groups)
        ],
        "tries": [
            {"groups": sorted(one.groups), "ratio": one.ratio[0], "ci95": list(one.ratio[1:]), "kept": one.kept}
            for one in tries
        ],
        "activations": sorted(activations),
        "weights": sorted(weights),
        "refused": None,
    }
