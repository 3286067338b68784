"""Builds and readers of one ``--out`` and one cache at once. Processes that a parent forks, waits for, and counts."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from pathlib import Path
from typing import Any

from edgekd.base.errors import EdgekdError
from edgekd.build.store import Store, sha256
from edgekd.runtime import bundle as bundles
from edgekd.runtime.verify import verify

KEYS = [sha256(b"%d" % i) for i in range(4)]


def contents(source: Path, number: int) -> dict[str, bytes]:
    """The files of a small bundle that differs from every other number's in three of them."""
    files = {p.relative_to(source).as_posix(): p.read_bytes() for p in source.rglob("*") if p.is_file()}
    table = json.loads(files.pop("manifest.json"))
    files |= {f"examples/{i}.txt": b"%d of build %d\n" % (i, number) * 50 for i in range(3)}
    table["additional_metadata"]["edgekd"]["files"] = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in sorted(files.items())
    }
    return {**files, "manifest.json": bundles.canonical(table)}


def artifact(key: str) -> dict[str, bytes]:
    """What a key's artifact is, whoever makes it."""
    rng = random.Random(key)
    return {"model.safetensors": rng.randbytes(20_000), "student.json": rng.randbytes(300)}


def work(source: Path, root: Path, number: int, seconds: float, writes: bool) -> dict[str, Any]:
    """Write or read until time is up; what was seen."""
    from edgekd.base import disk  # noqa: PLC0415  # as patched, if it is

    seen: dict[str, Any] = {"looks": 0, "writes": 0, "alarms": [], "wrong": 0, "errors": []}
    rng, until, store = random.Random(number), time.monotonic() + seconds, Store(root / "cache")
    files = contents(source, number)
    while time.monotonic() < until:
        key = rng.choice(KEYS)
        try:
            if writes:
                disk.replace_folder(root / "out", files)
                store.put(key, artifact(key))
                if rng.random() < 0.2:
                    store.drop(rng.choice(KEYS))
                seen["writes"] += 1
            else:
                verify(root / "out", run=False)
                found = store.get(key, ("model.safetensors",))
                seen["wrong"] += found not in (None, artifact(key))
                seen["looks"] += 1
        except EdgekdError as err:
            seen["alarms"].append(str(err)[:200])
        except Exception as err:  # noqa: BLE001 - what is counted
            seen["errors"].append(repr(err)[:200])
    return seen


def race(source: Path, root: Path, processes: int, seconds: float) -> dict[str, Any]:
    """One round: half of the processes write, half read; all that they saw, and what is left."""
    from edgekd.base import disk  # noqa: PLC0415

    disk.replace_folder(root / "out", contents(source, 10_000))
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            seen = work(source, root, number, seconds, number % 2 == 0)
            (root / f"seen{number}.json").write_text(json.dumps(seen))
            os._exit(0)
        children.append(child)
    ended = [os.waitpid(child, 0)[1] for child in children]
    total: dict[str, Any] = {"looks": 0, "writes": 0, "alarms": [], "wrong": 0, "errors": []}
    total["errors"] += [f"a process ended with {code}" for code in ended if code]
    for path in root.glob("seen*.json"):
        for name, value in json.loads(path.read_text()).items():
            total[name] += value
    total["left"] = sorted(path.name for path in root.rglob(".*"))
    return total
