"""Settings that make built-in recipes small; the tests' builds take them, too."""

from __future__ import annotations

from collections.abc import Iterable

# A quarter as wide: the convolutions of the recipe's own are half of a quick build.
DIGITS = ("teacher.model.width=64", "student.model.width=32", "budget.prefer='size'")
# Two layers of width 32, which learn the made sentences in the seconds that --quick has.
TEXTS = (
    "teacher.model={kind='bert', width=32, layers=2, heads=2, positions=64}",
    "teacher.batch_size=8",
    "teacher.lr=5e-3",
    "student.batch_size=8",
    "student.lr=2e-3",
    "losses.0.student_layers=['distilbert.transformer.layer.0']",
    "losses.0.teacher_layers=['bert.encoder.layer.1']",
    "data.made.words=40",
)


def line_of(settings: Iterable[str]) -> tuple[str, ...]:
    """The same as options of a command."""
    return tuple(part for setting in settings for part in ("--set", setting))
