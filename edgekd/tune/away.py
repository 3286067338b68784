"""A storage that is away for a while: a database that is restarted, a lock that another holds, a network that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import OptunaError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from edgekd.base.errors import ResourceError

PAUSES_S = (1.0, 5.0, 20.0, 60.0)  # between tries: a database that restarts is back by then
Answer = TypeVar("Answer")


def is_away(err: BaseException) -> bool:
    """Whether an error is of the connection, or of a lock or a disk behind it, and not of what the storage holds."""
    at: BaseException | None = err
    while at is not None:
        if isinstance(at, OperationalError | InterfaceError) or (
            isinstance(at, DBAPIError) and at.connection_invalidated
        ):
            return True
        at = at.__cause__
    return False


def again(call: Callable[[], Answer], where: str) -> Answer:
    """What a call of the storage gives, made again a few times while that is away.

    Args:
        call: what may be done twice: the first may have been done, and its answer lost.
        where: the storage, for errors.

    Raises:
        ResourceError: it stays away.
    """
    for pause in (*PAUSES_S, None):
        try:
            return call()
        except (SQLAlchemyError, OptunaError) as err:
            if not is_away(err):
                raise
            if pause is None:
                raise _stays_away(err, where) from err
        time.sleep(pause)
    raise RuntimeError("counting ended")


def _stays_away(err: BaseException, where: str) -> ResourceError:
    cause = err.__cause__ or err
    reason = [*str(getattr(cause, "orig", None) or cause).strip().splitlines(), type(cause).__name__][0]
    hint = "run the same command again: what was trained and measured is kept"
    return ResourceError("the storage does not answer", where=where, found=reason, hint=hint)
