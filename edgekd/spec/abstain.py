"""``[abstain]`` of a recipe: what an answer must keep to be told as sure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from edgekd.spec.validation import Frozen


class Abstain(Frozen):
    """Answers that the bundle calls sure agree with the teacher, or with the labels, at least so often.

    The threshold is found on validation, of the files that ship, and tested there on every runtime that opens them: see
    ``decide/abstain.py``. It promises for samples like those of validation, and costs no time in the graph.
    """

    agreement: float = Field(gt=0, lt=1, description="share of the sure answers that agree, at least")
    confidence: float = Field(
        default=0.95, ge=0.5, lt=1, description="with which that is promised, over draws of the validation split"
    )
    against: Literal["teacher", "labels"] = Field(default="teacher", description="whom they agree with")
    by: str | None = Field(
        default=None,
        description="probability, margin, energy or distance: the score that tells sure answers; absent: the best",
    )
    outside: tuple[str, ...] = Field(
        default=(),
        description="classes of the data that are not learned: their samples help to choose the score, and the report "
        "tells how many of them are taken as sure; a name, or several",
    )

    @field_validator("outside", mode="before")
    @classmethod
    def _several(cls, names: object) -> object:
        return (names,) if isinstance(names, str) else names
