"""What the console prints of documents."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import RenderableType

from edgekd.base import host, streams
from edgekd.cli import console
from edgekd.document.commands import TargetRow
from edgekd.document.machine import Machine


def written(shown: RenderableType, encoding: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What ``console.show`` leaves on a stdout of an encoding."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    streams.prepare()
    console.show(shown)
    sys.stdout.flush()
    return raw.getvalue()


def test_tables_stay_tables_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[TargetRow] = [
        {"name": "a", "backend": "b", "numerics": ["int8"], "available": True, "reason": None, "description": "ü"}
    ]
    lines = written(console.targets_table(rows), "ascii", monkeypatch).decode("ascii").splitlines()
    assert len({len(line) for line in lines[:2]}) == 1 and "ok" in "".join(lines)


def test_doctor_names_what_a_build_would_need(monkeypatch: pytest.MonkeyPatch) -> None:
    machine: Machine = {**host.facts(), "versions": {"numpy": "2.0"}}
    text = written(console.doctor({"host": machine, "problems": [], "missing": ["torch"]}), "utf-8", monkeypatch)
    assert "torch would be needed too: pip install 'edgekd[build,ort]'" in text.decode()
