"""Processes that train together, started as a launcher would: ``python _ranks.py OUT`` is one of them.

What it computes (``TRAININGS``) is the same for any number of processes, and so is what the tests hold it against.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import _launcher
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edgekd.base import plugins, rank
from edgekd.base.errors import EdgekdError
from edgekd.compress import Context
from edgekd.compress.int8_qat import Int8Qat
from edgekd.learn import global_batch, predictions, ranks, train
from edgekd.learn.data.made import Made
from edgekd.learn.data.made_text import MadeText
from edgekd.learn.feed import Feed
from edgekd.learn.objective import make_terms
from edgekd.learn.student import Student, TensorSpec
from edgekd.learn.teaching import asked_once
from edgekd.learn.train import TrainingJob
from edgekd.spec.recipe import Augment, Schedule
from edgekd.spec.target import load

TRAINED = 151  # samples: of batches of 64 the last has 23, which no two ranks share evenly
CLASSES = 4
ON_LAYERS = ("hint", "similarity_preserving")
IS_FIRST = os.environ.get("RANK", "0") == "0"


def start(count: int, line: Sequence[str], **how: object) -> list[subprocess.Popen[str]]:
    """The processes, each with a rank; ``line``: a Python program and its arguments."""
    command = [sys.executable, *line]
    return [subprocess.Popen(command, env=env, text=True, **how) for env in _launcher.environments(count)]  # type: ignore[call-overload]


def feed() -> Feed:
    """Pictures under two views."""
    data = Made((8, 8, 1), classes=CLASSES, train=TRAINED, validation=40, test=8).load()
    return Feed(data, data.preprocess, Augment(flip=True, crop=1, views=2), seed=3)


def network() -> nn.Module:
    """Convolutions with BatchNorm, seeded."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(12, momentum=0.3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, CLASSES),
    )


def job(epochs: int, optimizer: str = "adamw") -> TrainingJob:
    """Losses of which one compares samples of a batch with each other, and classes that do not count alike."""
    shown = feed()
    tables = [{"kind": "kl", "weight": 0.7}, {"kind": "cross_entropy", "weight": 0.3}, {"kind": "dist", "weight": 0.2}]

    def teacher(view: int) -> np.ndarray:
        return np.random.default_rng(view).standard_normal((TRAINED, CLASSES), dtype=np.float32)

    table = {"epochs": epochs, "batch_size": 64, "optimizer": optimizer, "lr": 0.01, "class_weights": "balanced"}
    return TrainingJob(make_terms(tables), shown, Schedule.model_validate(table), 5, teacher=teacher)


def float_training() -> dict[str, Tensor]:
    """The state of a network after three epochs, and its losses."""
    module = network()
    history = train.fit(module, job(3))
    losses = torch.tensor([[epoch["loss"], epoch["validation"]] for epoch in history])
    return {**module.state_dict(), "losses": losses}


def one_step() -> dict[str, Tensor]:
    """The state after one batch of 64, float: what one all-reduce of each kind does."""
    return _step(network())


def quantized_step() -> dict[str, Tensor]:
    """The same of a network with observers whose BatchNorm is in an exported graph, and not frozen."""
    inputs = (TensorSpec("x", (None, 1, 8, 8)),)
    student = Student(network(), inputs, (TensorSpec("logits", (None, CLASSES)),))
    numerics = next(one for one in load("ort-cpu").numerics if one.quantized)
    calibration = [predictions.tensors(feed().plain("train", np.arange(32)))]
    change = Int8Qat(freeze_bn_after=1.0, bias_correction=False)
    prepared = change.apply(student, Context(numerics, 1, calibration)).module
    prepared.bn_frozen = False  # type: ignore[assignment]
    return _step(prepared)


def _step(module: nn.Module) -> dict[str, Tensor]:
    """State and gradients after one batch of 64."""
    module.train()
    x, target = predictions.tensors(feed().plain("train", np.arange(64)))[0], torch.arange(64) % CLASSES
    with global_batch.shared(64) as is_shared:
        with global_batch.network((0,)):
            logits = module(x[global_batch.rows_of(64)])
        nn.functional.cross_entropy(global_batch.gathered(logits), target).backward()
    if is_shared:
        global_batch.sum_gradients(module.parameters())
    gradients = {f"gradient of {n}": p.grad for n, p in module.named_parameters() if p.grad is not None}
    return {**{name: value.clone() for name, value in module.state_dict().items()}, **gradients}


def layers() -> dict[str, Tensor]:
    """An epoch with losses on layers, of which one learns an adapter and one compares samples with each other."""
    tables = [{"kind": kind, "student_layers": ["3"], "teacher_layers": ["0"]} for kind in ON_LAYERS]
    teacher, module = network().eval(), network()
    trained = replace(job(1), terms=make_terms(tables), live=(teacher, feed()), teacher=None)
    train.fit(module, trained)
    return dict(module.state_dict())


def texts() -> dict[str, Tensor]:
    """An epoch over texts of all lengths, without a Dropout: each rank would drop other units."""
    data = MadeText(words=20, train=37, validation=4, test=4).load()
    read = Feed(data, data.preprocess, Augment(views=1), 0)
    torch.manual_seed(0)
    table = {"kind": "bert", "width": 16, "layers": 1, "heads": 2}
    student, teacher = (plugins.build("models", table, "m").build(read.sample_shape, 2).eval() for _ in range(2))
    for part in student.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    path = "bert.encoder.layer.0"
    terms = make_terms([{"kind": "hidden_states", "student_layers": [path], "teacher_layers": [path]}])
    schedule = Schedule(epochs=1, batch_size=16, optimizer="sgd")
    train.fit(student, TrainingJob(terms, read, schedule, 0, live=(teacher, read)))
    return dict(student.state_dict())


def one_by_one() -> dict[str, Tensor]:
    """Batches of a single sample, which two ranks can't share."""
    torch.manual_seed(0)
    data = Made((4, 4, 1), classes=CLASSES, train=12, validation=4, test=4).load()
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))
    terms = make_terms([{"kind": "cross_entropy"}])
    few = Feed(data, data.preprocess, Augment(views=1), 0)
    train.fit(module, TrainingJob(terms, few, Schedule(epochs=1, batch_size=1), 0))
    return dict(module.state_dict())


class _Service:
    """Answers the first rank alone, as a service that is paid for."""

    sees_views, may_miss = True, False

    def view(self, view: int) -> np.ndarray:
        if not IS_FIRST:
            raise RuntimeError("asked twice")
        return np.arange(12, dtype=np.float32).reshape(4, 3) + view

    def split(self, split: str) -> np.ndarray:
        return self.view(len(split))


def answers() -> dict[str, Tensor]:
    """What a network says to a view, 32 samples at a time, and what a service does."""
    service = asked_once(_Service())
    asked = [] if service is None else [service.view(1), service.split("train")]
    views = {"view": torch.tensor(predictions.predict_view(network(), feed(), 1, batch_size=32))}
    return {**views, "asked": torch.tensor(np.stack(asked))}


TRAININGS = {"float": float_training, "one step": one_step, "quantized": quantized_step, "answers": answers}
TRAININGS |= {"layers": layers, "texts": texts, "one by one": one_by_one}


def compute() -> dict[str, Tensor]:
    """Everything, by what it is of and its own name."""
    return {f"{kind}: {name}": value for kind, make in TRAININGS.items() for name, value in make().items()}


def lose_a_rank(out: Path) -> None:
    """The float training, in which the last rank is killed after two epochs; the first one writes down its error."""

    def die(event: dict[str, object]) -> None:
        if event.get("epoch") == 1 and not ranks.is_first():
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        train.fit(network(), replace(job(3), progress=die), out)
    except EdgekdError as err:
        (out / "error.txt").write_text(f"{err.exit_code} {err}")


def of_two(out: Path) -> dict[str, Tensor]:
    """``compute`` of two processes, of which the second is killed in the end; ``out``: a folder."""
    processes = start(2, [__file__, str(out)])
    codes = [process.wait(120) for process in processes]
    if codes != [0, -signal.SIGKILL]:
        raise RuntimeError(f"the ranks ended with {codes}")
    return load_file(out / "result.safetensors")


def main() -> None:
    torch.set_num_threads(1)
    with ranks.joined(rank.of_environment(os.environ)), ranks.together():
        out, result = Path(sys.argv[1]), compute()
        if ranks.is_first():
            save_file({name: value.contiguous() for name, value in result.items()}, out / "result.safetensors")
        with tempfile.TemporaryDirectory() as beside:
            lose_a_rank(out if ranks.is_first() else Path(beside))


if __name__ == "__main__":
    main()
