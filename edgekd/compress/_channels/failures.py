"""What a network raises that does what nobody thought of, or is told other sizes than it was written for; in words."""

from __future__ import annotations

from edgekd.base.errors import EdgekdError

FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError, ZeroDivisionError)


def words(err: Exception) -> str:
    """The first line of an error, with its kind; of one in the network's own code what that raised."""
    if isinstance(err, EdgekdError) and isinstance(err.__cause__, Exception):
        err = err.__cause__
    return f"{type(err).__name__}: {str(err).strip().splitlines()[0] if str(err).strip() else 'no words'}"
