"""What 0.1 read and wrote still works: recipes, settings, plugins' keys, targets, report.json, cache and search.

``golden/*_0_1`` are 0.1's own files, word for word.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from edgekd import cli, pipeline
from edgekd.base import plugins, reader
from edgekd.base.errors import GateError
from edgekd.build import request as requests
from edgekd.build import target_runtime
from edgekd.build.store import VERSION, Store
from edgekd.document.report import Report
from edgekd.spec import recipe, target

GOLDEN = Path(__file__).parents[1] / "golden"
RECIPES, TARGETS = (sorted((GOLDEN / f"{kind}_0_1").glob("*.toml")) for kind in ("recipes", "targets"))
PLUGIN_KEYS: dict[str, dict[str, list[str]]] = json.loads((GOLDEN / "plugin_keys_0_1.json").read_text())
# Every key of 0.1's recipe but those of plugins (below), as `--set` takes it.
SETTINGS = [
    "name=mine",
    "description=mine",
    "task=classification",
    "seed=1",
    "combine=confidence",
    "golden=data",
    "data.source=digits",
    "data.made={source='digits'}",
    "data.preprocess=[{op='scale',divide=16.0}]",
    "data.heads={kind={all=[0,1,2,3,4,5,6,7,8,9]}}",
    "augment.flip=true",
    "augment.crop=2",
    "augment.views=4",
    "teacher.model={kind='convnet',width=32}",
    "teacher.model.width=32",
    "teacher.seed=3",
    "teacher.checkpoint=t.safetensors",
    "teacher.state_key=model.ema",
    "teacher.strip_prefix=module.",
    "teacher.output=logits",
    "teacher.classes=[1,0]",
    "teacher.preprocess=[{op='scale',divide=16.0}]",
    "teacher.head=kind",
    "teacher.weight=2.0",
    "teachers=[{model={kind='convnet',width=32}}]",
    "student.model={kind='convnet',width=32}",
    "student.model.width=32",
    "student.generations=2",
    "student.labels=100",
    "metric=macro_f1",
    "metric={kind='hit_rate',k=2}",
    "losses=[{kind='cross_entropy'}]",
    "losses.0.temperature=2",
    "losses.0.weight=0.5",
    "losses.0.final_weight=0.1",
    "losses.0.start=0.1",
    "losses.0.stop=0.9",
    "losses.0.head=kind",
    "compress=[]",
    "compress.0.ratio=0.25",
    "compress.0.epochs=1",
    "compress.0.temperature=2",
    "compress.0.losses=[{kind='cross_entropy'}]",
    "budget.max_drop=0.02",
    "budget.max_latency_ms=1",
    "budget.max_size_kb=100",
    "budget.max_size_share=0.1",
    "budget.prefer=value",
    "targets=['ort-cpu']",
    "tune={'student.epochs'={low=1,high=9}}",
    "tune.student.epochs.choices=[1,2]",
]
SCHEDULE = [
    "epochs=3",
    "batch_size=16",
    "optimizer=sgd",
    "lr=0.01",
    "weight_decay=0.0",
    "schedule=constant",
    "warmup=0.1",
    "patience=2",
    "precision=fp32",
]
# What changes nothing, since the recipe says so already.
SAME = {"task=classification", "data.source=digits"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_of_0_1_plans(path: Path, tmp_path: Path) -> None:
    """With ``--quick``, so that those whose data lie in files plan on made data of the same shape."""
    request = requests.make(str(path), quick=True, cache=tmp_path)
    tree = pipeline.describe(request)
    table, kinds = recipe.load(str(path))[0], [step["name"].split(" ")[0] for step in tree["steps"]]
    assert tree["name"] == path.stem and tree["targets"] == list(table.targets) != []
    assert {"teacher", "student", "export", "measure"} <= set(kinds)
    assert {str(entry["kind"]) for entry in table.compress} <= set(kinds)


def test_all_recipes_and_targets_of_0_1_are_here_and_still_built_in() -> None:
    assert len(RECIPES) == 14 and {path.stem for path in RECIPES} <= set(recipe.builtins())
    assert len(TARGETS) == 13 and {path.stem for path in TARGETS} <= set(target.names())


@pytest.mark.parametrize(
    "setting", [*SETTINGS, *(f"{who}.{key}" for who in ("teacher", "student") for key in SCHEDULE)]
)
def test_a_setting_of_0_1_is_taken(setting: str) -> None:
    before = recipe.load(str(GOLDEN / "recipes_0_1" / "digits.toml"))[0]
    after = recipe.load(str(GOLDEN / "recipes_0_1" / "digits.toml"), [setting])[0]
    assert (after == before) == (setting in SAME)


@pytest.mark.parametrize("family", PLUGIN_KEYS)
def test_every_plugin_of_0_1_has_its_keys(family: str) -> None:
    for kind, keys in PLUGIN_KEYS[family].items():
        fields = {field.name for field in dataclasses.fields(plugins.load(family, kind, "here")) if field.init}
        assert set(keys) <= fields, f"{kind} lacks {set(keys) - fields}"


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_a_target_of_0_1_is_read_by_name_and_as_a_file(path: Path, tmp_path: Path) -> None:
    named, mine = target.load(path.stem), tmp_path / "mine.toml"
    text = path.read_text()
    assert f'name = "{path.stem}"' in text or named.name == path.stem
    mine.write_text(text)
    read = target.load(str(mine))
    assert read.backend == named.backend and [n.name for n in read.numerics] == [n.name for n in named.numerics]
    assert target_runtime.parse(read).backend == target_runtime.parse(named).backend


def entries(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Each place of a document and the type there; entries of lists and of maps whose keys are names count alike."""
    kinds = {"bool": "bool", "int": "number", "float": "number", "NoneType": "none"}
    yield place, kinds.get(type(value).__name__, type(value).__name__)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            by_name = place.endswith(("targets", "versions", "microseconds"))
            yield from entries(inner, f"{place}.{'*' if by_name else key}")
    elif isinstance(value, list):
        for inner in value:
            yield from entries(inner, f"{place}[]")


def types(document: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for place, kind in entries(document):
        found.setdefault(place, set()).add(kind)
    return found


def test_every_key_of_0_1s_report_stands_in_todays_with_its_type(quick: Any) -> None:
    """In two builds together: only that of multi-task is told to explain its losses."""
    was = types(json.loads((GOLDEN / "report.json").read_text()))
    now: dict[str, set[str]] = {}
    for name in ("digits", "multi-task"):
        for place, kinds in types(json.loads((quick(name).out / "report.json").read_text())).items():
            now[place] = now.get(place, set()) | kinds
    parted = ".details.agreement.pairs[]"  # empty where nobody disagrees; its form: test_a_report_of_0_1_is_read
    assert [place for place in was if place not in now and not place.startswith(parted)] == []
    quiet = "host.note"  # null where the machine had nothing else to do
    was = {place: kinds for place, kinds in was.items() if place in now and not place.endswith(quiet)}
    other = {place: (was[place], now[place]) for place in was if not was[place] - {"none"} <= now[place] | {"none"}}
    assert other == {}


def test_a_report_of_0_1_is_read() -> None:
    reader.check(json.loads((GOLDEN / "report.json").read_text()), Report, "report.json")


def as_0_1_kept_it(root: Path, key: str, files: Mapping[str, bytes]) -> Path:
    """An entry of 0.1's cache: its index names neither the key nor sizes."""
    place = root / "artifacts" / key[:2] / key
    place.mkdir(parents=True)
    for name, data in files.items():
        (place / name).write_bytes(data)
    index = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    (place / "index.json").write_text(json.dumps(index))
    return place


def test_an_old_cache_is_told_on_one_line_and_made_anew(tmp_path: Path) -> None:
    key = hashlib.sha256(b"a step").hexdigest()
    place = as_0_1_kept_it(tmp_path, key, {"weights.safetensors": b"old"})
    store = Store(tmp_path)
    note = store.outdated()
    assert note is not None and "\n" not in note and "another version of edgekd" in note and str(tmp_path) in note
    assert store.outdated() is None, "told once"
    assert store.get(key) is None and not place.exists()
    store.put(key, {"weights.safetensors": b"new"})
    assert store.get(key) == {"weights.safetensors": b"new"}


def test_a_cache_of_this_version_and_an_empty_one_are_not_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    assert store.outdated() is None
    store.put(hashlib.sha256(b"a step").hexdigest(), {"a": b"1"})
    assert store.outdated() is None
    (tmp_path / "cache" / VERSION).write_bytes(b"\xff" * 1000)
    assert store.outdated() is not None, "what nobody wrote is no version"


def test_a_plan_on_an_old_cache_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    as_0_1_kept_it(tmp_path / "old", hashlib.sha256(b"a step").hexdigest(), {"weights.safetensors": b"old"})
    assert cli.run(["plan", "digits", "--quick", "--cache", str(tmp_path / "old")]) == 0
    assert capsys.readouterr().err.count("another version of edgekd") == 1


def test_an_old_study_is_told_on_one_line_and_another_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.1's trials hold results of other keys; a search of today has another name beside them in the storage."""
    from edgekd.tune import search
    from edgekd.tune.study import open_storage

    journal = tmp_path / "mine.journal"
    old = optuna.create_study(
        storage=open_storage(str(journal)), study_name="digits-0123456789abcdef", directions=["maximize"]
    )
    asked = old.ask()
    asked.set_user_attr("result", {"value": 0.9, "of": "another shape"})
    old.tell(asked, 0.9)

    def begin(self: Any) -> str:
        assert len(self.study.trials()) == 1, "the recipe as it is, and no old trial"
        raise GateError("no further")

    monkeypatch.setattr(search._Search, "run", begin)
    line = ["tune", "digits", "--quick", "--target", "ort-cpu", "--max-drop", "0.5", "--out", str(tmp_path / "out")]
    assert cli.run([*line, "--storage", str(journal)]) == GateError.exit_code
    notes = [text for text in capsys.readouterr().err.splitlines() if "this one begins anew" in text]
    assert len(notes) == 1 and "one earlier search of digits" in notes[0]
