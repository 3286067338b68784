"""A launcher of two processes of this machine: ``python _launcher.py PROGRAM ARGUMENTS``, as torchrun starts them.

It imports nothing but the standard library, so that it starts at once.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def environments(count: int) -> list[dict[str, str]]:
    """What a launcher gives each of so many processes of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    path = {"PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
    return [{**os.environ, **path, **place, "RANK": str(n), "LOCAL_RANK": str(n)} for n in range(count)]


def main() -> None:
    program = sys.argv[sys.argv.index("edgekd") + 1 :]
    line = [sys.executable, "-P", "-m", "edgekd", *program]
    processes = [subprocess.Popen(line, env=env) for env in environments(2)]
    sys.exit(max(process.wait() for process in processes))


if __name__ == "__main__":
    main()
