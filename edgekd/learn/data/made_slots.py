"""Made requests to an assistant: tags of what they name, or what they ask for. For ``--quick`` and for tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekd.base import plugins
from edgekd.base.errors import DataError
from edgekd.base.wordpiece import MASKED, NEEDED, Vocabulary
from edgekd.learn.data import _tagged
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._checks import checked
from edgekd.learn.data._made import MadeData
from edgekd.learn.data._own_task import numbered
from edgekd.tasks import CLASSES, Task

KINDS = ("artist", "city", "date", "dish")
LABELS = ("intent", "tags")


@dataclass(frozen=True)
class MadeSlots(MadeData):
    """Seeded requests of a verb that tells the intent, one to three things of some kind, and words between.

    Attributes:
        label: of two readings of the same requests: ``intent``, one a request, or ``tags``, one a word.
        intents: how many, 2 to 20.
        words: that stand between, 4 to 10,000.
        length: tokens of a text at most, as in ``text``.
        train, validation, test: samples of each split.
        seed: of everything made.
    """

    label: str = "intent"
    intents: int = 4
    words: int = 24
    length: int = 24
    train: int = 512
    validation: int = 128
    test: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label not in LABELS:
            raise ValueError(f"label: allowed is {' or '.join(LABELS)}")
        plugins.check_ranges(self, intents=(2, 20), words=(4, 10_000), length=(3, 16_384))

    def load(self, task: Task = CLASSES) -> Dataset:
        """Make all three splits.

        Raises:
            DataError: a task that does not take the labels.
        """
        if task.dense != (self.label == "tags") or not (task.dense or task.exclusive):
            allowed = "tags of tagging, intent of classification"
            raise DataError("labels of another task", where="data.label", found=self.label, allowed=allowed)
        rng = np.random.default_rng(self.seed)
        intents = {name: rng.permutation(np.arange(size) % self.intents).tolist() for name, size in self.sizes.items()}
        requests = {name: [self._request(rng, intent) for intent in of_split] for name, of_split in intents.items()}
        labels = {
            name: np.array([" ".join(tags) if task.dense else intent for _, tags, intent in of_split], dtype=object)
            for name, of_split in requests.items()
        }
        names, numbers, _ = numbered(task, labels, None, lambda split, i: f"made_slots: {split} {i}", "made_slots")
        every = sorted({word for of_split in requests.values() for words, *_ in of_split for word in words})
        vocabulary = Vocabulary([*NEEDED, MASKED, *every])
        op = {"op": "wordpiece", "vocabulary": vocabulary, "length": self.length, "lower": True}
        splits = {}
        for name, of_split in requests.items():
            texts = np.array([" ".join(words) for words, *_ in of_split], dtype=object)
            y = _tagged.of_tokens(texts, numbers[name], op) if task.dense else numbers[name]
            splits[name] = Split(texts, y)
        return checked(self.dataset(splits, names, (op,)), "made_slots", task)

    def _request(self, rng: np.random.Generator, intent: int) -> tuple[list[str], list[str], str]:
        """Words, a tag for each, and the intent."""
        words, tags = [f"verb{intent}"], ["O"]
        for _ in range(rng.integers(1, 4)):
            between = [f"word{i}" for i in rng.integers(0, self.words, rng.integers(1, 3))]
            kind = KINDS[rng.integers(len(KINDS))]
            named = [f"{kind}{i}" for i in rng.integers(0, 6, rng.integers(1, 3))]
            words += [*between, *named]
            tags += ["O"] * len(between) + [f"B-{kind}"] + [f"I-{kind}"] * (len(named) - 1)
        return words, tags, f"intent {intent}"
