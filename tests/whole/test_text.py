"""Texts end to end: a student made of its teacher, the vocabulary in the bundle, any length on both runtimes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekd
import edgekd.learn.data
from edgekd import cli
from edgekd.base import preprocess
from edgekd.base.errors import IntegrityError, UsageError
from edgekd.base.wordpiece import Vocabulary
from edgekd.learn.data.made_text import MadeText
from edgekd.runtime import bundle as bundles

ROOT = Path(__file__).parents[2]
TARGETS = ["ort-cpu", "openvino"]
TEXTS = ["class1word3", "word1 class0word2, WORD3 word4! word5 word6 word7", "word9 class1word1 class1word2 word2"]
CHILD = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "onnx", "transformers", "tokenizers", "pydantic", "click", "rich"}:
            raise ImportError(f"{name} is not for apps")
sys.meta_path.insert(0, Block())
import json, edgekd
model = edgekd.load(sys.argv[1], target=sys.argv[2])
edgekd.verify(sys.argv[1])
print(json.dumps([p.scores for p in model.predict(sys.argv[3:])] + [model.predict(sys.argv[3]).scores]))
"""


@pytest.fixture(scope="module")
def bundle(quick: Any) -> Path:
    """The built-in recipe with a smaller teacher."""
    return Path(quick("bert-distilbert").out)


def test_the_same_build_again_is_none(quick: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made = quick("bert-distilbert")
    assert cli.run([*made.line, "--out", str(made.out)]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_the_student_was_made_of_its_teacher_and_both_learned(bundle: Path) -> None:
    report = json.loads((bundle / "report.json").read_text())
    teacher, student = report["stages"][:2]
    assert student["params"] < teacher["params"]
    assert teacher["value_test"] > 0.9 and student["value_test"] > 0.9
    for target in report["targets"].values():
        assert {"fp32", "int8"} == {c["name"] for c in target["candidates"]}
        assert target["parity"]["argmax_agreement"] >= 0.99
        assert target["timed_length"] == 10
    int8, fp32 = sorted(report["targets"]["ort-cpu"]["candidates"], key=lambda c: c["name"] == "fp32")
    assert int8["size_bytes"] < 0.5 * fp32["size_bytes"], "tables and matrices are not int8"


def test_the_vocabulary_is_one_file_and_stands_nowhere_else(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())["additional_metadata"]["edgekd"]
    assert manifest["preprocess"] == [{"op": "wordpiece", "vocabulary": "vocab.txt", "length": 64, "lower": True}]
    assert "vocab.txt" in manifest["files"] and manifest["sample"] == {"dtype": "text", "rate": 0, "shape": []}
    with_tokens = [p.name for p in bundle.rglob("*") if p.is_file() and b"class1word9" in p.read_bytes()]
    assert with_tokens == ["vocab.txt"]


def test_an_app_needs_no_tokenizer_package(bundle: Path, tmp_path: Path) -> None:
    for target in TARGETS:
        line = [sys.executable, "-c", CHILD, str(bundle), target, *TEXTS]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(line, capture_output=True, text=True, env=env, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        *found, alone = np.array(json.loads(done.stdout.splitlines()[-1]))
        assert found[0] == pytest.approx(alone, abs=1e-4)
        assert [int(scores.argmax()) for scores in found] == [1, 0, 1]


@pytest.mark.parametrize("target", TARGETS)
def test_padding_and_the_order_of_lengths_change_nothing(bundle: Path, target: str) -> None:
    model = edgekd.load(bundle, target=target)
    data = MadeText(words=40).load()
    texts = data.test.x[:40].tolist()
    together = model.predict(texts)
    alone = [model.predict(text) for text in texts]
    fork = [model.predict(texts[i : i + 3]) for i in range(0, 9, 3)]
    assert isinstance(together, list)
    for a, b in zip(together, alone, strict=True):
        assert not isinstance(b, list) and a.scores == pytest.approx(b.scores, abs=1e-4)
    assert [p.label for part in fork for p in part] == [p.label for p in together[:9]]
    with pytest.raises(UsageError):
        model.run({"input_ids": np.ones((1, 4), np.int64), "attention_mask": np.ones((1, 5), np.int64)})
    assert model.predict(np.array(texts[:2]))[1].label == together[1].label


def test_what_is_no_text_is_told(bundle: Path) -> None:
    model = edgekd.load(bundle)
    assert model.predict([]) == []
    with pytest.warns(UserWarning, match="a text longer than the 64 tokens that the student reads"):
        assert model.predict(f"{TEXTS[0]} {'word1 ' * 200}"), "cut off, and answered"
    for given in ("", " \n", ["word1", ""]):
        with pytest.raises(UsageError, match="an empty text"):
            model.predict(given)
    for other in (3, ["a", 3], np.zeros((2, 3)), None):
        with pytest.raises(UsageError, match="not a text"):
            model.predict(other)


def _change(bundle: Path, **changed: Any) -> None:
    path = bundle / "manifest.json"
    table = json.loads(path.read_text())
    table["additional_metadata"]["edgekd"]["preprocess"][0].update(changed)
    path.write_text(json.dumps(table))
    (bundle / "manifest.sha256").write_bytes(bundles.digest_file(path.read_bytes()))


def test_a_damaged_vocabulary_is_an_integrity_error(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    tokens = (copy / "vocab.txt").read_bytes()
    (copy / "vocab.txt").write_bytes(tokens.replace(b"word1\n", b"word!\n", 1))
    for open_it in (edgekd.load, edgekd.verify):
        with pytest.raises(IntegrityError, match=r"vocab\.txt.*(damaged|another size)"):
            open_it(copy)
    (copy / "vocab.txt").unlink()
    with pytest.raises(IntegrityError, match=r"vocab\.txt: can't be read"):
        edgekd.load(copy)
    (copy / "vocab.txt").write_bytes(tokens)
    edgekd.verify(copy)
    for changed, message in (
        ({"vocabulary": "../vocab.txt"}, "not a file of this bundle"),
        ({"vocabulary": "recipe.json"}, r"recipe\.json is no vocabulary"),
        ({"vocabulary": 3}, "not the name of a file"),
        ({"length": 1}, "out of range"),
        ({"op": "wordpeice"}, "unknown op"),
    ):
        shutil.copy(bundle / "manifest.json", copy / "manifest.json")
        _change(copy, **changed)
        with pytest.raises(IntegrityError, match=message):
            edgekd.load(copy)


def test_golden_inputs_are_whole_sentences(bundle: Path) -> None:
    from edgekd.runtime import bundle as bundles

    found = bundles.read(bundle)
    vocabulary = found.preprocess[0]["vocabulary"]
    assert isinstance(vocabulary, Vocabulary)
    for variant in found.variants:
        x, y = found.golden_of(variant)
        assert x["attention_mask"].min() == 1 and x["attention_mask"].shape == x["input_ids"].shape
        assert x["input_ids"].min() >= 0 and x["input_ids"].max() < len(vocabulary)
        assert len(y["logits"]) == len(x["input_ids"])


def test_a_slimmer_copy_of_the_same_convnet(tmp_path: Path) -> None:
    """channel_prune on the trained teacher gives the student, which goes on from its weights."""
    table = {
        "name": "slim",
        "data": {"source": "digits"},
        "teacher": {"model": {"kind": "convnet", "width": 64}, "epochs": 6},
        "student": {"from_teacher": [{"kind": "channel_prune", "ratio": 0.5}], "epochs": 1, "lr": 1e-3},
        "losses": [{"kind": "kl"}],
        "budget": {"max_drop": 1.0},
    }
    report = edgekd.build(table, targets=["ort-cpu"], out=tmp_path / "out")
    teacher, student = report["stages"]
    assert student["params"] < 0.4 * teacher["params"]
    assert student["value_test"] > 0.9, "one epoch is enough only from the teacher's weights"


def test_wordpiece_op_says_what_a_model_reads() -> None:
    op = {"op": "wordpiece", "vocabulary": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"], "length": 4, "lower": True}
    preprocess.check([op], "p")
    found = preprocess.apply([op], np.array(["A a a a", "a"]))
    assert found["input_ids"].tolist() == [[2, 4, 4, 3], [2, 4, 3, 0]]
    assert found["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    ids, mask = preprocess.specs([op], np.array("a"))
    assert (ids.shape, ids.dtype, ids.high, mask.high, mask.longest) == ((None, None), "int64", 5, 2, 4)
    assert preprocess.raw_shape([op], ()) == ()


def test_a_missing_library_is_told_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("text", "_vocabulary"):
        monkeypatch.delitem(sys.modules, f"edgekd.learn.data.{name}", raising=False)
        monkeypatch.delattr(edgekd.learn.data, name, raising=False)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert cli.run(["plan", "bert-distilbert", "--set", f"data.path={tmp_path}"]) == 4
    assert "tokenizers is not installed; pip install 'edgekd[text]'" in capfd.readouterr().err


def test_a_bert_from_a_folder_on_this_machine(tmp_path: Path) -> None:
    """A user's own model and tokenizer: weights are read, its vocabulary is held against the model's size."""
    import torch

    from edgekd.base import plugins
    from edgekd.base.errors import RecipeError

    made = plugins.build("models", {"kind": "bert", "width": 16, "layers": 1, "heads": 2}, "m").build((50, 2), 5)
    made.module.save_pretrained(tmp_path)
    table = {"kind": "transformers", "name": "BertForSequenceClassification", "folder": str(tmp_path)}
    again = plugins.build("models", table, "m").build((50, 2), 3)
    wanted = made.module.bert.encoder.layer[0].output.dense.weight
    assert torch.equal(again.module.bert.encoder.layer[0].output.dense.weight, wanted)
    assert again.module.classifier.weight.shape == (3, 16)
    with pytest.raises(RecipeError, match=r"more tokens than the model; found 51; allowed: at most 50"):
        plugins.build("models", table, "m").build((51, 2), 3)
