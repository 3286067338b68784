"""Files of many samples each: which split each belongs to, and what lies in tar files, without unpacking anything.

In a tar file (WebDataset's form) files that follow one another and have a name in common up to its first dot are one
sample: ``a/0.jpg``, ``a/0.cls``.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from edgekd.base import limits
from edgekd.base.errors import DataError
from edgekd.learn.data import _files, _folders, _hashes
from edgekd.learn.data._split import CALLED, ROLES

_NAME = re.compile(r"((?:.*/|)[^./][^./]*)\.([^/]*)", re.DOTALL)  # what a sample is called, and its part
_COUNTED = re.compile(r"-(\d+)-of-(\d+)$")
_BLOCK = 512  # bytes: a tar file is made of such, and ends with one of zeros
SMALL = 1 << 20  # bytes of a label


class Part(NamedTuple):
    """A file in a tar file: its first byte and how many."""

    start: int
    size: int


def by_split(path: str, endings: tuple[str, ...], allowed: str) -> dict[str, list[Path]]:
    """The files of each split that has some, sorted by name. A word anywhere in a file's name, or in that of a
    folder above it, says its split: ``imagenet1k-validation-00.tar``, ``my_test/0.tar``.

    Args:
        path: a folder, or a single file.
        endings: of the files, with the dot.
        allowed: for the error where there are none.

    Raises:
        DataError: no files, none for training, one of no split beside others, one whose name says two, or some of
            ``-00000-of-00004`` missing.
    """
    root = Path(path)
    if root.is_file() and root.suffix in endings:
        return {"train": [root]}
    if root.is_file():
        hint = 'source = "text" or "table" reads lines' if endings != (".tar",) else None
        raise DataError("no file of such samples", where="data.path", found=root.name, allowed=allowed, hint=hint)
    root, by_role, others = _folders.root_of(path), dict[str, list[Path]](), list[Path]()
    for file in sorted(file for file in root.rglob("*") if file.suffix in endings):
        if file.name.startswith((".", "cache-")) or not file.is_file():  # datasets keeps there what it computed
            continue
        role = _role_of(file.relative_to(root))
        (others if role is None else by_role.setdefault(role, [])).append(file)
    where = f"data.path: {root.name}"
    if not by_role and not others:
        inside = sorted(place.name for place in root.iterdir())[:8]
        raise DataError("no shards", where=where, found=inside, allowed=allowed)
    for files in (others, *by_role.values()):
        _check_whole(files, where)
    if not by_role:
        return {"train": others}
    if others:
        hint = "name them all after a split, or none"
        raise DataError("a shard of no split", where=where, found=others[0].name, allowed=ROLES, hint=hint)
    if "train" not in by_role:
        raise DataError("no shards for training", where=where, found=sorted(by_role), allowed=CALLED["train"])
    return {role: by_role[role] for role in ("train", "validation", "test") if role in by_role}


def notes(path: str, by_role: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """On validation and on test where their files are of several sets, as MNLI's ``matched`` and ``mismatched``.

    Args:
        path, by_role: what ``by_split`` was given, and gave.
    """
    for role in ("validation", "test"):
        sets = sorted({_set_of(file.relative_to(path)) for file in by_role.get(role, ())})
        if len(sets) > 1:
            listed = ", ".join(sets[:8]) + (", ..." if len(sets) > 8 else "")
            yield f"{role} is read from files of several names as one split: {listed}"


def _set_of(file: Path) -> str:
    """The name that says a file's split, up to the number behind that: what shards of one set have in common."""
    part = next(part for part in file.parts if _folders.split_words(part))
    first = min(part.lower().index(word) for word in _folders.split_words(part))
    return part[:first] + re.split(r"\d", Path(part).stem[first:])[0].rstrip("-_. ")


def _role_of(file: Path) -> str | None:
    """The split that a file's name or those of its folders say; None: they say none."""
    words = [word for part in file.parts for word in _folders.split_words(part)]
    if len({ROLES[word] for word in words}) > 1:
        hint = "rename the file, or its folder"
        where, allowed = f"data.path: {file.as_posix()}", "the name of one split"
        raise DataError("a shard of two splits", where=where, found=", ".join(words), allowed=allowed, hint=hint)
    return ROLES[words[0]] if words else None


def fingerprint(root: Path, by_role: Mapping[str, Sequence[Path]], fields: bytes) -> str:
    """SHA-256 over the fields of a source (without its path), and each file's split, name and content.

    Args:
        root: the folder, or the one file.
    """
    digest = hashlib.sha256(fields)
    with _hashes.of_folder(root) as hashes:
        for role, files in by_role.items():
            for file in files:
                name = file.name if file == root else file.relative_to(root).as_posix()
                digest.update(f"{role} {name}\0".encode(errors="surrogateescape"))
                digest.update(hashes.sha256(file, name, f"data.path: {name}", "bytes"))
    return digest.hexdigest()


def _check_whole(files: Sequence[Path], where: str) -> None:
    """Raise DataError where shards that are counted in their names are not all there."""
    there: dict[tuple[Path, str, str], set[int]] = {}
    for file in files:
        if match := _COUNTED.search(file.stem):
            there.setdefault((file.parent, file.stem[: match.start()], match[2]), set()).add(int(match[1]))
    for (folder, name, count), numbers in there.items():
        if missing := sorted({*range(int(count))} - numbers) if len(count) < 7 else []:
            allowed = f"all of 0 to {int(count) - 1} in {folder.name}"
            raise DataError(f"shards of {name} are missing", where=where, found=missing[:5], allowed=allowed)


def samples(path: Path, where: str) -> Iterator[tuple[str, dict[str, Part]]]:
    """Each sample of a tar file: its name, and its parts by their ending in lower case.

    Raises:
        DataError: not a tar file, a packed one, one that is cut off or damaged, a name or a part of a sample twice.
    """
    names: set[str] = set()
    name, parts = "", dict[str, Part]()
    for member_name, part in _members(path, where):
        match = _NAME.fullmatch(member_name)
        if match is None:
            continue
        key, ending = match[1], match[2].lower()
        if key != name and parts:
            yield name, parts
            parts = {}
        if key != name and key in names:
            hint = "the files of a sample stand one behind the other"
            raise DataError("a sample that stands there twice", where=where, found=key, hint=hint)
        if ending in parts:
            raise DataError("a file of a sample that stands there twice", where=where, found=f"{key}.{ending}")
        name = key
        names.add(key)
        parts[ending] = part
    if parts:
        yield name, parts


def small(file: IO[bytes], part: Part, where: str) -> bytes:
    """The bytes of a label."""
    if part.size > SMALL:
        allowed = f"at most {SMALL:,} bytes"
        raise DataError("larger than a label is", where=where, found=f"{part.size:,} bytes", allowed=allowed)
    file.seek(part.start)
    return file.read(part.size)


def _members(path: Path, where: str) -> Iterator[tuple[str, Part]]:
    """Name and place of each regular file in a tar file, in order."""
    size = _files.size_of(path, where, "bytes")
    try:
        with path.open("rb") as file:
            if (packed := _packing(file)) is not None:
                hint = f"unpack it: {packed} -d {path.name}"
                raise DataError("packed: nothing in it can be found without unpacking all", where=where, hint=hint)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    archive.members = []  # type: ignore[attr-defined]  # else it keeps all of them
                    if member.offset_data + member.size > size:
                        raise _cut(where, member.name)
                    if member.isreg():
                        limits.check("file_bytes", member.size, "a file larger than likely is meant", where)
                        yield member.name, Part(member.offset_data, member.size)
                file.seek(archive.offset)
                if file.read(_BLOCK) != bytes(_BLOCK):
                    raise _cut(where, f"byte {archive.offset:,}")
    except tarfile.TarError as err:
        raise DataError(f"not a tar file, or a damaged one ({err})", where=where) from err


def _packing(file: IO[bytes]) -> str | None:
    """The program that unpacks what is no plain tar file."""
    start = file.read(6)
    file.seek(0)
    kinds = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
    return next((program for magic, program in kinds.items() if start.startswith(magic)), None)


def _cut(where: str, place: str) -> DataError:
    hint = "copy or download the shard again: its size is not what it was made with"
    return DataError("cut off, or damaged in the middle", where=where, found=place, hint=hint)
