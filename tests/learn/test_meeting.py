"""Ranks that come, that do not, and that wait for the first one, in real processes."""

from __future__ import annotations

import subprocess
import sys
import time

import _launcher

BEGIN = """
import os, sys, time
from edgekd.base import rank
from edgekd.base.errors import EdgekdError
from edgekd.learn import meeting, ranks
meeting.MEET_S, meeting.TOLD_S, meeting.BEAT_S, meeting.SILENT_S = MEET, 0.5, 0.1, 1.0
this, is_first = rank.of_environment(os.environ), os.environ["RANK"] == "0"
def main():
    with ranks.joined(this, print):
        WORK
try:
    main()
except EdgekdError as err:
    print(err)
    sys.exit(err.exit_code)
"""
LATE = """
        if is_first:
            time.sleep(3)
        with ranks.together():
            answer = ranks.from_first(lambda: time.sleep(3) or {"a": b"1"})
            print(answer["a"])
"""
STILL = """
        if is_first:
            import signal
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGSTOP)
        with ranks.together():
            pass
"""


def started(work: str, meet: float, count: int = 2) -> list[subprocess.Popen[str]]:
    """The first processes of two; the others died before they came."""
    code = BEGIN.replace("MEET,", f"{meet},").replace("        WORK", work.rstrip())
    line = [sys.executable, "-c", code]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return [subprocess.Popen(line, env=env, text=True, **streams) for env in _launcher.environments(2)[:count]]  # type: ignore[call-overload]


def test_who_waits_for_a_rank_that_never_comes_says_so_and_ends() -> None:
    (first,) = started("        pass", 2.0, 1)
    out, _ = first.communicate(timeout=60)
    assert first.returncode == 4
    told, error, *_ = out.splitlines()
    assert told.startswith("rank 0 of 2: waits for the others at 127.0.0.1:") and told.endswith(", 2 s at most")
    assert error.startswith("rank 0 of 2, at 127.0.0.1:") and "not all ranks came within 2 s" in error


def test_the_first_rank_is_waited_for_as_long_as_it_is_heard() -> None:
    """Three times as long as silence lasts before it counts as gone: alone, and in the midst of all."""
    for process in started(LATE, 60.0):
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0 and [line for line in out.splitlines() if "waits" not in line] == ["b'1'"], out


def test_a_first_rank_that_is_heard_no_more_ends_the_others() -> None:
    first, second = started(STILL, 60.0)
    began = time.monotonic()
    try:
        out, _ = second.communicate(timeout=60)
    finally:
        first.kill()
        first.communicate()
    assert second.returncode == 4 and "nothing was heard of the first one for 1 s" in out, out
    assert time.monotonic() - began < 30
