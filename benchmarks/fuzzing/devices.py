"""What other processes and machines say: a device, its results, a child, Node; and where devices are named."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import os
import queue
import random
import struct
import types
from typing import Any

import numpy as np

from edgekd.base import child, errors, reader
from edgekd.base.errors import DeviceError, Failure
from edgekd.base.pipes import Pipes
from edgekd.document.machine import Told
from edgekd.runtime import bench, cold, left, remote
from edgekd.runtime.backends.ort_web import backend as ort_web
from edgekd.runtime.devices import _find
from edgekd.runtime.devices.local import Local
from edgekd.runtime.jobs import BenchJob
from fuzzing import _mutate, harness, room

JOB = BenchJob(
    "ort", {"this": {"model.onnx": b""}}, "this", {"x": np.zeros((1, 3), np.float32)}, min_samples=2, min_seconds=0.0
)


class _Device(remote.Remote):
    """A connection over which all that a device will ever say has come already."""

    def __init__(self, said: bytes) -> None:
        super().__init__(Local())
        self._said, self._expected = io.BufferedReader(io.BytesIO(said)), 0

    def _write(self, *parts: bytes) -> None:
        pass

    def _next(self) -> tuple[dict[str, Any], bytes]:
        if (found := self._answer(self._said)) is None:
            raise DeviceError("the connection ended", where=self.name)
        return found


@harness(_mutate.of_messages)
def device_answers(data: bytes) -> None:
    """What a device answers when it is greeted, given a file, told to run a program, and asked for a result."""
    there = _Device(data)
    there._greet()
    there._check_room(1000)
    there.put(b"x")
    ended = there._ask({"op": "run", "files": {}, "path": [], "argv": []})[0]
    for name in (bench.RESULT, left.FAILURE):
        if name in ended["made"]:
            assert isinstance(there._fetch(name), bytes)


@harness(_mutate.of_json)
def device_results(data: bytes) -> None:
    """A file that a run left there; the first line is its name."""
    name, _, text = data.partition(b"\n")
    folder = room("results")
    for file in folder.iterdir():
        file.unlink()
    known = {b"cold": cold.RESULT, b"error": left.FAILURE, b"host": "host.json"}.get(name, bench.RESULT)
    (folder / known).write_bytes(text)
    if known == left.FAILURE:
        left.check_outcome(folder, 1, "", "device", DeviceError)
    elif known == cold.RESULT:
        cold.read(folder, DeviceError, "device")
    elif known == bench.RESULT:
        found = bench.read_result(folder, JOB, DeviceError, "device")
        bench.summary(found.samples["this"])
    else:
        left.read_left(folder, known, Told, DeviceError, "device")


@harness(_mutate.of_json)
def told_errors(data: bytes) -> None:
    """An error that another process told of: whatever it holds, it can be shown, and told once more."""
    err = errors.from_dict(reader.read(data, Failure, "error.json", DeviceError), DeviceError)
    str(err).encode("utf-8")
    again = errors.from_dict(reader.check(err.as_dict(), Failure, "again"))
    assert str(again) == str(err)
    with contextlib.suppress(type(err)), errors.in_python():
        raise err


class _Child(child._Child):
    """A child that has said all it will, and ended."""

    def __init__(self, code: int, said: bytes) -> None:
        self.limits, self.where, self.at, self.over = None, "net", "", True
        self.heard, self._stderr, self._lines = 0.0, said[:100], queue.Queue()
        self.process = types.SimpleNamespace(wait=lambda: code)  # type: ignore[assignment]  # all that is asked of it
        self._pipes = Pipes(io.BytesIO(), io.BytesIO(said), io.BytesIO())
        self._threads = [types.SimpleNamespace(join=lambda timeout: None)] * 2  # type: ignore[list-item]
        self._read()

    def _wait_for_end(self) -> bool:
        return True


@harness(_mutate.of_messages)
def child_answers(data: bytes) -> None:
    """Lines of a child that opened a stranger's model; the first byte is the code that it ended with."""
    code = (data[0] if data else 0) - 64
    ended = _Child(code, data[1:]).hear()
    if ended.error is not None:
        raise ended.error
    if ended.answer is None:
        ended.hold("net")


def _of_frames(data: bytes, rng: random.Random) -> bytes:
    """One frame's document, its length right."""
    at, starts = 0, []
    while at + 4 < len(data):
        if data[at + 4 : at + 5] == b"{":
            starts.append(at)
            at += int.from_bytes(data[at : at + 4], "little")
        at += 4
    if not starts or not rng.randrange(4):
        return _mutate.of_bytes(data, rng)
    at = rng.choice(starts)
    end = at + 4 + int.from_bytes(data[at : at + 4], "little")
    made = _mutate.of_json(data[at + 4 : end], rng)
    return data[:at] + struct.pack("<I", len(made)) + made + data[end:]


@harness(_of_frames)
def node_answers(data: bytes) -> None:
    """Frames of a process of Node that runs a stranger's model."""
    ended = types.SimpleNamespace(kill=lambda: None, wait=lambda: None, stdin=io.BytesIO(), stdout=io.BytesIO(data))
    session = ort_web.OrtWebSession(types.SimpleNamespace(start=lambda: ended), b"model")  # type: ignore[arg-type]
    sizes = [tuple(1 if size is None else size for size in port.shape) for port in session.inputs]
    if all(math.prod(size) < 10_000 and max(size, default=0) < 10_000 for size in sizes):  # (2**63 - 1, 0) is none
        inputs = {port.name: np.zeros(size, port.dtype) for port, size in zip(session.inputs, sizes, strict=True)}
        session.run(inputs)
        session.timed(inputs)


def _fits(device: Any) -> None:
    """A system takes no NUL in the line that starts it, and no half of a character."""
    for text in (*map(str, dataclasses.astuple(device)), device.name):
        assert "\0" not in text
        text.encode()


@harness(_mutate.of_words, most=512)
def device_address(data: bytes) -> None:
    """``--device``."""
    _fits(_find.find(os.fsdecode(data.replace(b"\0", b""))))


@harness(_mutate.of_words)
def devices_toml(data: bytes) -> None:
    """A file of devices, of which one is asked for."""
    path = room("devices") / "devices.toml"
    path.write_bytes(data)
    before = {name: os.environ.get(name) for name in (_find.ASKED, "XDG_CONFIG_HOME")}
    os.environ |= {_find.ASKED: str(path), "XDG_CONFIG_HOME": str(path.parent / "none")}
    try:
        for name in ("pi", "phone"):
            _fits(_find.find(name))
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.__setitem__(key, value)
