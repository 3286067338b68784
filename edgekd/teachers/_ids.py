"""What samples are called, as files of answers spell it: other slashes, other folders in front, no ending."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from edgekd.learn.data import same_name

# What a column of ids may be called, the usual name first.
_PATHS = ("file_name", "filename", "file", "path", "file_path", "filepath", "image", "image_path")
ID_NAMES = ("id", "ids", *_PATHS, "uid", "uuid", "guid", "key", "sample", "sample_id", "row_id", "image_id", "item_id")


class Renamed(NamedTuple):
    """Ids as the samples are called; how they were told, where that is to be known; and what would tell most of them.

    ``known``: how many of them are samples'.
    """

    ids: Sequence[str]
    note: str = ""
    likely: str = ""
    known: int = 0


def id_column(names: Sequence[str]) -> str | None:
    """Which of some columns is called as ids are; None: none is."""
    return next((name for wanted in ID_NAMES for name in names if name.lower() == wanted), None)


def same_id(name: str) -> str:
    """What two spellings of an id have in common, see ``same_name``; of a path its slashes, and no ``./`` in front."""
    text = same_name(name).replace("\\", "/")
    while text.startswith("./"):
        text = text[2:]
    return text


def renamed(ids: Sequence[str], names: Sequence[str]) -> Renamed:
    """Ids as samples are called: as they are; in another spelling; or, where none is known so, by folder and ending,
    where that tells every one of them from the others.
    """
    known = {*names}
    if (exact := sum(one in known for one in ids)) == len(ids):
        return Renamed(ids, known=exact)
    spelled = _by(same_id, names) or {}
    ids = [one if one in known else spelled.get(same_id(one), one) for one in ids]
    if hits := sum(one in known for one in ids):
        return Renamed(ids, known=hits)
    best, likely, different = 0, "", len({*ids})
    for way, of_id, of_name in _ways(ids):
        by = _by(of_name, names)
        new = [] if by is None else [by.get(of_id(one)) for one in ids]
        if (hits := sum(one is not None for one in new)) > best:
            best, likely = hits, way
        if hits == len(ids) and len({*new}) == different:
            whole = [one for one in new if one is not None]
            return Renamed(whole, f"ids are those of samples {way}: {ids[0]!r} is read as {whole[0]!r}", known=hits)
    return Renamed(ids, likely=f"{best:,} of {len(ids):,} are samples' {likely}" if 2 * best > len(ids) else "")


def _ways(ids: Sequence[str]) -> Iterator[tuple[str, Callable[[str], str], Callable[[str], str]]]:
    """In which ways ids may differ from names, and what both have in common then."""
    parts = [same_id(one).split("/") for one in ids]
    shared = 0
    while parts and all(len(one) > shared + 1 and one[shared] == parts[0][shared] for one in parts):
        shared += 1
    of_names: dict[str, Callable[[str], str]] = {
        "": same_id,
        "without their ending": _stem,
        "without their folder": lambda name: posixpath.basename(same_id(name)),
        "without folder and ending": lambda name: posixpath.basename(_stem(name)),
    }
    for count in range(shared + 1):
        before = "/".join(parts[0][:count]) if parts else ""
        for way, of_name in of_names.items():
            words = " and ".join(filter(None, (before and f"with {before + '/'!r} in front", way)))
            if words:
                yield words, lambda one, count=count: "/".join(same_id(one).split("/")[count:]), of_name  # type: ignore[misc]


def _stem(name: str) -> str:
    return posixpath.splitext(same_id(name))[0]


def _by(key: Callable[[str], str], names: Sequence[str]) -> dict[str, str] | None:
    """Names by what a key makes of them; None where two are the same then."""
    by = {key(name): name for name in names}
    return by if len(by) == len(names) else None
