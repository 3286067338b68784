"""A student that reads by fewer tokens than its teacher: one tokenizer in the bundle, which all of it reads by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import edgekd
from edgekd import cli
from edgekd.base.wordpiece import NEEDED, Vocabulary
from edgekd.build import step_keys
from edgekd.learn.data.made_text import MadeText
from edgekd.spec import recipe


def test_the_bundle_has_the_shorter_list_and_the_student_its_tables(quick: Any) -> None:
    out = quick("tiny-text").out
    whole = MadeText().load().preprocess[0]["vocabulary"]
    kept = Vocabulary.read((out / "vocab.txt").read_bytes())
    assert len(kept) == 150 < len(whole) and set(NEEDED) < set(kept) < set(whole)
    report = json.loads((out / "report.json").read_text())
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert stages["student"]["params"] < 0.4 * stages["teacher"]["params"]
    assert {"fp32", "int8"} == {c["name"] for c in report["targets"]["ort-cpu"]["candidates"]}
    for target in ("ort-cpu", "openvino"):
        assert report["targets"][target]["parity"]["argmax_agreement"] >= 0.99
        model = edgekd.load(out, target=target)
        both = model.predict(["class1word3 word5", "a word of no class"])
        assert isinstance(both, list) and len(both) == 2
    assert cli.run(["verify", str(out)]) == 0


def test_a_list_counts_by_what_it_holds_and_not_by_where_it_lies(tmp_path: Path) -> None:
    keys = []
    for folder, words in {"a": "word1", "b": "word1", "c": "word1 word2"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "words.txt").write_text(words)
        setting = "compress=[{kind='vocabulary', file='words.txt'}]"
        text = (recipe.builtin_folder() / "bert-distilbert.toml").read_text()
        (tmp_path / folder / "r.toml").write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path / folder)
            read, _ = recipe.load("r.toml", [setting])
        table = {**read.compress[0], "file": str(tmp_path / folder / "words.txt")}
        read = read.model_copy(update={"compress": (table,)})
        keys.append((step_keys.models(read, "student"), step_keys.content(read)))
    assert keys[0] == keys[1] != keys[2]
