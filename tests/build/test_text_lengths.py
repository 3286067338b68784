"""Which targets are compiled for the lengths of the data's texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import nn

from edgekd.base.wordpiece import Vocabulary
from edgekd.build import target_runtime, text_lengths
from edgekd.build.target_runtime import TargetRuntime
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.feed import Feed
from edgekd.spec import target
from edgekd.spec.recipe import Augment

WORDS = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"])
TEXT = {"op": "wordpiece", "vocabulary": WORDS, "length": 100, "lower": True}
ROOTS: dict[str, Callable[[], nn.Module]] = {"student": lambda: nn.Linear(2, 2)}


def feed() -> Feed:
    x = np.array([" ".join("ab"[i % 2] for i in range(length)) for length in (2, 12, 30, 60)], dtype=object)
    split = Split(x, np.arange(4) % 2)
    return Feed(Dataset(split, split, split, ("c", "d"), ()), [TEXT], Augment(), 0)


def vectors() -> Feed:
    split = Split(np.zeros((4, 3), np.float32), np.arange(4) % 2)
    return Feed(Dataset(split, split, split, ("c", "d"), ()), [], Augment(), 0)


def runtime(name: str, **options: Any) -> TargetRuntime:
    return target_runtime.parse(target.load(name)).with_options(**options)


def test_the_data_says_for_which_lengths() -> None:
    before = [runtime("ort-cpu"), runtime("openvino")]
    found, told = text_lengths.known(before, feed(), ROOTS, 0)
    assert found[0] is before[0]
    assert found[1].target.options == {**before[1].target.options, "lengths": [8, 16, 64]}
    assert found[1].backend.lengths == (8, 16, 64)  # type: ignore[attr-defined]
    assert told == ["openvino: compiled for texts of 8, 16, 64 tokens, and of any length"]


@pytest.mark.parametrize("options", [{"lengths": [24]}, {"lengths": []}, {"device": "GPU"}])
def test_what_a_target_says_itself_stays(options: dict[str, Any]) -> None:
    before = [runtime("openvino", **options)]
    assert text_lengths.known(before, feed(), ROOTS, 0) == (before, [])


def test_what_are_no_texts_has_no_lengths() -> None:
    before = [runtime("openvino")]
    assert text_lengths.known(before, vectors(), ROOTS, 0) == (before, [])


def test_a_large_network_is_held_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_lengths, "MOST_PARAMETERS", 5)
    before = [runtime("openvino")]
    found, told = text_lengths.known(before, feed(), ROOTS, 0)
    assert found == before
    assert told[0].startswith("openvino: not compiled for lengths of texts, as each would hold the 6 parameters")
