"""Raw samples and what is decided about them: the way of an app, from a sample as it comes to a label.

``decisions.json``::

    samples     [{"text": "..."} or {"data": base64 of little-endian numbers, "dtype": "uint8", "shape": [8, 8, 1]}]
    decisions   {target: [{output: {"index", "label", "score", "scores"}} for each sample]}

Golden inputs are what a network reads; these also hold the preprocessing and the labels. Of a class that no sample is
decided for, nothing tells its label from another's: ``verify`` says how many of them were seen.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from edgekd.base import reader
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import IntegrityError, in_bundle
from edgekd.base.heads import Heads
from edgekd.base.preprocess import TEXT
from edgekd.document.decisions import Decisions, Numbers, Said, Text
from edgekd.runtime.contents import Bundle, Variant
from edgekd.runtime.model import Model, Prediction
from edgekd.runtime.opening import Opened

FILE = "decisions.json"
LEAST, MOST = 4, 16  # samples: one of each class, as far as there is room
MOST_BYTES = 500_000  # of their numbers, unless one alone has more: three pictures of 224 x 224
LARGEST = 64_000_000  # bytes of the file: one picture of 4000 x 4000, or 4 minutes of sound at 48 kHz
CLASSES = 16  # whose scores are written down, the best first
SLACK = 0.05  # of a probability, where but the best class's is written down
# Logarithms of probabilities are held as golden scores are: within the numerics' tolerance (int8: 0.05 of their range;
# ONNX Runtime and OpenVINO differ by 0.006 of it on digits). ROUNDED: of six digits; nobody needs what is below TINY.
ROUNDED, TINY = 1e-5, 1e-30


def written(samples: Sequence[object], heads: Heads, predictions: Mapping[str, Sequence[object]]) -> bytes:
    """The file.

    Args:
        samples: raw samples, texts, or arrays of the types that ``document.decisions`` names.
        heads: of the student.
        predictions: what ``predict`` gave for each, by target.
    """
    table = {
        "decisions": {target: [_plain(answer, heads) for answer in answers] for target, answers in predictions.items()},
        "samples": [_stored(sample) for sample in samples],
    }
    return (json.dumps(table, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def replay(bundle: Bundle, opened: Opened) -> tuple[int, int]:
    """Ask an opened variant about each raw sample, one by one and all at once.

    Returns:
        How many there are, and how many of the bundle's labels were decided for.

    Raises:
        IntegrityError: another label, or scores further from what they were than the variant's tolerance; samples of
            another type than the manifest says; or no such file.
    """
    where = f"{bundle.folder}: {bundle.decisions}"
    samples, wanted = _read(bundle.file(bundle.decisions, LARGEST), opened.variant.target, where)
    is_ids = bool(bundle.preprocess) and bundle.preprocess[-1]["op"] == "columns"  # written down as int64
    dtype = TEXT if isinstance(samples[0], str) else bundle.sample_dtype if is_ids else samples[0].dtype.name
    if dtype != bundle.sample_dtype:
        raise IntegrityError("samples of another type", where=where, found=dtype, allowed=bundle.sample_dtype)
    model = Model(bundle, opened.variant, opened.session)
    with in_bundle():
        alone = [model.predict(sample) for sample in samples]
        together = model.predict(samples if isinstance(samples[0], str) else np.stack(samples))
    slack = {
        head: _slack(opened.variant, [expected[head] for expected in wanted if head in expected])
        for head in bundle.heads
    }
    for i, expected in enumerate(wanted):
        for answer in (alone[i], together[i]):
            _hold(_by_head(answer, bundle.heads), expected, slack, f"{where}: {opened.variant.target}: sample {i}")
    return len(samples), len({(head, decision["index"]) for expected in wanted for head, decision in expected.items()})


def _by_head(answer: Any, heads: Heads) -> Mapping[str, Prediction]:
    """A Prediction, or those of several heads."""
    return answer if isinstance(answer, dict) else dict.fromkeys(heads, answer)


def _plain(answer: object, heads: Heads) -> dict[str, Said]:
    """The same as it is written down: six digits."""
    decisions: dict[str, Said] = {}
    for head, one in _by_head(answer, heads).items():
        best = sorted(range(len(one.scores)), key=lambda index: -one.scores[index])[:CLASSES]
        scores = [(index, float(f"{one.scores[index]:.6g}")) for index in best]
        decisions[head] = {"index": one.index, "label": one.label, "score": float(f"{one.score:.6g}"), "scores": scores}
    return decisions


def _slack(variant: Variant, decisions: Sequence[Said]) -> float:
    """How far the logarithm of a score may be from what it was."""
    logs = [_log(score) for decision in decisions for _, score in decision.get("scores", ())]
    span = max(logs, default=0.0) - min(logs, default=0.0) if variant.quantized else 1.0
    return variant.tolerance * span + ROUNDED


def _log(score: float) -> float:
    return math.log(max(score, TINY))


def _hold(
    answers: Mapping[str, Prediction], expected: Mapping[str, Said], slack: Mapping[str, float], where: str
) -> None:
    if list(answers) != list(expected):
        raise IntegrityError("other outputs than when it was built", where=where, found=list(answers), allowed=expected)
    for head, one in answers.items():
        place, wanted = f"{where}: {head}", expected[head]
        if (one.index, one.label) != (wanted["index"], wanted["label"]):
            raise IntegrityError(
                "another decision than when it was built", where=place, found=one.label, allowed=wanted["label"]
            )
        best = (wanted["index"], wanted["score"])
        for index, score in (best, *wanted.get("scores", ())):
            actual = one.scores[index] if index < len(one.scores) else math.nan
            off = abs(_log(actual) - _log(score)) / slack[head] if "scores" in wanted else abs(actual - score) / SLACK
            if not off <= 1:
                place, allowed = f"{place}: class {index}", f"{score:g}"
                raise IntegrityError("another score than when it was built", where=place, found=actual, allowed=allowed)


def _stored(sample: Any) -> dict[str, Any]:
    if isinstance(sample, str):
        return {"text": sample}
    data = np.ascontiguousarray(sample, sample.dtype.newbyteorder("<")).tobytes()
    return {"data": base64.b64encode(data).decode(), "dtype": sample.dtype.name, "shape": list(sample.shape)}


def _read(data: bytes, target: str, where: str) -> tuple[list[Any], list[dict[str, Said]]]:
    """The samples, all texts or all numbers of one shape and type, and what was decided about them."""
    table = reader.read(data, Decisions, where, most=LARGEST)
    samples = [_sample(sample, f"{where}: samples[{i}]") for i, sample in enumerate(table["samples"])]
    wanted = table["decisions"].get(target, [])
    if len(samples) != len(wanted):
        raise IntegrityError(
            f"{target}: a decision for each sample is needed", where=where, found=len(wanted), allowed=str(len(samples))
        )
    if len({"text" if isinstance(sample, str) else (sample.shape, sample.dtype) for sample in samples}) > 1:
        raise IntegrityError("samples of several kinds", where=where, allowed="texts, or numbers of one shape and type")
    return samples, wanted


def _sample(sample: Text | Numbers, where: str) -> Any:
    if "text" in sample:
        return cast(Text, sample)["text"]
    try:
        raw = base64.b64decode(sample["data"], validate=True)
        numbers: AnyArray = np.frombuffer(raw, np.dtype(sample["dtype"]).newbyteorder("<")).reshape(sample["shape"])
    except (ValueError, binascii.Error) as err:
        raise IntegrityError(f"not the numbers of a sample: {err}", where=where) from err
    return numbers.astype(numbers.dtype.newbyteorder("="))
