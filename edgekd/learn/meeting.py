"""How ranks come together, and how the others know that the first one is still at work where it works alone.

The first rank asks a teacher that answers no faster than one sample a second, or rehearses, and the others wait: for
days, if it takes these. So they wait for a word of it in the store that all share, where it also lets a beat be heard;
a collective operation, which may last no longer than its group's limit, begins when everybody is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from edgekd.base.errors import DeviceError
from edgekd.base.rank import AGAIN, Rank

MEET_S = 600.0  # in which all ranks must come: they begin at once, and import torch
TOLD_S = 10.0  # after which those that wait say so
BEAT_S = 20.0  # between two beats of the first rank
SILENT_S = 600.0  # without one, after which it counts as gone
LONGEST_S = 0.5  # between two looks whether it calls


def store_of(rank: Rank, tell: Callable[[str], None]) -> Store:
    """What all ranks write into and read, once all have come.

    Raises:
        DeviceError: some have not in time; names them, or that the first is not reached.
    """
    place, limit = f"{rank.address}:{rank.port}", timedelta(seconds=MEET_S)
    waits = f"{rank}: waits for the others at {place}, {MEET_S:.0f} s at most"
    slow = threading.Timer(TOLD_S, tell, [waits])
    slow.daemon = True
    slow.start()
    try:
        url = f"tcp://{place}?rank={rank.number}&world_size={rank.count}"
        store, _, _ = next(rendezvous(url, timeout=limit))
        store = PrefixStore("edgekd", store)
        store.set(_here(rank.number), "")
        try:
            store.wait([_here(number) for number in range(rank.count)], limit)
        except RuntimeError:
            absent = [f"rank {number}" for number in range(rank.count) if not store.check([_here(number)])]
            raise _not_here(rank, ", ".join(absent)) from None
    except RuntimeError as err:
        raise _not_here(rank, [*str(err).strip().splitlines(), ""][0]) from err
    finally:
        slow.cancel()
    return store


def _here(number: int) -> str:
    return f"here/{number}"


def _not_here(rank: Rank, reason: str) -> DeviceError:
    where = f"{rank}, at {rank.address}:{rank.port}"
    return DeviceError(f"not all ranks came within {MEET_S:.0f} s", where=where, found=reason, hint=AGAIN)


class Turns:
    """What the first rank calls the others for, one turn after the other.

    Args:
        store: of all ranks.
        number: of this one.
    """

    def __init__(self, store: Store, number: int) -> None:
        self._store = store.clone()  # type: ignore[attr-defined]  # a thread may use it beside the group
        self._number, self._turn = number, 0

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Let the first rank be heard, inside."""
        if self._number:
            yield
            return
        over, store = threading.Event(), self._store.clone()

        def beat() -> None:
            with suppress(RuntimeError):  # the others are gone, and with them the store
                while not over.wait(BEAT_S):
                    store.add("beat", 1)

        thread = threading.Thread(target=beat, name="edgekd-rank-beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(BEAT_S)

    def meet(self) -> None:
        """The first rank calls the others; they wait for it, as long as it is heard.

        Raises:
            RuntimeError: it is gone, or was not heard for too long.
        """
        self._turn += 1
        key = f"turn/{self._turn}"
        if self._number == 0:
            self._store.set(key, "")
            return
        called, self._heard = Future[None](), time.monotonic()
        # In a thread of its own: where the store's machine is gone it may be answered never.
        threading.Thread(target=self._listen, args=(key, called), name="edgekd-rank-turn", daemon=True).start()
        while True:
            try:
                return called.result(min(1.0, SILENT_S))
            except TimeoutError:
                if time.monotonic() - self._heard > SILENT_S:
                    raise RuntimeError(f"nothing was heard of the first one for {SILENT_S:.0f} s") from None

    def _listen(self, key: str, called: Future[None]) -> None:
        """Until a key is there, or the store is gone; what is heard meanwhile is noted."""
        begun, beat = time.monotonic(), -1
        try:
            while not self._store.check([key]):
                if (last := self._store.add("beat", 0)) != beat:
                    beat, self._heard = last, time.monotonic()
                time.sleep(min((time.monotonic() - begun) / 10, LONGEST_S))
        except RuntimeError as err:
            called.set_exception(err)
        else:
            called.set_result(None)
