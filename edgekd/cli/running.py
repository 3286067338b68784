"""Running a command line: what is printed, what an error ends with, where a user's own modules are found."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from edgekd.base import faults, plugins, streams
from edgekd.base.disk import replace_file
from edgekd.base.errors import EdgekdError, ResourceError, UsageError, out_of_memory
from edgekd.base.printable import all_printable, in_json, printable

# The extra that brings a module; the others come with [build].
_EXTRAS = {"transformers": "text", "tokenizers": "text", "optuna": "tune", "tomli_w": "tune"}
_EXTRAS |= {"model_signing": "sign", "OpenSSL": "sign"}
# The file in which, with its number behind, the first of several ranks of each machine writes how the command ended.
EXIT_CODE = "EDGEKD_EXIT_CODE"


def clean_stdout(as_json: bool) -> contextlib.AbstractContextManager[Any]:
    """With ``--json`` what a user's own code prints goes to stderr."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def show(as_json: bool, document: Any, human: Callable[[Any], Any]) -> None:
    """A document as JSON, or as ``human`` shows it; whatever texts it holds, they are shown and do nothing."""
    if as_json:
        text = json.dumps(document, indent=2, ensure_ascii=not streams.takes_unicode(sys.stdout))
        return line(in_json(text))
    from edgekd.cli import console

    shown = human(all_printable(document))
    with streams.to_stdout():
        console.show(shown)


def line(text: str, end: str = "\n") -> None:
    """A line on stdout."""
    with streams.to_stdout():
        print(printable(text, keep="\n\t"), end=end)


def tell(text: str, keep: str = "") -> None:
    """A line on stderr; where it can't be written, nobody waits for it."""
    with contextlib.suppress(OSError):
        print(printable(text, keep), file=sys.stderr, flush=True)


def run(command: click.Command, args: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; every error becomes one message on stderr."""
    streams.prepare()
    try:
        code = command.main(args=None if args is None else list(args), standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        return fail("interrupted; run the same command again to go on where it stopped", 130)
    except click.ClickException as err:
        buffer = io.StringIO()
        err.show(buffer)
        tell(buffer.getvalue().rstrip(), keep="\n")
        return UsageError.exit_code
    except EdgekdError as err:
        return fail(str(err), err.exit_code)
    except ModuleNotFoundError as err:
        extra = _EXTRAS.get((err.name or "").partition(".")[0], "build,ort")
        return fail(f"{err.name} is not installed; pip install 'edgekd[{extra}]'", 4)
    except PermissionError as err:
        return fail(f"{err.filename}: permission denied", UsageError.exit_code)
    except Exception as err:  # noqa: BLE001 - the last resort: a bug, with its traceback
        if out_of_memory(err):
            return fail("out of memory; try a smaller batch_size", ResourceError.exit_code)
        if isinstance(err, OSError) and err.errno is not None and err.errno not in faults.REFUSED:
            return fail(str(faults.told(err, Path("a file"))), ResourceError.exit_code)
        if isinstance(err, OSError) and err.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return fail(f"{str(err.filename)[:80]}: no such place ({err.strerror})", UsageError.exit_code)
        if (theirs := plugins.users_own(err)) is not None:
            return fail(str(theirs), theirs.exit_code)
        tell(traceback.format_exc().rstrip(), keep="\n")
        return fail(f"a bug in edgekd: {type(err).__name__}: {err}", 1)
    return code if isinstance(code, int) else 0  # of a command that said it as an Exit


def fail(message: str, code: int) -> int:
    """Say what went wrong; the exit code."""
    tell(f"edgekd: {message}")
    return code


@contextlib.contextmanager
def own_modules(wanted: bool = True) -> Iterator[None]:
    """Let a user's own modules stand in the current folder: a recipe's ``mypkg.zoo:teacher``, an allowed plugin.

    Last, so that none stands in for a library's, and for no other command: whoever looks at a stranger's bundle, there
    where it was unpacked, runs nothing of it.
    """
    folder = os.getcwd()
    added = wanted and folder not in sys.path
    if added:
        sys.path.append(folder)
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def started(command: click.Command) -> int:
    """The console script's exit code."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return fail("the current folder is gone; go to one that is there", UsageError.exit_code)
    ended = _exit_file(os.environ)
    code = run(command)
    if ended is not None:
        with contextlib.suppress(EdgekdError):
            replace_file(ended, str(code).encode())
    return code


def _exit_file(environment: Mapping[str, str]) -> Path | None:
    """Where this process writes how it ended: of a launcher's, the first on its machine. None: nowhere."""
    file = environment.get(EXIT_CODE)
    names = ("RANK", "LOCAL_RANK") if "RANK" in environment else ("SLURM_PROCID", "SLURM_LOCALID")
    number = environment.get(names[0], "0")
    if file is None or not number.isdecimal() or environment.get(names[1], number) != "0":
        return None
    return Path(f"{file}.{number}")
