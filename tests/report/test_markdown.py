"""Texts of strangers in Markdown: read as they stand."""

from __future__ import annotations

import pytest

from edgekd.report import markdown
from edgekd.report.markdown import Markdown


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a_b", "a_b"),
        ("_a_", r"\_a\_"),
        ("*a*", r"\*a\*"),
        ("[a](b)", r"\[a\]\(b)"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("# a", r"\# a"),
        ("1. a", r"1\. a"),
        ("1.5", "1.5"),
        ("- a", r"\- a"),
        ("a | b\n\nc", r"a \| b c"),
        ("\x1b[1m", r"\\x1b\[1m"),
        (3, "3"),
    ],
)
def test_nothing_of_it_is_markup(text: object, written: str) -> None:
    assert markdown.escaped(text) == written


def test_what_is_markdown_already_stays() -> None:
    assert markdown.escaped(Markdown("**a**")) == "**a**"
    assert markdown.joined("{}: {}", "*", markdown.code("a/b.c")) == r"\*: `a/b.c`"


def test_only_what_is_like_a_name_is_code() -> None:
    assert markdown.code("a`b") == r"a\`b" and markdown.code("model.onnx") == "`model.onnx`"
