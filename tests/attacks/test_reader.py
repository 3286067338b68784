"""The reader itself: limits, shapes, places; whatever it is given, an error of the door's kind or the value."""

from __future__ import annotations

import importlib
import json
import pkgutil
import runpy
import time
import typing
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd import document
from edgekd.base import reader
from edgekd.base.errors import DataError, DeviceError, EdgekdError, Failure, IntegrityError
from edgekd.document.bench import Kept, Result
from edgekd.document.machine import Told
from edgekd.document.report import Report
from edgekd.document.rules import Keys, Range, Some, closed
from edgekd.document.tune import Tune
from edgekd.report import tuned

_ODD = runpy.run_path(str(Path(__file__).with_name("_odd.py")))


class Inner(TypedDict):
    p50_ms: Annotated[float, Range(0, 10)]
    note: NotRequired[str | None]


@closed
class Closed(TypedDict):
    a: int


class Doc(TypedDict):
    targets: dict[str, Inner]
    name: Literal["x", 1]
    pair: tuple[int, float]
    many: Annotated[list[int], Some()]
    either: int | list[str] | None
    closed: Closed
    keys: Annotated[dict[str, int], Keys(("a", "b"))]
    on: bool
    free: object


GOOD: dict[str, Any] = {
    "targets": {"ort-cpu": {"p50_ms": 1}},
    "name": "x",
    "pair": [1, 2],
    "many": [1],
    "either": None,
    "closed": {"a": 1},
    "keys": {"a": 1, "b": 2},
    "on": True,
    "free": {"any": [{}]},
}
ODD: list[tuple[tuple[str, ...], Any, str]] = [
    (("targets", "ort-cpu", "p50_ms"), "1", "targets.ort-cpu.p50_ms: of another type; found '1'; allowed: a number"),
    (("targets", "ort-cpu", "p50_ms"), True, "targets.ort-cpu.p50_ms: of another type; found True"),
    (("targets", "ort-cpu", "p50_ms"), 11, "targets.ort-cpu.p50_ms: not allowed; found 11; allowed: 0 to 10"),
    (("targets", "ort-cpu", "p50_ms"), float("nan"), "targets.ort-cpu.p50_ms: not a finite number"),
    (("targets", "ort-cpu", "p50_ms"), 10**30, "targets.ort-cpu.p50_ms: too large a number"),
    (("targets", "ort-cpu", "note"), 5, "targets.ort-cpu.note: of another type; found 5; allowed: a text or null"),
    (("targets", "ort-cpu"), {}, "targets.ort-cpu.p50_ms: is missing; found no key; allowed: 0 to 10"),
    (("targets",), [], "targets: of another type; found a list of 0; allowed: a table"),
    (("name",), True, "name: not one of the choices; found True; allowed: 1, x"),
    (("pair",), [1], "pair: of another type; found a list of 1; allowed: a list of 2"),
    (("pair",), [1.5, 2], "pair[0]: of another type; found 1.5; allowed: a whole number"),
    (("many",), [], "many: not allowed; found a list of 0; allowed: one or more"),
    (("many",), [1, "2"], "many[1]: of another type; found '2'"),
    (("many",), [1, True], "many[1]: of another type; found True"),
    (("either",), "x", "either: of another type; found 'x'; allowed: a whole number or a list or null"),
    (("either",), [1], "either[0]: of another type; found 1; allowed: a text"),
    (("closed",), {"a": 1, "b": 2}, "closed: unknown key; found 'b'; allowed: a"),
    (("keys",), {"a": 1}, "keys: not allowed; found a table of 1; allowed: a table of a, b"),
    (("on",), 1, "on: of another type; found 1; allowed: true or false"),
    (("free",), {"a": [1, float("inf")]}, "free.a[1]: not a finite number; found inf"),
    (("more",), {"a": ["\ud800"]}, "more.a[0]: half a character"),
    (("x" * 5000,), "\ud800", "x..."),
]


@pytest.mark.parametrize(("path", "value", "said"), ODD, ids=[odd[2][:50] for odd in ODD])
def test_the_place_what_was_found_and_what_is_allowed(path: tuple[str, ...], value: Any, said: str) -> None:
    assert reader.check(GOOD, Doc, "doc.json") is GOOD
    made = json.loads(json.dumps(GOOD))
    inside = made
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    with pytest.raises(DeviceError) as caught:
        reader.check(made, Doc, "doc.json", DeviceError)
    assert str(caught.value).startswith("doc.json: ") and said in str(caught.value)
    assert len(str(caught.value)) < 400


TEXTS: dict[str, tuple[bytes, str]] = {
    "deep": (b"[" * 200_000, "nested too deep"),
    "65 deep": (b"[" * 66 + b"]" * 66, "nested too deep"),
    "two names": (b'{"a": 1, "b": 2, "a": 3}', "a key stands twice; found 'a'"),
    "large": (b" " * 1001, "too large; found 1001; allowed: at most 1,000 bytes"),
    "digits": (b"1" * 900 + b"." + b"1" * 5, ""),
    "inf": (b"[1e999]", "[0]: not a finite number; found inf"),
    "NaN": (b'{"a": [NaN]}', "a[0]: not a finite number"),
    "no UTF-8": (b'"\xff"', "not valid JSON"),
    "UTF-16": ("[1]".encode("utf-16"), "not valid JSON"),
    "a mark": (b"\xef\xbb\xbf[1]", "not valid JSON"),
    "nothing": (b"", "not valid JSON"),
    "more": (b"1 2", "not valid JSON"),
    "half a character": (b'{"\\udfff": 1}', "half a character"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_limits_of_a_text(name: str) -> None:
    data, said = TEXTS[name]
    with pytest.raises(DataError, match=r"^doc\.json") as caught:
        reader.parse(data, "doc.json", DataError, 1000 if name == "large" else reader.MOST)
    assert said in str(caught.value)
    assert reader.parse(b"[" * 65 + b"]" * 65, "doc.json")


def test_many_keys_are_looked_at_once() -> None:
    data = json.dumps({str(i): 0 for i in range(60_000)})[:-1].encode() + b', "59999": 0}'
    started = time.process_time()
    with pytest.raises(IntegrityError, match="twice; found '59999'"):
        reader.parse(data, "doc.json")
    assert time.process_time() - started < 2


def shapes() -> list[Any]:
    modules = [importlib.import_module(f"edgekd.document.{m.name}") for m in pkgutil.iter_modules(document.__path__)]
    found = {value for module in modules for value in vars(module).values() if typing.is_typeddict(value)}
    return sorted(found, key=lambda shape: (shape.__module__, shape.__name__))


@pytest.mark.parametrize("shape", shapes(), ids=lambda shape: f"{shape.__module__.rpartition('.')[2]}.{shape.__name__}")
def test_every_shape_can_be_read(shape: Any) -> None:
    """Each type in it is one that the reader knows, and has words."""
    keys = shape.__annotations__
    values: list[Any] = [[], None, {}, {key: {} for key in keys}, {key: [] for key in keys}]
    for value in values:
        try:
            reader.check(value, shape, "doc.json")
        except IntegrityError as err:
            assert err.allowed is not None and str(err)
            continue
        assert value == {} or set(value) == set(keys)


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
KEYS = sorted({key for shape in shapes() for key in shape.__annotations__})
NAMED = st.recursive(PLAIN, lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=6), max_leaves=8)


@given(NAMED, st.sampled_from([Report, Told, Failure, Result, Kept, Tune]))
@settings(max_examples=80, deadline=None)
def test_anything_is_taken_or_refused(value: Any, shape: Any) -> None:
    try:
        assert reader.check(value, shape, "doc.json") is value
        assert reader.read(json.dumps(value).encode(), shape, "doc.json") == value
    except IntegrityError as err:
        assert str(err).startswith("doc.json")


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0123456789eE.-ntf\\u ', max_size=60).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_any_bytes(data: bytes) -> None:
    for read in (reader.parse, reader.loads, reader.toml):
        try:
            read(data, "doc", DeviceError)
        except DeviceError as err:
            assert str(err).startswith("doc")


TUNE: dict[str, Any] = {
    "schema_version": 1,
    "name": "n",
    "metric": "accuracy",
    "targets": ["ort-cpu"],
    "prefer": "value",
    "study": "s",
    "quick": False,
    "ended": "e",
    "met": True,
    "chosen": 0,
    "nearest": 0,
    "front": [0],
    "bundle": "b",
    "recipe": "r",
    "budget": {"max_drop": 0.5, "max_latency_ms": 9.0, "max_size_kb": None, "max_size_share": None},
    "seconds": 0.4,
    "space": {"student.model.width": {"choices": [16, 32]}},
    "trials": [
        {
            "number": 0,
            "state": "complete",
            "why": "w",
            "as_is": True,
            "again": None,
            "values": {"a": {"kind": "b"}},
            "likeness": "l",
            "shapes": {},
            "rung": 0.5,
            "seconds": 1.0,
            "worker": "w",
            "result": {
                "value": 0.6,
                "p50_ms": 1.2,
                "size_bytes": 128,
                "drop": 0.3,
                "missed": {"max_drop": 0.1},
                "gate": "",
                "targets": {
                    "ort-cpu": {"candidate": "int8", "value": 0.6, "p50_ms": 1.2, "size_bytes": 128, "reason": "r"}
                },
            },
        }
    ],
}


def test_every_place_of_a_search() -> None:
    taken = 0
    for _, _, document_ in _ODD["variants"](TUNE):
        try:
            reader.check(document_, Tune, "tune.json")
        except EdgekdError as err:
            assert str(err).startswith("tune.json: ")
            continue
        tuned.html(document_)
        taken += 1
    assert taken > 50
