"""Asking a user's function: in batches, at a rate, again where it fails, and never twice what it answered."""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgekd.base import plugins
from edgekd.base.errors import FactoryError

LONGEST = 60.0  # seconds between two tries
# What is wrong each time: asking again would only cost.
NOT_AGAIN = (TypeError, NameError, AttributeError, ImportError, SyntaxError, NotImplementedError, KeyError, IndexError)


@dataclass
class Asker:
    """Calls a function.

    Attributes:
        function: of a batch of samples, and of ``request`` where it has such a parameter: a text that is the same when
            the same batch is asked again, for services that then answer what they answered before.
        where: its place in the recipe, for errors.
        per_minute: calls at most; 0: as many as it takes.
        retries: how often a call that fails is made again.
        wait: seconds before the first of these, twice as many before each other; an error with ``retry_after`` says it.
    """

    function: Callable[..., object]
    where: str
    per_minute: float = 0.0
    retries: int = 5
    wait: float = 1.0
    tell: Callable[[str], None] = field(default=lambda line: None)

    def __post_init__(self) -> None:
        self._next = 0.0
        try:
            self._named = "request" in inspect.signature(self.function).parameters
        except (TypeError, ValueError):
            self._named = False

    def ask(self, samples: object, digests: Sequence[bytes]) -> object:
        """What the function answers to a batch.

        Raises:
            FactoryError: it failed each time, or in a way that trying again does not help.
        """
        more = {"request": hashlib.sha256(b"".join(digests)).hexdigest()} if self._named else {}
        for tried in range(self.retries + 1):
            self._in_time()
            try:
                return plugins.call_user(self.function, self.where, samples, **more)
            except FactoryError as err:
                cause = err.__cause__
                if cause is None or isinstance(cause, NOT_AGAIN) or tried == self.retries:
                    times = f" ({tried + 1} times)" if tried else ""
                    raise FactoryError(f"{err.message}{times}", where=self.where) from cause
                pause = _pause(cause, min(self.wait * 2**tried, LONGEST))
                self.tell(f"{type(cause).__name__}: asks again in {pause:.0f} s")
                time.sleep(pause)
        raise RuntimeError("counting ended")

    def _in_time(self) -> None:
        """Wait until the next call may begin."""
        if not self.per_minute:
            return
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + 60.0 / self.per_minute


def _pause(cause: BaseException, usual: float) -> float:
    """Seconds that a service asks for, where its error says so."""
    asked = getattr(cause, "retry_after", None)
    return float(asked) if isinstance(asked, int | float) and 0 <= asked < 86_400 else usual
