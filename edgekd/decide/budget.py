"""A budget's wishes, held against what was measured: one rule for the choice, the search and the pages."""

from __future__ import annotations

from collections.abc import Mapping

from edgekd.spec.recipe import Budget

SAME = 1e-9  # of two values: an accuracy is a ratio of counts, and 0.98 - 0.97 would exceed 0.01
WISHES = ("max_drop", "max_latency_ms", "max_size_kb")


def is_met(wish: float | None, measured: float | None) -> bool:
    """Whether something is at most what was wished; both in one unit, None: no wish, not known."""
    return wish is None or measured is None or measured <= wish + SAME


def by_wish(*, drop: float | None = None, latency_ms: float, size_bytes: int) -> dict[str, float | None]:
    """By wish what is held against it, in its unit; None: not known."""
    return dict(zip(WISHES, (drop, latency_ms, size_bytes / 1000), strict=True))


def unmet(budget: Budget, measured: Mapping[str, float | None]) -> dict[str, tuple[float, float]]:
    """By wish that is not met: what was found, and what was wished.

    Args:
        measured: see ``by_wish``.
    """
    wished = {wish: getattr(budget, wish) for wish in WISHES}
    return {wish: (measured[wish] or 0.0, most) for wish, most in wished.items() if not is_met(most, measured[wish])}


def resolved(budget: Budget, teacher_bytes: int) -> Budget:
    """The budget with the share of the teacher as a size."""
    if budget.max_size_share is None:
        return budget
    most = budget.max_size_share * teacher_bytes / 1000
    return budget.model_copy(update={"max_size_kb": min(most, budget.max_size_kb or most)})
