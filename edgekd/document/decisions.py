"""``decisions.json`` of a bundle: raw samples and what is decided about them. Nothing may stand there unseen."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from edgekd.document.rules import Count, Interval, Number, Range, Share, Some, closed


@closed
class Text(TypedDict):
    """A raw sample that is a text."""

    text: str


@closed
class Numbers(TypedDict):
    """A raw sample of numbers: base64 of them, little endian."""

    data: str
    dtype: Literal["uint8", "int16", "int64", "float32"]
    shape: list[Annotated[int, Range(1, 2**31 - 1)]]


@closed
class Several(TypedDict):
    """Which of several labels apply to one sample, and the logit of each label; ``sure``: see ``Best``."""

    labels: list[str]
    logits: Annotated[list[Number], Some()]
    sure: NotRequired[bool]


@closed
class Measured(TypedDict):
    """The values of one sample."""

    values: Annotated[list[Number], Some()]


@closed
class Flagged(TypedDict):
    """How far a sample is from normal, and whether that is an anomaly; null: there is no threshold."""

    is_anomaly: bool | None
    score: Number


@closed
class Best(TypedDict):
    """The best of several classes for one sample; ``scores``: the best classes, each with its probability; ``sure``:
    whether the answer is, where rounding does not decide that."""

    index: Count
    label: str
    score: Number
    scores: NotRequired[Annotated[list[tuple[Count, Share]], Some()]]  # none in what was written before
    sure: NotRequired[bool]


@closed
class Mapped(TypedDict):
    """The classes of a sample's pixels, row after row: runs of (class, count), class -1 where none is clear.

    ``labels``: the classes of some pixel.
    """

    labels: list[str]
    runs: Annotated[list[tuple[Annotated[int, Range(-1, 65_535)], Count]], Some()]


@closed
class Scored(TypedDict):
    """The least and the largest score of a sample's pixels, and what is decided of these, row after row: runs of
    (decision, count), 1 of an anomaly, 0 of a normal pixel, -1 where rounding may decide it.
    """

    ends: Interval
    runs: Annotated[list[tuple[Annotated[int, Range(-1, 1)], Count]], Some()]


@closed
class Marked(TypedDict):
    """A span of a text: what it is, and its first word and character with those behind its last."""

    label: str
    words: tuple[Count, Count]
    characters: tuple[Count, Count]


@closed
class Tagged(TypedDict):
    """A tag for each word of a text with its probability, and the spans that these mark."""

    tags: list[str]
    scores: list[Share]
    spans: list[Marked]


Said = Best | Several | Measured | Mapped | Tagged | Flagged | Scored


@closed
class Decisions(TypedDict):
    """The file: by target, for each sample, by output."""

    samples: Annotated[list[Text | Numbers], Some()]
    decisions: dict[str, list[dict[str, Said]]]
