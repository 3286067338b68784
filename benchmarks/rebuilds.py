"""The same build under other circumstances: the same bytes, but for what is measured.

    apt install faketime
    python benchmarks/rebuilds.py [--count 100]         # as root, which becomes other users

Each rebuild is a fresh Python with a cache of its own, and changes one to three of eight things: the user, locale, time
zone, hash seed, path, umask, number of CPUs and clock. Compared is every file but report.*, samples.json, README.md and
the manifest's hashes of these (``kills.content``) with those of a plain ``edgekd build``. A run that was stopped goes
on (``--again`` starts anew).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import _common
import _small
import _whole
from kills import content

from edgekd.base import disk

HERE = Path(__file__).parent
LINE = ("build", "digits", "--quick", "--target", "ort-cpu")
SETTINGS = (*_whole.SETTINGS, "threads=2", "compress=[{kind='int8_ptq'}]")
Way = tuple[list[str], dict[str, str]]  # before the command, and into the environment
# Another user may look into this one's folders, where Python is, and write nothing there.
USER = ("setpriv", "--clear-groups", "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")

CHANGES: dict[str, Callable[[random.Random], Way]] = {
    "user": lambda rng: ([*USER, "--reuid", str(rng.randint(2000, 60000))], {}),
    "locale": lambda rng: ([], {"LC_ALL": rng.choice(["C", "POSIX", "C.UTF-8", "tr_TR.UTF-8"])}),
    "time zone": lambda rng: ([], {"TZ": rng.choice(["Asia/Kathmandu", "America/St_Johns", "UTC+12"])}),
    "hash seed": lambda rng: ([], {"PYTHONHASHSEED": str(rng.randrange(1, 2**32))}),
    "path": lambda rng: ([], {"PLACE": f"a place {rng.randrange(10**6)}/{'x' * rng.randint(1, 60)}"}),
    "umask": lambda rng: (["sh", "-c", f'umask {rng.choice(["077", "027", "0"])}; exec "$@"', "sh"], {}),
    "CPUs": lambda rng: (["taskset", "-c", str(rng.randrange(os.cpu_count() or 1))], {}),
    "clock": lambda rng: (["faketime", "-f", f"{rng.choice([-9000, -400, 300, 3000]):+}d"], {}),
}


def build(folder: Path, way: Way) -> dict[str, str]:
    """The digest of each file that one build leaves."""
    before, environment = way
    place = folder / environment.pop("PLACE", "here")
    place.mkdir(parents=True)
    for inner in (folder, *(folder / part for part in place.relative_to(folder).parents), place):
        os.chmod(inner, 0o777)
    own = ("--out", str(place / "out"), "--cache", str(place / "cache"))
    line = [*before, sys.executable, "-m", "edgekd", *LINE, *own, *_small.line_of(SETTINGS)]
    # What was set for this process would be the number of CPUs' place.
    given = {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    given |= {"TMPDIR": str(place), "HOME": str(place), "PYTHONPATH": str(HERE.parent), **environment}
    done = subprocess.run(line, env=given, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{line}: {done.returncode}: {done.stderr[-1500:]}")
    found = content(place / "out")
    return {name: hashlib.sha256(repr(data).encode()).hexdigest() for name, data in found.items()}


def way_of(number: int) -> tuple[list[str], Way]:
    """What the build of a number changes; all eight in turn, and up to two more."""
    rng = random.Random(number)
    names = list(CHANGES)
    chosen = {names[number % len(names)], *rng.sample(names, rng.randint(0, 2))}
    before: list[str] = []
    environment: dict[str, str] = {}
    for name in sorted(chosen, key=names.index):
        line, variables = CHANGES[name](rng)
        before, environment = [*before, *line], {**environment, **variables}
    return sorted(chosen), (before, environment)


def main() -> None:
    """Build, compare, and write the result after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--again", action="store_true", help="forget what an earlier run counted")
    parser.add_argument("--no-result", action="store_true")
    given = parser.parse_args()
    kept = HERE / "work" / f"rebuilds-{given.count}.json"
    new = {"rebuilds": 0, "changed": dict.fromkeys(CHANGES, 0), "differ": []}
    found = _whole.resumed(kept, given.again, new)
    with tempfile.TemporaryDirectory(prefix="edgekd-rebuilds-") as top:
        os.chmod(top, 0o755)
        wanted = build(Path(top, "first"), ([], {}))
        for number in range(found["rebuilds"], given.count):
            folder = Path(top, str(number))
            names, way = way_of(number)
            made = build(folder, way)
            if files := sorted(name for name in wanted | made if wanted.get(name) != made.get(name)):
                found["differ"].append({"changed": names, "files": files})
            for name in names:
                found["changed"][name] += 1
            found["rebuilds"] += 1
            shutil.rmtree(folder)
            disk.replace_file(kept, json.dumps(found).encode())
            print(number, names, "differs: " + ", ".join(files) if files else "the same", flush=True)
    if not given.no_result:
        _common.write("rebuilds", {"settings": SETTINGS, **found})
    kept.unlink(missing_ok=True)
    sys.exit(1 if found["differ"] else 0)


if __name__ == "__main__":
    main()
