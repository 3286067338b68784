"""Processes that decode: they give what is asked for, end with who started them, and their end is told of."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from _pictures import fill

from edgekd.base.errors import DataError, FactoryError, ResourceError
from edgekd.learn.data import _worker
from edgekd.learn.data._decoding import Pool
from edgekd.learn.data._lazy import Lazy
from edgekd.learn.data.imagefolder import Imagefolder

CRASHING = """
import os, numpy as np
from dataclasses import dataclass

@dataclass(frozen=True)
class Numbers:
    ends_with: int
    shape: tuple = (3,)
    dtype: str = "int16"

    def decoded(self, items):
        for value, _ in items:
            if value == 40 and self.ends_with:
                os.kill(os.getpid(), self.ends_with)
            elif value == 40:
                raise KeyError(value)
        values = np.array([[value] * 3 for value, _ in items], "int16")
        return values, {"peak": int(values.max()), "read": len(items)}

    def place(self, item):
        return f"number {item[0]}"
"""


@pytest.fixture
def numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    (tmp_path / "crashing_numbers.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(str(tmp_path))
    import crashing_numbers

    yield crashing_numbers.Numbers
    del sys.modules["crashing_numbers"]


@pytest.mark.parametrize(
    ("ends_with", "error", "message"),
    [
        (
            signal.SIGSEGV,
            DataError,
            "number 40: can't be decoded: the process that reads it crashed; found 'exit code -11",
        ),
        (signal.SIGKILL, ResourceError, "number 40: .*was killed from outside.*fewer data.workers"),
        (0, FactoryError, "raised KeyError at crashing_numbers.py:16: 40"),
    ],
)
def test_a_worker_that_ends_is_told_of_and_replaced(
    numbers: type, ends_with: int, error: type[Exception], message: str
) -> None:
    x = Lazy(numbers(int(ends_with)), (np.arange(60), np.zeros(60, np.int64)), Pool(2))
    with pytest.raises(error, match=message):
        np.asarray(x)
    assert np.asarray(x[:40])[:, 1].tolist() == list(range(40))
    few = x[:40]
    assert isinstance(few, Lazy) and few.scan.facts == {"peak": 39, "read": 40}
    assert (few.scan.low, few.scan.high, few.scan.odd) == (0, 39, None)


def test_an_answer_is_the_array_or_the_error(numbers: type) -> None:
    head, body = _worker.answer("crashing_numbers:Numbers", {"ends_with": 0}, [[1, 0], [2, 0]])
    assert head == {"shape": (2, 3), "dtype": "<i2", "facts": {"peak": 2, "read": 2}}
    assert np.frombuffer(body, "<i2").tolist() == [1, 1, 1, 2, 2, 2]
    head, body = _worker.answer("crashing_numbers:Numbers", {"ends_with": 0}, [[40, 0]])
    assert isinstance(head["error"], dict) and head["error"]["kind"] == "FactoryError" and not body


def test_workers_end_with_who_started_them(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal\n"
        "from edgekd.learn.data.imagefolder import Imagefolder\n"
        f"data = Imagefolder({str(fill(tmp_path / 'pictures'))!r}, lazy=True, workers=2).load()\n"
        "for task in pathlib.Path('/proc/self/task').iterdir():\n"
        "    print((task / 'children').read_text(), flush=True)\n"
    )
    for end in ("", "os.kill(os.getpid(), signal.SIGKILL)\n"):
        done = subprocess.run([sys.executable, "-c", code + end], capture_output=True, text=True, check=False)
        started = {int(word) for word in done.stdout.split()}
        assert len(started) == 2 and done.stderr == "", done.stderr
        until = time.monotonic() + 5
        while (left := [pid for pid in started if Path(f"/proc/{pid}").exists()]) and time.monotonic() < until:
            time.sleep(0.02)
        assert not left


def test_a_pool_ends_with_the_data_set(tmp_path: Path) -> None:
    data = Imagefolder(str(fill(tmp_path)), lazy=True, workers=2).load()
    assert isinstance(data.train.x, Lazy) and data.train.x.pool is not None
    started = [worker.process for worker in data.train.x.pool._started]
    assert started and all(process.poll() is None for process in started)
    del data
    gc.collect()
    assert all(process.poll() == 0 for process in started)
