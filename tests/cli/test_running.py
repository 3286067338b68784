"""What a command shows, as JSON or in words."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable

import click
import numpy as np
import pytest

from edgekd.base import preprocess
from edgekd.cli import running


def test_json_stays_json_where_a_terminal_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    running.show(True, {"label": "ß 😀"}, str)
    sys.stdout.flush()
    assert json.loads(raw.getvalue()) == {"label": "ß 😀"}


def of_users() -> None:
    """As code of a user's: this file is none of edgekd's."""
    math.sqrt(-1)


def in_numpy() -> None:
    np.zeros(2).reshape(3)


def in_edgekd() -> None:
    preprocess.largest(None, ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        (of_users, 2, f"edgekd: {__name__}.of_users raised ValueError at test_running.py:"),
        (in_numpy, 2, f"edgekd: {__name__}.in_numpy raised ValueError at test_running.py:"),
        (in_edgekd, 1, "edgekd: a bug in edgekd: TypeError"),
    ],
)
def test_what_a_users_code_raises_is_no_bug_of_edgekds(
    call: Callable[[], None], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert running.run(click.Command("it", callback=call), []) == code
    err = capsys.readouterr().err
    assert said in err and ("Traceback" in err) == (code == 1)
