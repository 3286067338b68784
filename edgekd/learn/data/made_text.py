"""Made sentences that can be learned: words that one class has, among words that all have. For ``--quick``, tests.

Labels of other tasks are made of how much each class has of a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.base.wordpiece import MASKED, NEEDED, Vocabulary
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._made import MadeData
from edgekd.tasks import CLASSES, Task


@dataclass(frozen=True)
class MadeText(MadeData):
    """Seeded sentences of 4 to ``longest`` words; about one in four is one of the class's own.

    Attributes:
        classes: how many, 2 to 100.
        words: that all classes have, 10 to 100,000; the vocabulary is these and 10 words of each class.
        longest: words of a sentence, 4 to 1000.
        length: tokens of a text at most, as in ``text``.
        train, validation, test: samples of each split.
        seed: of everything made.
    """

    classes: int = 2
    words: int = 200
    longest: int = 12
    length: int = 64
    train: int = 512
    validation: int = 128
    test: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        plugins.check_ranges(self, classes=(2, 100), words=(10, 100_000), longest=(4, 1000), length=(3, 16_384))

    def load(self, task: Task = CLASSES) -> Dataset:
        """Make all three splits."""
        task.check_size(self.classes, "task", RecipeError)
        rng = np.random.default_rng(self.seed)
        common = np.array([f"word{i}" for i in range(self.words)])
        class_words = np.array([[f"class{c}word{i}" for i in range(10)] for c in range(self.classes)])
        make = self._split if isinstance(task, type(CLASSES)) else partial(self._labelled, task)
        splits = {name: make(common, class_words, count, rng) for name, count in self.sizes.items()}
        vocabulary = Vocabulary([*NEEDED, MASKED, *common.tolist(), *class_words.ravel().tolist()])
        op = {"op": "wordpiece", "vocabulary": vocabulary, "length": self.length, "lower": True}
        names = tuple(f"class {i}" for i in range(self.classes))
        return checked(self.dataset(splits, names, (op,)), "made_text", task)

    def _split(self, common: np.ndarray, class_words: np.ndarray, count: int, rng: np.random.Generator) -> Split:
        y = rng.permutation(np.arange(count) % self.classes).astype(np.int64)
        texts = []
        for label in y:
            sentence = rng.choice(common, rng.integers(4, self.longest + 1))
            there = rng.random(len(sentence)) < 0.25
            there[rng.integers(len(sentence))] = True
            sentence = np.where(there, rng.choice(class_words[label], len(sentence)), sentence)
            texts.append(" ".join(sentence.tolist()))
        return Split(np.array(texts, dtype=np.str_), y)

    def _labelled(
        self, task: Task, common: np.ndarray, class_words: np.ndarray, count: int, rng: np.random.Generator
    ) -> Split:
        """Sentences with words of several classes: the more, the higher the class's score."""
        scores = rng.normal(-0.7, 1.0, (count, self.classes))
        texts = []
        for shares in np.exp(3 * scores) / np.exp(3 * scores).sum(axis=1, keepdims=True):
            sentence = rng.choice(common, rng.integers(4, self.longest + 1))
            there = rng.random(len(sentence)) < 0.5
            words = class_words[rng.choice(self.classes, len(sentence), p=shares), rng.integers(0, 10, len(sentence))]
            texts.append(" ".join(np.where(there, words, sentence).tolist()))
        return Split(np.array(texts, dtype=np.str_), task.answers(scores))
