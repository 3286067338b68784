"""Trainings on a GPU: ResNet-56 -> ResNet-20 over seeds and what int8 keeps of it; recipes at full size.

``distilled`` and ``alone``: the recipe ``cifar10-resnet56`` with ``EPOCHS`` epochs of 512 samples, in bfloat16 where
the GPU has it; ``alone`` is the student with the teacher's schedule, from labels. ``full``: what ``FULL`` says. Each
file is asked for the whole test split, one sample at a time, on each runtime that is there; on the others ``judged``
asks it later. A training that was stopped goes on from its last epoch (``EDGEKD_CACHE``). ``gap`` sums up: the shares
of the gap that are closed, with their 95 % intervals over (seed, test sample).
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _nets
import numpy as np
import torch
from _gpu_files import Setup
from _small import TEXTS
from matrix import interval

from edgekd.base import host
from edgekd.base.errors import UnavailableError
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build import target_runtime, teach
from edgekd.build.plan import TeachStep
from edgekd.build.prepare import Objects, prepare
from edgekd.build.workspace import Workspace
from edgekd.learn import predictions
from edgekd.learn.feed import Feed
from edgekd.spec import target

RECIPE, CIFAR = "cifar10-resnet56", "cifar10_jpeg.npz"
TARGETS = ("ort-cpu", "openvino")
EPOCHS, LR, BATCH = 26, 0.2, 512  # a rate for four times the recipe's batch of 128, as its square root
STUDENT = '{kind="resnet",depth=20,width=16}'
TINY = '{kind="resnet",depth=8,width=8}'
HERE = Path(__file__).parent
FULL: dict[str, tuple[str, str, list[str], list[str]]] = {
    # the recipe, where its data lies, what fits it to minutes, and what of it makes it quick
    "bert-distilbert": (
        str(HERE / "full" / "bert-distilbert-full.toml"),
        ".",
        # No trained BERT is brought: it begins with nothing, and a rate for fine-tuning would teach it nothing.
        ["data.vocab=8000", "teacher.epochs=6", "teacher.lr=1e-4", "student.lr=1e-4"],
        [*TEXTS, "data.length=16"],
    ),
    "one-tenth": (
        "one-tenth",
        CIFAR,
        [f"teacher.checkpoint={_nets.CHECKPOINTS / 'cifar_resnet20_seed0.safetensors'}"],
        [f"teacher.model={TINY}"],
    ),
    "cifar10-cnn": (
        str(HERE / "full" / "cifar10-cnn-full.toml"),
        CIFAR,
        [f"{who}.epochs=30" for who in ("teacher", "student")] + ["compress.0.epochs=3"],
        ["teacher.model.width=16", "student.model.width=8"],
    ),
}
Scores = dict[str, np.ndarray]
Files = Mapping[str, Mapping[str, bytes]]


def order_of(setup: Setup, student: str, seed: int) -> requests.BuildRequest:
    """The recipe, fitted to minutes."""
    schedule = [
        f"{who}.{key}={value}"
        for who in ("teacher", "student")
        for key, value in (("epochs", EPOCHS), ("batch_size", BATCH), ("lr", LR), ("warmup", 0.1))
    ]
    few = ["augment.views=8", f"compress.0.epochs={EPOCHS // 5}", f"compress.0.batch_size={BATCH}"]
    nets = [f"teacher.model={TINY}", f"student.model={TINY}"] if setup.quick else []
    nets += [f"teacher.model={STUDENT}"] if student == "alone" and not setup.quick else []
    settings = [*setup.settings(CIFAR), f"seed={seed}", *schedule, *few, *nets]
    return requests.make(RECIPE, TARGETS, settings, quick=setup.quick, progress=told)


def alone(setup: Setup, seed: str) -> dict[str, Any]:
    """The student from labels alone."""
    started = time.time()
    workspace = prepare(order_of(setup, "alone", int(seed)), Objects())
    answers = {"alone": scores(workspace, teacher_of(workspace))}
    return record(workspace, answers, time.time() - started)


def distilled(setup: Setup, seed: str) -> dict[str, Any]:
    """The teacher, its student, and the student's files, which stay in the folder."""
    started = time.time()
    workspace = prepare(order_of(setup, "distilled", int(seed)), Objects())
    answers, files = trained(workspace)
    seconds = time.time() - started
    place = setup.out / f"distilled_seed{seed}"
    place.mkdir(parents=True, exist_ok=True)
    for name, candidates in files.items():
        for candidate, file in candidates.items():
            (place / f"{name}.{candidate}.onnx").write_bytes(file)
    return record(workspace, answers | asked(workspace.feed, files), seconds)


def full(setup: Setup, name: str) -> dict[str, Any]:
    """A recipe at full size: what each of its nets and files knows of the test split, and the files' bytes."""
    recipe, data, fitted, small = FULL[name]
    started = time.time()
    chosen = small if setup.quick else fitted
    settings = [*setup.settings(data), *chosen]
    workspace = prepare(requests.make(recipe, ["ort-cpu"], settings, quick=setup.quick, progress=told), Objects())
    answers, files = trained(workspace)
    seconds = time.time() - started
    answers |= asked(workspace.feed, files, threads=host.cores())
    evaluate, labels, raw = workspace.evaluator_of("student"), workspace.feed.labels("test"), workspace.feed.raw("test")
    values = {who: float(evaluate(rows, labels, None, raw)) for who, rows in answers.items()}
    sizes = {candidate: len(file) for candidate, file in files["ort-cpu"].items()}
    shown = [line.replace(f"{HERE.parent}/", "") for line in chosen]
    row = {"settings": shown, "train_seconds": seconds, "samples": len(answers["teacher"])}
    print(name, values, flush=True)
    return row | {"metric": workspace.recipe.metric["kind"], "value_test": values, "size_bytes": sizes}


def trained(workspace: Workspace) -> tuple[Scores, dict[str, dict[str, bytes]]]:
    """Train everything; what the float nets say to the test split, and the files by target and candidate."""
    steps, _ = running.train_all(workspace)
    answers = {"teacher": scores(workspace, teacher_of(workspace))}
    answers["distilled"] = scores(workspace, steps["student"].student.module)
    return answers, running.export_all(workspace, steps)


def teacher_of(workspace: Workspace) -> torch.nn.Module:
    """The teacher, from the cache where it was trained before."""
    return teach.teacher(workspace, workspace.plan.get("teacher", TeachStep)).student.module


def scores(workspace: Workspace, module: torch.nn.Module) -> np.ndarray:
    """(count, classes), of a float net on the test split."""
    with predictions.accelerated(module) as there:
        return predictions.predict(there, workspace.feed, "test")


def asked(feed: Feed, files: Files, threads: int = 1) -> Scores:
    """What each file says to the test split, ``int8 on ort-cpu``, on each runtime that is there."""
    answers: Scores = {}
    for name, candidates in files.items():
        try:
            backend = target_runtime.parse(target.load(name)).with_options(threads=threads).backend
        except UnavailableError as err:
            print(f"{name}: {err}", flush=True)
            continue
        for candidate, file in candidates.items():
            session = backend.open(backend.lower(file), batch=1)
            answers[f"{candidate} on {name}"] = np.asarray(_nets.scores(feed, session))
    return answers


def record(workspace: Workspace, answers: Scores, seconds: float) -> dict[str, Any]:
    """Which test samples each of the nets and files has right, a bit each."""
    labels = np.asarray(workspace.feed.labels("test"))
    right = {who: rows.argmax(1) == labels for who, rows in answers.items()}
    print({who: float(hits.mean()) for who, hits in right.items()}, flush=True)
    mixed = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    about = {"epochs": EPOCHS, "torch": torch.__version__, "precision": "bf16" if mixed else "fp32"}
    packed = {who: base64.b64encode(np.packbits(hits).tobytes()).decode() for who, hits in right.items()}
    return {**about, "train_seconds": seconds, "samples": len(labels), "right": packed}


def unpacked(result: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """(count,) of each net and file: 1.0 where it is right."""
    bits = {who: np.frombuffer(base64.b64decode(text), np.uint8) for who, text in result["right"].items()}
    return {who: np.unpackbits(row, count=result["samples"]).astype(np.float64) for who, row in bits.items()}


def judged(setup: Setup, seed: str, result: dict[str, Any]) -> dict[str, Any]:
    """A distilled student's result with what its files say on runtimes of this machine that the other did not have."""
    files: dict[str, dict[str, bytes]] = {}
    for path in sorted((setup.out / f"distilled_seed{seed}").glob("*.onnx")):
        name, candidate, _ = path.name.split(".")
        if f"{candidate} on {name}" not in result["right"]:
            files.setdefault(name, {})[candidate] = path.read_bytes()
    if not files:
        return result
    workspace = prepare(order_of(setup, "distilled", int(seed)), Objects())
    more = record(workspace, asked(workspace.feed, files), 0.0)["right"]
    return {**result, "right": {**result["right"], **more}}


def gap(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What int8 keeps, over the seeds of ``results`` (``distilled 0``, ``alone 0`` ...)."""
    seeds = sorted({int(name.split()[1]) for name in results})
    right: dict[str, list[np.ndarray]] = {}
    for seed in seeds:
        for student in ("alone", "distilled"):
            for who, hits in unpacked(results[f"{student} {seed}"]).items():
                right.setdefault(who, []).append(hits)
    adds = {who: np.stack(rows) for who, rows in right.items() if len(rows) == len(seeds)}
    above = adds["teacher"] - adds["alone"]
    return {
        "seeds": seeds,
        "value_test": {who: v.mean(1).tolist() for who, v in adds.items()},
        "gap": interval(above),
        "minus_alone": {who: interval(v - adds["alone"]) for who, v in adds.items() if who != "alone"},
        "closes": {who: float((v - adds["alone"]).mean() / above.mean()) for who, v in adds.items() if who != "alone"},
    }


def told(event: dict[str, Any]) -> None:
    """A line an epoch."""
    if "loss" in event:
        rate = event["samples_per_s"]
        epoch = f"{event['step']} {event['epoch'] + 1}/{event['epochs']}"
        print(f"  {epoch} {event['validation']:.4f} {rate:.0f} samples/s", flush=True)
