"""Work in pieces under a budget of seconds: which piece comes next, what is left, and a loop that stops in time. Pure.

Parts stand in order of worth, and so do the pieces of a part; what was tried less often goes first, so that one that
never ends keeps no other from its turn. A piece begins where the time that it should take fits into what is left of
its part's budget and of the whole one; one that does not fit lets others pass. It is given no more than that, so that a
run ends within its budget. Pieces whose figures are no times may run side by side: small networks leave most of a GPU
idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict


class Outcome(TypedDict):
    """What came of a piece: its result; or the error that ended it; or it was cut at the end of a budget.

    ``seconds`` it took, the last of its ``tries``; ``on``: the device.
    """

    result: NotRequired[dict[str, Any]]
    error: NotRequired[str]
    cut: NotRequired[bool]
    seconds: NotRequired[float]
    tries: NotRequired[int]
    on: NotRequired[str]


Outcomes = Mapping[str, Outcome]


@dataclass(frozen=True)
class Piece:
    """What is done as a whole, and written as soon as it is.

    Attributes:
        name: unique among the pieces of all parts.
        kind: pieces of a part and a kind take about as long.
        seconds: that it should take, as long as none of its kind was measured.
    """

    name: str
    kind: str
    seconds: float


@dataclass(frozen=True)
class Part:
    """Pieces that answer one question.

    Attributes:
        file: whose JSON holds their outcomes.
        seconds: that they may take of a run, all together.
        beside: how many run side by side.
    """

    number: int
    title: str
    file: str
    seconds: float
    pieces: tuple[Piece, ...]
    beside: int = 1


def is_done(outcome: Outcome | None) -> bool:
    """Whether a piece has its result."""
    return outcome is not None and "result" in outcome


def expected(piece: Piece, part: Part, outcomes: Outcomes) -> float:
    """Seconds that a piece should take: the longest measured of its kind, else what is stated."""
    alike = [outcomes.get(other.name) for other in part.pieces if other.kind == piece.kind]
    return max((one["seconds"] for one in alike if one and is_done(one) and "seconds" in one), default=piece.seconds)


def left(part: Part, outcomes: Outcomes) -> list[Piece]:
    """The pieces without a result, in the order in which they are tried."""
    missing = [piece for piece in part.pieces if not is_done(outcomes.get(piece.name))]
    return sorted(missing, key=lambda piece: tries(piece, outcomes))


def tries(piece: Piece, outcomes: Outcomes) -> int:
    """How often a piece was tried, of all runs."""
    outcome = outcomes.get(piece.name)
    return 0 if outcome is None else outcome.get("tries", 1)


def following(
    parts: Sequence[Part], outcomes: Outcomes, tried: Collection[str], room: Mapping[int, float], whole: float
) -> tuple[Part, list[Piece], float] | None:
    """A part, the pieces of it that come next, side by side, and the most seconds that they may take.

    Args:
        tried: names of what this run has tried.
        room: by part, seconds left of its budget; ``whole``: of the run's.

    Returns:
        None where nothing that is left fits.
    """
    for part in parts:
        limit = min(room[part.number], whole)
        untried = [piece for piece in left(part, outcomes) if piece.name not in tried]
        if fitting := [piece for piece in untried if expected(piece, part, outcomes) <= limit]:
            return part, fitting[: part.beside], limit
    return None


def run(
    parts: Sequence[Part],
    outcomes: MutableMapping[str, Outcome],
    attempt: Callable[[Sequence[Piece], float], Iterable[tuple[Piece, Outcome]]],
    save: Callable[[Part], None],
    budget: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Try what is left, each piece at most once, as long as it fits; ``outcomes`` are changed, and saved after each.

    Args:
        attempt: does pieces side by side within so many seconds, and gives each one's outcome when it ends.
        budget: seconds of the whole run; ``clock``: tells seconds.
    """
    started, tried = clock(), set[str]()
    room = {part.number: part.seconds for part in parts}
    while turn := following(parts, outcomes, tried, room, budget - (clock() - started)):
        part, pieces, limit = turn
        tried.update(piece.name for piece in pieces)
        begun = clock()
        for piece, outcome in attempt(pieces, limit):
            again = tries(piece, outcomes) + 1
            outcomes[piece.name] = {**outcome, "seconds": round(clock() - begun, 1), "tries": again}
            save(part)
        room[part.number] -= clock() - begun


def lines(parts: Sequence[Part], outcomes: Outcomes) -> Iterator[str]:
    """What is done and what is left, a few lines a part."""
    total = 0.0
    for part in parts:
        missing = left(part, outcomes)
        seconds = {piece.name: expected(piece, part, outcomes) for piece in missing}
        total += max([sum(seconds.values()) / part.beside, *seconds.values()])
        yield f"part {part.number}: {part.title}; at most {part.seconds:.0f} s of a run"
        done = [piece.name for piece in part.pieces if piece not in missing]
        yield f"  done: {', '.join(done) or 'nothing'}"
        yield f"  left: {', '.join(f'{name} ({taken:.0f} s)' for name, taken in seconds.items()) or 'nothing'}"
        for piece in missing:
            if (outcome := outcomes.get(piece.name)) is not None:
                reason = outcome.get("error") or f"was cut after {outcome.get('seconds', 0):.0f} s"
                yield f"  tried: {piece.name}: {reason}"
    yield f"left in all: about {total:.0f} s"
