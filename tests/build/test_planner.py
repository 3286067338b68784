"""What is shared, and where the plan forks."""

from __future__ import annotations

from typing import Any

import pytest

from edgekd.build import plan, planner
from edgekd.build.plan import CompressStep, ExportStep, TrainedStep
from edgekd.spec import recipe, target
from edgekd.spec.target import Target

RECIPE: dict[str, Any] = {
    "name": "p",
    "data": {"source": "digits"},
    "teacher": {"model": {"kind": "convnet", "width": 32}, "epochs": 3},
    "student": {"model": {"kind": "convnet", "width": 32}, "epochs": 2},
    "losses": [{"kind": "kl"}],
    "compress": [{"kind": "channel_prune", "epochs": 2}, {"kind": "int8_qat", "epochs": 1}],
}


def make(changes: dict[str, Any] | None = None, targets: tuple[str, ...] = ("ort-cpu", "openvino")) -> plan.Plan:
    table = {**RECIPE, **(changes or {})}
    chosen = [target.load(name) for name in targets]
    return planner.of_recipe(recipe.parse(table, "r"), chosen, "data", 100)


def keys(made: plan.Plan) -> dict[str, str]:
    return {step.kind: step.key for step in made.steps.values()}


def test_equal_numerics_are_trained_once() -> None:
    made = make()
    assert [step.kind for step in made.of_kind(TrainedStep)] == [
        "teacher",
        "student",
        "channel_prune",
        "int8_qat",
    ]
    assert made.steps["student"].targets == ("ort-cpu", "openvino")
    assert [c.name for c in made.candidates["openvino"]] == ["int8", "fp32-pruned", "fp32"]


def fusing(**keys: str) -> Target:
    """OpenVINO's target, whose runtime fuses otherwise."""
    known = target.load("openvino")
    numerics = [one.model_copy(update=keys) if one.name == "int8" else one for one in known.numerics]
    return known.model_copy(update={"name": "other", "numerics": tuple(numerics)})


def test_the_training_is_shared_whatever_a_runtime_fuses() -> None:
    schemes = [target.load(name).quantized for name in ("ort-cpu", "openvino")]
    assert [(one.residual, one.chains) for one in schemes if one] == [("quantized", "quantized"), ("fused", "fused")]
    made = make()
    trained, exported = (
        {made.steps[getattr(candidate, key)].key for name in made.candidates for candidate in made.candidates[name][:1]}
        for key in ("step", "export")
    )
    assert len(trained) == 1 and len(exported) == 2


@pytest.mark.parametrize(("keys", "files"), [({"residual": "quantized"}, 1), ({"chains": "quantized"}, 2)])
def test_a_file_is_exported_anew_for_what_it_says_itself(keys: dict[str, str], files: int) -> None:
    """``residual`` concerns what it is held against; the file keeps that rounding."""
    chosen = [target.load("openvino"), fusing(**keys)]
    made = planner.of_recipe(recipe.parse(RECIPE, "r"), chosen, "data", 100)
    candidates = [made.candidates[one.name][0] for one in chosen]
    assert len({candidate.step for candidate in candidates}) == 1
    assert len({made.get(candidate.export, ExportStep).key for candidate in candidates}) == files
    assert [getattr(candidate.numerics, key) for candidate in candidates for key in keys] == ["fused", "quantized"]


def test_passes_of_one_kind_keep_their_places_on_every_target() -> None:
    """Prune, quantize, prune, quantize: what quantizes is a leaf, and each pass is a candidate."""
    chain = [{"kind": "int8_ptq"}, *[{"kind": "channel_prune", "ratio": 0.3}, {"kind": "int8_qat"}] * 2]
    made = make({"compress": chain}, ("ort-cpu", "openvino", "ort-cpu-vnni"))
    assert [c.name for c in made.candidates["openvino"]] == [
        *("int8-2", "int8", "int8-ptq", "fp32-pruned-2", "fp32-pruned", "fp32")
    ]
    steps = [[c.step for c in made.candidates[name]] for name in ("openvino", "ort-cpu")]
    assert steps[0] == steps[1] and len(made.candidates["ort-cpu-vnni"]) == 6, "the training is shared"
    last = [made.steps[c.step] for c in made.candidates["ort-cpu-vnni"][:3]]
    parents = [made.steps[step.parent].name for step in last if isinstance(step, CompressStep)]
    assert parents == ["channel_prune 2", "channel_prune", "student"]
    assert made.get("int8_ptq (int8)", TrainedStep).schedule is None


def test_other_numerics_fork_at_the_quantizing_step() -> None:
    made = make(targets=("ort-cpu", "ort-cpu-vnni"))
    kinds = [step.kind for step in made.steps.values()]
    assert kinds.count("student") == 1 and kinds.count("channel_prune") == 1 and kinds.count("int8_qat") == 2


def test_pruning_in_steps_trains_each_and_a_timed_one_forks_by_target() -> None:
    table = {"kind": "channel_prune", "steps": 2, "epochs": 3}
    for keys, targets in (({"ratio": 0.5}, ["ort-cpu", "openvino"]), ({"latency": 0.5}, ["ort-cpu"])):
        made = make({"compress": [{**table, **keys}]})
        first, last = (made.get(name, CompressStep) for name in ("channel_prune 1 of 2", "channel_prune"))
        assert last.parent == first.name and list(first.targets) == targets
        assert [made.epochs(step) for step in (first, last)] == [3, 3]
        tables = [step.applied.table for step in (first, last)]
        assert [table["step"] for table in tables] == [1, 2] and tables[1][next(iter(keys))] == 0.5
