"""A command in several processes: ``--launch`` starts their launcher, and each of them finds its rank."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from edgekd.base import rank as ranks
from edgekd.base.disk import disk
from edgekd.base.errors import DeviceError, EdgekdError, UsageError
from edgekd.build import request as requests
from edgekd.build.request import BuildRequest
from edgekd.cli.building import Options
from edgekd.cli.running import EXIT_CODE, tell

EXAMPLES = ("torchrun --nproc-per-node 2", "accelerate launch --num_processes 2", "srun --ntasks 2")
ALLOWED = " or ".join(EXAMPLES)
LAUNCHING_MODULES = ("torch.distributed.run", "accelerate.commands.launch")  # as python -m ...
FOLDER = "launch"  # in the cache: where ranks write how they ended
PYTHON_SCRIPTS = ("torchrun", "accelerate")  # which start a module themselves


def start(line: Sequence[str], request: BuildRequest) -> None:
    """Run a launcher and what it starts, and end as the first rank does; where it runs elsewhere, as this machine's
    first one does.

    Args:
        line: see ``command``.
        request: what they build. Ranks of other machines see its cache, where that is shared, and not this one's
            temporary folders.

    Raises:
        UsageError: it can't be run, or starts no rank.
        DeviceError: a rank ended without the first one's saying why.
        click.exceptions.Exit: with the first rank's exit code, which is not 0; it has said why.
    """
    root = request.store.root / FOLDER
    with disk(root):
        root.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=root.absolute())
    with folder as place:
        try:
            ended = {**os.environ, EXIT_CODE: str(Path(place) / "code")}
            code = subprocess.run(line, env=ended, check=False).returncode
        except OSError as err:
            raise UsageError("can't be run", where="--launch", found=line[0], allowed=err.strerror) from err
        first = _first_code(Path(place))
    if first:
        raise click.exceptions.Exit(first)
    if first == 0 or (code == 0 and requests.standing(request) is not None):
        return
    if code:
        exit_code = f"exit code {code}"
        raise DeviceError("a rank ended, and all with it", where="--launch", found=exit_code, hint=ranks.AGAIN)
    raise UsageError("it ended, and no first rank told how", where="--launch", found=line[0], allowed=ALLOWED)


def _first_code(folder: Path) -> int | None:
    """How the first rank ended of those that wrote it down; None: nobody did."""
    written = [file for file in folder.glob("code.*") if file.suffix[1:].isdecimal()]
    return int(min(written, key=lambda file: int(file.suffix[1:])).read_text()) if written else None


def command(launch: str, arguments: Sequence[str]) -> list[str]:
    """The launcher, its options, and the build that it starts.

    Raises:
        UsageError: the text is no command, there is no such program, or this process is a rank already.
    """
    if ranks.of_environment(os.environ) is not None:
        raise UsageError("this process was started by a launcher", where="--launch", allowed="one of the two")
    try:
        words = shlex.split(launch)
    except ValueError as err:
        raise UsageError(f"is no command: {err}", where="--launch", found=launch, allowed=ALLOWED) from err
    if not words:
        raise UsageError("is empty", where="--launch", allowed=ALLOWED)
    beside = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    program = shutil.which(words[0], path=beside)
    if program is None:
        hint = "python -m torch.distributed.run is torchrun"
        allowed = [example.split()[0] for example in EXAMPLES]
        raise UsageError("no such program", where="--launch", found=words[0], allowed=allowed, hint=hint)
    starts_modules = Path(program).name in PYTHON_SCRIPTS or any(name in words for name in LAUNCHING_MODULES)
    python = [] if starts_modules else [sys.executable]
    return [program, *words[1:], *python, "-m", "edgekd", "build", *arguments]


def in_ranks(first: Callable[[Options], None], other: Callable[[Options], None], options: Options) -> None:
    """Call ``first`` with the options: in one process, or in the first of several, and ``other`` in those.

    Raises:
        EdgekdError: as these; of another rank than the first it says which.
    """
    rank, launched = ranks.of_environment(os.environ), os.environ.pop(EXIT_CODE, None)
    if rank is None:
        if launched is not None:
            tell("note: the launcher started one process; torchrun --nproc-per-node says how many")
        return first(options)
    from edgekd.learn import ranks as group

    if rank.number == 0:
        with group.joined(rank, tell):
            return first(options)
    try:
        with group.joined(rank, tell):
            other(options)
    except EdgekdError as err:
        err.where = f"{rank}: {err.where}" if err.where else str(rank)
        raise
