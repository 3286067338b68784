"""MLflow: a store of runs in a folder, without a server."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekd.loggers._base import Run, Setting, as_output_error, folder_of, need

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before the import: else it calls home
try:
    from mlflow.entities import Metric, Param
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
except ImportError as err:
    MISSING: str | None = str(err)
else:
    MISSING = None

AT_ONCE = 100  # settings that its store takes in one call
LONGEST = 500  # characters of a setting, likewise


@dataclass(frozen=True)
class Mlflow:
    """Curves, settings and results in MLflow: ``mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db``.

    Attributes:
        folder: of the store, ``mlflow.db``; a relative path counts from the current folder.
        experiment: whose run it is; absent: the recipe's name.
    """

    folder: str
    experiment: str = ""

    def __post_init__(self) -> None:
        need(MISSING, "mlflow")

    def open(self, name: str, settings: Mapping[str, Setting]) -> Run:
        """Begin a run in the store."""
        folder = folder_of(self.folder)
        return _Run(folder, self.experiment or name, name, settings)


class _Run:
    def __init__(self, folder: Path, experiment: str, name: str, settings: Mapping[str, Setting]) -> None:
        with as_output_error(OSError, MlflowException):
            self._client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
            known = self._client.get_experiment_by_name(experiment)
            place = (folder / "artifacts").as_uri()
            identifier = known.experiment_id if known else self._client.create_experiment(experiment, place)
            self._id = self._client.create_run(identifier, run_name=name).info.run_id
            params = [Param(key, str(value)[:LONGEST]) for key, value in settings.items()]
            for start in range(0, len(params), AT_ONCE):
                self._client.log_batch(self._id, params=params[start : start + AT_ONCE])

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        now = int(time.time() * 1000)
        with as_output_error(OSError, MlflowException):
            metrics = [Metric(name, value, now, epoch) for name, value in values.items()]
            self._client.log_batch(self._id, metrics=metrics)

    def close(self, values: Mapping[str, float], finished: bool) -> None:
        self.write(values, 0)
        with as_output_error(OSError, MlflowException):
            self._client.set_terminated(self._id, "FINISHED" if finished else "FAILED")
