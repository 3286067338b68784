"""A session over many samples, in batches of the size that an app runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from edgekd.base import limits
from edgekd.base.errors import IntegrityError, UsageError
from edgekd.runtime import batches
from edgekd.runtime.backend import Array, Port, Session


class Counted:
    """Gives x back, and writes down how many samples each run had."""

    def __init__(self, batch: int | None = None) -> None:
        self.inputs: tuple[Port, ...] = (Port("x", (batch, 1), "float32"),)
        self.outputs: tuple[Port, ...] = (Port("y", (batch, 1), "float32"),)
        self.sizes: list[int] = []

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        self.sizes.append(len(arrays["x"]))
        return {"y": arrays["x"], "extra": arrays["x"]}

    def fork(self) -> Session:
        return self


X = {"x": np.arange(7, dtype=np.float32)[:, None]}


@pytest.mark.parametrize(
    ("fixed", "batch", "sizes"), [(None, 3, [3, 3, 1]), (7, 3, [7]), (1, 3, [1] * 7), (None, 99, [7])]
)
def test_samples_keep_their_order_whatever_the_batch(fixed: int | None, batch: int, sizes: list[int]) -> None:
    session = Counted(fixed)
    outputs = batches.run(session, X, batch)
    assert session.sizes == sizes and set(outputs) == {"y"}
    np.testing.assert_array_equal(outputs["y"], X["x"])


def test_what_does_not_go_into_batches_is_told() -> None:
    with pytest.raises(UsageError, match=r"the model takes 2 samples at once; found '?7"):
        batches.run(Counted(2), X, 1)
    with pytest.raises(UsageError, match="unequal numbers of samples"):
        batches.run(Counted(), {**X, "z": X["x"][:3]}, 1)


def test_golden_inputs_fill_a_batch_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert batches.filled(X, 9, "golden")["x"][:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    monkeypatch.setattr(limits, "GOLDEN_BYTES", 4 * 8)
    assert len(batches.filled(X, 8, "golden")["x"]) == 8
    with pytest.raises(IntegrityError, match="36 bytes, 9 samples at once"):
        batches.filled(X, 9, "golden")
