"""TensorBoard: event files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekd.loggers._base import Run, Setting, as_output_error, need, new_folder

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as err:
    MISSING: str | None = str(err)
else:
    MISSING = None


@dataclass(frozen=True)
class Tensorboard:
    """Curves, settings and results in TensorBoard: ``tensorboard --logdir FOLDER``.

    Attributes:
        folder: of the runs, each in a folder of its own; a relative path counts from the current folder.
    """

    folder: str

    def __post_init__(self) -> None:
        need(MISSING, "tensorboard")

    def open(self, name: str, settings: Mapping[str, Setting]) -> Run:
        """Begin an event file."""
        return _Run(new_folder(self.folder, name), settings)


class _Run:
    def __init__(self, folder: Path, settings: Mapping[str, Setting]) -> None:
        rows = "\n".join(f"| `{key}` | {value} |" for key, value in settings.items())
        with as_output_error(OSError):
            self._writer = SummaryWriter(str(folder))
            self._writer.add_text("settings", f"| key | value |\n|---|---|\n{rows}")
            self._writer.flush()

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        with as_output_error(OSError):
            for name, value in values.items():
                self._writer.add_scalar(name, value, epoch)
            self._writer.flush()

    def close(self, values: Mapping[str, float], finished: bool) -> None:
        del finished  # TensorBoard knows no state of a run
        self.write(values, 0)
        with as_output_error(OSError):
            self._writer.close()
