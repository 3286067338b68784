"""Raw samples and what is decided about them: the way of an app, from a sample as it comes to a label.

``decisions.json``::

    samples     [{"text": "..."} or {"data": base64 of little-endian numbers, "dtype": "uint8", "shape": [8, 8, 1]}]
    decisions   {target: [{output: what its task records} for each sample]}

Golden inputs are what a network reads; these also hold the preprocessing and the labels. Of a class that no sample is
decided for, nothing tells its label from another's: ``verify`` says how many of them were seen.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgekd.base import plugins, reader
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import FactoryError, IntegrityError, in_bundle
from edgekd.base.preprocess import TEXT
from edgekd.document.decisions import Decisions, Numbers, Said, Text
from edgekd.runtime.contents import Bundle
from edgekd.runtime.model import Model
from edgekd.runtime.opening import Opened
from edgekd.tasks import ROUNDED, Decided, Heads, Record, Task, numbers_off, path_of

FILE = "decisions.json"
LEAST, MOST = 4, 16  # samples: one of each class, as far as there is room
MOST_BYTES = 500_000  # of their numbers, unless one alone has more: three pictures of 224 x 224
TINY = 1e-30  # below it a number is 0
LARGEST = 64_000_000  # bytes of the file: one picture of 4000 x 4000, or 4 minutes of sound at 48 kHz
# Numbers are held as golden scores are: within the numerics' tolerance, a share of their range (int8: 0.05; ONNX
# Runtime and OpenVINO differ by 0.006 of it on digits).


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
            another type than the manifest says; or no such file. FactoryError: a user's own task raised.
    """
    where = f"{bundle.folder}: {bundle.decisions}"
    samples, wanted = _read(bundle.file(bundle.decisions, LARGEST), opened.variant.target, where)
    is_ids = bool(bundle.preprocess) and bundle.preprocess[-1]["op"] == "columns"  # written down as int64
    dtype = TEXT if isinstance(samples[0], str) else bundle.sample_dtype if is_ids else samples[0].dtype.name
    if dtype != bundle.sample_dtype:
        raise IntegrityError("samples of another type", where=where, found=dtype, allowed=bundle.sample_dtype)
    model = Model(bundle, opened.variant, opened.session)
    try:
        with in_bundle():
            alone = [model.predict(sample) for sample in samples]
            together = model.predict(samples if isinstance(samples[0], str) else np.stack(samples))
    except IntegrityError as err:
        if isinstance(err.__cause__, FactoryError):  # of a task that was named: the user's own code
            raise err.__cause__ from None
        raise
    heads = bundle.heads
    slack = {
        head: _slack(task, opened.variant.tolerance, [one[head] for one in wanted if head in one])
        for head, task in heads.tasks.items()
    }
    for i, expected in enumerate(wanted):
        for answer in (alone[i], together[i]):
            _hold(_by_head(answer, heads), heads, expected, slack, f"{where}: {opened.variant.target}: sample {i}")
    return len(samples), len(_labels_seen(heads, wanted))


def _labels_seen(heads: Heads, wanted: Sequence[Mapping[str, Record]]) -> set[tuple[str, str]]:
    """The labels that some sample is decided for, by output; a value is seen in every one."""
    seen: set[tuple[str, str]] = set()
    for expected in wanted:
        for head, record in expected.items():
            names = heads.tasks[head].labels(record)
            seen |= {(head, str(i)) for i in range(heads[head])} if names is None else {(head, name) for name in names}
    return seen


def _by_head(answer: object, heads: Heads) -> Mapping[str, Decided]:
    """What one output gives, or several by name."""
    return answer if isinstance(answer, dict) else dict.fromkeys(heads, answer)


def _plain(answer: object, heads: Heads) -> dict[str, Record]:
    """The same as it is written down: six digits."""
    table = {}
    for head, one in _by_head(answer, heads).items():
        sure = one.sure if head in heads.certainties else None
        table[head] = _recorded(heads.tasks[head], one) | ({} if sure is None else {"sure": sure})
    return table


def _recorded(task: Task, decided: Decided) -> Record:
    """What a task writes down of a decision.

    Raises:
        FactoryError: a user's own raised, or writes what is none of the forms that a bundle holds.
    """
    if (path := path_of(task)) is None:
        return task.record(decided)
    where = f"{path}.record"
    plain = json.loads(plugins.call_user(json.dumps, where, plugins.call_user(task.record, where, decided)))
    return cast(Record, reader.check({"record": plain}, dict[str, Said], where, FactoryError)["record"])


def check_forms(heads: Heads, names: Sequence[str]) -> None:
    """Raise FactoryError where a user's own task writes a decision down in no form that a bundle holds.

    Before anything trains: of scores that are all 0. One that decodes by the sample is asked when there are some.
    """
    for name, task in heads.tasks.items():
        if path_of(task) is not None and type(task).decode_shown is Task.decode_shown:
            shares = task.shares(np.zeros((1, *heads.shapes[name]), np.float32))
            _recorded(task, task.decode(shares[0], names[heads.name_columns[name]]))


def _slack(task: Task, tolerance: float, records: Sequence[Record]) -> float | NDArray[np.float64]:
    """How far a number may be from what it was, in the scores' unit divided by the temperature; see ``by_column``."""
    numbers = [task.numbers(record) for record in records]
    if task.by_column:
        return np.maximum(tolerance * task.span(np.array(numbers)), TINY)
    flat = np.array([number for row in numbers for number in row])
    return tolerance * float(task.span(flat) if len(flat) else 0.0) + ROUNDED


def _hold(
    answers: Mapping[str, Decided],
    heads: Heads,
    expected: Mapping[str, Record],
    slack: Mapping[str, float | NDArray[np.float64]],
    where: str,
) -> None:
    if sorted(answers) != sorted(expected):  # JSON is written sorted
        raise IntegrityError("other outputs than when it was built", where=where, found=list(answers), allowed=expected)
    for head, one in answers.items():
        place, wanted, task = f"{where}: {head}", expected[head], heads.tasks[head]
        record = _recorded(task, one)
        if task.decision(record) != task.decision(wanted):
            actual, before = task.in_words(record), task.in_words(wanted)
            raise IntegrityError("another decision than when it was built", where=place, found=actual, allowed=before)
        sure = one.sure if head in heads.certainties else None
        if sure != wanted.get("sure", sure):
            allowed = f"{wanted['sure']}"
            raise IntegrityError("not as sure as when it was built", where=place, found=sure, allowed=allowed)
        limit = slack[head]
        offs = task.off(one, wanted, limit) if isinstance(limit, float) else numbers_off(task, one, wanted, limit)
        for off in offs:
            if not off.distance <= 1:
                at, allowed = f"{place}: {off.place}", f"{off.before:g}"
                raise IntegrityError("another score than when it was built", where=at, found=off.now, allowed=allowed)


def _stored(sample: Any) -> dict[str, Any]:
    if isinstance(sample, str):
        return {"text": sample}
    data = np.ascontiguousarray(sample, sample.dtype.newbyteorder("<")).tobytes()
    return {"data": base64.b64encode(data).decode(), "dtype": sample.dtype.name, "shape": list(sample.shape)}


def _read(data: bytes, target: str, where: str) -> tuple[list[Any], list[dict[str, Record]]]:
    """The samples, all texts or all numbers of one shape and type, and what was decided about them."""
    table = reader.read(data, Decisions, where, most=LARGEST)
    samples = [_sample(sample, f"{where}: samples[{i}]") for i, sample in enumerate(table["samples"])]
    wanted = cast(list[dict[str, Record]], table["decisions"].get(target, []))
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
