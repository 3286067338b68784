"""Sixteen threads that ask one loaded bundle for half an hour: is every answer right, and does the memory stay?

    python benchmarks/soak.py [--minutes 30] [--together]

Three variants of small digits bundles: fp32 and int8 on ONNX Runtime, int8 on OpenVINO. All threads ask the same model
(one, 5 or 32 samples); now and then one opens a model of its own and drops it, or starts a thread that asks and ends.
Every answer is held, bit for bit, against that of another process with one thread. The calls are paced (``--rate`` a
second), so that two cores are not saturated where the three run ``--together``.

Memory is the process's VmRSS: the least of each minute's looks, ten a second, since a model that is being opened or
closed comes and goes with up to 14 MB. glibc is asked once a second to give back what is free (``malloc_trim``;
``--untrimmed``: it is not), of two arenas and not eight a core (``--arenas 0``): of sixteen threads' arenas 1 to 3 MB
are, now more and now less (the least of 20 s scatters by 0.4 MB; of two, by 0.04), and a leak is what nobody frees.
Such samples are no independent draws, so the last two thirds (minutes 10 to 30) are cut into five, and the slope is
that of least squares through the five means, its 95 % interval Student's with three degrees of freedom. Where looks
correlate by 0.9 (0.98) from one 2 s to the next such an interval held the true slope in 95 % (91 %) of 4,000
simulations. Allowed: 0 wrong answers, and 0.05 MB a minute at the upper end. Variants that were done are not done
again (``--again``: all are).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import _small
import _soaked
import numpy as np
from numpy.typing import NDArray

import edgekd
from edgekd.base import disk
from edgekd.learn.data.digits import Digits
from edgekd.runtime import bundle as bundles

HERE = Path(__file__).resolve().parent
VARIANTS = {
    "fp32 on ONNX Runtime": ("fp32", "ort-cpu"),
    "int8 on ONNX Runtime": ("int8", "ort-cpu"),
    "int8 on OpenVINO": ("int8", "openvino"),
}
# What ships is chosen by size, and so is int8 where there is any.
SETTINGS = {
    "fp32": ("compress=[]",),
    "int8": ("compress=[{kind='int8_qat'}]",),
}
SHARED = ("budget.prefer='size'", "student.model.width=32", "teacher.model.width=32")
EVERY, LOOK = 2.0, 0.1  # seconds: of a sample, between two looks at the memory
BLOCKS, STUDENT = 5, 3.182  # parts of the time that is looked at; the 0.975 quantile of t with two fewer
ALLOWED = 0.05  # MB a minute
MB = 1e6
Array = NDArray[np.float64]


def slope(minutes: Array, mb: Array) -> tuple[float, float, float]:
    """MB a minute, and the two ends of its 95 % interval: a line through the means of ``BLOCKS`` parts of the time."""
    parts = np.array_split(np.arange(len(minutes)), BLOCKS)
    x, y = (np.array([values[part].mean() for part in parts]) for values in (minutes, mb))
    x, y = x - x.mean(), y - y.mean()
    steep = float(x @ y / (x @ x))
    rest = y - steep * x
    off = STUDENT * float(np.sqrt(rest @ rest / (BLOCKS - 2) / (x @ x)))
    return steep, steep - off, steep + off


def floors(minutes: Array, mb: Array) -> tuple[Array, Array]:
    """The least of each minute, at its middle: what is being opened, or free and not given back yet, stands above."""
    whole = np.floor(minutes)
    each = np.unique(whole)
    return each + 0.5, np.array([mb[whole == minute].min() for minute in each])


def memory(pid: int) -> tuple[float, float]:
    """Bytes of a process that are resident, and those of them that no file stands behind."""
    told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    whole, own = (1024.0 * int(told[key].split()[0]) for key in ("VmRSS", "RssAnon"))
    return whole, own


def soaked(name: str, work: Path, given: argparse.Namespace) -> dict[str, Any]:
    """One variant: what its process counted, and its memory."""
    bundle, target = VARIANTS[name]
    pace = (given.minutes, given.threads, given.rate, given.opens, given.starts, int(not given.untrimmed))
    questions = work / f"{bundle}.{target}.npz"
    line = [sys.executable, HERE / "_soaked.py", questions, work / bundle, target, *pace]
    env = {**os.environ, **({"MALLOC_ARENA_MAX": str(given.arenas)} if given.arenas else {})}
    process = subprocess.Popen(list(map(str, line)), stdout=subprocess.PIPE, text=True, cwd=HERE.parent, env=env)
    assert process.stdout is not None
    if process.stdout.readline() != "begun\n":
        raise SystemExit(f"{name}: it did not begin")
    begun, seen = time.monotonic(), []
    while (now := time.monotonic() - begun) < 60 * given.minutes - 2 * EVERY:  # it ends by itself
        looks = []
        while time.monotonic() < begun + now + EVERY:
            looks.append(memory(process.pid))
            time.sleep(LOOK)
        seen.append((now / 60, *map(min, zip(*looks, strict=True))))
    counts = json.loads(process.stdout.read() or "{}")
    if process.wait():
        raise SystemExit(f"{name}: it ended with {process.returncode}")
    minutes, rss, own = np.array(seen).T
    late = minutes >= given.minutes / 3
    steep, low, high = slope(*floors(minutes[late], rss[late] / MB))
    marks = [int(np.argmin(np.abs(minutes - mark))) for mark in np.linspace(0, given.minutes, 31)]
    return {
        **counts,
        "calls_a_second": counts["calls"] / (60 * given.minutes),
        "share_of_a_core": counts.pop("cpu_s") / (60 * given.minutes),
        "slope_mb_a_minute": steep,
        "interval": [low, high],
        "slope_without_files": list(slope(*floors(minutes[late], own[late] / MB))),
        "floors_mb": [round(mb, 2) for mb in floors(minutes, rss / MB)[1]],
        "rss_mb": [round(rss[mark] / MB, 2) for mark in marks],
        "held": not counts["wrong"] and not counts["errors"] and high <= ALLOWED,
    }


def prepared(work: Path) -> None:
    """The two bundles, and the right answers, by this process and one thread."""
    for name, own in SETTINGS.items():
        if not (work / name).is_dir():
            line = [sys.executable, "-m", "edgekd", "build", "digits", "--quick", "--out", str(work / name)]
            line += ["--cache", str(work / "cache"), "--target", "ort-cpu", "--target", "openvino"]
            line += _small.line_of((*own, *SHARED))
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        x = Digits().load().test.x
        for target in ("ort-cpu", "openvino"):
            assert bundles.read(work / name).variant(target).numerics == name
            right = dict(enumerate(_soaked.answers(edgekd.load(work / name, target=target), x)))
            np.savez(work / f"{name}.{target}.npz", x=x, **{f"y{i}": scores for i, scores in right.items()})


def main() -> None:
    """Soak, and write the result after each; exit 1 where an answer was wrong or the memory grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="of each variant")
    parser.add_argument("--together", action="store_true", help="the three side by side")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--rate", type=float, default=300.0, help="calls a second of a variant")
    parser.add_argument("--opens", type=float, default=0.5, help="models opened a second")
    parser.add_argument("--starts", type=float, default=8.0, help="threads started a second")
    parser.add_argument("--untrimmed", action="store_true", help="leave glibc what is free, as an app does")
    parser.add_argument("--arenas", type=int, default=2, help="of glibc's allocator; 0: as many as it likes")
    parser.add_argument("--again", action="store_true", help="forget the variants that were done")
    parser.add_argument("--no-result", action="store_true")
    given = parser.parse_args()
    work = HERE / "work" / "soak"
    kept = work / f"rows-{given.minutes:g}.json"
    rows: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() and not given.again else {}
    prepared(work)
    lock = threading.Lock()

    def one(name: str) -> None:
        found = soaked(name, work, given)
        with lock:
            rows[name] = found
            disk.replace_file(kept, json.dumps(rows).encode())
        print(f"{name}: { ({key: value for key, value in found.items() if key != 'rss_mb'}) }", flush=True)

    missing = [name for name in VARIANTS if name not in rows]
    running = [threading.Thread(target=one, args=(name,)) for name in missing]
    for thread in running:
        thread.start()
        if not given.together:
            thread.join()
    for thread in running:
        thread.join()
    if set(rows) != set(VARIANTS):
        sys.exit(1)
    if not given.no_result:
        import _common  # noqa: PLC0415  # torch is not needed before

        pace = {
            key: getattr(given, key)
            for key in ("minutes", "threads", "rate", "opens", "starts", "together", "untrimmed", "arenas")
        }
        _common.write("soak", {**pace, "every_s": EVERY, "allowed_mb_a_minute": ALLOWED, "variants": rows})
    sys.exit(0 if all(row["held"] for row in rows.values()) else 1)


if __name__ == "__main__":
    main()
