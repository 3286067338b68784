"""Tags end to end: tiny taggers, in int8 too, on both runtimes; what an app is told of a text."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekd
from edgekd import cli
from edgekd.base.errors import RecipeError
from edgekd.tasks import Tags

TARGETS = ("ort-cpu", "openvino")
RECIPE = """
name = "tags"
task = "tagging"
[data]
source = "text"
path = "data"
sentence = "tokens"
label = "tags"
vocab = 100
length = 16
[teacher]
model = {{ kind = "tagger", width = 32, layers = 1, heads = 2, positions = 16 }}
epochs = 4
batch_size = 8
lr = 5e-3
[student]
model = {{ kind = "{student}", width = 16, layers = 1, heads = 2, positions = 16 }}
epochs = 4
batch_size = 8
lr = 5e-3
[[losses]]
kind = "kl"
temperature = 2.0
[[losses]]
kind = "cross_entropy"
[[compress]]
kind = "int8_qat"
epochs = 1
[budget]
max_drop = 0.5
"""


def write(folder: Path) -> None:
    """Sentences in which names of two words stand among others."""
    rng = np.random.default_rng(0)
    (folder / "data").mkdir()
    for name, count in (("train", 480), ("dev", 60), ("test", 60)):
        lines = ["tokens\ttags"]
        for _ in range(count):
            tokens, tags = [], []
            for _ in range(rng.integers(1, 4)):
                words = rng.integers(1, 4)
                tokens += [f"word{rng.integers(8)}" for _ in range(words)]
                tokens += [f"first{rng.integers(4)}", f"last{rng.integers(4)}"]
                tags += ["O"] * words + ["B-who", "I-who"]
            lines.append(" ".join(tokens) + "\t" + " ".join(tags))
        (folder / "data" / f"{name}.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def bundle(shared: Any) -> Path:
    def make(folder: Path) -> None:
        write(folder)
        (folder / "r.toml").write_text(RECIPE.format(student="tagger"))
        targets = [part for target in TARGETS for part in ("--target", target)]
        line = ["build", str(folder / "r.toml"), "--quick", *targets, "--out", str(folder / "out")]
        # No parts of int8 files are tried in float: a third of the time.
        assert cli.run([*line, "--set", "budget.prefer='size'", "--cache", str(folder / "cache")]) == 0

    return Path(shared("tagging", make)) / "out"


@pytest.mark.parametrize("target", TARGETS)
def test_an_app_is_told_the_spans_of_texts_of_any_length(bundle: Path, target: str) -> None:
    model = edgekd.load(bundle, target=target)
    texts = ["word1 first2 last3", "Word1  first2\tlast0 word4 word5 first1 last1 word2"]
    together = model.predict(texts)
    for text, answer, alone in zip(texts, together, [model.predict(text) for text in texts], strict=True):
        assert isinstance(answer, Tags) and answer.tags == alone.tags
        assert answer.scores == pytest.approx(alone.scores, abs=1e-3)
        assert [span.text for span in answer.spans] == [text[slice(*span.characters)] for span in answer.spans]
    assert together[0].tags == ("O", "B-who", "I-who")
    assert [(span.label, span.text) for span in together[1].spans] == [
        ("who", "first2\tlast0"),
        ("who", "first1 last1"),
    ]


def test_the_bundle_says_what_its_numbers_mean_and_answers_as_it_was_built(bundle: Path) -> None:
    report = json.loads((bundle / "report.json").read_text())
    assert report["metric"] == "span_f1" and report["task"] == "tagging"
    assert all(stage["value_test"] > 0.9 for stage in report["stages"])
    for target in report["targets"].values():
        assert target["parity"]["argmax_agreement"] >= 0.95
    about = json.loads((bundle / "manifest.json").read_text())["additional_metadata"]["edgekd"]
    assert about["outputs"] == [
        {"axes": ["batch", "token", "class"], "labels": ["O", "B-who", "I-who"], "name": "logits", "shape": [16, 3]}
    ]
    card = (bundle / "README.md").read_text()
    assert 'pipeline_tag: "token-classification"' in card and "examples/python/predict.py" in card
    assert any("same decisions" in check["check"] for check in edgekd.verify(bundle))


def test_a_program_tells_the_spans_of_the_bundles_text(bundle: Path, tmp_path: Path) -> None:
    wanted = json.loads((bundle / "examples" / "answer.json").read_text())
    assert list(wanted["logits"]) == ["tags", "spans"] and len(wanted["logits"]["tags"]) > 3
    program = bundle / "examples" / "python" / "predict.py"
    for file, tags in (((), wanted), ((str(tmp_path / "own.txt"),), None)):
        (tmp_path / "own.txt").write_text("word1 first2\tlast0")
        done = subprocess.run([sys.executable, str(program), *file], capture_output=True, text=True, check=True)
        told = json.loads(done.stdout)
        span = {"label": "who", "words": [1, 3], "characters": [6, 18], "text": "first2\tlast0"}
        assert told == (tags or {"logits": {"tags": ["O", "B-who", "I-who"], "spans": [span]}})


OTHER = '[{op="wordpiece", vocabulary=["[PAD]","[UNK]","[CLS]","[SEP]","a"], length=9, lower=true}]'
REFUSED = [
    ("student.model.kind=bert", r"student.model.kind: has no answers for Tagging; found 'bert'"),
    ("student.class_weights=balanced", r"student.class_weights: no classes to weigh; found 'tagging'"),
    (f"data.preprocess={OTHER}", "student: reads other tokens than those that have a tag"),
    ("teacher_outputs.form=top", "teacher_outputs.form: keeps the likeliest classes"),
    ("metric=r2", "metric.kind: not a metric of Tagging; found 'r2'"),
]


@pytest.mark.parametrize(("setting", "message"), REFUSED)
def test_what_does_not_go_with_tags_is_refused(tmp_path: Path, setting: str, message: str) -> None:
    write(tmp_path)
    (tmp_path / "r.toml").write_text(RECIPE.format(student="tagger"))
    with pytest.raises(RecipeError, match=message):
        edgekd.build(tmp_path / "r.toml", out=tmp_path / "out", targets=["ort-cpu"], settings=[setting])
