"""The child's side of ``child``: it limits itself before it opens anything, and says what it is at.

A module that is started by ``child.run`` calls ``begin`` first, or ``serve``. Run otherwise (on a device, by hand) it
has no limits and nobody to speak to, and all of this does nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from edgekd.base.errors import EdgekdError, IntegrityError, ResourceError, UsageError

try:
    import resource
except ImportError:  # Windows: the parent's deadlines alone
    resource = None  # type: ignore[assignment]

TOLD = "EDGEKD_CHILD"  # the variable that holds what the parent says to ``begin``
BEAT = 1.0  # seconds between two signs of life
_PR_SET_PDEATHSIG = 1
_channel: BinaryIO | None = None
_lock = threading.Lock()  # streams are threads, and each says that it is alive
_said = 0.0


def begin() -> None:
    """Take the parent's limits, and the stdout that it reads; what a runtime prints goes to stderr."""
    global _channel
    settings = os.environ.pop(TOLD, None)
    if settings is None:
        return
    table = json.loads(settings)
    _end_with(table["parent"])
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if table["cpu"] is not None:
            seconds = math.ceil(table["cpu"])
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
            with contextlib.suppress(OSError):  # where memory is out, the system ends this one first
                Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    _channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)


def _end_with(parent: int) -> None:
    """Linux ends this process when its parent does; one that went before that was asked is noticed, too."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1 != parent:  # not just another: a wrapper of Python may stand between
            sys.exit(1)


def at(what: str) -> None:
    """Say what is done next: it is told where that never ends."""
    _say({"at": what})


def alive() -> None:
    """Say now and then that what takes long goes on."""
    if _channel is not None and time.monotonic() - _said > BEAT:
        _say({"alive": True})


def serve(answer: Callable[..., object]) -> int:
    """Answer the parent's one request, a table of arguments as JSON on stdin; the exit code.

    Asked by a parent, this does not return: what the runtimes do before Python ends takes 0.1 s, and may crash or hang.
    No ``atexit`` is called; files and processes that are left the parent removes.

    Args:
        answer: called with them; gives what JSON can say.
    """
    begin()
    code = _answer(answer, json.loads(sys.stdin.buffer.read()))
    if _channel is not None:
        os._exit(code)
    return code


def _answer(answer: Callable[..., object], request: dict[str, object]) -> int:
    try:
        reply = answer(**request)
    except EdgekdError as err:
        return _fail(err)
    except MemoryError:
        return _fail(IntegrityError("asks for more memory than there is"))
    except OSError as err:
        kind = UsageError if isinstance(err, PermissionError) else ResourceError
        return _fail(kind(f"can't be read ({err.strerror or err})", where=str(err.filename or "") or None))
    _say({"answer": reply})
    return 0


def done() -> None:
    """Say that all is done, by closing the channel; for what leaves its answer in a file."""
    global _channel
    if _channel is not None:
        _channel.close()
        _channel = None


def _fail(err: EdgekdError) -> int:
    _say({"error": err.as_dict()})
    return err.exit_code


def _say(message: object) -> None:
    global _said
    if _channel is not None:
        with _lock:
            _said = time.monotonic()
            _channel.write(json.dumps(message).encode() + b"\n")
            _channel.flush()
