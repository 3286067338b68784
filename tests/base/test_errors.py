"""Errors speak the language of whoever asked."""

import pytest

from edgekd.base.errors import GateError, OutputError, in_python


def test_errors_of_a_function_speak_of_its_arguments() -> None:
    with (
        pytest.raises(OutputError, match=r"^out: holds another bundle; give overwrite=True, or another out$"),
        in_python(),
    ):
        raise OutputError("holds another bundle", where="--out", hint="give --overwrite, or another --out")
    with pytest.raises(OutputError, match="--out-of-it, a--quick"), in_python():
        raise OutputError("--out-of-it, a--quick")
    assert GateError("missed").report is None
