"""Every built-in recipe builds with --quick and no data, for both runtimes; what ships answers an app."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import _small
import numpy as np
import pytest
import torch
from torch import nn

import edgekd
from edgekd import cli
from edgekd.base import plugins
from edgekd.learn.data.made_audio import MadeAudio
from edgekd.spec import recipe

# Left out: some have tests of their own (bert-distilbert: test_text.py, tiny-text: test_tiny_text.py, sentence-vectors:
# test_vectors.py, street-segments and face-points: test_places.py, tile-anomaly: test_anomaly.py, slots-intent:
# test_slots_intent.py), the others are made of the same parts as one that is here; resnet50-mobilenetv2 alone would
# take more than a minute.
OWN = {"digits", "wide-deep-fm", "multi-task", "keyword-spotting", "bert-distilbert", "tiny-text", "sentence-vectors"}
OWN |= {"street-segments", "face-points", "tile-anomaly", "slots-intent"}
ALIKE = {
    "one-tenth",
    "fashion-mnist",
    "cifar10-half",
    "cifar10-resnet",
    "cifar10-resnet56",
    "tiny-cifar",
    "resnet50-mobilenetv2",
    "emotions",
}
NAMES = [name for name in recipe.builtins() if name not in OWN | ALIKE]
# Without parts of int8 files in float, which other builds try: they are a third of the time.
USUAL = ("budget.prefer='size'",)
PICTURES = ("data.made.shape=[16,16,3]",)
SMALLER = {
    "attention-transfer": PICTURES,
    "cifar10-cnn": PICTURES,
    "cross-modal": PICTURES,
    "activity-sensors": ("teacher.model={kind='sensor_cnn', width=16, depth=2, strides=[2, 2]}", "teacher.lr=1e-2"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds_quickly(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = _small.line_of((*USUAL, *SMALLER.get(name, ())))
    assert cli.run(["build", name, "--quick", *settings, "--out", str(out)]) == 0
    report = json.loads((out / "report.json").read_text())
    assert set(report["targets"]) == {"ort-cpu", "openvino"}
    names = [c["name"] for c in report["targets"]["ort-cpu"]["candidates"]]
    assert {"fp32", "int8"} <= set(names)
    assert cli.run(["verify", str(out)]) == 0


def test_the_transformers_pair_is_the_one_it_says() -> None:
    table = recipe.load("resnet50-mobilenetv2")[0]
    models = {"teacher": table.teacher.model, "student": table.student.model}
    made = {
        role: plugins.build("models", model or {}, role).build((3, 32, 32), 10).eval() for role, model in models.items()
    }
    millions = {role: sum(p.numel() for p in module.parameters()) / 1e6 for role, module in made.items()}
    assert millions == pytest.approx({"teacher": 23.53, "student": 2.24}, abs=0.01)
    norms = [part for part in made["student"].modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) == 52 and {norm.momentum for norm in norms} == {0.1}
    with torch.no_grad():
        assert made["student"](torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_a_recommender_answers_with_items_and_knows_its_users(quick: Any) -> None:
    out = quick("wide-deep-fm").out
    assert cli.run(["verify", str(out)]) == 0
    model = edgekd.load(out)
    one = model.predict([3])
    assert not isinstance(one, list) and one.label == f"item {one.index}"
    both = model.predict(np.array([[3], [2658]]))
    assert isinstance(both, list) and both[0].index == one.index
    with pytest.raises(edgekd.EdgekdError, match=r"unknown user.*found 2659.*0 to 2658"):
        model.predict([2659])
    with pytest.raises(edgekd.EdgekdError, match="wrong shape"):
        model.predict([3, 1])


def test_a_student_of_two_heads_answers_both(quick: Any, capfd: pytest.CaptureFixture[str]) -> None:
    out = quick("multi-task").out
    learned = json.loads((out / "report.json").read_text())["details"]["learned"]
    assert [of["head"] for of in learned["calibration"]] == ["digit", "kind"]
    assert [row["loss"] for row in learned["losses"]["rows"]] == ["kl", "cross_entropy"], "a loss, not a loss a head"
    assert "kind: prime" in out.with_name(f"{out.name}.samples.html").read_text()
    assert cli.run(["verify", str(out)]) == 0
    for target in ("ort-cpu", "openvino"):
        model = edgekd.load(out, target=target)
        assert [port.name for port in model.outputs] == ["digit", "kind"]
        one = model.predict(np.zeros((8, 8), np.uint8))
        assert set(one) == {"digit", "kind"} and one["kind"].label in ("prime", "composite", "unit")
        assert len(one["digit"].scores) == 10
        both = model.predict(np.zeros((2, 8, 8), np.uint8))
        assert both[1]["digit"].index == one["digit"].index
    assert cli.run(["inspect", str(out)]) == 0
    printed = capfd.readouterr().out
    assert "labels of kind: prime, composite, unit" in printed
    code = (
        (out / "README.md").read_text().split("```")[1].removeprefix("python").replace("path/to/this/folder", str(out))
    )
    exec(code, {"x": np.zeros((8, 8), np.uint8)})
    assert [line.split()[0] for line in capfd.readouterr().out.splitlines()] == ["digit", "kind"]
    assert "for head, answer in answers.items():" in (out / "report.html").read_text()


def test_words_are_learned_from_wav_files_and_told_from_a_clip(tmp_path: Path) -> None:
    made = MadeAudio(rate=8_000, length=4_000, classes=3, train=90, validation=1, test=1, noise=-40).load()
    assert made.train.y is not None
    for i, (clip, label) in enumerate(zip(made.train.x, made.train.y, strict=True)):
        file = tmp_path / "words" / made.classes[label] / f"{i}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(file), "wb") as out:
            out.setparams((1, 2, 8_000, 0, "NONE", ""))
            out.writeframes(clip.astype("<i2").tobytes())
    net = "{kind='keyword_cnn',width=16,depth=2,rate=8000,hop=160,high=3000.0}"
    changed = [
        "data.source=audio",
        f"data.path={tmp_path / 'words'}",
        "data.rate=8000",
        "data.length=4000",
        "compress=[]",
    ]
    changed += [f"teacher.model={net}", f"student.model={net}"]
    line = ["build", "keyword-spotting", "--quick", *_small.line_of(changed)]
    assert cli.run([*line, "--out", str(tmp_path / "out")]) == 0
    assert cli.run(["verify", str(tmp_path / "out")]) == 0
    for name in ("ort-cpu", "openvino"):
        model = edgekd.load(tmp_path / "out", target=name)
        says = model.predict(made.train.x[0])
        assert not isinstance(says, list) and says.label in made.classes
        silence = model.predict(np.zeros((2, 4_000), np.int16))
        assert isinstance(silence, list) and np.isfinite(silence[1].scores).all()
        for clip in (made.train.x[0][1:], np.tile(made.train.x[0], 3)):  # cut or filled up, as training did
            assert model.predict(clip).label in made.classes
        with pytest.raises(edgekd.EdgekdError, match="not a clip"):
            model.predict(made.train.x[0].reshape(2, 2, -1))
    augmented = [*line, "--set", "augment.flip=true", "--overwrite", "--out", str(tmp_path / "out")]
    assert cli.run(augmented) == 2
