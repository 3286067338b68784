"""``edgekd schema``: valid schemas, which take what edgekd writes and what a user writes, and nothing twisted."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from jsonschema import Draft202012Validator

from edgekd import cli
from edgekd.base import plugins, reader
from edgekd.base.errors import IntegrityError, RecipeError
from edgekd.cli import json_schema, schema
from edgekd.document.rules import Count, Keys, Length, Range, Some, Spelled, closed
from edgekd.runtime import compare, local
from edgekd.spec import recipe
from edgekd.spec.recipe import builtin_folder

ROOT = Path(__file__).parents[2]
RECIPES = sorted(builtin_folder().glob("*.toml"))
TARGETS = sorted((ROOT / "targets").glob("*.toml"))


@pytest.fixture(scope="module")
def validators() -> dict[str, Draft202012Validator]:
    return {name: Draft202012Validator(make()) for name, make in schema.SCHEMAS.items()}


@pytest.mark.parametrize("name", sorted(schema.SCHEMAS))
def test_the_command_prints_a_valid_schema(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["schema", name]) == 0
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(printed)
    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema" and printed["title"]
    assert printed == schema.SCHEMAS[name]()


def test_an_unknown_name_is_told_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["schema", "reports"]) == 2
    told = capsys.readouterr().err
    assert "'reports' is not one of" in told and all(f"'{name}'" in told for name in schema.SCHEMAS)


def test_what_a_build_writes_is_of_its_schema(validators: dict[str, Draft202012Validator], digits: Path) -> None:
    validators["report"].validate(json.loads((digits / "out" / "report.json").read_text()))
    validators["manifest"].validate(json.loads((digits / "out" / "manifest.json").read_text()))


def test_a_report_of_version_0_1_is_of_the_schema(validators: dict[str, Draft202012Validator]) -> None:
    validators["report"].validate(json.loads((ROOT / "tests" / "golden" / "report.json").read_text()))


def test_what_bench_prints_is_of_its_schema(validators: dict[str, Draft202012Validator], digits: Path) -> None:
    settings = local.Settings(seconds=0.05)
    one = json.loads(json.dumps(local.bench(digits / "out", "ort-cpu", settings=settings)))
    both = json.loads(json.dumps(compare.compare(digits / "out", digits / "out", "ort-cpu", settings=settings)))
    for document in (one, {"devices": [one, one]}, both):
        validators["bench"].validate(document)
    skipped = {**one, "host": None, "variants": {"ort-cpu": {"skipped": "this CPU lacks avx2"}}}
    assert validators["bench"].is_valid(skipped)
    del both["ratio"], one["variants"]["ort-cpu"]["latency_ms"]["p50"]
    assert not validators["bench"].is_valid(both) and not validators["bench"].is_valid(one)


def _set(*path: str | int, to: object) -> Callable[[Any], None]:
    """What sets one value of a document."""

    def change(document: Any) -> None:
        for part in path[:-1]:
            document = document[part]
        document[path[-1]] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("schema_version", to=2),
        _set("seed", to="0"),
        _set("shippable", to=1),
        _set("split_sizes", to={"train": 1, "validation": 1}),
        _set("split_sizes", "more", to=1),
        _set("stages", to=[]),
        _set("targets", "openvino", "candidates", 0, "latency_ms", "p50", to=0),
        _set("targets", "openvino", "candidates", 0, "speedup_vs_fp32", "ci95", to=[1.0]),
        _set("targets", "openvino", "shipped", to=False),
        _set("details", "learned", "unit", to="nat"),
        _set("details", "agreement", "pairs", to=[[1, 2]]),
        lambda document: document["targets"]["openvino"].pop("reason"),
    ],
)
def test_a_twisted_report_is_not_of_the_schema(
    validators: dict[str, Draft202012Validator], change: Callable[[Any], None]
) -> None:
    document = json.loads((ROOT / "tests" / "golden" / "report.json").read_text())
    assert validators["report"].is_valid(document)
    change(document)
    assert not validators["report"].is_valid(document)


@pytest.mark.parametrize(
    "change",
    [
        _set("layout", to="flat"),
        _set("more", to=1),
        _set("additional_metadata", "edgekd", "format", to=3),
        _set("components", "student", "variants", to={}),
        _set("components", "student", "variants", "ort-cpu", "executor_info", "edgekd", "batch", to=0),
        lambda manifest: next(iter(manifest["additional_metadata"]["edgekd"]["files"].values())).update(sha256="abc"),
    ],
)
def test_a_twisted_manifest_is_not_of_the_schema(
    validators: dict[str, Draft202012Validator], digits: Path, change: Callable[[Any], None]
) -> None:
    manifest = json.loads((digits / "out" / "manifest.json").read_text())
    change(manifest)
    assert not validators["manifest"].is_valid(manifest)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_of_the_schema(validators: dict[str, Draft202012Validator], path: Path) -> None:
    validators["recipe"].validate(tomllib.loads(path.read_text()))


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_every_target_is_of_the_schema(validators: dict[str, Draft202012Validator], path: Path) -> None:
    validators["target"].validate(tomllib.loads(path.read_text()))


def _digits() -> dict[str, Any]:
    return tomllib.loads((builtin_folder() / "digits.toml").read_text())


@pytest.mark.parametrize(
    "change",
    [
        _set("sed", to=0),
        _set("seed", to="0"),
        _set("seed", to=-1),
        _set("data", "pth", to="x.npz"),
        _set("data", "split_seed", to=0.5),
        _set("teacher", "model", "width", to="wide"),
        _set("teacher", "model", "kind", to="convent"),
        _set("student", "model", "widht", to=96),
        _set("losses", 0, "temprature", to=4.0),
        _set("losses", 0, "weight", to="all"),
        _set("losses", 0, "kind", to="kl2"),
        _set("losses", to=[]),
        _set("compress", 0, "ratio", to="half"),
        _set("compress", 0, "epoch", to=4),
        _set("compress", 0, "scope", to="local"),
        _set("metric", to="acuracy"),
        _set("budget", "max_drops", to=0.01),
        _set("tune", to={"student.lr": {"lo": 1e-4, "high": 1e-2}}),
        _set("tune", to={"student.epochs": {"low": 1, "high": 9, "step": 0}}),
        lambda table: table["losses"][0].pop("kind"),
    ],
)
def test_a_wrong_recipe_is_not_of_the_schema(
    validators: dict[str, Draft202012Validator], change: Callable[[Any], None]
) -> None:
    table = _digits()
    assert validators["recipe"].is_valid(table)
    change(table)
    assert not validators["recipe"].is_valid(table)


@pytest.mark.parametrize(
    "change",
    [
        _set("losses", 0, to={"kind": "mypkg.losses:Mine", "sharpness": 2, "weight": 0.5}),
        _set("compress", 0, to={"kind": "mypkg.passes:Mine", "depth": "all", "epochs": 2}),
        _set("teacher", "model", to={"kind": "mypkg.zoo:Family", "size": "xl"}),
        _set("data", to={"source": "mypkg.data:Mine", "files": ["a", "b"]}),
        _set("metric", to="mypkg.metrics:Mine"),
        _set("metric", to={"kind": "ndcg", "k": 5}),
        _set(
            "tune", to={"student": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}}, "compress.0": {"choices": [True]}}
        ),
    ],
)
def test_a_users_own_plugins_and_both_forms_of_a_key_are_of_the_schema(
    validators: dict[str, Draft202012Validator], change: Callable[[Any], None]
) -> None:
    table = _digits()
    change(table)
    validators["recipe"].validate(table)


@pytest.mark.parametrize(
    "change",
    [
        _set("backend", to="onnx"),
        _set("options", "thread", to=1),
        _set("options", "threads", to="one"),
        _set("numerics", 0, "weight_bits", to=9),
        _set("shapes", "batches", to=1),
        _set("passes", to=["short_name"]),
        lambda table: table.pop("numerics"),
    ],
)
def test_a_wrong_target_is_not_of_the_schema(
    validators: dict[str, Draft202012Validator], change: Callable[[Any], None]
) -> None:
    table = tomllib.loads((ROOT / "targets" / "ort-cpu.toml").read_text())
    change(table)
    assert not validators["target"].is_valid(table)
    own = {**table, "backend": "mypkg.backend:Mine", "options": {"threads": "one"}, "numerics": [{"name": "fp32"}]}
    own |= {"shapes": {}, "passes": []}
    validators["target"].validate(own)


def test_the_schema_and_the_reader_agree_on_the_keys_of_every_loss(
    validators: dict[str, Draft202012Validator],
) -> None:
    """Each built-in kind with no key but its kind: taken by both, or refused by both for what it needs."""
    for kind in plugins.kinds("losses"):
        table = {**_digits(), "losses": [{"kind": kind}]}
        try:
            plugins.build("losses", {"kind": kind}, "losses[0]")
            built = True
        except RecipeError:
            built = False
        assert validators["recipe"].is_valid(table) == built, kind
        recipe.parse(table, "recipe.toml")


@closed
class Inner(TypedDict):
    """A closed table."""

    one: Annotated[int, Range(1, 3)]


class Outer(TypedDict):
    """What the walker knows."""

    pair: tuple[int, str]
    some: Annotated[list[Count], Some()]
    two: Annotated[list[float], Length(2)]
    mode: Literal["a", "b"]
    mixed: int | str | None
    inner: NotRequired[dict[str, Inner | None]]
    name: NotRequired[Annotated[str, Spelled("[a-z]+", "small letters")]]
    split: NotRequired[Annotated[dict[str, int], Keys(("x", "y"))]]
    any: NotRequired[object]


GOOD: dict[str, Any] = {"pair": [1, "x"], "some": [0], "two": [1, 2.5], "mode": "a", "mixed": None}


@pytest.mark.parametrize(
    ("more", "valid"),
    [
        ({}, True),
        ({"more": 1}, True),
        ({"inner": {"k": {"one": 3}, "l": None}, "name": "abc", "split": {"x": 1, "y": 2}, "any": [{}]}, True),
        ({"pair": [1]}, False),
        ({"pair": [1, "x", 2]}, False),
        ({"pair": ["x", 1]}, False),
        ({"some": []}, False),
        ({"some": [-1]}, False),
        ({"two": [1.0]}, False),
        ({"mode": "c"}, False),
        ({"mixed": True}, False),
        ({"mixed": 1.5}, False),
        ({"inner": {"k": {"one": 4}}}, False),
        ({"inner": {"k": {"one": 1, "two": 2}}}, False),
        ({"name": "abC"}, False),
        ({"split": {"x": 1}}, False),
        ({"split": {"x": 1, "y": 2, "z": 3}}, False),
    ],
)
def test_the_walker_and_the_reader_take_the_same_documents(more: dict[str, Any], valid: bool) -> None:
    made = json_schema.of_document(Outer, "outer")
    Draft202012Validator.check_schema(made)
    definitions = made["$defs"]
    assert made["description"] == "What the walker knows." and isinstance(definitions, dict)
    assert list(definitions) == ["Inner"]
    document = {**copy.deepcopy(GOOD), **more}
    assert Draft202012Validator(made).is_valid(document) is valid
    try:
        reader.check(document, Outer, "outer")
        read = True
    except IntegrityError:
        read = False
    assert read is valid
