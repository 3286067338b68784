"""A manifest whose preprocessing does not take the samples that it names: refused when it is read, and the bundle's
fault; so is a model that does not take what the preprocessing makes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgekd.base import preprocess, samples
from edgekd.base.errors import DataError, IntegrityError, UsageError
from edgekd.base.wordpiece import NEEDED
from edgekd.runtime import bundle as bundles
from edgekd.runtime.contents import Bundle, Variant
from edgekd.runtime.model import Model
from edgekd.runtime.opening import open_variant
from edgekd.tasks import Heads

GOOD = "g (float[n,2] input) => (float[n,3] logits) <float[2,3] w = {1, 2, 3, 4, 5, 6}> { logits = MatMul(input, w) }"
GOLDEN = {"input": np.eye(2, dtype=np.float32)}, {"logits": np.array([[1, 2, 3], [4, 5, 6]], np.float32)}
LAYOUT: dict[str, Any] = {"op": "layout"}
TEXTS: dict[str, Any] = {"op": "wordpiece", "vocabulary": [*NEEDED, "a"], "length": 4, "lower": True}


def stranger(folder: Path, ops: list[dict[str, Any]], shape: list[int], dtype: str, text: str = GOOD) -> Path:
    data = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {text}').SerializeToString()
    one = Variant("one", "ort", {}, {"model.onnx": data}, (), "float32", False, 1, 1e-3, golden=GOLDEN)
    about = {
        "task": {"kind": "classification"},
        "heads": Heads({"logits": 3}),
        "preprocess": ops,
        "sample_shape": shape,
    }
    bundle = Bundle("net", plan="0" * 64, labels="abc", shippable=True, variants=[one], sample_dtype=dtype, **about)  # type: ignore[arg-type]
    bundles.write(folder / "b", bundle, {})
    return folder / "b"


ASKED: dict[str, tuple[list[dict[str, Any]], list[int], str]] = {
    "numbers as texts": ([TEXTS], [], "uint8"),
    "texts of some axes": ([TEXTS], [2], "text"),
    "texts, and no op for them": ([], [], "text"),
    "texts for numbers": ([TEXTS], [2], "uint8"),
    "no type": ([], [2], "object"),
    "a type of numpy's": ([], [2], "datetime64[ns]"),
    "many axes": ([], [1] * 100, "uint8"),
    "channels": ([{"op": "normalise", "mean": [0] * 7, "std": 1}, LAYOUT], [8, 8, 1], "uint8"),
    "deviations": ([{"op": "normalise", "mean": 0, "std": [1, 1]}], [3], "int16"),
    "a crop": ([{"op": "crop", "height": 9, "width": 2}], [8, 8, 1], "uint8"),
    "columns of pictures": ([{"op": "columns", "names": ["i"], "sizes": [9], "widths": [64]}], [8, 8, 1], "uint8"),
    "columns of floats": ([{"op": "columns", "names": ["i"], "sizes": [9], "widths": [2]}], [2], "float32"),
    "pictures of clips": ([LAYOUT], [2], "int16"),
    "grey of one channel": ([{"op": "grey"}], [8, 8, 1], "uint8"),
    "edges of floats": ([{"op": "edges"}], [8, 8, 1], "float32"),
    "silence": ([{"op": "scale", "divide": 32768}], [2], "uint8"),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_preprocessing_of_other_samples(name: str, tmp_path: Path) -> None:
    path = stranger(tmp_path, *ASKED[name])
    with pytest.raises(
        IntegrityError, match=r"does not take its own samples: (sample|preprocess)|sample.dtype: no type"
    ):
        bundles.read(path)


def test_of_an_older_format_any_type_will_do() -> None:
    """It does not say which."""
    channels = [{"op": "normalise", "mean": [0] * 7, "std": 1}, LAYOUT]
    for ops, shape in ((channels, [8, 8, 1]), ([LAYOUT], [])):
        with pytest.raises(DataError):
            preprocess.check_sample(ops, shape, "")
    for ops, shape in (([{"op": "grey"}, {"op": "edges"}, LAYOUT], [8, 8, 3]), ([{"op": "scale", "divide": 2}], [2])):
        preprocess.check_sample(ops, shape, "")


def test_what_fits_is_read(tmp_path: Path) -> None:
    columns = {"op": "columns", "names": ["i", "attention_mask"], "sizes": [9, 9], "widths": [1, 1]}
    fine: list[tuple[list[dict[str, Any]], list[int], str]] = [
        ([TEXTS], [], "text"),
        ([columns], [2], "int64"),
        ([{"op": "scale", "divide": 32768}], [2], "int16"),
        ([{"op": "grey"}, {"op": "edges"}, LAYOUT], [8, 8, 3], "uint8"),
        ([{"op": "crop", "height": 8, "width": 8}, LAYOUT], [8, 8, 3], "float32"),
        ([], [2], "float32"),
    ]
    for i, asked in enumerate(fine):
        bundles.read(stranger(tmp_path / str(i), *asked))


def test_no_sample_is_made() -> None:
    """The largest that is read, through as many ops as there may be: made, it would take minutes and 30 GB."""
    ops: list[dict[str, Any]] = [{"op": "resize", "height": 65_536, "width": 2_048}, *[{"op": "edges"}] * 62, LAYOUT]
    started = time.monotonic()
    preprocess.check_sample(ops, (8, 8, 1), "uint8")
    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize(
    ("shape", "text", "raw"),
    [
        ([3], GOOD, [1, 2, 3]),
        ([2], GOOD.replace("input", "other"), [1, 2]),
        ([2], GOOD.replace("[n,2]", "[3,2]"), [1, 2]),
        (
            [2],
            GOOD.replace("float[n,2]", "int64[n,2]")
            .replace("{ l", "{ f = Cast<to=1>(input) l")
            .replace("l(input", "l(f"),
            [1, 2],
        ),
        ([2], "g (float[n,2] input) => (float[n,m] logits) <int64[1] s = {7}> { logits = Reshape(input, s) }", [1, 2]),
    ],
    ids=["another size", "another name", "a fixed batch", "another type", "it fails when it runs"],
)
def test_a_model_that_does_not_take_what_is_made(shape: list[int], text: str, raw: list[int], tmp_path: Path) -> None:
    model = opened(stranger(tmp_path, [], shape, "float32", text))
    with pytest.raises(IntegrityError):
        model.predict(np.array(raw, np.float32))
    with pytest.raises(UsageError):  # the caller's own
        model.run({"input": np.ones((1, 7), np.float16)})


def test_columns_of_a_texts_names(tmp_path: Path) -> None:
    names = ["input", "attention_mask"]
    ops = [{"op": "columns", "names": names, "sizes": [9, 9], "widths": [1, 1]}]
    head = "g (int64[n] input, int64[n] attention_mask) => (float[n] logits)"
    text = f"{head} {{ s = Add(input, attention_mask) logits = Cast<to=1>(s) }}"
    model = opened(stranger(tmp_path, ops, [2], "int64", text))
    with pytest.raises(IntegrityError, match="another shape"):
        model.predict(np.array([1, 2]))


def opened(path: Path) -> Any:
    """As ``load`` does, but that no golden sample is held against its answer."""
    bundle = bundles.read(path)
    model = open_variant(bundle, bundle.variants[0])
    return Model(bundle, model.variant, model.session)


def test_a_text_is_no_number(tmp_path: Path) -> None:
    """What no bundle says any more is told, too."""
    with pytest.raises(UsageError, match="not numbers"):
        samples.check_numbers(np.array(["x"], object), "uint8")
