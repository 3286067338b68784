"""A process that is talked to."""

from __future__ import annotations

import sys

import pytest

from edgekd.base import pipes


def test_each_stream_is_its_own_and_nothing_waits_in_a_buffer() -> None:
    code = "import sys; line = sys.stdin.readline(); sys.stderr.write('heard'); sys.stdout.write(line * 2)"
    process, (stdin, stdout, stderr) = pipes.start([sys.executable, "-c", code])
    stdin.write(b"a\n")  # and no flush
    assert (stdout.read(), stderr.read(), process.wait()) == (b"a\na\n", b"heard", 0)
    for stream in (stdin, stdout, stderr):
        stream.close()


def test_what_can_not_be_started_is_the_systems_error() -> None:
    with pytest.raises(FileNotFoundError):
        pipes.start(["/no/such/program"])
