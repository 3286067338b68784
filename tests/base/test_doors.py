"""Packages that are functions, too; and the typed names of ``edgekd`` are those that it fetches."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import edgekd
import edgekd.build
import edgekd.tune
from edgekd.base.errors import RecipeError


def test_a_package_stands_for_the_function_of_its_name() -> None:
    assert type(edgekd.build).__call__ is type(edgekd.tune).__call__
    with pytest.raises(RecipeError, match="name: missing"):
        edgekd.build({"data": {"source": "digits"}})


def test_type_checkers_see_the_names_that_are_fetched() -> None:
    tree = ast.parse(Path(edgekd.__file__).read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    typed = {node.names[0].asname: node.module for node in checked.body if isinstance(node, ast.ImportFrom)}
    assert typed == edgekd._LAZY
    assert {*typed, "__version__"} == set(edgekd.__all__) == set(dir(edgekd))
    for name in typed:
        assert name is not None and edgekd.fetch(name).__name__ == name
