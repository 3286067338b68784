"""One raw sample or many, as a batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from edgekd.base import batches
from edgekd.base.errors import UsageError
from edgekd.base.wordpiece import Vocabulary
from edgekd.runtime.model import Model
from edgekd.tasks import Heads

WORDS = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"])


TEXT = [{"op": "wordpiece", "vocabulary": WORDS, "length": 5, "lower": True}]


def model(ops: Any, shape: tuple[int, ...], dtype: str, rate: int = 0, answer: float = 0.0) -> Model:
    """A student that answers two classes, the first of them."""

    class Session:
        inputs, outputs = (), ()

        def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            self.seen = next(iter(arrays.values()))
            return {"logits": np.array([[1.0, answer]] * len(self.seen), np.float32)}

    about = {"labels": ("yes", "no"), "heads": Heads({"logits": 2}), "preprocess": ops, "sample_shape": shape}
    bundle: Any = SimpleNamespace(**about, sample_dtype=dtype, rate=rate)
    return Model(bundle, SimpleNamespace(target="here"), Session())  # type: ignore[arg-type]


SOUND = [{"op": "scale", "divide": 32768.0}]


CLIP = np.random.default_rng(3).integers(-9_000, 9_000, 40)


def test_tensors_are_samples_whatever_they_carry() -> None:
    given = torch.full((2, 4), 3.0, requires_grad=True)
    for x in (given, given.to(torch.bfloat16), given.to_sparse()):
        batch, one = batches.batched(x, (4,))
        assert not one
        assert batch.tolist() == [[3.0] * 4] * 2


def test_a_clip_of_two_channels_is_no_batch_of_short_ones() -> None:
    with pytest.raises(UsageError, match=r"not a clip.*\(50, 2\)"):
        batches.clips(np.zeros((50, 2), np.int16), 40)
    assert len(batches.clips(np.zeros((2, 50), np.int16), 40)[0]) == 2


def test_masked_values_are_no_numbers() -> None:
    given = np.ma.masked_greater(np.arange(8.0).reshape(2, 4), 6)
    with pytest.raises(UsageError, match="not an array"):
        batches.batched(given, (4,))
    assert batches.batched(np.ma.array(given.data), (4,))[0].shape == (2, 4)


@pytest.mark.parametrize("none", [[], (), np.zeros((0, 6, 6, 1), np.uint8)])
def test_of_no_samples_there_are_no_answers(none: Any) -> None:
    assert model([{"op": "layout"}], (6, 6, 1), "uint8").predict(none) == []
