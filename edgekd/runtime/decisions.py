"""Raw samples and what is decided about them: the way of an app, from a sample as it comes to a label.

``decisions.json``::

    samples     [{"text": "..."} or {"data": base64 of little-endian numbers, "dtype": "uint8", "shape": [8, 8, 1]}]
    decisions   {target: [{output: {"index", "label", "score"}} for each sample]}

Golden inputs are what a network reads; these also hold the preprocessing and the labels.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgekd.base import reader
from edgekd.document.decisions import Decisions, Numbers, Said, Text
from edgekd.errors import IntegrityError, in_bundle
from edgekd.heads import Heads
from edgekd.runtime.contents import Bundle
from edgekd.runtime.model import Model, Prediction
from edgekd.runtime.opening import Opened

FILE = "decisions.json"
MOST = 4  # samples
MOST_BYTES = 256_000  # of their numbers
SLACK = 0.05  # of a probability, 0..1


def written(samples: Sequence[Any], heads: Heads, said: Mapping[str, Sequence[Any]]) -> bytes:
    """The file.

    Args:
        samples: raw samples, texts, or arrays of the types that ``document.decisions`` names.
        heads: of the student.
        said: what ``predict`` gave for each, by target.
    """
    table = {
        "decisions": {target: [_plain(found, heads) for found in answers] for target, answers in said.items()},
        "samples": [_stored(sample) for sample in samples],
    }
    return (json.dumps(table, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def replay(bundle: Bundle, opened: Opened) -> int:
    """Ask an opened variant about each raw sample, one by one and all at once; how many there are.

    Raises:
        IntegrityError: another label, or a score further from what it was than 0.05; or no such file.
    """
    where = f"{bundle.folder}: {bundle.decisions}"
    samples, wanted = _read(bundle.file(bundle.decisions), opened.variant.target, where)
    model = Model(bundle, opened.variant, opened.session)
    with in_bundle():
        alone = [model.predict(sample) for sample in samples]
        together = model.predict(samples if isinstance(samples[0], str) else np.stack(samples))
    for i, told in enumerate(wanted):
        for found in (alone[i], together[i]):
            _hold(_plain(found, bundle.heads), told, f"{where}: {opened.variant.target}: sample {i}")
    return len(samples)


def _plain(found: Any, heads: Heads) -> dict[str, Any]:
    """A Prediction, or those of several heads, as they are written down."""
    by_head: Mapping[str, Prediction] = found if isinstance(found, dict) else dict.fromkeys(heads, found)
    return {
        head: {"index": one.index, "label": one.label, "score": float(f"{one.score:.6g}")}
        for head, one in by_head.items()
    }


def _hold(found: Mapping[str, Any], told: Mapping[str, Said], where: str) -> None:
    if list(found) != list(told):
        raise IntegrityError("other outputs than when it was built", where=where, found=list(found), allowed=told)
    for head, one in found.items():
        place, wanted = f"{where}: {head}", told[head]
        if (one["index"], one["label"]) != (wanted["index"], wanted["label"]):
            raise IntegrityError(
                "another decision than when it was built", where=place, found=one["label"], allowed=wanted["label"]
            )
        if not abs(one["score"] - wanted["score"]) <= SLACK:
            raise IntegrityError(
                "another score than when it was built", where=place, found=one["score"], allowed=str(wanted["score"])
            )


def _stored(sample: Any) -> dict[str, Any]:
    if isinstance(sample, str):
        return {"text": sample}
    data = np.ascontiguousarray(sample, sample.dtype.newbyteorder("<")).tobytes()
    return {"data": base64.b64encode(data).decode(), "dtype": sample.dtype.name, "shape": list(sample.shape)}


def _read(data: bytes, target: str, where: str) -> tuple[list[Any], list[dict[str, Said]]]:
    """The samples, all texts or all numbers of one shape and type, and what was decided about them."""
    table = reader.read(data, Decisions, where)
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
        found: NDArray[Any] = np.frombuffer(raw, np.dtype(sample["dtype"]).newbyteorder("<")).reshape(sample["shape"])
    except (ValueError, binascii.Error) as err:
        raise IntegrityError(f"not the numbers of a sample: {err}", where=where) from err
    return found.astype(found.dtype.newbyteorder("="))
