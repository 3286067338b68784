"""What was measured on a device before the connection to it was cut, so that the next try goes on from there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgekd.base import disk, reader
from edgekd.base.errors import DeviceError, EdgekdError
from edgekd.document.bench import Kept

FRESH_S = 3600.0  # after which a device may have changed


@contextlib.contextmanager
def results(device: str, bundle: Mapping[str, object], how: Mapping[str, object]) -> Iterator[Kept]:
    """Results by variant, those of an earlier try in it; kept where the device is lost, gone where all is done.

    Args:
        device: ``local`` keeps nothing.
        bundle: the hashes of its files.
        how: the settings.
    """
    if device == "local":
        yield {}
        return
    what = json.dumps([device, sorted(bundle.items()), how]).encode()
    path = disk.cache_root() / "bench" / f"{hashlib.sha256(what).hexdigest()}.json"
    kept = _read(path)
    try:
        yield kept
    except DeviceError:
        if kept:
            with contextlib.suppress(EdgekdError):  # a cache that can't be written is no reason to tell another error
                disk.replace_file(path, json.dumps(kept).encode())
        raise
    with contextlib.suppress(OSError):
        path.unlink()


def _read(path: Path) -> Kept:
    try:
        if time.time() - path.stat().st_mtime > FRESH_S:
            return {}
        with path.open("rb") as file:
            kept = reader.read(file.read(reader.MOST + 1), Kept, str(path))
    except (OSError, EdgekdError):  # an entry of the cache that is odd is none
        return {}
    return kept
