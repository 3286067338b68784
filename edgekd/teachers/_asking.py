"""Asking a user's function: in batches, some at once, at a rate, again where it fails, never twice what it answered."""

from __future__ import annotations

import hashlib
import inspect
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError, FactoryError

LONGEST = 60.0  # seconds between two tries
TOLD = 1.0  # seconds after which it is told what happens to calls that run at once
# What is wrong each time: asking again would only cost.
NOT_AGAIN = (
    TypeError,
    NameError,
    AttributeError,
    ImportError,
    SyntaxError,
    NotImplementedError,
    LookupError,
    SystemExit,
)
Batch = tuple[bytes, ...]  # what samples hold, as hashes


@dataclass
class Asker:
    """Calls a function, from one thread or several.

    Attributes:
        function: of a batch of samples, and of ``request`` where it has such a parameter: a text that is the same when
            the same batch is asked again, for services that then answer what they answered before.
        where: its place in the recipe, for errors.
        per_minute: calls at most, those of all threads together; 0: as many as it takes.
        retries: how often a call that fails is made again.
        wait: seconds before the first of these, twice as many before each other; an error with ``retry_after`` says it,
            and no thread calls before.
    """

    function: Callable[..., object]
    where: str
    per_minute: float = 0.0
    retries: int = 5
    wait: float = 1.0
    tell: Callable[[str], None] = field(default=lambda line: None)

    def __post_init__(self) -> None:
        self._next, self._lock, self._stopped = 0.0, threading.Lock(), threading.Event()
        try:
            self._named = "request" in inspect.signature(self.function).parameters
        except (TypeError, ValueError):
            self._named = False

    @property
    def is_stopped(self) -> bool:
        """Whether no call is begun any more."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Begin no call any more, nor any again that failed."""
        self._stopped.set()

    def ask(self, samples: object, digests: Sequence[bytes]) -> object:
        """What the function answers to a batch.

        Raises:
            FactoryError: it failed each time, or in a way that trying again does not help, or asking was stopped.
        """
        more = {"request": hashlib.sha256(b"".join(digests)).hexdigest()} if self._named else {}
        for tried in range(self.retries + 1):
            self._in_time()
            try:
                return plugins.call_user(self.function, self.where, samples, **more)
            except FactoryError as err:
                cause = err.__cause__
                if cause is None or isinstance(cause, NOT_AGAIN) or tried == self.retries or self.is_stopped:
                    times = f" ({tried + 1} times)" if tried else ""
                    raise FactoryError(f"{err.message}{times}", where=self.where) from cause
                pause = self._pause(cause, min(self.wait * 2**tried, LONGEST))
                self.tell(f"{type(cause).__name__}: asks again in {pause:.0f} s")
                self._sleep(pause)
        raise RuntimeError("counting ended")

    def _in_time(self) -> None:
        """Wait until the next call may begin, and leave the one after it its time."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + (60.0 / self.per_minute if self.per_minute else 0.0)
        if begin > now:
            self._sleep(begin - now)

    def _pause(self, cause: BaseException, usual: float) -> float:
        """Seconds that a service asks for, where its error says so: of every thread."""
        wanted = getattr(cause, "retry_after", None)
        if not isinstance(wanted, int | float) or not 0 <= wanted < 86_400:
            return usual
        with self._lock:
            self._next = max(self._next, time.monotonic() + wanted)
        return float(wanted)

    def _sleep(self, seconds: float) -> None:
        """Wait, but not where nobody is to be asked any more."""
        if threading.current_thread() is threading.main_thread():
            time.sleep(seconds)
        else:
            self._stopped.wait(seconds)


def one_by_one(
    asker: Asker, batches: Sequence[Batch], samples: Callable[[Batch], object], begin: Callable[[Batch], None]
) -> Iterator[tuple[Batch, object]]:
    """Ask batch after batch, until the asker is stopped.

    Args:
        samples: those of a batch, as they are asked.
        begin: told of each batch before it is asked.

    Yields:
        Each batch with what was answered; or with a FactoryError.
    """
    for batch in batches:
        if asker.is_stopped:
            return
        shown = samples(batch)
        begin(batch)
        try:
            answers = asker.ask(shown, batch)
        except FactoryError as err:
            answers = err
        yield batch, answers


def at_once(
    asker: Asker,
    batches: Sequence[Batch],
    samples: Callable[[Batch], object],
    begin: Callable[[Batch], None],
    count: int,
) -> Iterator[tuple[Batch, object]]:
    """Ask up to ``count`` batches at once, as ``one_by_one`` does; they come as they are answered.

    Everything but the calls is done by the thread that iterates. Where the asker is stopped, or that thread is
    interrupted, what is being asked is still waited for and given: it may have been paid.
    """
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    tell, asker.tell = asker.tell, lines.put
    left, running = iter(batches), dict[Future[object], Batch]()
    interrupted: BaseException | None = None
    with ThreadPoolExecutor(count) as pool:
        try:
            while True:
                try:
                    while not asker.is_stopped and len(running) < count and (batch := next(left, None)) is not None:
                        shown = samples(batch)
                        begin(batch)
                        running[pool.submit(asker.ask, shown, batch)] = batch
                    done = wait(running, TOLD, FIRST_COMPLETED).done
                except (KeyboardInterrupt, EdgekdError) as err:  # what runs is waited for; a second Ctrl-C ends it
                    if interrupted is not None:
                        raise
                    interrupted, done = err, set()
                    asker.stop()
                while not lines.empty():
                    tell(lines.get())
                for future in done:
                    batch, failure = running.pop(future), future.exception()
                    if failure is None or isinstance(failure, FactoryError):
                        yield batch, future.result() if failure is None else failure
                    else:
                        interrupted = interrupted or failure
                        asker.stop()
                if not running and (asker.is_stopped or not done):
                    break
        finally:
            asker.stop()  # nobody waits for another try, whoever gave up
    if interrupted is not None:
        raise interrupted
