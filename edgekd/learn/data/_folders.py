"""A folder of files, one folder a class: what the sources that read them share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgekd.errors import DataError
from edgekd.learn.data._base import Split
from edgekd.learn.data._split import carve, carved

Labelled = list[tuple[Path, int]]


def root_of(path: str) -> Path:
    """The folder, or a DataError where there is none."""
    root = Path(path)
    if not root.is_dir():
        raise DataError("no such folder", where="data.path", found=path)
    return root


def fingerprint(path: str, endings: frozenset[str], fields: str) -> str:
    """SHA-256 over the fields of a source, in which its path counts for nothing, and every file's name and content."""
    digest = hashlib.sha256(fields.replace(path, "").encode())
    root = root_of(path)
    for file in _files(root, endings):
        digest.update(os.fsencode(file.relative_to(root).as_posix()) + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def read(
    path: str,
    endings: frozenset[str],
    reader: Callable[[Labelled, str], Split],
    shares: dict[str, float],
    limit: int,
    seed: int,
    group: Callable[[Path], str] | None = None,
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The splits of ``path/train/<class>/*``, with ``test`` and ``validation`` (or ``val``) alike, or of
    ``path/<class>/*``; and the class names.

    Args:
        endings: of the files to read, in lower case, with the dot.
        reader: from (file, label) pairs and the split's name to its samples.
        shares: of test and validation where they have no folder: the share (below 1) or count that is carved off.
        limit: use only so many training files, spread over the classes; 0: all.
        seed: of the carving.
        group: names what a file belongs to that must not be split.

    Raises:
        DataError: no such folder, no classes, a class that train does not have, nothing left of a split.
    """
    root = root_of(path)
    folders = {"train": root / "train", "test": root / "test", "validation": _first(root, "validation", "val")}
    if not folders["train"].is_dir():
        folders = {"train": root, "test": root / ".none", "validation": root / ".none"}
    classes = _classes(folders["train"], endings)
    files = _limited(_listed(folders["train"], classes, endings), limit, seed)
    splits = {"train": _read(reader, files, "train")}
    groups = None if group is None else np.array([group(file) for file, _ in files])
    for name in ("test", "validation"):
        if folders[name].is_dir():
            splits[name] = _read(reader, _listed(folders[name], classes, endings), name)
        else:
            splits["train"], splits[name], groups = carved(splits["train"], shares[name], seed, name, groups)
    return splits, classes


def _read(reader: Callable[[Labelled, str], Split], files: Labelled, name: str) -> Split:
    if not files:
        raise DataError("an empty split", where=f"data.path ({name})")
    return reader(files, name)


def _limited(files: Labelled, limit: int, seed: int) -> Labelled:
    if not limit or limit >= len(files):
        return files
    _, chosen = carve(np.array([label for _, label in files]), len(files), limit, seed)
    return [files[i] for i in chosen]


def _first(root: Path, *names: str) -> Path:
    return next((root / name for name in names if (root / name).is_dir()), root / names[0])


def _classes(folder: Path, endings: frozenset[str]) -> tuple[str, ...]:
    names = tuple(sorted(f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith(".")))
    if not names:
        allowed = f"<class>/*{min(endings)} below it"
        raise DataError("no class folders", where="data.path", found=folder.name, allowed=allowed)
    if unwritable := [name for name in names if not _is_text(name)]:
        raise DataError("a class whose name is not UTF-8", where="data.path", found=os.fsencode(unwritable[0]))
    return names


def _is_text(name: str) -> bool:
    """Whether a file system's name is text: other bytes stand as lone surrogates in it."""
    return not any(0xD800 <= ord(char) < 0xE000 for char in name)


def _listed(folder: Path, classes: tuple[str, ...], endings: frozenset[str]) -> Labelled:
    unknown = [f.name for f in sorted(folder.iterdir()) if f.is_dir() and f.name not in classes and f.name[0] != "."]
    if unknown:
        raise DataError(
            "a class that train does not have", where=f"data.path ({folder.name})", found=unknown[0], allowed=classes
        )
    return [
        (file, label)
        for label, name in enumerate(classes)
        if (folder / name).is_dir()
        for file in _files(folder / name, endings)
    ]


def _files(folder: Path, endings: frozenset[str]) -> list[Path]:
    """Sorted. A folder may end like a file; a link to nothing is a mistake."""
    found = sorted(f for f in folder.rglob("*") if f.suffix.lower() in endings and not f.is_dir())
    if gone := [file for file in found if not file.is_file()]:
        raise DataError("not a file", where="data.path", found=gone[0].relative_to(folder).as_posix())
    return found
