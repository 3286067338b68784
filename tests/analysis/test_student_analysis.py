"""What did it learn: in the report, beside the bundle and never in it; ``--explain`` trains only what is missing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import edgekd
from edgekd import cli
from edgekd.base import disk
from edgekd.base.errors import GateError
from edgekd.cli import console
from edgekd.document.report import Report

RECIPE: dict[str, Any] = {
    "name": "small",
    "data": {"source": "made", "shape": [6, 6, 1], "classes": 3, "train": 120, "validation": 40, "test": 40},
    "teacher": {"model": {"kind": "convnet", "width": 12}, "epochs": 3},
    "student": {"model": {"kind": "convnet", "width": 8}, "epochs": 3},
    "losses": [{"kind": "kl", "weight": 0.9}, {"kind": "cross_entropy", "weight": 0.1}],
    "budget": {"max_drop": 1.0},
}
REPORTS = {"report.json", "report.html", "samples.json", "README.md", "manifest.json", "manifest.sha256"}


class Watched:
    """Counts the epochs that each step trains; interrupts before a step's first epoch is told."""

    def __init__(self, stop: str = "") -> None:
        self.epochs: Counter[str] = Counter()
        self.cached: set[str] = set()
        self.stop = stop

    def __call__(self, event: dict[str, Any]) -> None:
        if event["step"] == self.stop and event.get("epoch") == 1:
            raise KeyboardInterrupt
        self.epochs[event["step"]] += "validation" in event
        if event.get("cached"):
            self.cached.add(event["step"])

    @property
    def trained(self) -> dict[str, int]:
        return {step: count for step, count in self.epochs.items() if count}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("learned")


def build(place: Path, out: str = "out", **more: Any) -> Report:
    recipe = {**RECIPE, **more.pop("recipe", {})}
    return edgekd.build(recipe, targets=["ort-cpu"], out=place / out, cache=place / "cache", **more)


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def plain(place: Path) -> Report:
    """A build that was not asked to explain."""
    return build(place)


def test_the_report_says_what_was_learned(plain: Report, place: Path) -> None:
    learned = plain["details"]["learned"]
    assert learned and learned["calibration"] and learned["layers"]
    assert learned["student"] == {"target": "ort-cpu", "candidate": "fp32", "step": "student"}
    shipped = plain["targets"]["ort-cpu"]["candidates"][0]
    assert learned["calibration"][0]["student"]["accuracy"] == pytest.approx(shipped["value_test"])
    assert learned["calibration"][0]["teacher"]["accuracy"] == pytest.approx(plain["stages"][0]["value_test"])
    assert learned["layers"]["student"] == ["features.0", "features.1", "features.2", "head"]
    assert len(learned["apart"]) == 12 and all(set(row) == {"sample", "divergence"} for row in learned["apart"])
    assert learned["losses"] is None
    page = (place / "out" / "report.html").read_text()
    assert "Is it as sure as it is right?" in page and "--explain" in page


def test_samples_lie_beside_the_bundle_and_not_in_it(plain: Report, place: Path) -> None:
    page = disk.samples_page(place / "out")
    assert page.name == "out.samples.html" and page.read_text().count("<img") == 12
    assert not any(b"data:image" in data for data in files(place / "out").values())
    assert not any("samples.html" in name for name in files(place / "out"))
    assert [p for p in place.iterdir() if p.name.startswith(".")] == [], "nothing half is left"
    terminal = Console(width=200)
    with terminal.capture() as capture:
        terminal.print(console.build_table(plain, place / "out", cached=False))
    assert str(page) in capture.get()


def test_explain_trains_what_is_missing_and_goes_on_after_a_kill(plain: Report, place: Path) -> None:
    before, page = files(place / "out"), disk.samples_page(place / "out").read_bytes()
    killed = Watched(stop="student without cross_entropy")
    with pytest.raises(KeyboardInterrupt):
        build(place, explain=True, progress=killed)
    assert killed.trained == {"student without kl": 3, "student without cross_entropy": 1}
    assert files(place / "out") == before

    resumed = Watched()
    report = build(place, explain=True, progress=resumed)
    assert resumed.trained == {"student without cross_entropy": 1}, "two of three epochs were done"
    assert resumed.cached == {"teacher", "student", "student without kl"}
    after = files(place / "out")
    assert {name for name in after if after[name] != before[name]} <= REPORTS
    assert disk.samples_page(place / "out").read_bytes() == page
    plans = [json.loads(f["manifest.json"])["additional_metadata"]["edgekd"]["plan"] for f in (before, after)]
    assert plans[0] == plans[1]

    learned = report["details"]["learned"]
    assert learned and learned["losses"]
    losses = learned["losses"]
    student = report["stages"][1]
    assert (losses["validation"], losses["test"]) == (student["value_validation"], student["value_test"])
    for row, name in zip(losses["rows"], ("kl", "cross_entropy"), strict=True):
        assert row["loss"] == name
        assert row["test"] is not None and row["gain"] is not None and row["ci95"] is not None
        assert row["gain"] == pytest.approx(losses["test"] - row["test"])
        assert row["ci95"][0] <= row["gain"] + 1e-9 and row["gain"] - 1e-9 <= row["ci95"][1]
    assert "One seed (0)" in after["report.html"].decode()

    again = Watched()
    assert build(place, explain=True, progress=again) == report
    assert not again.epochs, "it is explained already"


def test_equal_builds_give_equal_pages(plain: Report, place: Path) -> None:
    watched = Watched()
    build(place, "twin", progress=watched)
    assert not watched.trained
    twin, page = disk.samples_page(place / "twin"), disk.samples_page(place / "out")
    assert twin.read_bytes() == page.read_bytes()


def test_a_failed_gate_leaves_nothing_beside_out(plain: Report, place: Path) -> None:
    with pytest.raises(GateError, match=r"exceeds max_size_kb 0\.001") as missed:
        build(place, "failed", recipe={"budget": {"max_size_kb": 0.001}})
    assert missed.value.report is not None
    targets = missed.value.report["targets"]
    assert isinstance(targets, dict)
    assert all(target["shipped"] is None and not target["budget"]["met"] for target in targets.values())
    assert not list(place.glob("failed*"))
    assert list(place.glob("cache/reports/*/samples.html"))


def test_a_dry_run_shows_what_explain_adds(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["build", "digits", "--dry-run", "--json", "--target", "ort-cpu", "--cache", str(place / "cache")]
    assert cli.run([*line, "--out", str(place / "never")]) == 0
    names = {row["name"]: row for row in json.loads(capsys.readouterr().out)["steps"]}
    assert cli.run([*line, "--out", str(place / "never"), "--explain"]) == 0
    more = {row["name"]: row for row in json.loads(capsys.readouterr().out)["steps"]}
    assert set(more) - set(names) == {"student without kl", "student without cross_entropy"}
    assert {name: more[name]["key"] for name in names} == {name: row["key"] for name, row in names.items()}
    assert more["student without kl"]["epochs"] == names["student"]["epochs"]
