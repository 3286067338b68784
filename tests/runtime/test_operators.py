"""The operators of an ONNX file, read without onnx."""

from __future__ import annotations

import pytest

from edgekd.base.errors import EdgekdError
from edgekd.runtime import operators


def test_operators_of_what_is_no_model() -> None:
    for data in (b"", b"name = 1", b"\x08\x07", b"\x3a\x02\x0a\x7f"):
        with pytest.raises(EdgekdError) as err:
            operators.of_onnx(data, "it")
        assert err.value.exit_code == 5
