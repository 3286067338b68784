"""What is to be measured: the candidates of one backend, and how they travel to the process that opens them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgekd.base.child_limits import Limits
from edgekd.base.disk import write_synced
from edgekd.runtime import backend as backends
from edgekd.runtime.backend import Array


@dataclass(frozen=True)
class BenchJob:
    """Candidates of one backend.

    Attributes:
        backend, options: as in a target.
        candidates: the files of each, by name.
        baseline: the candidate that is the others' measure.
        inputs: one batch, float or integer arrays by name.
        batch: what is compiled at once; by default the inputs'.
        isa: CPU features that the files need.
        streams: so many runs at once, for the rate; the latencies are of one.
        profile: also ask the runtime's own profiler what it runs.
        limits: of the child that opens them here; None for files of the user's own. A device's process has none.
        options_of: by candidate, options that it alone is opened with, besides.
    """

    backend: str
    candidates: Mapping[str, Mapping[str, bytes]]
    baseline: str
    inputs: Mapping[str, Array]
    options: Mapping[str, object] = field(default_factory=dict)
    batch: int | None = None
    min_samples: int = 100
    min_seconds: float = 1.0
    where: str = "options"
    isa: tuple[str, ...] = ()
    streams: int = 1
    profile: bool = False
    limits: Limits | None = None
    options_of: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def compiler(self, **options: object) -> backends.Backend:
        """The backend that opens the candidates, with some options of its own.

        A job travels to another process as plain data: here, where it runs, its options are parsed.

        Raises:
            TargetError, UnavailableError: as ``backend.make`` does.
        """
        return backends.make(self.backend, {**self.options, **options}, self.where)


def write_job(job: BenchJob, folder: Path) -> None:
    """Names go into the JSON and never into a path. What the disk does not keep is told so, and not as a bad model."""
    names: dict[str, list[str]] = {}
    for i, (candidate, files) in enumerate(job.candidates.items()):
        names[candidate] = list(files)
        for j, data in enumerate(files.values()):
            write_synced(folder / f"candidate{i}.{j}", data)
    for i, array in enumerate(job.inputs.values()):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        write_synced(folder / f"input{i}.npy", buffer.getvalue())
    table = {
        "backend": job.backend,
        "options": dict(job.options),
        "options_of": {name: dict(options) for name, options in job.options_of.items()},
        "where": job.where,
        "batch": job.batch,
        "baseline": job.baseline,
        "candidates": names,
        "inputs": list(job.inputs),
        "min_samples": job.min_samples,
        "min_seconds": job.min_seconds,
        "isa": list(job.isa),
        "streams": job.streams,
        "profile": job.profile,
    }
    write_synced(folder / "job.json", json.dumps(table).encode())


def read_job(folder: Path) -> BenchJob:
    """What ``write_job`` wrote."""
    table = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    candidates = {
        candidate: {name: (folder / f"candidate{i}.{j}").read_bytes() for j, name in enumerate(files)}
        for i, (candidate, files) in enumerate(table.pop("candidates").items())
    }
    inputs = {name: np.load(folder / f"input{i}.npy", allow_pickle=False) for i, name in enumerate(table.pop("inputs"))}
    return BenchJob(candidates=candidates, inputs=inputs, isa=tuple(table.pop("isa")), **table)
