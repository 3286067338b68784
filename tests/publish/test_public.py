"""What leaves the machine with a bundle holds no absolute path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekd.publish import public
from edgekd.spec import recipe


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("/home/ada/data/net.onnx", "net.onnx"),
        ("C:\\Users\\ada\\net.onnx", "net.onnx"),
        ("C:/Users/ada/net.onnx", "net.onnx"),
        ("\\\\server\\share\\net.onnx", "net.onnx"),
        ("data/net.onnx", "data/net.onnx"),
        ("a/b or c", "a/b or c"),
        ("C:", "C:"),
        ("", ""),
        (7, 7),
        (None, None),
        ({"description": "/r/aww: cats or dogs"}, {"description": "/r/aww: cats or dogs"}),
        ({"classes": ["/m/09x0r", "/m/04rlf"]}, {"classes": ["/m/09x0r", "/m/04rlf"]}),
        ({"classes": "/home/ada/classes.txt"}, {"classes": "classes.txt"}),
        ({"path": ["/a/b", ("/c/d", 1.5)]}, {"path": ["b", ["d", 1.5]]}),
    ],
)
def test_only_the_last_part_of_an_absolute_path_is_told(value: object, told: object) -> None:
    assert public.without_paths(value) == told


def test_a_recipe_is_told_whole_but_for_its_paths(tmp_path: Path) -> None:
    checkpoint = str(tmp_path / "deep" / "teacher.safetensors")
    parsed, _ = recipe.load("digits", [f"teacher.checkpoint={checkpoint}"])
    published = public.recipe(parsed)
    assert str(tmp_path) not in json.dumps(published)
    teacher, student = published["teacher"], published["student"]
    assert isinstance(teacher, dict) and teacher["checkpoint"] == "teacher.safetensors"
    assert student == parsed.student.model_dump(mode="json", exclude_none=True)
    assert recipe.parse(published, "r").losses == parsed.losses, "it is a recipe again"
