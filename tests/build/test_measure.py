"""Parity on the exported file: a gate of its own, before any wish of the budget."""

from __future__ import annotations

from typing import Any, cast

import pytest

from edgekd.base.errors import UnavailableError
from edgekd.build.measure import MeasuredCandidate, parity_gap
from edgekd.document.cache import Compared
from edgekd.document.kernel import Kernel
from edgekd.runtime.runners import kernels
from edgekd.spec import target

SCHEMES = {scheme.name: scheme for scheme in target.load("ort-cpu").numerics}
ALIKE: Compared = {
    "argmax_agreement": 1.0,
    "max_abs_diff": 0.0,
    "samples": 10,
    "mean": 0.0,
    "relative": 0.0,
    "mean_relative": 0.0,
    "clearly_differs": 0.0,
    "batches": {},
}


def apart(largest: float | None, mean: float | None, clearly: float = 0.0) -> dict[str, Any]:
    """Scores of a range of 10."""
    relative, mean_relative = (None if gap is None else gap / 10 for gap in (largest, mean))
    return {"max_abs_diff": largest, "mean": mean, "relative": relative, "mean_relative": mean_relative,
            "clearly_differs": clearly}  # fmt: skip


def gap(numerics: str, **found: Any) -> str | None:
    compared = cast(Compared, {**ALIKE, **found})
    return parity_gap(MeasuredCandidate("c", SCHEMES[numerics], False, {}, 1.0, compared, [1]))


@pytest.mark.parametrize(
    ("numerics", "found", "said"),
    [
        ("fp32", {}, None),
        ("fp32", apart(0.5, 1e-6), "differ by 0.5"),
        ("fp32", apart(None, None), "differ"),
        ("int8", apart(2.0, 0.1), None),
        ("int8", apart(9.0, 4.0), "differ by 4.0"),
        ("int8", {"argmax_agreement": 0.9}, None),
        ("int8", {"clearly_differs": 0.05}, "5.0 %"),
        ("int8", apart(None, None), "differ"),
        ("fp32", {"batches": {"7": apart(0.5, 1e-6)}}, "batches of 7"),
        ("int8", {"batches": {"7": apart(0.5, 1e-6)}}, None),
        ("int8", {"batches": {"64": apart(0.5, 0.1, 0.25)}}, "batches of 64"),
        ("int8", {"batches": {"64": apart(None, None)}}, "batches of 64"),
        # A share of their own range, whatever that is.
        ("int8", {"mean": 0.003, "mean_relative": 0.3}, "0.3 of their range, more than 0.05"),
        ("fp32", {"max_abs_diff": 15.0, "relative": 1e-4}, None),
    ],
)
def test_what_is_at_parity(numerics: str, found: dict[str, Any], said: str | None) -> None:
    told = gap(numerics, **found)
    assert told is None if said is None else said in str(told)


class Telling:
    """A backend that tells of some files."""

    def kernels(self, files: dict[str, bytes], inputs: dict[str, Any]) -> list[Kernel]:
        if "broken" in files:
            raise UnavailableError("this device keeps its graph to itself")
        return [Kernel("Conv_0", "Conv", "float32", 3.0)]


def test_what_a_runtime_does_not_tell_fails_no_build() -> None:
    telling: Any = Telling()
    found = kernels(telling, {"fp32": {"model.onnx": b""}, "int8": {"broken": b""}}, {}, quick=False)
    assert found["int8"] is None and found["fp32"] is not None
    assert kernels(cast(Any, object()), {"fp32": {}}, {}, quick=True) == {"fp32": None}
