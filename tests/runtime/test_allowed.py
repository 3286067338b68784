"""What a bundle may ask of a runtime."""

from __future__ import annotations

from typing import Any

import pytest

from edgekd.base import backend_facts, plugins
from edgekd.base.errors import IntegrityError, TargetError
from edgekd.runtime import allowed
from edgekd.runtime.backend import PLUGIN


@pytest.mark.parametrize("kind", plugins.kinds(backend_facts.FAMILY))
def test_no_backend_takes_a_path_by_any_option(kind: str) -> None:
    for name, rule in backend_facts.of(kind).options.items():
        inner = rule.items() if isinstance(rule, dict) else [(name, rule)]
        for key, one in inner:
            value: Any = {key: "/tmp/x.so"} if isinstance(rule, dict) else "/tmp/x.so"
            with pytest.raises(TargetError, match=rf"options\.{name}.*: not for a bundle to ask for"):
                allowed.check(kind, {name: value}, "t", TargetError)
            assert str(one)


def test_what_nobody_knows_is_refused_and_a_users_own_is_its_own_to_check() -> None:
    with pytest.raises(IntegrityError, match="no backend that edgekd brings"):
        allowed.check("ortt", {}, "v")
    with pytest.raises(IntegrityError, match="options: not a table"):
        allowed.check("ort", ["threads"], "v")  # type: ignore[arg-type]
    allowed.check(f"{PLUGIN}mine:Backend", {"library": "/tmp/x.so"}, "v")


def test_files_have_the_endings_that_their_backend_gives_them() -> None:
    allowed.check_files("openvino", ["m.xml", "m.bin"], "v")
    with pytest.raises(IntegrityError, match=r"not a file that ort opens; found 'm\.xml'"):
        allowed.check_files("ort", ["m.onnx", "m.xml"], "v")
