"""The same build under other circumstances: the same bytes, but for what is measured.

    apt install faketime
    python benchmarks/rebuilds.py [--count 100]

Each rebuild has a cache of its own and changes one to three of eight things: the user, locale, time zone, hash seed,
path, umask, number of CPUs and clock. Compared is every file but report.*, samples.json, README.md, examples made of
them, and the manifest's hashes of these. A run that was stopped goes on.
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
from pathlib import Path
from typing import Any

import _common
from kills import content

LINE = ("build", "digits", "--quick", "--target", "ort-cpu", "--target", "openvino")
# What ships is chosen by size: latencies differ from build to build, and may not choose here.
SETTINGS = ("compress=[{kind='int8_qat'}]", "budget.prefer='size'", "student.model.width=32", "teacher.model.width=32")
Way = tuple[list[str], dict[str, str]]  # before the command, and into the environment

CHANGES: dict[str, Any] = {
    "user": lambda rng, folder: (["setpriv", "--reuid", str(rng.randint(2000, 60000)), "--clear-groups"], {}),
    "locale": lambda rng, folder: ([], {"LC_ALL": rng.choice(["C", "POSIX", "C.UTF-8", "tr_TR.UTF-8"])}),
    "time zone": lambda rng, folder: ([], {"TZ": rng.choice(["Asia/Kathmandu", "America/St_Johns", "UTC+12"])}),
    "hash seed": lambda rng, folder: ([], {"PYTHONHASHSEED": str(rng.randrange(1, 2**32))}),
    "path": lambda rng, folder: ([], {"PLACE": f"a place {rng.randrange(10**6)}/{'x' * rng.randint(1, 60)}"}),
    "umask": lambda rng, folder: (["sh", "-c", f'umask {rng.choice(["077", "027", "0"])}; exec "$@"', "sh"], {}),
    "CPUs": lambda rng, folder: (["taskset", "-c", str(rng.randrange(os.cpu_count() or 1))], {}),
    "clock": lambda rng, folder: (["faketime", f"{rng.choice([-9000, -400, 300, 3000])} days"], {}),
}


def build(folder: Path, way: Way) -> str:
    """The digest of what one build leaves."""
    before, environment = way
    place = folder / environment.pop("PLACE", "here")
    place.mkdir(parents=True)
    os.chmod(folder, 0o777)
    for inner in (place, *place.parents[: len(place.parts) - len(folder.parts)]):
        os.chmod(inner, 0o777)
    own = ("--out", str(place / "out"), "--cache", str(place / "cache"))
    line = [*before, sys.executable, "-m", "edgekd", *LINE, *own, *(p for s in SETTINGS for p in ("--set", s))]
    given = {**os.environ, "TMPDIR": str(place), "HOME": str(place), **environment}
    done = subprocess.run(line, env=given, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{line}: {done.returncode}: {done.stderr[-1500:]}")
    files = {name: repr(data) for name, data in content(place / "out").items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def way_of(number: int, folder: Path) -> tuple[list[str], Way]:
    """What the build of a number changes; all eight in turn, and up to two more."""
    rng = random.Random(number)
    names = list(CHANGES)
    chosen = {names[number % len(names)], *rng.sample(names, rng.randint(0, 2))}
    before: list[str] = []
    environment: dict[str, str] = {}
    for name in sorted(chosen, key=names.index):
        line, variables = CHANGES[name](rng, folder)
        before, environment = [*before, *line], {**environment, **variables}
    return sorted(chosen), (before, environment)


def main() -> None:
    """Build, compare, and write the result after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    given = parser.parse_args()
    file = _common.RESULTS / "rebuilds.json"
    before = json.loads(file.read_text()) if file.is_file() else {}
    found = {"rebuilds": before.get("rebuilds", 0), "differ": before.get("differ", [])}
    found["changed"] = before.get("changed", dict.fromkeys(CHANGES, 0))
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        wanted = build(Path(top, "first"), ([], {}))
        for number in range(found["rebuilds"], given.count):
            folder = Path(top, str(number))
            names, way = way_of(number, folder)
            if build(folder, way) != wanted:
                found["differ"].append(names)
            for name in names:
                found["changed"][name] += 1
            found["rebuilds"] += 1
            shutil.rmtree(folder)
            _common.write("rebuilds", found)
            print(number, names, len(found["differ"]), flush=True)
    sys.exit(1 if found["differ"] else 0)


if __name__ == "__main__":
    main()
