"""What every plain model keeps: it learns what its samples show, in shares, and says how large it is."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.preprocess import LARGEST
from edgekd.learn import baselines

KINDS = plugins.kinds("baselines")
LABELS = np.arange(240) % 3
WORDS = ("one or so", "two as it is", "three of them")


def samples(kind: str) -> AnyArray:
    """Of three classes, which anyone can tell apart."""
    if kind == "word_counts":
        return np.array([f"{WORDS[label]} word{i % 7}" for i, label in enumerate(LABELS)])
    rng = np.random.default_rng(0)
    return (rng.normal(size=(len(LABELS), 4, 2)) + 5 * np.eye(4)[LABELS][:, :, None]).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_the_classes_that_it_is_shown_and_never_says_another(kind: str) -> None:
    plain: baselines.Baseline = plugins.load("baselines", kind, "test")()
    x = samples(kind)
    model = plain.fitted(x, LABELS, 5)
    assert model is not None
    scores = baselines.scores_of(model, x, 5)
    assert scores.dtype == np.float32
    assert (scores.argmax(1) == LABELS).mean() > 0.95
    assert np.allclose(np.exp(scores[:, :3]).sum(1), 1, atol=1e-4)
    assert (scores[:, 3:] == -LARGEST).all()
    assert plain.table_bytes(model) > 0


def test_a_program_that_plans_imports_none_of_them() -> None:
    """scikit-learn took 1.5 s of the 5 in which a build of the digits that has nothing to do was ready."""
    code = "import sys, edgekd.pipeline; sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
