"""Mixed precision in a build: times that are made decide, real runtimes open, run and are held against torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.base import host
from edgekd.build import measure, mixed
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.measure import Measured, MeasuredCandidate
from edgekd.build.plan import MeasureStep
from edgekd.build.prepare import Objects, prepare
from edgekd.build.workspace import Workspace
from edgekd.document.cache import Compared
from edgekd.document.kernel import Kernel
from edgekd.document.mixed import Mixed
from edgekd.runtime.bench import BenchResult
from edgekd.runtime.conditions import Conditions
from edgekd.runtime.jobs import BenchJob
from edgekd.runtime.runners import LocalRunner
from edgekd.spec import target
from edgekd.spec.mixed import MixedNumerics
from edgekd.spec.recipe import Budget

TARGETS = ("ort-cpu-vnni", "openvino-vnni")  # 8 bits promise no equal answers on all CPUs
# Layers that made-up profiles say are slow in int8; in float ONNX Runtime tells a convolution by its ReLU.
SLOW = ("Conv_1", "Conv_2", "Relu_1", "Relu_2")
DATA = {"source": "made", "shape": [16, 16, 1], "classes": 4, "train": 64, "validation": 64, "test": 16}
RECIPE = {
    "name": "small",
    "threads": 1,
    "data": DATA,
    "augment": {"views": 1},
    "teacher": {"model": {"kind": "object"}},
    "student": {"model": {"kind": "object"}, "epochs": 0},
    "losses": [{"kind": "cross_entropy"}],
    "compress": [{"kind": "int8_ptq"}],
    "budget": {"max_drop": 0.5},
}


class Net(nn.Module):
    """Three convolutions and a linear layer, all in int8 on both runtimes."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [(1, 32), (32, 32), (32, 32)]
        self.layers = nn.ModuleList(nn.Conv2d(*size, 3, padding=1) for size in sizes)
        self.head = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x.mean((2, 3)))


@dataclass
class MadeTimes(LocalRunner):
    """This machine, with times by the number of roundings in a file, and kernels' by whether they are ``SLOW``."""

    timed: list[BenchJob] = field(default_factory=list)
    profiled: list[BenchJob] = field(default_factory=list)

    def bench(self, job: BenchJob) -> BenchResult:
        self.timed.append(job)
        rng = np.random.default_rng(len(self.timed))
        samples = {
            name: (1000 * (microseconds(files) + rng.random(job.min_samples))).astype(np.int64)
            for name, files in job.candidates.items()
        }
        return BenchResult(samples, "made", host.facts(), Conditions(), None)

    def kernels(self, job: BenchJob, *, quick: bool) -> dict[str, list[Kernel] | None]:
        self.profiled.append(job)
        return {name: [made(k) for k in ran or ()] for name, ran in super().kernels(job, quick=quick).items()}


def microseconds(files: Mapping[str, bytes]) -> float:
    """Each rounding costs 50; a file without any is the slowest."""
    count = sum(data.count(b"QuantizeLinear") + data.count(b'type="FakeQuantize"') for data in files.values())
    return 100.0 + 50 * count if count else 5000.0


def made(kernel: Kernel) -> Kernel:
    slow = any(layer in SLOW for layer in kernel.layers) == (kernel.precision == "int8")
    layer = any(layer.startswith(("Conv_", "Relu_", "Gemm_", "MatMul_", "logits")) for layer in kernel.layers)
    return replace(kernel, microseconds=100.0 if layer and slow else 1.0)


def workspace(cache: Path, runner: LocalRunner) -> Workspace:
    torch.manual_seed(0)
    request = requests.make(RECIPE, TARGETS, objects="o", cache=cache)
    return prepare(request, Objects(None, Net().eval(), Net().eval()), runner)


@dataclass
class Built:
    """A build with made-up times, and where its cache lies."""

    cache: Path
    workspace: Workspace
    made: running.Made


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    cache = tmp_path_factory.mktemp("mixed")
    here = workspace(cache, MadeTimes())
    return Built(cache, here, running.make_all(here, 1.0))


@pytest.fixture(params=TARGETS)
def on(request: pytest.FixtureRequest, built: Built) -> Measured:
    return built.made.measured[request.param]


def test_layers_that_are_faster_in_float_run_so_in_the_file(on: Measured) -> None:
    int8 = on.candidates["int8-ptq"]
    assert isinstance(int8.numerics, MixedNumerics) and int8.mixed is not None
    (group,) = [group for group in int8.mixed["groups"] if group["in_float"]]
    assert {*group["layers"]} >= {"Conv_1", "Conv_2"} and "Conv_0" not in group["layers"]
    assert group["int8_us"] > group["float_us"] and group["promised_us"] > 100
    assert int8.mixed["tries"][0]["kept"] and int8.mixed["refused"] is None
    precision = {name: kernel.precision for kernel in int8.kernels or () for name in kernel.layers}
    assert precision["Conv_0"] == "int8"
    assert [precision.get(f"Conv_{i}", precision.get(f"Relu_{i}")) for i in (1, 2)] == ["float32", "float32"]


def test_the_file_answers_as_its_torch_model_does_and_may_ship(on: Measured) -> None:
    int8, fp32 = on.candidates["int8-ptq"], on.candidates["fp32"]
    assert measure.parity_gap(int8) is None
    assert int8.parity["mean_relative"] is not None and int8.parity["mean_relative"] < 0.01
    assert fp32.mixed is None and len(int8.onnx) < len(fp32.onnx)
    assert on.ratio("int8-ptq", "fp32")[2] < 1


def test_the_user_is_told(built: Built) -> None:
    told = [note for note in built.workspace.found if "in float" in note]
    assert [note.partition(",")[0] for note in told] == list(TARGETS)
    assert all(re.search(r"int8-ptq: \d layers \(.*Conv_1.* in float: 0\.\d\d x the time", note) for note in told)


def test_a_second_build_tries_and_measures_nothing(built: Built) -> None:
    runner = MadeTimes()
    again = running.make_all(workspace(built.cache, runner), 1.0)
    assert runner.timed == [] and runner.profiled == []
    for name in TARGETS:
        before, after = (one.measured[name].candidates["int8-ptq"] for one in (built.made, again))
        assert after.files == before.files and after.mixed == before.mixed


def test_what_is_measured_on_a_device_stays_as_it_is(built: Built) -> None:
    there = replace(built.workspace, runner=cast(Any, object()), found=[])
    before = built.made.measured[TARGETS[0]]
    refined = refinement(built, there).target(step_of(there), {}, before)
    assert refined is before and "device" in there.found[0]


def test_where_the_smallest_file_ships_nothing_grows(built: Built) -> None:
    before = built.made.measured[TARGETS[0]]
    small = replace(refinement(built, built.workspace), budget=Budget(prefer="size"))
    assert small.target(step_of(built.workspace), {}, before) is before


def refinement(built: Built, here: Workspace) -> mixed.Refinement:
    made = built.made
    return mixed.Refinement(here, made.trained, made.torch_reference, made.evaluation, Budget(), 1.0, {})


def step_of(here: Workspace) -> MeasureStep:
    return next(step for step in here.plan.of_kind(MeasureStep) if step.runtime.name == TARGETS[0])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ((0.90, 100), (0.895, 150), None),
        ((0.90, 100), (0.85, 150), "0.8500 on validation"),
        ((0.80, 100), (0.85, 150), None),
        ((0.90, 100), (0.91, 300), "more than max_size_kb"),
        ((0.90, 250), (0.91, 300), None),
    ],
)
def test_a_faster_file_is_refused_where_it_breaks_a_wish_that_int8_keeps(
    monkeypatch: pytest.MonkeyPatch, old: tuple[float, int], new: tuple[float, int], why: str | None
) -> None:
    alike: Compared = {"argmax_agreement": 1.0, "max_abs_diff": 0.0, "samples": 10, "mean": 0.0, "relative": 0.0,
                       "mean_relative": 0.0, "clearly_differs": 0.0, "batches": {}}  # fmt: skip
    numerics = target.load(TARGETS[0]).numerics[0]
    rows = [
        MeasuredCandidate("int8", numerics, False, {"model.onnx": bytes(1000 * size)}, value, alike, [1])
        for value, size in (old, new)
    ]

    class Exam:
        def teacher_value(self, split: str) -> float:
            return 0.91

    before, after = (cast(Measured, Fake({"int8": row}, Exam())) for row in rows)
    refusal = mixed._refusal("int8", before, after, Budget(max_drop=0.02, max_size_kb=200))
    assert refusal is None if why is None else why in str(refusal)
    rows[1].parity = {**alike, "clearly_differs": 0.5}
    assert "parity" in str(mixed._refusal("int8", before, after, Budget()))


@dataclass
class Fake:
    """What is asked of a measurement."""

    candidates: dict[str, MeasuredCandidate]
    evaluation: object


def test_what_became_of_it_in_words() -> None:
    group: Any = {"layers": ["Conv_1"], "int8_us": 9.0, "float_us": 2.0, "promised_us": 5.0, "in_float": True}
    tried: Any = {"groups": [0], "ratio": 0.8, "ci95": [0.79, 0.81], "kept": True}
    decision: Mixed = {"groups": [group], "tries": [tried], "activations": [1], "weights": [1], "refused": None}
    assert mixed.told(decision) == "1 layer (Conv_1) in float: 0.80 x the time of the file that is all in int8"
    assert str(mixed.told({**decision, "refused": "too large"})).endswith("; not taken: too large")
    stays: Any = {**group, "in_float": False}
    assert mixed.told({**decision, "groups": [stays]}) is None
