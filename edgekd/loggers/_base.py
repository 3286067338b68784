"""What a build asks of a logger."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from edgekd.base.errors import OutputError, UnavailableError

Setting = str | int | float | bool


class Run(Protocol):
    """One build, being written."""

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        """Numbers after an epoch of a step, counted from 0: ``student/loss``, ``student/validation`` and so on.

        Raises:
            OutputError: it could not be written; the build goes on without this logger.
        """

    def close(self, values: Mapping[str, float], finished: bool) -> None:
        """The end.

        Args:
            values: of the files that were measured: ``ort-cpu/int8/value_test`` and so on; none of a build that failed.
            finished: whether the build did.
        """


class Logger(Protocol):
    """A frozen dataclass whose fields are the keys of ``[log]``."""

    def open(self, name: str, settings: Mapping[str, Setting]) -> Run:
        """Begin a run.

        Args:
            name: of the recipe.
            settings: the recipe's, by their dotted keys; lists are text.

        Raises:
            OutputError: the folder can't be written.
        """


def folder_of(folder: str) -> Path:
    """The absolute path of a folder, which is made where it is missing.

    Raises:
        OutputError: it can't be made.
    """
    place = Path(folder).resolve()
    with as_output_error(OSError):
        place.mkdir(parents=True, exist_ok=True)
    return place


def new_folder(folder: str, name: str) -> Path:
    """A folder for a run that begins now, in one that is made where it is missing.

    Raises:
        OutputError: it can't be made.
    """
    begun = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    with as_output_error(OSError):
        for number in range(1, 1000):
            run = Path(folder) / (begun if number == 1 else f"{begun}-{number}")
            with contextlib.suppress(FileExistsError):
                run.mkdir(parents=True)
                return run.resolve()
    raise OutputError("no name is free for a run", where="log.folder", found=begun)


@contextlib.contextmanager
def as_output_error(*kinds: type[Exception]) -> Iterator[None]:
    """Errors of a library, as edgekd's own."""
    try:
        yield
    except kinds as err:
        reason = [*str(err).strip().splitlines(), type(err).__name__][0]
        raise OutputError(f"can't be written ({reason})", where="log") from err


def need(missing: str | None, package: str) -> None:
    """Raise UnavailableError where a logger's library could not be imported."""
    if missing is not None:
        hint = f"pip install 'edgekd[{package}]'"
        raise UnavailableError(f"{package} is not installed", where="log.kind", found=missing, hint=hint)
