"""What a bundle may ask of a runtime: every rule by its edges."""

from __future__ import annotations

from typing import Any

import pytest

from edgekd.base.errors import IntegrityError, TargetError
from edgekd.runtime import allowed
from edgekd.runtime.allowed import Choice, Text, Whole
from edgekd.runtime.backends._base import PLUGIN


def test_rules_take_their_own_types_and_no_others() -> None:
    assert [Whole(1, 3).takes(value) for value in (0, 1, 3, 4, True, 2.0, "2")] == [False, True, True, *[False] * 4]
    choice = Choice((True, "YES"))
    assert [choice.takes(value) for value in (True, "YES", 1, "yes", False)] == [True, True, False, False, False]
    assert [Text("[0-9]{1,2}", "").takes(value) for value in ("1", "12", "123", "1\n", 1)] == [True, True, *[False] * 3]


@pytest.mark.parametrize("kind", allowed.OPTIONS)
def test_no_backend_takes_a_path_by_any_option(kind: str) -> None:
    for name, rule in allowed.OPTIONS[kind].items():
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
