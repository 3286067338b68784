"""What the readers of pictures say is heard, and nobody at the terminal sees it."""

from __future__ import annotations

import os
import warnings

import pytest

from edgekd.learn.data._complaints import heard


def test_a_reader_that_says_nothing_is_not_heard() -> None:
    with heard(b"PNG") as complaints:
        pass
    assert not complaints.any


def test_warnings_are_heard_and_go_no_further() -> None:
    with heard(b"PNG") as complaints:
        warnings.warn("truncated", stacklevel=1)
    assert complaints.any


def test_what_a_library_writes_past_python_is_heard_for_tiff(capfd: pytest.CaptureFixture[str]) -> None:
    with heard(b"II*\0...") as complaints:
        os.write(2, b"TIFFReadDirectory: unknown field\n")
    assert complaints.any
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
