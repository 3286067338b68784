"""Notes: sentences that a user should read before trusting a build, although nothing failed.

Whatever a build finds out (what was carved off the data, what a split is too small to decide) ends here: each note is
told once as it is found, and stands in ``report.json`` as ``details.notes``, on the page and in the model card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

Progress = Callable[[dict[str, object]], None]  # who is told how far something is, as events


def tell(progress: Progress, notes: Iterable[str]) -> None:
    """Notes to whoever watches the progress, as events ``{"step": "note", "note": sentence}``."""
    for note in notes:
        progress({"step": "note", "note": note})
