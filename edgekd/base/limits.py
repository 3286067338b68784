"""How far a bundle and a data set may go: what is beyond is likelier a mistake, or a bomb, than meant."""

from __future__ import annotations

import os

from edgekd.base.errors import DataError, UsageError

# Of data, unless EDGEKD_MOST_CLASSES and so on say otherwise. It is in the user's hand, and not in that of a recipe.
MOST = {
    "classes": 100_000,  # that nobody named: more are ids of something
    "names": 10_000_000,
    "pixels": 2**26,  # of a picture, decoded or resized: 8192 x 8192
    "file_bytes": 2**30,  # of a picture or a sound
    "bytes": 2**35,  # of a data set in memory, and of a file of it, unpacked
}
SMALL, PACKED = 2**26, 200  # bytes that may be packed as they like; else how many times smaller a file may be
# Of a bundle.
BATCH = 65_536
NUMBERS = 2**27  # of one raw sample on its way through the preprocessing, which holds it as float32
BATCH_NUMBERS = 2**29
GOLDEN_BYTES = 2**30  # of a batch of golden inputs: 1,783 pictures of 224 x 224 as float32
OPS = 64  # of a preprocessing
TOKENS, VOCABULARY = 1_000_000, 64_000_000  # of a vocabulary, and bytes of its file: BERT's has 232,000
DEPTH = 64  # of tables in tables
FOREVER = 1_000_000_000  # seconds, or gigabytes, that anybody may allow


def most_tolerance(quantized: bool) -> float:
    """The largest tolerance of golden answers, as a share of the score range; built-in targets have half of it at most.

    Whoever could write any tolerance into a manifest could have any answers verified.
    """
    return 0.1 if quantized else 0.05


def most(what: str) -> int:
    """A limit of ``MOST``, or what the environment says instead.

    Raises:
        UsageError: the environment says no whole number from 1.
    """
    given = os.environ.get(_variable(what))
    if given is None:
        return MOST[what]
    if not (given.isascii() and given.isdigit() and len(given) <= 18 and int(given)):
        raise UsageError("not a limit", where=_variable(what), found=given, allowed="a whole number from 1")
    return int(given)


def finite(value: float | None, where: str) -> None:
    """Raise UsageError where the seconds or gigabytes that somebody allows or asks for are no such number."""
    if value is not None and not 0 <= value <= FOREVER:
        raise UsageError("out of range", where=where, found=value, allowed=f"a finite number from 0 to {FOREVER:,}")


def most_unpacked(packed: int) -> int:
    """How many bytes a file of data may be unpacked: as many as the user says, else what no honest file is beyond."""
    if _variable("bytes") in os.environ:
        return most("bytes")
    return min(most("bytes"), max(SMALL, PACKED * packed))


def check(what: str, count: int, message: str, where: str, allowed: int | None = None) -> None:
    """Raise DataError where data is beyond a limit of ``MOST`` (or ``allowed``)."""
    allowed = most(what) if allowed is None else allowed
    if count > allowed:
        raise beyond(what, count, message, where, allowed)


def beyond(what: str, given: object, message: str, where: str, allowed: int) -> DataError:
    """The error that also says how to allow more."""
    hint = f"{_variable(what)} in the environment allows more, where it is meant"
    return DataError(message, where=where, found=given, allowed=f"at most {allowed:,} {_unit(what)}", hint=hint)


def _variable(what: str) -> str:
    return f"EDGEKD_MOST_{what.upper()}"


def _unit(what: str) -> str:
    return what.rpartition("_")[2]
