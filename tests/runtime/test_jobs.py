"""A job of measuring travels to another process as a folder, whatever its candidates and inputs are called."""

from __future__ import annotations

import errno
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from edgekd.base.errors import TargetError
from edgekd.runtime import jobs
from edgekd.runtime.jobs import BenchJob, read_job, write_job

JOB = BenchJob(
    backend="ort",
    candidates={"fp32": {"model.onnx": b"graph"}, "../int8": {"a.xml": b"<net/>", "/b.bin": b""}},
    baseline="fp32",
    inputs={"x": np.arange(6, dtype=np.float32).reshape(2, 3), "../ids": np.array([[1], [2]], np.int64)},
    options={"threads": 2},
    batch=4,
    min_samples=7,
    min_seconds=0.25,
    where="t.toml: options",
    isa=("avx2", "fma"),
    streams=3,
    profile=True,
)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    write_job(JOB, tmp_path)
    read = read_job(tmp_path)
    for field in fields(BenchJob):
        if field.name != "inputs":
            assert getattr(read, field.name) == getattr(JOB, field.name), field.name
    assert list(read.candidates) == list(JOB.candidates), "they run in this order"
    assert list(read.inputs) == list(JOB.inputs)
    for name, array in JOB.inputs.items():
        assert read.inputs[name].dtype == array.dtype and np.array_equal(read.inputs[name], array)


def test_a_name_is_never_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    write_job(JOB, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["job"]
    files = ["candidate0.0", "candidate1.0", "candidate1.1", "input0.npy", "input1.npy", "job.json"]
    assert sorted(path.name for path in folder.iterdir()) == files
    assert json.loads((folder / "job.json").read_text())["candidates"]["../int8"] == ["a.xml", "/b.bin"]


def test_python_objects_are_no_inputs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle=False"):
        write_job(BenchJob("ort", {}, "fp32", {"x": np.array(["text"], dtype=object)}), tmp_path)


def test_what_the_disk_does_not_take_is_the_disks_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space left", str(path))

    monkeypatch.setattr(jobs, "write_synced", full)
    with pytest.raises(OSError, match="no space left"):
        write_job(JOB, tmp_path)


def test_options_are_parsed_where_the_job_runs() -> None:
    assert JOB.compiler().version().startswith("onnxruntime")
    with pytest.raises(TargetError, match=r"t\.toml: options.*found 'thraeds'; .*did you mean 'threads'"):
        JOB.compiler(thraeds=1)
