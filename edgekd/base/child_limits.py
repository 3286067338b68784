"""What a child process may have that opens a stranger's files: memory, CPU time, and seconds on the clock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekd.base import limits

GB, MB = 1e9, 1e6
MEMORY, MEMORY_FOR_ONE = 1 * GB, 8.0  # bytes, and bytes for each byte of a bundle's files
SECONDS, SECONDS_FOR_MB = 45.0, 0.2
GPU, GPU_MEMORY, GPU_SECONDS = Path("/dev/nvidiactl"), 4 * GB, 300.0
SHARE = 0.75  # of the machine's memory, at most
COUNTED = 100_000  # files, whose sizes are added up
MOST_SIZE = 2 * GB  # that count: protobuf holds no more in a model, and variants are opened one after another


@dataclass(frozen=True)
class Limits:
    """What a child process may have that opens a stranger's files; see ``child``.

    Attributes:
        memory: bytes of it and of what it started, resident or swapped out, all together.
        seconds: from its start to its end.
        silence: seconds without a word of what it is at.
        cpu: seconds of CPU time, of all its threads.
    """

    memory: float
    seconds: float
    silence: float
    cpu: float


def of(path: Path, memory_gb: float | None = None, seconds: float | None = None) -> Limits:
    """The limits for a bundle or a file.

    Measured (resident at most, of the whole process): digits 62 MB on ONNX Runtime, 110 MB on OpenVINO, 138 MB with
    all variants one after another, in 0.9 s; 105 MB of weights 350 MB and 507 MB. So there is 1 GB, and 8 bytes more
    for each byte of the files; 45 s, and 0.2 s more for each MB, that a slow device may take long over a large net.
    Of the files 2 GB count at most: 17 GB and 445 s.
    Where there is an NVIDIA GPU, 4 GB and 300 s more, not measured: CUDA's libraries alone are of 2 GB, and TensorRT
    compiles for minutes.

    Args:
        memory_gb: instead of that, of 1e9 bytes.
        seconds: instead of that. Of CPU time there is as much for each core, and twice as much at least.

    Raises:
        UsageError: one of the two is below 0, or no finite number.
    """
    limits.finite(memory_gb, "max_memory_gb")
    limits.finite(seconds, "max_seconds")
    size = min(_size(path), MOST_SIZE)
    gpu = GPU.exists()
    memory = min(MEMORY + gpu * GPU_MEMORY + MEMORY_FOR_ONE * size, SHARE * _machines_memory())
    memory = memory if memory_gb is None else memory_gb * GB
    whole = SECONDS + gpu * GPU_SECONDS + SECONDS_FOR_MB * size / MB if seconds is None else seconds
    return Limits(memory, whole, whole, whole * max(2, os.cpu_count() or 2))


def _size(path: Path) -> int:
    """Bytes that a file, or those in a folder, take on the disk: holes ask for nothing, nor does a second link."""
    taken: dict[tuple[int, int], int] = {}
    for count, file in enumerate(_files(path)):
        try:
            status = file.lstat()
        except OSError:
            continue
        size = getattr(status, "st_blocks", status.st_size) * 512  # Windows does not tell
        taken[status.st_dev, status.st_ino] = min(status.st_size, size)
        if count > COUNTED:
            break
    return sum(taken.values())


def _files(path: Path) -> Iterator[Path]:
    """What can't be listed asks for nothing either."""
    if not path.is_dir():
        yield path
    for root, _, names in os.walk(path):
        yield from (Path(root, name) for name in names)


def _machines_memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")
