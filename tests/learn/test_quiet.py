"""Silence inside the block alone."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest

from edgekd.learn.quiet import quiet


def test_nothing_is_heard_inside_and_everything_after(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet():
        warnings.warn("inside", stacklevel=1)
        logging.getLogger("torch").error("inside")
        print("inside", file=sys.stderr)
    with pytest.warns(UserWarning, match="after"):
        warnings.warn("after", stacklevel=1)
    print("after", file=sys.stderr)
    assert capsys.readouterr().err == "after\n" and logging.root.manager.disable == 0


def test_an_error_passes_and_the_noise_is_back() -> None:
    with pytest.raises(ZeroDivisionError), quiet():
        raise ZeroDivisionError
    assert logging.root.manager.disable == 0
