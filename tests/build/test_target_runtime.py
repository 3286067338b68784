"""A target's runtime: what it needs of a machine."""

from __future__ import annotations

import pytest

from edgekd.base.errors import UnavailableError
from edgekd.build import target_runtime
from edgekd.spec import target


@pytest.mark.parametrize("name", [n for n in target.names() if n.startswith(("openvino-gpu", "openvino-npu", "ort-"))])
def test_a_target_of_another_machine_says_what_is_missing(name: str) -> None:
    try:
        target_runtime.parse(target.load(name)).check()
    except UnavailableError as err:
        assert err.exit_code == 4 and ("lacks" in str(err) or "no such" in str(err))
