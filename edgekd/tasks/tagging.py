"""A tag for each word of a text, and the spans that tags mark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError
from edgekd.base.marks import Marks
from edgekd.base.text_words import Word, words_of
from edgekd.base.wordpiece import Vocabulary
from edgekd.tasks import _bio
from edgekd.tasks._base import Floats, Hits, Off, Record, Shown
from edgekd.tasks._classes import At, Numbered, named
from edgekd.tasks._dense import DenseClasses
from edgekd.tasks._predictions import Span, Tags

SLACK = 0.05  # of a probability
TINY = 1e-30  # of a probability: nobody needs what is below


@dataclass(frozen=True)
class Tagging(DenseClasses):
    """(N, T, C) logits of C tags for T tokens; a label is a row of T numbers, ``IGNORED`` where no word begins.

    Tags are of the BIO scheme (Ramshaw and Marcus 1995, cmp-lg/9505040): B-x begins a span of x, I-x continues it, O is
    outside. Their order is always O, B-x, I-x, B-y, I-y ...: of every x both, so that numbers tell what spans are. A
    word's tag is that of its first token. What stands between white space is a word, punctuation with it.

    Attributes:
        separator: between the tags of one sample where they come as one text.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "token", "class")
    axis: ClassVar[int] = 1
    hub: ClassVar[Mapping[str, str]] = {
        "text": "token-classification",
        "ink": "image-segmentation",  # the hub has no tags of what is no text
        "picture": "image-segmentation",
        "sound": "audio-classification",
        "numbers": "time-series-forecasting",
    }
    metrics: ClassVar[tuple[str, ...]] = ("span_f1", "accuracy", "macro_f1", "agreement")
    losses: ClassVar[tuple[str, ...]] = ("kl", "cross_entropy", "focal", "soft_cross_entropy", "squared_error")
    label_loss: ClassVar[str] = "cross_entropy"
    program: ClassVar[str] = "tags"
    holds: ClassVar[str] = "scores of {} tags for each token"
    prints: ClassVar[str] = "answer.spans"
    limits: ClassVar[tuple[str, ...]] = (
        "Of a text that is longer than it reads, the words at the end have no tag.",
        "What stands between white space is one word: in 'hello!' the mark belongs to it.",
    )

    separator: str = " "

    def __post_init__(self) -> None:
        if not self.separator:
            raise ValueError("separator: allowed is a text")

    def shape(self, names: int, labels: tuple[int, ...]) -> tuple[int, ...]:
        """See ``Task``: a row for each token that a text may have."""
        if len(labels) != 1:
            what = "a tag for each word or token is needed"
            raise DataError(what, where="data", found=f"labels of shape {labels}", allowed="(tokens,)")
        return (*labels, names)

    def numbered(self, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
        """See ``Task``: texts of tags with the separator between, lists of tags, or (N, T) numbers of ``names``.

        Without names they are those of the training labels; those that nobody learns of stand there, too.

        Raises:
            DataError: what is no tag, a tag that training or ``names`` have not, an I- that no B- or I- of its kind is
                before.
        """
        if all(rows.ndim == 2 and rows.dtype.kind in "iu" for rows in labels.values()):
            return _bio.of_numbers(labels, names, at, where)
        lists = {split: [self._tags(row, at(split, i)) for i, row in enumerate(rows)] for split, rows in labels.items()}
        given = named(names, where) if names is not None else None
        return _bio.of_texts(lists, given, at, where)

    def _tags(self, label: object, where: str) -> list[str]:
        if isinstance(label, str):
            return [tag for tag in label.split(self.separator) if tag]
        if isinstance(label, list | tuple | np.ndarray):
            return [str(tag) for tag in label]
        allowed = "tags as one text, or a list of them"
        raise DataError("not the tags of a sample", where=where, found=label, allowed=allowed)

    def there(self, rows: AnyArray) -> Hits:
        """See ``DenseClasses``: those whose scores are not 0 all over, which a network gives for padding."""
        return np.asarray((rows != 0).any(axis=-1))

    def decode(self, shares: Floats, names: Sequence[str]) -> Tags:
        """See ``Task``: each place that the sample has is a word of one character."""
        places = [Word(i, i + 1, i) for i, row in enumerate(shares) if row.max() > row.min()]
        return _decoded(shares, names, "", places)

    def decode_shown(self, shares: Floats, names: Sequence[str], shown: Shown) -> Tags:
        """See ``Task``: the words of a text."""
        if not shown.ops or shown.ops[-1]["op"] != "wordpiece" or not isinstance(shown.sample, str):
            return self.decode(shares, names)
        op = shown.ops[-1]
        words = words_of(shown.sample, Vocabulary.of(op["vocabulary"]), op["length"], op["lower"])
        return _decoded(shares, names, shown.sample, words)

    def marks(self, decided: Tags) -> Marks | None:
        """See ``Task``."""
        return Marks(spans=tuple((*span.characters, span.label) for span in decided.spans))

    def record(self, decided: Tags) -> Record:
        """See ``Task``: the tags with their probabilities, and the spans by words and characters."""
        spans = [
            {"label": span.label, "words": list(span.words), "characters": list(span.characters)}
            for span in decided.spans
        ]
        scores = [float(f"{score:.6g}") for score in decided.scores]
        return {"scores": scores, "spans": spans, "tags": list(decided.tags)}

    def decision(self, record: Record) -> object:
        """See ``Task``."""
        return [list(record["tags"]), [[span[key] for key in sorted(span)] for span in record["spans"]]]

    def labels(self, record: Record) -> list[str] | None:
        """See ``Task``."""
        return list(dict.fromkeys(record["tags"]))

    def in_words(self, record: Record) -> str:
        """See ``Task``."""
        named_spans = [f"{s['label']} (words {s['words'][0]} to {s['words'][1] - 1})" for s in record["spans"]]
        return ", ".join(named_spans) or "no span"

    def numbers(self, record: Record) -> list[float]:
        """See ``Task``: logarithms of probabilities differ as logits do."""
        return [math.log(max(score, TINY)) for score in record["scores"]]

    def off(self, decided: Tags, record: Record, slack: float) -> Iterator[Off]:
        """See ``Task``: as probabilities: those of sure tags are all near 1, and have no range to be a share of."""
        for i, (now, before) in enumerate(zip(decided.scores, record["scores"], strict=True)):
            yield Off(f"word {i}", now, before, abs(now - before) / SLACK)


def _decoded(shares: Floats, names: Sequence[str], text: str, words: Sequence[Word]) -> Tags:
    """The tags of the words that have a token, and the spans of these."""
    known = [i for i, word in enumerate(words) if word.token is not None]
    rows = shares[[cast(int, words[i].token) for i in known]]
    best = rows.argmax(axis=1) if len(rows) else np.zeros(0, np.int64)
    numbers = np.zeros(len(words), np.int64)  # a word without a token is outside
    numbers[known] = best
    scores = np.ones(len(words))
    scores[known] = rows[np.arange(len(best)), best]
    last = known[-1] + 1 if known else 0  # what lies behind is not read
    spans = tuple(_spans(numbers[:last], scores, names, text, words))
    return Tags(tuple(names[i] for i in numbers[:last]), tuple(scores[:last].tolist()), spans)


def _spans(
    numbers: NDArray[np.int64], scores: Floats, names: Sequence[str], text: str, words: Sequence[Word]
) -> Iterator[Span]:
    first, behind = _bio.edges(numbers)
    for start, stop in zip(first.tolist(), behind.tolist(), strict=True):
        label, characters = names[numbers[start]][2:], (words[start].start, words[stop - 1].stop)
        score = float(scores[start:stop].min())
        yield Span(label, (start, stop), characters, text[characters[0] : characters[1]], score)
