"""Weights & Biases, offline: a folder of runs that ``wandb sync`` uploads when its user says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekd.loggers._base import Run, Setting, as_output_error, folder_of, need

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # before the import: else its own errors go to its makers
try:
    import wandb
except ImportError as err:
    MISSING: str | None = str(err)
else:
    MISSING = None


@dataclass(frozen=True)
class Wandb:
    """Curves, settings and results for Weights & Biases, offline: ``wandb sync FOLDER/wandb/offline-run-...``.

    Attributes:
        folder: of the runs; a relative path counts from the current folder.
        project: whose run it is; absent: the recipe's name.
    """

    folder: str
    project: str = ""

    def __post_init__(self) -> None:
        need(MISSING, "wandb")

    def open(self, name: str, settings: Mapping[str, Setting]) -> Run:
        """Begin an offline run."""
        folder = folder_of(self.folder)
        for place in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):  # else it writes below the home folder
            os.environ.setdefault(place, str(folder / "wandb" / "own"))
        return _Run(folder, self.project or name, name, settings)


class _Run:
    def __init__(self, folder: Path, project: str, name: str, settings: Mapping[str, Setting]) -> None:
        quiet = wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            silent=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
        )
        with as_output_error(OSError, wandb.Error):
            self._run = wandb.init(
                project=project, name=name, config=dict(settings), dir=str(folder), mode="offline", settings=quiet
            )

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        # Its own step only grows, and each step of a build counts its epochs from 0.
        axes = {f"{name.partition('/')[0]}/epoch": epoch for name in values}
        with as_output_error(OSError, wandb.Error):
            self._run.log({**values, **axes})

    def close(self, values: Mapping[str, float], finished: bool) -> None:
        with as_output_error(OSError, wandb.Error):
            self._run.summary.update(dict(values))
            self._run.finish(exit_code=0 if finished else 1)
