"""Golden inputs: those whose answer no rounding changes; and how far a file may answer from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from edgekd.base.errors import IntegrityError
from edgekd.base.preprocess import MASK, Spec
from edgekd.runtime import golden
from edgekd.runtime.backend import Array, Port, Session
from edgekd.tasks import CLASSES, Heads
from edgekd.tasks.regression import Regression


class Scores:
    """Says of each sample its first two values."""

    def __init__(self) -> None:
        self.inputs: tuple[Port, ...] = (Port("x", (None, 2), "float32"),)
        self.outputs: tuple[Port, ...] = (Port("y", (None, 2), "float32"),)

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {"y": arrays["x"]}

    def fork(self) -> Session:
        return self


SPECS = (Spec("x", (None, 2), "float32"),)
WANTED = np.array([[0.0, 4.0], [2.0, 1.0]], np.float32)


def test_only_clear_answers_are_kept_and_the_same_each_time() -> None:
    x, y = golden.make(Scores(), SPECS)
    assert 1 <= len(x["x"]) <= 8 and (CLASSES.margin(y["y"]) >= golden.MARGIN / 2).all()
    np.testing.assert_array_equal(golden.make(Scores(), SPECS)[0]["x"], x["x"])
    assert not np.array_equal(golden.make(Scores(), SPECS, seed=1)[0]["x"], x["x"])


def test_where_none_is_clear_the_clearest_stays() -> None:
    given = {"x": np.array([[0.0, 0.1], [5.0, 5.0], [9.0, 9.2]], np.float32)}
    x, y = golden.make(Scores(), SPECS, given=given)
    assert x["x"].tolist() == [given["x"][2].tolist()] and y["y"].tolist() == x["x"].tolist()


def test_synthetic_texts_have_no_padding() -> None:
    tokens = golden._synthetic(Spec("ids", (None, None), "int64", 7, 4), 0, 50, golden.LENGTH)
    mask = golden._synthetic(Spec(MASK, (None, None), "int64", 2, 4), 0, 50, golden.LENGTH)
    assert tokens.shape == mask.shape == (50, 4) and tokens.max() < 7 and (mask == 1).all()


def test_a_difference_is_a_share_of_the_range() -> None:
    near = WANTED + np.float32(0.25)
    assert golden.difference(near, WANTED, 0.07, "y") == 0.25
    with pytest.raises(IntegrityError, match=r"other scores than when it was built.*0\.24"):
        golden.difference(near, WANTED, 0.06, "y")


@pytest.mark.parametrize("values", [[[2e5], [3e5], [2.5e5]], [[2e5]], [[1e-3], [2e-3]]])
def test_values_of_any_size_are_held_to_what_float32_can_tell(values: list[list[float]]) -> None:
    """Of a house price one unit in the last place is 0.016; a thousandth of the price is a difference."""
    wanted, heads = np.array(values, np.float32), Heads({"y": 1}, {"y": Regression()})
    golden.difference(np.nextafter(wanted, np.inf, dtype=np.float32), wanted, 1e-3, "y", head="y", heads=heads)
    with pytest.raises(IntegrityError, match="other scores"):
        golden.difference(wanted * np.float32(1.002), wanted, 1e-3, "y", head="y", heads=heads)


def test_a_value_is_held_to_the_range_of_its_own_column() -> None:
    wanted, heads = np.array([[20, 101e3], [22, 102e3]], np.float32), Heads({"y": 2}, {"y": Regression()})
    assert golden.difference(wanted + np.array([[0, 40]], np.float32), wanted, 0.05, "y", head="y", heads=heads) == 40
    with pytest.raises(IntegrityError, match=r"found 5\.0.*0\.1"):
        golden.difference(wanted + np.array([[5, 0]], np.float32), wanted, 0.05, "y", head="y", heads=heads)


@pytest.mark.parametrize(
    ("got", "wanted", "message"),
    [
        (None, WANTED, "another output shape"),
        (WANTED[:1], WANTED, "another output shape"),
        (WANTED[:, ::-1], WANTED, "other answers"),
        (np.full_like(WANTED, np.nan), WANTED, "other"),
        (WANTED, np.full_like(WANTED, np.inf), "not finite"),
        (WANTED[:0], WANTED[:0], "no scores"),
    ],
)
def test_what_is_no_answer_of_that_file(got: np.ndarray | None, wanted: np.ndarray, message: str) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(IntegrityError, match=message):
        golden.difference(got, wanted, 10.0, "y")
