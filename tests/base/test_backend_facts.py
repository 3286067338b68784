"""The rules that a backend's folder states for its options, each by its edges."""

from __future__ import annotations

import pytest

from edgekd.base import backend_facts, plugins
from edgekd.base.backend_facts import Choice, Text, Whole


def test_rules_take_their_own_types_and_no_others() -> None:
    assert [Whole(1, 3).takes(value) for value in (0, 1, 3, 4, True, 2.0, "2")] == [False, True, True, *[False] * 4]
    choice = Choice((True, "YES"))
    assert [choice.takes(value) for value in (True, "YES", 1, "yes", False)] == [True, True, False, False, False]
    assert [Text("[0-9]{1,2}", "").takes(value) for value in ("1", "12", "123", "1\n", 1)] == [True, True, *[False] * 3]


@pytest.mark.parametrize("kind", plugins.kinds(backend_facts.FAMILY))
def test_every_backend_says_what_it_is(kind: str) -> None:
    facts = backend_facts.of(kind)
    assert facts.suffixes and all(suffix.startswith(".") for suffix in facts.suffixes) and facts.runtime
