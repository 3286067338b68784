"""Students that answer with vectors, from the data to an app: what a teacher says, with nobody else to ask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import edgekd
from edgekd.base import preprocess
from edgekd.tasks import Vector

SIZE = 12


def files(folder: Path) -> dict[str, Any]:
    """Rows of numbers, and the vectors that some teacher gave to each: of it nobody has more."""
    rng = np.random.default_rng(0)
    rows = {"train": 256, "validation": 64, "test": 64}
    x = {name: rng.standard_normal((count, 6)).astype(np.float32) for name, count in rows.items()}
    weights = rng.standard_normal((6, SIZE)) / 3
    np.savez(folder / "x.npz", x_train=x["train"], x_validation=x["validation"], x_test=x["test"])
    (folder / "said").mkdir()
    for name, of in x.items():
        np.savez(folder / "said" / f"{name}.npz", logits=np.tanh(of @ weights).astype(np.float32))
    return {
        "name": "vectors",
        "task": {"kind": "distribution", "size": SIZE},
        "data": {
            "source": "npz",
            "path": str(folder / "x.npz"),
            "samples": "numbers",
            "x_validation": "x_validation",
            **dict.fromkeys(("y_train", "y_test"), ""),
        },
        "teacher": {"model": {"kind": "recorded", "path": str(folder / "said"), "form": "logits"}},
        "student": {"model": {"kind": "mlp", "width": 48, "depth": 1}, "lr": 2e-2, "batch_size": 8},
        "losses": [{"kind": "cosine"}, {"kind": "squared_error", "weight": 0.5}],
        "compress": [{"kind": "int8_qat", "epochs": 4}],
        "budget": {"max_drop": 0.05, "min_cosine": 0.9},
    }


def cosines_of_int8(out: Path, x: np.ndarray) -> np.ndarray:
    """(N,) of the int8 file's vectors to the fp32 file's, one sample at a time."""
    ops = json.loads((out / "manifest.json").read_text())["additional_metadata"]["edgekd"]["preprocess"]
    sides = []
    for name in ("int8", "fp32"):
        file = out.with_name(f"{out.name}.candidates") / "ort-cpu" / f"{name}.onnx"
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        vectors = np.concatenate([session.run(None, preprocess.apply(ops, row[None]))[0] for row in x])
        sides.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return np.asarray((sides[0] * sides[1]).sum(1))


def test_a_student_imitates_vectors_that_were_recorded(tmp_path: Path) -> None:
    recipe, out = files(tmp_path), tmp_path / "out"
    where: dict[str, Any] = {"out": out, "cache": tmp_path / "cache"}
    report = edgekd.build(recipe, targets=["ort-cpu"], quick=True, keep_candidates=True, **where)
    assert report["metric"] == "cosine" and report["task"] == "distribution"
    for target in report["targets"].values():
        values = {one["name"]: one["value_test"] for one in target["candidates"]}
        assert values["fp32"] > 0.5 and values["int8"] > values["fp32"] - 0.03
        by_name = {one["name"]: one for one in target["candidates"]}
        turned = cosines_of_int8(out, np.load(tmp_path / "x.npz")["x_validation"])
        assert by_name["int8"]["cosine"] == pytest.approx(turned.mean(), abs=1e-6) and "cosine" not in by_name["fp32"]
        assert 0.95 < by_name["int8"]["cosine"] < 1
    edgekd.verify(out)
    x = np.load(tmp_path / "x.npz")["x_test"]
    said = np.load(tmp_path / "said" / "test.npz")["logits"]
    for name, target in report["targets"].items():
        shipped = next(one for one in target["candidates"] if one["name"] == target["shipped"])
        vectors = edgekd.load(out, target=name).predict(x)
        assert isinstance(vectors[0], Vector) and len(vectors[0].values) == SIZE
        got = np.array([vector.values for vector in vectors])
        cosines = (got * said).sum(1) / (np.linalg.norm(got, axis=1) * np.linalg.norm(said, axis=1))
        assert cosines.mean() == pytest.approx(shipped["value_test"], abs=1e-6)
    card = (out / "README.md").read_text()
    assert "a vector of 12 numbers" in card and 'pipeline_tag: "feature-extraction"' in card


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": [{"kind": "kl"}]}, r"losses\[0\]\.kind: not a loss of Distribution; found 'kl'; .*cosine"),
        ({"task": {"kind": "distribution"}}, r"task\.size: how many numbers a vector has is needed"),
        ({"task": {"kind": "distribution", "size": 9}}, r"teacher\.model.*"),
        (
            {"task": {"kind": "distribution", "size": SIZE, "probabilities": True}},
            r"budget\.min_cosine: no output holds",
        ),
        ({"metric": "accuracy"}, r"metric\.kind: not a metric of Distribution; found 'accuracy'"),
        ({"teacher": {"model": {"kind": "mlp"}}}, r"a teacher can't be trained on data without labels"),
    ],
)
def test_what_does_not_go_with_vectors_is_told(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(edgekd.EdgekdError, match=message):
        edgekd.build({**files(tmp_path), **changes}, targets=["ort-cpu"], out=tmp_path / "out", cache=tmp_path / "c")


def test_sentences_are_vectors_of_length_1_on_every_runtime(quick: Any) -> None:
    out = quick("sentence-vectors").out
    report = json.loads((out / "report.json").read_text())
    assert report["metric"] == "spearman" and report["outputs"] == {"logits": "embedding"}
    for target in report["targets"].values():
        assert {"int8", "fp32"} <= {one["name"] for one in target["candidates"]}
        assert all(-1 <= one["value_test"] <= 1 and len(one["value_ci95"]) == 2 for one in target["candidates"])
    edgekd.verify(out)
    texts = ["meaning1word0 meaning2word1 meaning3word2 meaning4word0", "meaning1word2 meaning9word1"]
    by_target = {}
    for name in report["targets"]:
        one, other = edgekd.load(out, target=name).predict(texts)
        assert isinstance(one, Vector) and len(one.values) == 16
        by_target[name] = np.array([one.values, other.values])
        np.testing.assert_allclose(np.linalg.norm(by_target[name], axis=1), 1, atol=1e-5)
    assert (by_target["ort-cpu"] * by_target["openvino"]).sum(1).min() > 0.98
    assert 'pipeline_tag: "sentence-similarity"' in (out / "README.md").read_text()


def test_from_triplets_to_vectors_of_an_app(tmp_path: Path) -> None:
    """A positive lies on the line of its anchor, on either side of zero: that they are alike is learned."""
    rng = np.random.default_rng(0)

    def rows(count: int) -> np.ndarray:
        lines = rng.standard_normal((2, count, 6))
        ways = np.stack([lines[0], lines[0], lines[1]], axis=1) * rng.choice([-1, 1], (count, 3, 1))
        return (ways + 0.1 * rng.standard_normal(ways.shape)).reshape(-1, 6).astype(np.float32)

    arrays: dict[str, Any] = {}
    for name, count in (("train", 160), ("validation", 40), ("test", 40)):
        arrays[f"x_{name}"] = rows(count)
        words = ("anchor", "positive", "negative")
        arrays[f"y_{name}"] = np.array([[str(i // 3), words[i % 3]] for i in range(3 * count)])
    np.savez(tmp_path / "t.npz", **arrays)
    training = {"batch_size": 12, "lr": 1e-2}
    recipe: dict[str, Any] = {
        "name": "triplets",
        "task": {"kind": "embedding", "size": 8},
        "metric": "triplet_accuracy",
        "data": {
            "source": "npz",
            "path": str(tmp_path / "t.npz"),
            "samples": "numbers",
            "x_validation": "x_validation",
            "y_validation": "y_validation",
        },
        "teacher": {"model": {"kind": "mlp", "width": 64, "depth": 2}, **training},
        "student": {"model": {"kind": "mlp", "width": 32, "depth": 2}, **training},
        "losses": [{"kind": "margin_mse"}, {"kind": "labelled_triplets"}, {"kind": "info_nce", "weight": 0.1}],
        "budget": {"max_drop": 0.2},
    }
    where: dict[str, Any] = {"targets": ["ort-cpu"], "out": tmp_path / "out", "cache": tmp_path / "cache"}
    report = edgekd.build(recipe, quick=True, **where)
    edgekd.verify(tmp_path / "out")
    (target,) = report["targets"].values()
    shipped = next(one for one in target["candidates"] if one["name"] == target["shipped"])
    assert report["metric"] == "triplet_accuracy" and shipped["value_test"] > 0.6
    values = [one.values for one in edgekd.load(tmp_path / "out").predict(arrays["x_test"])]
    vectors = np.array(values) / np.linalg.norm(values, axis=1, keepdims=True)
    anchor, positive, negative = np.moveaxis(vectors.reshape(-1, 3, 8), 1, 0)
    in_order = (anchor * positive).sum(1) > (anchor * negative).sum(1)
    assert in_order.mean() == pytest.approx(shipped["value_test"], abs=1e-6)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([{"kind": "similarity_scores"}], r"losses\[0\]\.kind: this loss needs labels and the data has none"),
        ([{"kind": "kl"}], r"losses\[0\]\.kind: not a loss of Embedding; found 'kl'"),
    ],
)
def test_losses_on_pairs_want_pairs(losses: list[dict[str, str]], message: str, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("text\n" + "\n".join(f"word{i % 7} word{i % 5} {i}" for i in range(60)))
    small = {"kind": "embedder", "width": 8, "layers": 1, "heads": 1}
    recipe: dict[str, Any] = {
        "name": "alone",
        "task": {"kind": "embedding", "size": 8},
        "data": {"source": "text", "path": str(tmp_path / "t.tsv"), "sentence": "text", "label": "", "vocab": 100},
        "teacher": {"model": small, "epochs": 0},
        "student": {"model": small},
        "losses": losses,
    }
    with pytest.raises(edgekd.EdgekdError, match=message):
        edgekd.build(recipe, targets=["ort-cpu"], out=tmp_path / "out", cache=tmp_path / "cache")


def test_what_would_part_pairs_is_refused_before_anything_trains(tmp_path: Path) -> None:
    small = {"kind": "embedder", "width": 8, "layers": 1, "heads": 1}
    recipe: dict[str, Any] = {
        "name": "odd",
        "task": {"kind": "embedding", "size": 8},
        "data": {"source": "made_pairs", "meanings": 10, "train": 20, "validation": 8, "test": 8},
        "teacher": {"model": small},
        "student": {"model": small, "batch_size": 7},
        "losses": [{"kind": "similarity_scores"}],
    }
    where = tmp_path / "out", tmp_path / "cache"
    with pytest.raises(edgekd.EdgekdError, match=r"student\.batch_size: an odd batch parts a pair; found 7"):
        edgekd.build(recipe, targets=["ort-cpu"], out=where[0], cache=where[1])
    other = {**recipe, "task": "regression", "losses": [{"kind": "huber"}]}
    with pytest.raises(edgekd.EdgekdError, match=r"data\.source: made_pairs has labels of pairs; found 'Regression'"):
        edgekd.build(other, targets=["ort-cpu"], out=where[0], cache=where[1])
