"""The one training loop.

Everything random is a function of (seed, epoch), so a training that was killed and goes on from its checkpoint
gives the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from edgekd.base import heap, host, plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import RecipeError
from edgekd.base.notes import Progress
from edgekd.base.preprocess import MASK, TOKENS, Op
from edgekd.base.wordpiece import Vocabulary
from edgekd.learn import checkpoint as checkpoints
from edgekd.learn import divergence, global_batch, nets, predictions, ranks, sampler
from edgekd.learn.answers import Answers, Logits, have_answer
from edgekd.learn.checkpoint import EpochLosses, EpochRecord
from edgekd.learn.data import labels_in_parts
from edgekd.learn.feed import Feed, groups
from edgekd.learn.judging import Validation
from edgekd.learn.label_weights import LabelWeights
from edgekd.learn.objective import Objective, Term, Texts, learns_from
from edgekd.learn.optimizer import learning_rate, make_optimizer
from edgekd.learn.student import of_training
from edgekd.metrics import Evaluator
from edgekd.spec.recipe import Schedule
from edgekd.tasks import SINGLE

CLIP = 5.0


@dataclass(frozen=True)
class TrainingJob:
    """One training, as the loop sees it.

    Attributes:
        terms: the losses, with their weights.
        judge: what validation is measured by; absent: accuracy, where there is one head.
        teacher: ``teacher(view)`` gives (N, K) logits over all training samples, or None.
        live: the teacher's module and its own view of the data, for losses that tap its layers.
        validation_teacher: (N, K) logits, where the metric is held against the teacher or the data has no labels.
        begin_epoch: called with (epoch, epochs) before each.
        judged: of the network, the one that validation judges, as the int8 network that would be exported; then the
            weights are kept that it judged best, or those before the first epoch: see ``Validation.gains``. Absent: the
            network itself, and the last weights, unless the schedule has patience.
        progress: told a dict after each epoch, and now and then inside one.
        where: the step's name, for errors.
    """

    terms: Sequence[Term]
    feed: Feed
    schedule: Schedule
    seed: int
    teacher: Callable[[int], Answers] | None = None
    live: tuple[nn.Module, Feed] | None = None
    validation_teacher: Logits | None = None
    evaluator: Evaluator | None = None
    begin_epoch: Callable[[int, int], None] | None = None
    judged: Callable[[nn.Module], nn.Module] | None = None
    progress: Progress | None = None
    where: str = "training"


@heap.kept()
def fit(module: nn.Module, job: TrainingJob, checkpoint: Path | None = None) -> list[EpochRecord]:
    """Train a module in place.

    Args:
        module: from (N, *sample_shape) float32 to (N, K) logits. Only ``train``, ``eval``, ``forward``,
            ``parameters`` and the state dict are used, so a prepared graph will do.
        checkpoint: a folder for the epoch checkpoint; a training that finds one goes on from it. Of several ranks each
            has one, and the first one's counts.

    Returns:
        One dict an epoch: epoch, loss, each loss by name, lr, validation (the metric), seconds, samples_per_s.

    Raises:
        DivergedError: a loss became NaN, infinite or absurd; names the loss, epoch, step and lr.
        FactoryError: the network or a loss raised.
        RecipeError: no parameter trains.
    """
    schedule, feed = job.schedule, job.feed
    nets.check_trains(module, job.where)
    accelerator = Accelerator()
    # A sample left over alone joins the batch before: BatchNorm has no variance over one.
    count, size = feed.length("train"), schedule.batch_size
    batches = max(1, (count if size == 1 else count + size - 2) // size)
    weights = LabelWeights.of(feed, schedule.class_weights)
    objective = objective_of(module, job.terms, feed, job.live, job.seed)
    # Adapters train beside the module and are in its checkpoint, but not in what is handed back.
    whole = nn.ModuleDict({"module": module, "adapters": objective.adapters}) if len(objective.adapters) else module
    optimizer = make_optimizer(whole, schedule)
    validation = Validation(feed, job.evaluator, job.validation_teacher, job.judged)
    untrained = nets.state_of(module) if job.judged else None
    progress = checkpoints.restore(checkpoints.shared(checkpoint), whole, optimizer) if checkpoint else None
    progress = progress or checkpoints.TrainingState([])
    objective.to(accelerator.device)  # before the optimizer, whose state follows the adapters' place
    module, optimizer = accelerator.prepare(module, optimizer)
    for epoch in range(len(progress.history), schedule.epochs):
        if schedule.patience and _since_best(progress.history) >= schedule.patience:
            break
        if job.begin_epoch:
            plugins.call_user(job.begin_epoch, job.where, epoch, schedule.epochs)
        started = time.perf_counter()
        with objective.watching():
            trained = _epoch(module, objective, optimizer, accelerator, job, epoch, batches, weights)
        divergence.check_sane([*progress.history, trained], objective.terms, schedule, batches, job.where)
        value = validation.value(accelerator.unwrap_model(module))
        seconds = time.perf_counter() - started
        rate = feed.length("train") / seconds
        record: EpochRecord = {**trained, "validation": value, "seconds": seconds, "samples_per_s": rate}
        progress.history.append(record)
        if job.judged or (schedule.patience and value > progress.best_value):
            _keep_best(progress, accelerator.unwrap_model(module), value)
        if checkpoint and ranks.is_first():
            checkpoints.save(checkpoint, whole, optimizer, progress)
        if job.progress:
            job.progress({**record, "epochs": schedule.epochs})
    _hand_back(accelerator.unwrap_model(module), progress.best, untrained, validation)
    objective.to(torch.device("cpu"))
    return progress.history


def _hand_back(
    module: nn.Module,
    best: Mapping[str, Tensor] | None,
    untrained: Mapping[str, Tensor] | None,
    validation: Validation,
) -> None:
    """Leave a trained network on the CPU, in evaluation mode: its last weights, or the best or ``untrained`` ones."""
    if untrained is not None and (best is None or not validation.gains(module, untrained, best)):
        best = untrained
    if best is not None:
        module.load_state_dict(best)
    module.cpu()
    module.eval()
    nets.settle(module)


def _keep_best(progress: checkpoints.TrainingState, module: nn.Module, value: float) -> None:
    """Copy the weights where none were better: of two that are judged alike the later are trained longer."""
    if value >= progress.best_value:
        progress.best_value, progress.best = value, nets.state_of(module)


def objective_of(
    module: nn.Module, terms: Sequence[Term], feed: Feed, live: tuple[nn.Module, Feed] | None, seed: int
) -> Objective:
    """The terms over a module, their adapters made for the shapes of a first batch. See ``Task``."""
    if live is None:
        return Objective(terms, module)
    teacher, theirs = live
    index = np.arange(min(2, feed.length("train")))
    example = predictions.tensors(feed.plain("train", index)), predictions.tensors(theirs.plain("train", index))
    return Objective(terms, module, teacher, example, seed, _texts((feed, theirs), example))


def _texts(feeds: tuple[Feed, Feed], example: tuple[predictions.Tensors, predictions.Tensors]) -> Texts | None:
    """The texts of an example, as the student reads them and the teacher; None: it is of none."""
    if not all(feed.reads_texts for feed in feeds):
        return None
    names = [[spec.name for spec in feed.specs] for feed in feeds]
    student, teacher = (x[of.index(TOKENS)].shape[1] for of, x in zip(names, example, strict=True))
    return Texts(student, teacher, _reads_alike(feeds[0].ops[-1], feeds[1].ops[-1]))


def _reads_alike(one: Op, other: Op) -> bool:
    """Whether two ops of texts give the same tokens."""
    words = [Vocabulary.of(op["vocabulary"]) for op in (one, other)]
    return words[0] == words[1] and all(one.get(key) == other.get(key) for key in ("length", "lower"))


def _epoch(
    module: nn.Module,
    objective: Objective,
    optimizer: Optimizer,
    accelerator: Accelerator,
    job: TrainingJob,
    epoch: int,
    batches: int,
    weights: LabelWeights,
) -> EpochLosses:
    feed, schedule = job.feed, job.schedule
    view, labels = epoch % feed.views, feed.labels("train")
    heads = [SINGLE] if job.evaluator is None else list(job.evaluator.heads)
    says = job.teacher(view) if job.teacher else None
    rng = np.random.default_rng([job.seed, epoch])
    order = _order(objective, labels, says, feed.length("train"), rng, schedule.sampler, feed.together("train"))
    module.train()
    torch.manual_seed(job.seed * 100_003 + epoch)
    sums = np.zeros(len(objective.terms) + 1)
    parts = np.split(order, np.arange(1, batches) * schedule.batch_size)
    for step, batch in enumerate(_batches(job, parts, view, accelerator.device)):
        lr = learning_rate(schedule, epoch * batches + step, schedule.epochs * batches)
        for group in optimizer.param_groups:
            group["lr"] = lr
        index = batch.index
        shown_labels = feed.view_labels(view, index)
        y = None if shown_labels is None else torch.tensor(shown_labels, device=accelerator.device)
        t = None if says is None else torch.tensor(says[index], device=accelerator.device)
        optimizer.zero_grad()
        share = (epoch * batches + step) / (schedule.epochs * batches)
        with global_batch.shared(len(index)) as is_shared:
            where = f"{job.where}: training, a batch of {len(batch.x[0])}"
            with _precision(schedule, accelerator.device):  # of the networks: losses are computed in float32
                with global_batch.network((job.seed, epoch, step)):
                    outputs = plugins.call_user(module, where, *batch.x)
                if batch.seen is not None:
                    objective.see(batch.seen)
            logits = global_batch.gathered(of_training(outputs, heads).float())
            weighed = weights.of_batch(view, index, accelerator.device)
            mask = None if batch.mask is None else global_batch.gathered(batch.mask)
            total, values = objective(logits, t, y, share, mask=mask, weighed=weighed)
        divergence.check_finite(total, values, job.where, schedule.lr, (epoch, step, lr))
        if not total.requires_grad:
            raise RecipeError(
                "the loss reaches no parameter", where=job.where, hint="is something detached in forward?"
            )
        accelerator.backward(total)
        if is_shared:
            global_batch.sum_gradients(module.parameters())
        accelerator.clip_grad_norm_([*module.parameters(), *objective.adapters.parameters()], CLIP)
        optimizer.step()
        sums += len(index) * np.array([float(total.detach()), *(float(value.detach()) for value in values.values())])
        if job.progress and step % 20 == 19:
            job.progress({"epoch": epoch, "epochs": schedule.epochs, "batch": step + 1, "batches": batches})
    total_mean, *means = (sums / feed.length("train")).tolist()
    by_name = {term.name: mean for term, mean in zip(objective.terms, means, strict=True)}
    return {"epoch": epoch, "loss": total_mean, "losses": by_name, "lr": lr}


def _order(
    objective: Objective,
    labels: AnyArray | None,
    says: Answers | None,
    count: int,
    rng: np.random.Generator,
    kind: str = "shuffled",
    together: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """The samples of an epoch: those that some loss can learn from, again and again until there are as many steps.

    Where only labels teach these have a label, where only the teacher does an answer. ``together``: see ``Task``.

    Raises:
        RecipeError: there are none.
    """
    taught = np.zeros(count, bool)
    for term in objective.terms:
        able = np.ones(count, bool)
        if "labels" in term.loss.needs and labels is not None:
            of_parts = [learns_from(term, term.labels(torch.from_numpy(part))) for part in labels_in_parts(labels)]
            able &= torch.cat(of_parts).numpy()
        if "teacher" in term.loss.needs and says is not None:
            able &= have_answer(says, term.columns)
        taught |= able
    if not taught.any():
        names = ", ".join(term.name for term in objective.terms)
        allowed = "a label, or a teacher's answer, of one training sample at least"
        raise RecipeError("nothing to learn from", where=objective.terms[0].where, found=names, allowed=allowed)
    if kind == "balanced" and labels is not None:
        return sampler.balanced(labels, taught, rng)
    if together is not None:
        return sampler.grouped(taught, groups(together), rng)
    return sampler.shuffled(taught, rng)


@dataclass(frozen=True)
class _Batch:
    """A batch as this rank sees it: the numbers of all samples, and of its own rows what the networks are given."""

    index: NDArray[np.int64]
    x: predictions.Tensors
    seen: predictions.Tensors | None  # by the teacher, as its own preprocessing shows them; None where nothing taps it
    mask: Tensor | None


def _batches(job: TrainingJob, parts: Sequence[NDArray[np.int64]], view: int, device: torch.device) -> Iterator[_Batch]:
    """The batches of an epoch. Texts are read by every rank: how long a batch of them is, all say together."""
    feed, whole = job.feed, job.feed.reads_texts
    all_rows = [global_batch.rows_of(len(part)) for part in parts]
    read = parts if whole else [part[rows] for part, rows in zip(parts, all_rows, strict=True)]
    for index, rows, (numbers, samples) in zip(parts, all_rows, feed.ahead("train", read, view), strict=False):
        mine = rows if whole else slice(None)
        x = tuple(given[mine] for given in predictions.tensors(feed.train(view, numbers, samples), device))
        seen: predictions.Tensors | None = None
        if job.live is not None:
            theirs = job.live[1]
            seen = x if theirs.shows_as(feed) else predictions.tensors(theirs.train(view, numbers, samples), device)
            seen = seen if seen is x else tuple(given[mine] for given in seen)
        yield _Batch(index, x, seen, _mask(feed, x))


def _mask(feed: Feed, x: predictions.Tensors) -> Tensor | None:
    """(N, L), 1 for tokens and 0 for padding, where the network is told it."""
    return next((array for spec, array in zip(feed.specs, x, strict=True) if spec.name == MASK), None)


def _precision(schedule: Schedule, device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where the schedule allows it and the device has it; accelerate's own can't change between steps."""
    if device.type == "cuda":
        mixed = schedule.precision != "fp32" and torch.cuda.is_bf16_supported()
    else:
        mixed = schedule.precision == "bf16" and host.multiplies_bf16()
    return torch.autocast(device.type, torch.bfloat16) if mixed else contextlib.nullcontext()


def _since_best(history: list[EpochRecord]) -> int:
    values = [record["validation"] for record in history]
    return len(values) - 1 - int(np.argmax(values)) if values else 0
