"""What holds for every kind of device; a new file is found by itself."""

from __future__ import annotations

import dataclasses
import shutil
from typing import Any

import pytest

from edgekd.base import plugins
from edgekd.base.errors import DeviceError, UsageError
from edgekd.runtime.devices._base import LOADER, NOT_FOUND, Device
from edgekd.runtime.devices._find import find

VALUES = {"host": "board", "serial": "R58M"}  # of fields without a default


def build(kind: str, **keys: Any) -> Device:
    cls = plugins.load("devices", kind, "test")
    needed = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING]
    made: Device = plugins.build("devices", {"kind": kind, **{name: VALUES[name] for name in needed}, **keys}, "test")
    return made


@pytest.fixture(params=plugins.kinds("devices"))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_its_name_finds_it_again(kind: str) -> None:
    assert find(build(kind).name) == build(kind)


def test_it_starts_the_python_that_was_named_or_says_what_is_missing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    line = build(kind, python="/opt/py thon3").command()
    text = " ".join(line)
    assert "/opt/py thon3" in text and "len(s)<int(n)" in LOADER and "len(s)<int(n)" in text
    monkeypatch.setattr(shutil, "which", lambda name: None)
    if line[0].startswith("/usr/bin"):
        with pytest.raises(DeviceError, match="not installed here"):
            build(kind).command()


def test_it_says_why_it_ended(kind: str) -> None:
    device = build(kind, python="/opt/python3")
    assert "has no such Python; found '/opt/python3'" in str(device.why(NOT_FOUND, ""))
    cut = device.why(255, "something that nobody knows")
    assert isinstance(cut, DeviceError) and device.name in str(cut) and "nobody knows" in str(cut)


def test_an_unknown_key_is_told(kind: str) -> None:
    with pytest.raises(UsageError, match="unknown key"):
        plugins.build("devices", {"kind": kind, **VALUES, "pyton": "x"}, "--device", UsageError)
