"""A file for each split: one for all, or those of a folder that are called after the splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekd.base.errors import DataError
from edgekd.learn.data._split import CALLED, ROLES


def fingerprint(fields: object, files: Mapping[str, Path]) -> str:
    """SHA-256 over every file that a source reads, and its fields.

    Args:
        fields: the source, without its paths.
        files: by what each is: a split, a tokenizer.
    """
    digest = hashlib.sha256(repr(fields).encode())
    for role, path in files.items():
        with path.open("rb") as file:
            digest.update(f"{role} {hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class RoleFiles:
    """What ``data.path`` and ``data.prefix`` name.

    Attributes:
        path: a file; or a folder with ``<prefix>train`` and, where they are there, ``<prefix>validation`` (or valid,
            val, dev) and ``<prefix>test``, in whatever case.
        prefix: what the names of a folder's files begin with.
        endings: of files that are read, lower case, the usual one first.
    """

    path: str
    prefix: str
    endings: tuple[str, ...]

    def by_role(self) -> dict[str, Path]:
        """The file of each split that has one.

        Raises:
            DataError: nothing there, nothing for train, or two files for one split.
        """
        place = Path(self.path)
        if place.is_file():
            return {"train": place}
        if not place.is_dir():
            raise DataError("no such file or folder", where="data.path", found=self.path)
        files: dict[str, Path] = {}
        beside = self._beside()
        for role, names in CALLED.items():
            wanted = {f"{name}{ending}" for name in names for ending in self.endings}
            there = [path for path in beside if path.name.removeprefix(self.prefix).lower() in wanted]
            if len(there) > 1:
                raise DataError("two files for one split", where=f"data.path: {role}", found=[p.name for p in there])
            if there:
                files[role] = there[0]
        if "train" not in files:
            others = [path.name for path in place.iterdir() if path.name.endswith(self.endings)]
            missing = f"{self.prefix}train{self.endings[0]}"
            raise DataError("no training file in this folder", where="data.prefix", found=missing, allowed=others)
        return files

    def left_out(self) -> list[str]:
        """A note on the folder's files that are no split."""
        if not Path(self.path).is_dir():
            return []
        files = self.by_role().values()
        others = [path.name for path in self._beside() if path not in files]
        begun = [path.name for path in self._begun()]
        called = [name for name in begun if name.removeprefix(self.prefix).lower().split(".")[0] in ROLES]
        unread = [name for name in called if not name.lower().endswith(self.endings)]
        notes = [f"left out, as no split is called so: {', '.join(others)}"] if others else []
        if unread:
            notes.append(f"left out, as only files of {' and '.join(self.endings)} are read: {', '.join(unread)}")
        return notes

    def _beside(self) -> list[Path]:
        """The files of a folder that may be splits."""
        begun = self._begun()
        return [
            path
            for path in begun
            if path.name.lower().endswith(self.endings) and path.name[0] != "." and path.is_file()
        ]

    def _begun(self) -> list[Path]:
        """All in a folder whose name begins with the prefix, sorted."""
        try:
            return [path for path in sorted(Path(self.path).iterdir()) if path.name.startswith(self.prefix)]
        except OSError as err:
            raise DataError(f"can't be read ({err.strerror})", where="data.path", found=self.path) from err
