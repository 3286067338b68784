"""Texts of strangers on a terminal: shown, and not done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base import printable


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_what_is_shown_is_shown_again_as_it_is(text: str) -> None:
    shown = printable.printable(text)
    assert printable.is_printable(shown) and printable.printable(shown) == shown
    assert printable.is_printable(text) == (shown == text)


@pytest.mark.parametrize("text", ["é ß 漢字 العربية", "👩\u200d💻", "क्\u200cष", "a\u00a0b"])
def test_every_script_stays(text: str) -> None:
    assert printable.printable(text) == text


@pytest.mark.parametrize(
    ("char", "shown"),
    [
        ("\x1b", "\\x1b"),
        ("\n", "\\n"),
        ("\x9b", "\\x9b"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
        ("\x7f", "\\x7f"),
    ],
)
def test_what_moves_a_cursor_or_turns_a_line_is_escaped(char: str, shown: str) -> None:
    assert printable.printable(f"a{char}b") == f"a{shown}b"
    assert printable.printable(f"a{char}b", keep=char) == f"a{char}b"


def test_documents_are_escaped_to_the_last_key_and_json_means_the_same() -> None:
    document = {"a\x1b": ["b\x1b", {"c": ("d\x1b", 1, None)}], "p": Path("e\x1b")}
    assert printable.all_printable(document) == {"a\\x1b": ["b\\x1b", {"c": ["d\\x1b", 1, None]}], "p": Path("e\\x1b")}
    text = json.dumps({"k": "\u202e\x7f"}, ensure_ascii=False, indent=1)
    safe = printable.in_json(text)
    assert json.loads(safe) == json.loads(text) and "\u202e" not in safe and "\n" in safe
