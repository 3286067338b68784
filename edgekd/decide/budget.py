"""A budget's wishes, held against what was measured: one rule for the choice, the search and the pages."""

from __future__ import annotations

from collections.abc import Mapping

from edgekd.spec.recipe import Budget

SAME = 1e-9  # of two values: an accuracy is a ratio of counts, and 0.98 - 0.97 would exceed 0.01
WISHES = ("max_drop", "max_latency_ms", "max_size_kb", "min_cosine")
AT_LEAST = frozenset(("min_cosine",))  # the others are of at most so much


def is_met(wish: float | None, measured: float | None, *, at_least: bool = False) -> bool:
    """Whether something is at most what was wished, or ``at_least``; both in one unit, None: no wish, not known."""
    if wish is None or measured is None:
        return True
    return measured >= wish - SAME if at_least else measured <= wish + SAME


def by_wish(
    *, drop: float | None = None, latency_ms: float, size_bytes: int, cosine: float | None = None
) -> dict[str, float | None]:
    """By wish what is held against it, in its unit; None: not known."""
    return dict(zip(WISHES, (drop, latency_ms, size_bytes / 1000, cosine), strict=True))


def unmet(budget: Budget, measured: Mapping[str, float | None]) -> dict[str, tuple[float, float]]:
    """By wish that is not met: what was found, and what was wished.

    Args:
        measured: see ``by_wish``.
    """
    wished = {wish: getattr(budget, wish) for wish in WISHES}
    return {
        wish: (measured[wish] or 0.0, most)
        for wish, most in wished.items()
        if not is_met(most, measured[wish], at_least=wish in AT_LEAST)
    }


def resolved(budget: Budget, teacher_bytes: int) -> Budget:
    """The budget with the share of the teacher as a size."""
    if budget.max_size_share is None:
        return budget
    most = budget.max_size_share * teacher_bytes / 1000
    return budget.model_copy(update={"max_size_kb": min(most, budget.max_size_kb or most)})
