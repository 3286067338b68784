"""What a command shows, as JSON or in words."""

from __future__ import annotations

import io
import json
import sys

import pytest

from edgekd.cli import running


def test_json_stays_json_where_a_terminal_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    running.show(True, {"label": "ß 😀"}, str)
    sys.stdout.flush()
    assert json.loads(raw.getvalue()) == {"label": "ß 😀"}
