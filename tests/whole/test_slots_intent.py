"""Two heads of different tasks end to end: tags and the intent of a text, in int8 too, on both runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import edgekd
from edgekd import cli
from edgekd.base.errors import EdgekdError
from edgekd.spec import recipe
from edgekd.tasks import Prediction, Tags

NAME = "slots-intent"


@pytest.mark.parametrize("target", ["ort-cpu", "openvino"])
def test_an_app_is_told_both_answers(quick: Any, target: str) -> None:
    model = edgekd.load(quick(NAME).out, target=target)
    texts = ["verb1 word2 artist3 artist4 word1 city2", "verb0  word3\tdish1"]
    together = model.predict(texts)
    for text, answers, alone in zip(texts, together, [model.predict(text) for text in texts], strict=True):
        assert isinstance(answers, dict) and list(answers) == ["slots", "intent"]
        tags, intent = answers["slots"], answers["intent"]
        assert isinstance(tags, Tags) and len(tags.tags) == len(text.split())
        assert all(text[slice(*span.characters)] == span.text for span in tags.spans)
        assert isinstance(intent, Prediction) and intent.label.startswith("intent ")
        assert alone["slots"].tags == tags.tags and alone["intent"].label == intent.label


def test_a_bundle_says_what_each_head_is_and_answers_as_it_was_built(quick: Any) -> None:
    out = quick(NAME).out
    assert any("same decisions" in check["check"] for check in edgekd.verify(out))
    report = json.loads((out / "report.json").read_text())
    assert report["outputs"] == {"slots": "tagging", "intent": "classification"}
    assert report["task"] == "several" and report["metric"] == "mean of accuracy and span_f1"
    assert report["metric_is_share"] and all(0 < stage["value_test"] <= 1 for stage in report["stages"])
    assert {target["parity"]["argmax_agreement"] >= 0.95 for target in report["targets"].values()} == {True}
    assert any("span_f1 of slots" in note and "accuracy of intent" in note for note in report["details"]["notes"])
    manifest = json.loads((out / "manifest.json").read_text())["additional_metadata"]["edgekd"]
    assert [(one["name"], one["axes"]) for one in manifest["outputs"]] == [
        ("slots", ["batch", "token", "class"]),
        ("intent", ["batch", "class"]),
    ]
    kept = json.loads((out / "recipe.json").read_text())
    assert recipe.parse(kept, "recipe.json").heads["slots"].data == {"label": "tags"}
    card = (out / "README.md").read_text()
    assert "`slots`: scores of 9 tags for each token" in card and "`intent`: scores of 4 classes" in card


def test_the_same_build_again_is_the_bundle_that_stands_there(quick: Any, capfd: pytest.CaptureFixture[str]) -> None:
    built = quick(NAME)
    own = ("--out", str(built.out), "--cache", str(built.folder / "cache"))
    assert cli.run([*built.line, *own]) == 0
    assert "teacher  loss" not in capfd.readouterr().err


REFUSED = [
    ("losses.0.head=slot", r"losses\[0\]\.head: no such head; found 'slot'; .*did you mean 'slots'"),
    ("losses.1.kind=huber", r"losses\[1\]\.kind: not a loss of Tagging; found 'huber'"),
    ("teacher.head=intent", r"a head without a teacher; found 'slots'"),
    ("heads.slots.task=taging", r"heads\.slots\.task\.kind: .*did you mean 'tagging'"),
    ("heads.intent.metric=span_f1", r"heads\.intent\.metric: not a metric of Classification; found 'span_f1'"),
    ("heads.intent.label=tags", r"heads\.intent: data\.label: labels of another task; found 'tags'"),
    ("heads.intent.lable=intent", r"heads\.intent\.lable: unknown key of 'made_slots'.*did you mean 'label'"),
    ("student.model.kind=bert", r"student\.model\.kind: has no answers for Tagging; found 'bert'"),
    (
        "teacher={model={kind='recorded', path='nowhere'}}",
        r"teacher\.head: answers of one task alone are read; found 'recorded'",
    ),
    ("combine=confidence", r"combine: no classes to be sure of"),
    ("teacher_outputs.form=top", r"teacher_outputs\.form: keeps the likeliest classes"),
]


@pytest.mark.parametrize(("setting", "message"), REFUSED)
def test_what_does_not_go_with_the_heads_is_refused(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(EdgekdError, match=message):
        edgekd.build(NAME, out=tmp_path / "out", targets=["ort-cpu"], settings=[setting], quick=True)
