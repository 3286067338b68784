"""The plan: what is shared, where it forks, and which change makes which step anew."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.base import host
from edgekd.base.errors import RecipeError
from edgekd.base.plain import plain
from edgekd.build import plan, planner
from edgekd.build.plan import TrainedStep
from edgekd.spec import recipe, target
from edgekd.spec.quick import quickened

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


@pytest.mark.parametrize(
    ("changes", "anew"),
    [
        ({"budget": {"max_drop": 0.5}}, set()),
        ({"name": "other"}, set()),
        ({"compress": [RECIPE["compress"][0], {"kind": "int8_qat", "epochs": 2}]}, {"int8_qat", "export", "measure"}),
        (
            {"losses": [{"kind": "kl", "temperature": 2.0}]},
            {"student", "channel_prune", "int8_qat", "export", "measure"},
        ),
        ({"seed": 1}, {"teacher", "student", "channel_prune", "int8_qat", "export", "measure"}),
        ({"data": {"source": "digits", "path": "elsewhere"}}, set()),
    ],
)
def test_a_change_makes_only_what_hangs_on_it(changes: dict[str, Any], anew: set[str]) -> None:
    before, after = keys(make(targets=("openvino",))), keys(make(changes, targets=("openvino",)))
    assert {kind for kind in before if before[kind] != after[kind]} == anew


def test_a_student_made_of_the_teacher_hangs_on_its_passes() -> None:
    def made(ratio: float) -> dict[str, str]:
        return keys(make({"student": {"from_teacher": [{"kind": "channel_prune", "ratio": ratio}]}, "compress": []}))

    one, other = made(0.5), made(0.25)
    assert one == made(0.5) and {kind for kind in one if one[kind] != other[kind]} == {"student", "export", "measure"}


def test_a_folder_of_weights_counts_by_what_is_in_it(tmp_path: Path) -> None:
    def made(place: Path) -> dict[str, str]:
        return keys(make({"teacher": {"model": {"kind": "transformers", "name": "X", "folder": str(place)}}}))

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    assert made(tmp_path / "a") == made(tmp_path / "b")
    (tmp_path / "b" / "config.json").write_text("[]")
    assert made(tmp_path / "a")["teacher"] != made(tmp_path / "b")["teacher"]


def test_of_a_data_factory_counts_what_it_returned() -> None:
    """Which the fingerprint tells; a bundle names the factory."""
    one, other = (make({"data": {"source": "python", "factory": f"nowhere:{name}"}}) for name in ("a", "b"))
    assert keys(one) == keys(other) and one.identity != other.identity


def test_the_identity_knows_every_wish_and_no_measurement() -> None:
    one = make()
    assert one.identity == make().identity
    assert one.identity != make({"budget": {"max_drop": 0.5}}).identity
    assert one.identity != make(targets=("ort-cpu",)).identity


def test_cost_is_epochs_times_samples() -> None:
    made = make()
    assert made.cost(made.steps["teacher"]) == 300
    assert made.cost(made.steps["export fp32"]) == 0


def test_quick_is_one_epoch_everywhere() -> None:
    quick = quickened(recipe.parse(RECIPE, "r"))
    made = planner.of_recipe(quick, [target.load("ort-cpu")], "data", 100, quick=True)
    assert {made.epochs(step) for step in made.of_kind(TrainedStep)} == {1}


def test_bf16_is_another_key_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for features in (frozenset({"amx_bf16"}), frozenset({"avx2"})):
        monkeypatch.setattr(host, "isa", lambda features=features: features)
        tables = [{**RECIPE["student"], "precision": precision} for precision in ("bf16", "fp32")]
        found.append([make({"student": table}).steps["student"].key for table in tables])
    assert found[0][0] != found[1][0] and found[0][1] == found[1][1]


ODD = [float("inf"), float("-inf"), float("nan"), date(2020, 1, 1), "2020-01-01", "!date 2020-01-01", None, 1.5]

ODD_LOSS = """
from dataclasses import dataclass
from typing import Any, ClassVar

@dataclass(frozen=True)
class Odd:
    needs: ClassVar = frozenset({"teacher"})
    value: Any = 0
"""


@pytest.mark.parametrize("place", ["student", "losses"])
def test_what_json_has_not_is_in_the_keys(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of ``inf`` was taken for one of ``nan``, and of a loss it ended as a bug."""
    (tmp_path / "odd_losses.py").write_text(ODD_LOSS)
    monkeypatch.syspath_prepend(tmp_path)
    table = {
        "student": lambda value: {"model": {"kind": "python", "factory": "nowhere:net", "args": {"x": value}}},
        "losses": lambda value: [{"kind": "odd_losses:Odd", "value": value}],
    }[place]
    made = [make({place: table(value)}, ("ort-cpu",)) for value in ODD]
    assert len({one.identity for one in made}) == len(ODD)
    assert len({keys(one)["student"] for one in made}) == len(ODD)


def test_what_no_key_tells_from_another_is_refused_with_its_place() -> None:
    model = {"kind": "python", "factory": "nowhere:net", "args": {"act": [print, np.float32(1)]}}
    with pytest.raises(RecipeError, match=r"student\.model\.args\.act\.0: no plain value.*builtin_function"):
        make({"student": {"model": model}})
    model["args"] = {"act": np.float32(1)}
    other = {**model, "args": {"act": np.float32(2)}}
    assert make({"student": {"model": model}}).identity != make({"student": {"model": other}}).identity


def test_a_plain_value_is_itself_and_no_order_of_a_set_counts() -> None:
    value = {"a": [1, 2.5, True, None, "text"], "b": {"c": "ü"}}
    assert plain(value) == value
    assert plain({"x": {"b", "a", "c"}}) == {"x": ["!set", "a", "b", "c"]}
    assert plain({1: 2}) != plain({"1": 2}) != plain({"!int 1": 2})
    json.dumps(plain({"x": (Path("a"), b"\xff", date(2020, 1, 1), 1j)}), allow_nan=False)
