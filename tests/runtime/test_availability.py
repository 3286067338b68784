"""Whether a machine can run a target: its CPU first, then each runtime."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edgekd.base.errors import TargetError, UnavailableError
from edgekd.runtime import availability


def test_the_cpu_is_asked_before_any_runtime() -> None:
    asked: list[str] = []
    backends: Any = [SimpleNamespace(check=lambda: asked.append("a")), SimpleNamespace(check=lambda: asked.append("b"))]
    with pytest.raises(UnavailableError, match="t: the CPU lacks what the target needs; found 'no amx, vnni'"):
        availability.check("t", backends, {"vnni", "amx", "avx2"}, {"avx2"})
    assert asked == []
    availability.check("t", backends, {"avx2"}, {"avx2", "vnni"})
    assert asked == ["a", "b"]


def test_every_option_that_is_none_names_its_table() -> None:
    main, also = availability.parse("t", "ort", {"threads": 2}, {"reference": {}})
    assert list(also) == ["reference"] and main.version().startswith("onnxruntime ")
    for backend, options, other, place in (
        ("ort", {"thread": 2}, {}, r"t\.toml: options"),
        ("ortt", {}, {}, r"t\.toml: options"),
        ("ort", {}, {"reference": {"x": 1}}, r"t\.toml: also\.reference"),
    ):
        with pytest.raises(TargetError, match=place):
            availability.parse("t", backend, options, other)
