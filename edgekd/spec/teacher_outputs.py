"""How what teachers answered is kept: the recipe's table ``teacher_outputs``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgekd.spec.validation import Frozen


class TeacherOutputs(Frozen):
    """In which form teachers' answers to the training samples are kept, and whether.

    The form decides what a student learns from; the rest changes no student. Answers to validation and test are float32
    in any case.
    """

    form: Literal["float32", "float16", "top"] = Field(
        default="float32",
        description="top: the log-probabilities of the likeliest classes, the rest shared by the others",
    )
    top: int = Field(default=8, ge=1, le=65_536, description="classes that are kept of a sample with form top")
    policy: Literal["keep", "recompute", "auto"] = Field(
        default="keep",
        description="recompute: one view at a time, anew whenever it is needed, recorded answers from their file; "
        "auto: by measured cost and free space",
    )
    shard_mb: float = Field(
        default=32.0, gt=0, le=1024, description="of a file of answers, at most: a kill loses the work of one"
    )

    @property
    def changes_answers(self) -> bool:
        """Whether a student learns from other numbers than the teacher's own."""
        return self.form != "float32"

    @property
    def of_form(self) -> dict[str, object]:
        """What decides the numbers that a student learns from."""
        return {"form": self.form, **({"top": self.top} if self.form == "top" else {})}
