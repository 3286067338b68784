"""A model's first second: starting Python, loading the runtime, compiling, the first answer; and the memory of it all.

``python -m edgekd.runtime.cold FOLDER BEGAN`` does it once, for a job that ``bench`` wrote; BEGAN is the machine's
monotonic clock, in ns, when the process was started.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from edgekd.base import confined
from edgekd.base.disk import disk, write_synced
from edgekd.base.errors import EdgekdError
from edgekd.document.bench import Cold
from edgekd.runtime import bench, left
from edgekd.runtime.jobs import BenchJob, read_job

RESULT = "cold.json"

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows
    resource = None


def measure(job: BenchJob, began: int) -> Cold:
    """Open a job's baseline and ask it twice.

    Returns:
        Milliseconds: ``start_ms`` (Python, numpy, edgekd, the runtime), ``open_ms`` (read and compile), ``first_ms``
        and ``second_ms`` (an inference, copies included). Bytes: ``peak_memory_bytes`` of the process, and
        ``model_memory_bytes``, what of it came after the runtime was loaded.
    """
    backend = job.compiler()
    backend.version()
    loaded, before = time.monotonic_ns(), peak_memory()
    session = backend.open(job.candidates[job.baseline], job.batch)
    opened = time.monotonic_ns()
    session.run(job.inputs)
    first = time.monotonic_ns()
    session.run(job.inputs)
    marks = pairwise([began, loaded, opened, first, time.monotonic_ns()])
    start, opening, first_ms, second_ms = ((after - mark) / 1e6 for mark, after in marks)
    most = peak_memory()
    return {
        "start_ms": start,
        "open_ms": opening,
        "first_ms": first_ms,
        "second_ms": second_ms,
        "peak_memory_bytes": most,
        "model_memory_bytes": None if most is None or before is None else most - before,
    }


def in_subprocess(job: BenchJob) -> Cold:
    """In a fresh Python on this machine; raises what ``bench_in_subprocess`` raises."""
    return bench.in_child(job, __name__, read)


def read(folder: Path, error: type[EdgekdError] = EdgekdError, where: str = "this machine") -> Cold:
    """What the child left; see ``left.read_left``."""
    return left.read_left(folder, RESULT, Cold, error, where)


def peak_memory() -> int | None:
    """The most memory that this process has had, in bytes; None where the system does not tell."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    most: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * unit


def main(folder: Path, began: int) -> int:
    """``cold.json``, or ``error.json``, beside the job."""
    confined.begin()
    try:
        with disk(folder):
            measured = measure(read_job(folder), began)
            write_synced(folder / RESULT, json.dumps(measured).encode())
    except EdgekdError as err:
        return left.tell_error(folder, err)
    confined.done()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
