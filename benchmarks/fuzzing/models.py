"""Models before a runtime sees them, golden tensors, keys; and what an app asks a model about."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any

import numpy as np

from edgekd.runtime import bundle as bundles
from edgekd.runtime import golden, look, look_ir, tensor_pb
from edgekd.runtime.contents import Bundle, Variant
from edgekd.runtime.model import Model
from edgekd.runtime.signature import Trust
from edgekd.tasks import Heads
from fuzzing import _mutate, harness, room


@harness(_mutate.of_fields)
def onnx_look(data: bytes) -> None:
    """An ONNX file, looked at."""
    look.check(data, "model.onnx")


@harness(_mutate.of_words)
def ir_look(data: bytes) -> None:
    """An OpenVINO IR, looked at; behind a NUL its weights."""
    xml, _, held = data.partition(b"\0")
    look_ir.check(xml, held, "openvino_model.xml")


@harness(_mutate.of_fields)
def golden_tensor(data: bytes) -> None:
    """Golden numbers: written again they are read as the same, and a session that gives them answers right."""
    name, array = tensor_pb.read(data, "input_0.pb")
    again = tensor_pb.read(tensor_pb.write(array, name))
    assert again[0] == name and again[1].tobytes() == array.tobytes() and again[1].shape == array.shape
    if array.ndim == 2 and array.size and array.dtype.kind == "f" and np.isfinite(array).all():
        assert golden.difference(array, array, 0.1, "output_0.pb") == 0


@harness(_mutate.of_words, most=1024)
def key_file(data: bytes) -> None:
    """A public key, and a manifest's digest."""
    path = room("keys") / "key.pem"
    path.write_bytes(data)
    if b"manifest" in data:
        bundles._check_digest(path, bundles.digest_file(b"{}"))
    elif trust := Trust.of(path):
        trust.arguments()


class _Session:
    """A runtime that answers zeros."""

    inputs, outputs = (), ()

    def run(self, arrays: Any) -> dict[str, Any]:
        return {"logits": np.zeros((len(next(iter(arrays.values()))), 3), np.float32)}


TEXT = [{"op": "wordpiece", "vocabulary": ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"), "length": 8, "lower": True}]
COLUMNS = [{"op": "columns", "names": ["a", "b"], "sizes": [9, 9], "widths": [1, 2]}]
SCALED = [{"op": "scale", "divide": 255.0}, {"op": "normalise", "mean": [0.5], "std": [0.5]}, {"op": "layout"}]
KINDS: dict[str, tuple[Any, tuple[int, ...], str, int]] = {
    "picture": (SCALED, (3, 3, 1), "uint8", 0),
    "sound": ([{"op": "scale", "divide": 32768.0}], (12,), "int16", 8000),
    "numbers": ([], (3,), "float32", 0),
    "columns": (COLUMNS, (3,), "int64", 0),
    "text": (TEXT, (), "", 0),
}


def _model(kind: str) -> Model:
    ops, shape, dtype, rate = KINDS[kind]
    variant = Variant("ort-cpu", "ort", {}, {}, (), "float32", False, 1, 1e-3)
    about: dict[str, Any] = {"sample_dtype": dtype, "rate": rate}
    bundle = Bundle("n", {"kind": "c"}, "0", list("abc"), Heads({"logits": 3}), ops, shape, True, [variant], **about)
    return Model(bundle, variant, _Session())  # type: ignore[arg-type]


MODELS = {kind: _model(kind) for kind in KINDS}


def _given(value: Any) -> Any:
    """An array where a table tells of one; else the value itself."""
    if isinstance(value, list):
        return [_given(inner) for inner in value]
    if not isinstance(value, dict) or not {"dtype", "shape", "data"} <= set(value):
        return value
    try:
        raw = base64.b64decode(value["data"])
        return np.frombuffer(raw, value["dtype"]).reshape(value["shape"])
    except (ValueError, TypeError, SyntaxError, OverflowError, AttributeError):
        return value


@harness(_mutate.of_json, most=2048)
def asked(data: bytes) -> None:
    """What an app may give to ``predict``, by the kind of student."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(document, dict):
        return
    kind, value = next(iter(document.items()), ("", None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MODELS.get(kind, MODELS["numbers"]).predict(_given(value))
