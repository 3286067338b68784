"""Rehearse first: the untrained student through prune, QAT, export and every target's runtime, before an hour is spent.

What will not export fails here in seconds, naming module and op. On the way each candidate's *shape* is timed on its
target, and a training batch of each step, so that the plan can say what the build will cost.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import nn

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.base.preprocess import MASK
from edgekd.build import clock, distil, exports, output_shapes, structure, taken
from edgekd.build.fit import tapped
from edgekd.build.independence import chance, dependence
from edgekd.build.kept import document
from edgekd.build.plan import CompressStep, DistilStep, ExportStep, Plan, TeachStep, TrainedStep
from edgekd.build.store import Store, canonical, sha256
from edgekd.build.target_runtime import TargetRuntime
from edgekd.build.workspace import Workspace
from edgekd.document.cache import Rehearsed
from edgekd.document.machine import Key
from edgekd.learn import leaving, nets, predictions, train
from edgekd.learn.objective import check_layers
from edgekd.learn.student import TENSORS_SO, Student, of_training
from edgekd.learn.teacher import bare
from edgekd.runtime.jobs import BenchJob
from edgekd.runtime.runners import BuildRunner

RUNS, SECONDS = 30, 0.05  # of timing a shape, at least
PADDING = (
    f"{MASK} is 0 where there is no token: leave these places out of means and maxima; a recurrent layer that reads "
    "backwards comes to them first: multiply what it reads by the mask, and give it bias=False, so that its state is "
    "0 until a token comes (pack_padded_sequence can't be exported)"
)


def key(plan: Plan, host: Key) -> str:
    """The rehearsal's own key: it also depends on the machine, whose times it tells."""
    return sha256(canonical(["rehearsal", *sorted(step.key for step in plan.steps.values()), dict(host)]))


def known(plan: Plan, store: Store, host: Key) -> Rehearsed | None:
    """What an earlier rehearsal of this plan on this machine found: seconds a sample by step, latency by target."""
    return document(store, key(plan, host), "rehearsal.json", Rehearsed)


def run(workspace: Workspace) -> Rehearsed:
    """Rehearse, or find that it was done.

    Returns:
        ``{"seconds_per_sample": {step: s}, "latency_ms": {target: {candidate: ms}}, "size_bytes": {...}}``, the sizes
        as the latencies: of every file that the runtime opens. ``notes``: what it told. ``taken``: what each pass
        takes, in words.

    Raises:
        ExportError, UnavailableError, UsageError: what would have failed after training, naming step and module.
    """
    plan, host = workspace.plan, workspace.runner.facts()["key"]
    if rehearsed := known(plan, workspace.store, host):
        for note in rehearsed.get("notes", ()):
            workspace.note(note)
        return rehearsed
    workspace.progress({"step": "rehearsal", "epoch": None})
    students, cost = _structures(workspace)
    files: dict[str, bytes] = {}
    traces: exports.Traces = {}
    latency: dict[str, dict[str, float]] = {}
    size: dict[str, dict[str, int]] = {}
    for runtime in plan.runtimes:
        latency[runtime.name], size[runtime.name] = {}, {}
        for candidate in plan.candidates[runtime.name]:
            step = plan.get(candidate.export, ExportStep)
            if step.name not in files:
                files[step.name] = exports.lowered(workspace, step, students[step.parent], {}, traces)
            took, count = _try(runtime, files[step.name], students["student"], workspace.runner)
            latency[runtime.name][candidate.name], size[runtime.name][candidate.name] = took, count
    sentences = {name: taken.sentence(student.lineage[-1]) for name, student in students.items()}
    result: Rehearsed = {
        "seconds_per_sample": cost,
        "latency_ms": latency,
        "size_bytes": size,
        "notes": workspace.found,
        "taken": {name: sentence for name, sentence in sentences.items() if sentence},
    }
    workspace.store.put(key(plan, host), {"rehearsal.json": canonical(result)})
    return result


def check(workspace: Workspace) -> dict[str, Student]:
    """The untrained teachers and students alone: what they answer, and that the losses find their layers.

    Raises:
        ExportError, RecipeError: another output than the task's, or a layer that is not there.
    """
    students: dict[str, Student] = {}
    for step in workspace.plan.of_kind(TrainedStep):
        if isinstance(step, CompressStep):
            continue
        if isinstance(step, DistilStep):
            student = distil.begin(workspace, step, students["teacher"])
            _check_python(student, step)
        else:
            student = workspace.untrained(step.name)
        students[step.name] = student
        if step.name in workspace.sources:
            continue  # nobody can be asked
        _check_output(student, step, workspace)
        if step.schedule is not None:
            nets.check_trains(student.module, step.name, workspace.note)
            _check_training(student, workspace, step)
        _check_independence(student, workspace, step)
        if isinstance(step, DistilStep):
            check_layers(workspace.terms, student.module, students["teacher"].module)
    return students


def _structures(workspace: Workspace) -> tuple[dict[str, Student], dict[str, float]]:
    """Every trained step's structure without its training, and the seconds a sample that training will take."""
    students = check(workspace)
    cost: dict[str, float] = {}
    for step in workspace.plan.of_kind(TrainedStep):
        if isinstance(step, CompressStep):
            context = structure.context_of(workspace, step, step.applied.change)
            students[step.name] = structure.apply(step.applied, students[step.parent], context)
            _check_output(students[step.name], step, workspace)
        if isinstance(step, DistilStep | CompressStep):
            live = tapped(workspace, students["teacher"].module, step.terms)
            train.objective_of(students[step.name].module, step.terms, workspace.feed, live, workspace.recipe.seed)
        if step.schedule is not None:
            batch = min(step.schedule.batch_size, workspace.feed.length("train"))
            cost[step.name] = _training_time(students[step.name].module, workspace, step, batch)
    return students, cost


def _check_output(student: Student, step: TrainedStep, workspace: Workspace) -> None:
    """The model must give one (N, classes) tensor of scores, or one for each head; also for the longest sequences."""
    student.module.eval()
    longest = max(spec.longest or 0 for spec in student.inputs)
    with torch.no_grad():
        out = plugins.call_user(student.module, step.name, *_example(student, step, workspace, longest))
    heads, teaches = workspace.heads_of(step.name), isinstance(step, TeachStep)
    texts = workspace.feed.reads_texts
    output_shapes.check(out, student, step.name, heads, workspace.classes, teaches=teaches, texts=texts)
    pretrained = isinstance(step, TeachStep) and step.schedule is None  # it only tells what it knows: votes will do
    given = out if isinstance(out, tuple | list) else [out]
    if not pretrained and (odd := [str(part.dtype) for part in given if not part.is_floating_point()]):
        hint = output_shapes.SCORES
        raise ExportError("the output is no score", where=step.name, found=odd[0], allowed="floats", hint=hint)


def _example(student: Student, step: TrainedStep, workspace: Workspace, longest: int) -> tuple[torch.Tensor, ...]:
    """Two samples: made ones; of a teacher that is only asked real ones, as it may take whole numbers, say."""
    if isinstance(step, TeachStep) and step.schedule is None and not longest:
        return predictions.tensors(workspace.feed_of(step.name).plain("train", np.arange(2)))
    return student.example(length=longest or None)


def _check_python(student: Student, step: TrainedStep) -> None:
    """TorchScript can be neither traced nor pruned nor quantized: a teacher may be of it, a student may not."""
    network = bare(student.module)
    scripted = [path for path, part in network.named_modules() if isinstance(part, torch.jit.ScriptModule)]
    if scripted:
        where = f"{step.name}: {scripted[0]}" if scripted[0] else step.name
        hint = "give the nn.Module that it was made of"
        raise ExportError("is TorchScript, which can't be exported", where=where, hint=hint)


def _check_training(student: Student, workspace: Workspace, step: TrainedStep) -> None:
    """In training a network may give more than in evaluation (auxiliary heads): its scores must be as wide as then."""
    names, wanted = [spec.name for spec in student.outputs], sum(spec.shape[1] or 0 for spec in student.outputs)
    student.module.train()
    with torch.random.fork_rng(devices=[]):
        outputs = plugins.call_user(student.module, f"{step.name}: training", *workspace.probe(step.name))
        scores = of_training(outputs, names)
    student.module.eval()
    if scores.ndim != 2 or scores.shape[1] != wanted:
        shape, allowed = str(tuple(scores.shape)), f"(N, {wanted})"
        raise ExportError("in training the output has another shape", where=step.name, found=shape, allowed=allowed)
    nets.check_gradient(student.module, scores, step.name)
    nets.settle(student.module)
    if not isinstance(outputs, torch.Tensor) and len(outputs) > len(names):
        more, first = len(outputs) - len(names), "the first" if len(names) == 1 else f"the first {len(names)}"
        workspace.note(
            f"in training the {step.name} gives {more} output(s) more (auxiliary heads): {first} alone is trained"
        )


def _check_independence(student: Student, workspace: Workspace, step: TrainedStep) -> None:
    """An app asks one sample at a time, and must get what was scored; a teacher's answers are only kept."""
    if (place := chance(student.module, workspace.feed_of(step.name), step.name)) is not None:
        if isinstance(step, TeachStep):
            workspace.note(
                f"{step.name} answers otherwise each time it is asked, in {place}: what it says once is kept"
            )
            return
        raise ExportError(
            "the student answers otherwise each time it is asked, in evaluation mode too",
            where=f"{step.name}: {place}",
            hint="draw nothing by chance then, and keep nothing from one call to the next: dropout takes "
            "training=self.training",
        )
    if (place := dependence(student.module, workspace.feed_of(step.name), step.name)) is None:
        return
    if isinstance(step, TeachStep):
        message = f"what {step.name} answers to a sample depends on the other samples of its batch, in {place}"
        workspace.note(f"{message}: what is kept of it is what it says to batches of 256")
        return
    left = leaving.place(student.module, workspace.probe(step.name))
    of_batch = "an app asks one sample at a time: keep running statistics, and compute nothing over the batch"
    if MASK in [spec.name for spec in student.inputs]:
        of_batch += f". Or does it read the padding of texts, which is as long as the longest of a batch? {PADDING}"
    raise ExportError(
        "what the student answers to a sample depends on the other samples of its batch",
        where=f"{step.name}: {place}",
        hint=of_batch if left is None else f"forward reads a number of the whole batch ({left}): {TENSORS_SO}",
    )


def _training_time(module: nn.Module, workspace: Workspace, step: TrainedStep, batch: int) -> float:
    """Seconds a sample of one forward and backward pass, the second of two."""
    x = predictions.tensors(workspace.feed_of(step.name).train(0, np.arange(batch)))
    module.train()
    took = 0.0
    for _ in range(2):
        started = time.perf_counter()
        outputs = plugins.call_user(module, f"{step.name}: training, a batch of {batch}", *x)
        loss = of_training(outputs, list(workspace.heads_of(step.name))).float().square().mean()
        plugins.call_user(loss.backward, f"{step.name}: training")
        took = time.perf_counter() - started
    module.zero_grad()
    module.eval()
    nets.settle(module)
    return took / batch


def _try(runtime: TargetRuntime, onnx: bytes, student: Student, run: BuildRunner) -> tuple[float, int]:
    """Milliseconds of a few runs, and the files' bytes."""
    target, files = runtime.target, runtime.backend.lower(onnx)
    batch, where = target.shapes.batch, runtime.where
    x = clock.inputs_of(student, batch)
    job = BenchJob(target.backend, {"this": files}, "this", x, target.options, batch, RUNS, SECONDS, where)
    return run.glance(job), sum(len(data) for data in files.values())
