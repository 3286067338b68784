"""A cache that somebody damaged, and one that sixteen processes use at once.

Each tamper of ``_tampers.py`` changes an entry; then it is asked for as a build does. Counted: wrong bytes given,
exceptions, and entries that are not whole again after they were made anew. Then rounds of eight builds and eight
readers on one ``--out`` and one cache: no reader may see half of an exchange, or be told of damage.

    python benchmarks/cache_tampers.py [--count 100000] [--rounds 50]

A second run goes on where the first was stopped (``--again`` starts anew).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _races
import _tampers

from edgekd.base import disk
from edgekd.base.errors import EdgekdError
from edgekd.build.store import Store, sha256

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden" / "bundle_1"
STEP = 1000  # tampers between two marks


def tampered(root: Path, number: int, rows: dict[str, dict[str, int]]) -> None:
    """One tamper, drawn by its number: what is given, and what stands after it was made anew."""
    rng = random.Random(number)
    tamper = _tampers.TAMPERS[number % len(_tampers.TAMPERS)]
    row = rows.setdefault(
        tamper.__name__, {"tries": 0, "noticed": 0, "wrong": 0, "exceptions": 0, "not_healed": 0, "left": 0}
    )
    store, keys = Store(root), [sha256(b"%d" % i) for i in range(2)]
    names = ("model.safetensors", "student.json", "probe.safetensors")[: rng.randrange(1, 4)]
    files = [{name: rng.randbytes(rng.choice((0, 1, 900))) + bytes([i]) for name in names} for i in range(2)]
    for key, made in zip(keys, files, strict=True):
        store.put(key, made)
    places = [root / "artifacts" / key[:2] / key for key in keys]
    tamper(places[0], places[1], rng)
    row["tries"] += 1
    try:
        found = store.get(keys[0], names)
        row["noticed"] += found is None
        row["wrong"] += found not in (None, files[0])
        store.get(keys[1], names)
        store.put(keys[0], files[0])
        row["not_healed"] += store.get(keys[0], names) != files[0]
        row["left"] += any(root.rglob(".*"))
        store.size()
        store.prune(0.0, time.time() + 10)
    except (EdgekdError, OSError, TypeError, ValueError, KeyError, AttributeError, RecursionError):
        row["exceptions"] += 1


def main() -> None:
    """Tamper, race, write; exit 1 where something was not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--again", action="store_true", help="forget what an earlier run counted")
    parser.add_argument("--no-result", action="store_true")
    given = parser.parse_args()
    kept = Path(__file__).parent / "work" / f"cache_tampers-{given.count}-{given.rounds}.json"
    state: dict[str, Any] = {"done": 0, "rows": {}, "rounds": 0, "race": {}}
    if kept.is_file() and not given.again:
        state = json.loads(kept.read_text())
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="edgekd-tampers-", dir=memory) as name:
        while state["done"] < given.count:
            for number in range(state["done"], min(state["done"] + STEP, given.count)):
                root = Path(name) / "cache"
                tampered(root, number, state["rows"])
                shutil.rmtree(root)
            state["done"] = number + 1
            disk.replace_file(kept, json.dumps(state).encode())
            print(f"{state['done']} tampers: {bad(state['rows'])} not as they should be", flush=True)
        while state["rounds"] < given.rounds:
            root = Path(name) / "race"
            root.mkdir()
            found = _races.race(GOLDEN, root, given.processes, given.seconds)
            shutil.rmtree(root)
            for key, value in found.items():
                state["race"][key] = state["race"].get(key, type(value)()) + value
            state["rounds"] += 1
            disk.replace_file(kept, json.dumps(state).encode())
            print(f"round {state['rounds']}: {told(state['race'])}", flush=True)
    if not given.no_result:
        import _common  # noqa: PLC0415  # torch is not needed before

        sizes = {"processes": given.processes, "seconds": given.seconds}
        _common.write("cache_tampers", {"tampers": state["done"], **sizes, **state})
    kept.unlink()
    race = state["race"]
    sys.exit(1 if bad(state["rows"]) or any(race.get(key) for key in ("alarms", "wrong", "errors", "left")) else 0)


def bad(rows: dict[str, dict[str, int]]) -> int:
    """How often wrong bytes were given, something was raised, or an entry was not whole again."""
    return sum(row[key] for row in rows.values() for key in ("wrong", "exceptions", "not_healed", "left"))


def told(race: dict[str, Any]) -> str:
    """A race in a line."""
    return ", ".join(f"{name} {value if isinstance(value, int) else len(value)}" for name, value in race.items())


if __name__ == "__main__":
    main()
