"""What a process started is found, and how long it computes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekd.base import family

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
SPINS = "import time\nwhile time.process_time() < {}: pass\nprint(1, flush=True)\ntime.sleep(60)"
STARTS = "import subprocess, sys\nsys.exit(subprocess.run([sys.executable, '-c', sys.argv[1]]).returncode)"


def test_what_a_started_process_starts_counts_and_ones_own_work_does_not() -> None:
    before = family.seconds_of_started(os.getpid())
    started = time.process_time()
    while time.process_time() < started + 0.2:
        pass
    assert family.seconds_of_started(os.getpid()) == before
    command = [sys.executable, "-c", STARTS, SPINS.format(0.5)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None and child.stdout.readline() == b"1\n"
        places = list(family.of(os.getpid()))
        assert places[0].name == str(os.getpid()) and Path("/proc", str(child.pid)) in places and len(places) >= 3
        assert family.seconds_of_started(os.getpid()) - before >= 0.4
        os.killpg(child.pid, 9)


def test_a_process_that_ended_has_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert family.seconds_of_started(child.pid) == 0.0
