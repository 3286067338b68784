"""Loggers are told every epoch and the results; one that fails costs its own curves and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import edgekd
from edgekd.base.errors import OutputError
from edgekd.build.training_log import TrainingLog, of_epoch, settings_of
from edgekd.spec import recipe

EPOCH: dict[str, object] = {
    "step": "int8_qat (int8)",
    "epoch": 1,
    "epochs": 3,
    "loss": 0.5,
    "losses": {"kl": 0.4, "cross_entropy": 0.1},
    "lr": 1e-3,
    "validation": 0.75,
    "seconds": 2.0,
    "samples_per_s": 100.0,
}

DIGITS: dict[str, Any] = {
    "name": "logged",
    "data": {"source": "digits"},
    "teacher": {"model": {"kind": "convnet", "width": 8}, "epochs": 1},
    "student": {"model": {"kind": "mlp", "widths": [8, 8]}, "epochs": 1},
    "losses": [{"kind": "kl"}],
    "log": {"kind": "no_such_kind"},
}


class Kept:
    """Keeps what it is told; fails from an epoch on."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at, self.rows, self.closed = fails_at, list[tuple[int, dict[str, float]]](), list[bool]()

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        if epoch == self.fails_at:
            raise OutputError("can't be written (no space left)", where="log")
        self.rows.append((epoch, dict(values)))

    def close(self, values: Mapping[str, float], finished: bool) -> None:
        del values
        self.closed.append(finished)


def test_an_epoch_is_told_by_its_step() -> None:
    assert of_epoch(EPOCH) == {
        "int8_qat int8/loss": 0.5,
        "int8_qat int8/losses/kl": 0.4,
        "int8_qat int8/losses/cross_entropy": 0.1,
        "int8_qat int8/lr": 1e-3,
        "int8_qat int8/validation": 0.75,
        "int8_qat int8/seconds": 2.0,
        "int8_qat int8/samples_per_s": 100.0,
    }


@pytest.mark.parametrize("event", [{"step": "note", "note": "x"}, {"step": "student", "epoch": 0, "batch": 20}])
def test_other_events_are_no_epochs(event: dict[str, object]) -> None:
    assert of_epoch(event) == {}


def test_a_logger_that_fails_is_left_out_with_a_note() -> None:
    events: list[dict[str, object]] = []
    whole, full = Kept(), Kept(fails_at=1)
    log = TrainingLog(events.append, {"log[0]": whole, "log[1]": full})
    for epoch in range(3):
        log({**EPOCH, "epoch": epoch})
    log.close()
    assert [epoch for epoch, _ in whole.rows] == [0, 1, 2] and whole.closed == [False]
    assert [epoch for epoch, _ in full.rows] == [0] and full.closed == []
    (note,) = [str(event["note"]) for event in events if event["step"] == "note"]
    assert "no space left" in note and "nothing more is logged there" in note
    assert len(events) == 4, "whoever else watches is told all"


def test_settings_are_flat() -> None:
    settings = settings_of(recipe.parse(DIGITS, "r"))
    assert settings["data.source"] == "digits" and settings["student.epochs"] == 1
    assert settings["losses.0.kind"] == "kl" and settings["student.model.widths"] == "[8,8]"
    assert not any(key.startswith("log") for key in settings)


def test_a_wrong_table_is_told_before_anything_trains(tmp_path: Path) -> None:
    with pytest.raises(edgekd.EdgekdError, match=r"log\.kind: unknown kind of loggers"):
        edgekd.build(DIGITS, targets=["ort-cpu"], out=tmp_path / "out", cache=tmp_path / "cache")
    assert not (tmp_path / "out").exists()
