"""SIGKILL at random moments: the next run of the same command must end with the same bundle.

Same in the sense of the design: equal bytes in every file but report.*, samples.json, README.md and the manifest's
hashes of these.

    python benchmarks/kills.py [--kills 20] [--recipe digits] [--set key=value ...]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MEASURED = {"report.json", "report.html", "samples.json", "README.md"}
# Shorter stages, so that twenty builds take minutes; the steps are the recipe's.
SHORT = ("teacher.epochs=4", "student.epochs=6", "compress.0.epochs=3", "compress.1.epochs=2", "budget.max_drop=1.0")

TRIES = 4  # of a kill, where the builds end before it comes


def content(bundle: Path) -> dict[str, Any]:
    """Every file's bytes, without what a measurement decides."""
    files: dict[str, Any] = {
        path.relative_to(bundle).as_posix(): path.read_bytes()
        for path in sorted(bundle.rglob("*"))
        if path.is_file() and path.name not in MEASURED
    }
    del files["manifest.sha256"]  # of all of the manifest
    manifest = json.loads(files["manifest.json"])
    files["manifest.json"] = _without_measured(manifest)
    return files


def _without_measured(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_measured(inner) for key, inner in value.items() if key not in MEASURED}
    return [_without_measured(inner) for inner in value] if isinstance(value, list) else value


def command(folder: Path, given: argparse.Namespace) -> list[str]:
    """The build, with a cache of its own."""
    line = [sys.executable, "-m", "edgekd", "build", given.recipe]
    line += ["--out", str(folder / "out"), "--cache", str(folder / "cache"), *["--quick"][: given.quick]]
    for option, values in (("--target", given.targets), ("--set", given.settings)):
        line += [part for value in values for part in (option, value)]
    return line


def run(line: list[str]) -> float:
    """Seconds of a build that must succeed."""
    started = time.monotonic()
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the build failed with {done.returncode}: {done.stderr[-1500:]}")
    return time.monotonic() - started


def kill(line: list[str], moment: float) -> float | None:
    """Kill a build after some seconds; the seconds it took, where it ended before."""
    started = time.monotonic()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return None if process.returncode == -signal.SIGKILL else time.monotonic() - started


def main() -> None:
    """Kill, run again, compare; exit 1 at the first difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--recipe", default="digits")
    parser.add_argument("--target", action="append", dest="targets")
    parser.add_argument("--set", action="append", dest="settings")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-result", action="store_true")
    given = parser.parse_args()
    given.settings = list(SHORT) if given.settings is None else given.settings
    given.targets = given.targets or ["ort-cpu", "openvino"]
    rng, rows = random.Random(given.seed), []
    with tempfile.TemporaryDirectory(prefix="edgekd-kills-") as name:
        root = Path(name)
        whole = run(command(root / "whole", given))
        wanted = content(root / "whole" / "out")
        for i in range(given.kills):
            for attempt in range(TRIES):
                folder = root / f"kill{i}.{attempt}"
                line = command(folder, given)
                moment = rng.uniform(0.5, whole)
                took = kill(line, moment)
                if took is None:
                    break
                whole = took  # the machine has less to do than before: the next draw comes in time
            killed = took is None
            again = run(line)
            got = content(folder / "out")
            differ = sorted(key for key in wanted.keys() | got.keys() if wanted.get(key) != got.get(key))
            rows.append({"killed": killed, "after_s": round(moment, 2), "then_s": round(again, 2), "differ": differ})
            print(
                f"{i + 1}/{given.kills}: killed {killed} after {moment:.1f} s, {again:.1f} s, differs {differ}",
                flush=True,
            )
            if differ:
                break
    if not given.no_result:
        import _common  # noqa: PLC0415  # torch is not needed before

        _common.write("kills", {"uninterrupted_s": whole, "settings": given.settings, "kills": rows})
    sys.exit(1 if any(row["differ"] for row in rows) else 0)


if __name__ == "__main__":
    main()
