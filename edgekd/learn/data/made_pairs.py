"""Made pairs, or triplets, of sentences that mean more or less the same. For ``--quick`` and for tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekd.base import plugins
from edgekd.base.errors import DataError
from edgekd.base.wordpiece import MASKED, NEEDED, Vocabulary
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._made import MadeData
from edgekd.learn.data._own_task import numbered
from edgekd.learn.data._texts import labels_of_rows
from edgekd.tasks import Task
from edgekd.tasks.embedding import Embedding

WORDS = 3  # of one meaning
SIZE = 32  # of vectors, where the task does not say


@dataclass(frozen=True)
class MadePairs(MadeData):
    """Seeded sentences of 4 to ``longest`` meanings, each said in one of three words. The second sentence of a pair has
    some of the first one's meanings, in any order; the share of these is the score. Of a triplet the positive has at
    least half of the anchor's meanings, and a negative fewer than the positive.

    Attributes:
        meanings: 10 to 100,000; the vocabulary is three words of each.
        longest: words of a sentence, 4 to 1000.
        length: tokens of a text at most, as in ``text``.
        scores: of sentences that share no meaning, and of those that share all.
        negatives: 0: pairs, with scores; or how many each triplet has, to 16.
        train, validation, test: pairs, or triplets, of each split.
        seed: of everything made.
    """

    meanings: int = 40
    longest: int = 8
    length: int = 64
    scores: tuple[float, float] = (0.0, 1.0)
    negatives: int = 0
    train: int = 512
    validation: int = 128
    test: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        plugins.check_ranges(self, meanings=(10, 100_000), longest=(4, 1000), length=(3, 16_384), negatives=(0, 16))

    def load(self, task: Task = Embedding(size=SIZE)) -> Dataset:  # noqa: B008  # frozen
        """Make all three splits."""
        if not task.pairs:
            kind = type(task).__name__
            raise DataError(
                "made_pairs has labels of pairs", where="data.source", found=kind, allowed="a task of pairs"
            )
        rng = np.random.default_rng(self.seed)
        words = np.array([[f"meaning{i}word{k}" for k in range(WORDS)] for i in range(self.meanings)])
        drawn = {name: self._rows(words, count, rng) for name, count in self.sizes.items()}
        labels = {name: self._labels(scores) for name, (_, scores) in drawn.items()}
        names, numbers, _ = numbered(task, labels, None, lambda split, i: f"{split}: sample {i}", "made_pairs")
        splits = {name: Split(texts, numbers[name]) for name, (texts, _) in drawn.items()}
        vocabulary = Vocabulary([*NEEDED, MASKED, *words.ravel().tolist()])
        op = {"op": "wordpiece", "vocabulary": vocabulary, "length": self.length, "lower": True}
        dataset = self.dataset(splits, names, (op,))
        return checked(dataset, "made_pairs", task)

    def _rows(self, words: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(R x count,) texts, R in a row, and (count,) the share of its meanings that the first two have in common."""
        texts, scores = [], []
        for _ in range(count):
            length = int(rng.integers(4, min(self.longest, self.meanings // 2) + 1))
            drawn = rng.permutation(self.meanings)
            kept = int(rng.integers(-(-length // 2) if self.negatives else 0, length + 1))
            farther = [int(rng.integers(0, kept)) for _ in range(self.negatives)]
            others = [rng.permutation([*drawn[:of], *drawn[length : 2 * length - of]]) for of in (kept, *farther)]
            texts += [" ".join(words[i, rng.integers(WORDS)] for i in of) for of in (drawn[:length], *others)]
            scores.append(kept / length)
        return np.array(texts, dtype=np.str_), np.array(scores)

    def _labels(self, shares: np.ndarray) -> np.ndarray:
        """The labels of the rows whose shares, (count,), are given: see ``labels_of_rows``."""
        low, high = self.scores
        each = 2 + self.negatives
        return labels_of_rows(each * len(shares), each, (low + shares * (high - low)).repeat(each).astype(object))
