"""A build whose latencies come from another machine."""

from __future__ import annotations

import json
from pathlib import Path

import _small
import pytest

from edgekd import cli
from edgekd.base import host
from edgekd.runtime import remote

TINY = ("student.model.width=8", "teacher.model.width=16", "compress=[{kind='int8_ptq'}]", "budget.max_drop=1.0")


def test_the_device_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is another Python on this machine; that it was asked is seen by what it was sent."""
    monkeypatch.chdir(tmp_path)
    Path("devices.toml").write_text('[board]\nkind = "local"\n')
    monkeypatch.setenv("EDGEKD_DEVICES", "")  # what --devices sets is undone
    asked: list[str] = []
    call = remote.Remote._call

    def watched(self: remote.Remote, folder: Path, module: str, wanted: tuple[str, ...]) -> None:
        asked.append(module)
        call(self, folder, module, wanted)

    monkeypatch.setattr(remote.Remote, "_call", watched)
    settings = _small.line_of(TINY)
    line = ["build", "digits", "--devices", "devices.toml", "--quick", "--target", "ort-cpu", *settings, "--out", "out"]
    assert cli.run([*line, "--measure-on", "board"]) == 0
    assert asked.count("edgekd.base.host") == 1 and asked.count("edgekd.runtime.bench") >= 2
    report = json.loads(Path("out/report.json").read_text())
    assert report["host"]["cpu"] == host.cpu()
    for candidate in report["targets"]["ort-cpu"]["candidates"]:
        assert candidate["latency_ms"]["p50"] > 0
    assert cli.run(line) == 2, "another device, another bundle"
    assert cli.run([*line, "--measure-on", "bord"]) == 2
