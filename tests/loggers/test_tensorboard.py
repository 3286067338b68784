"""What TensorBoard's own reader finds in what was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.base import plugins

pytest.importorskip("tensorboard")


@pytest.mark.filterwarnings("ignore")  # of its own imports
def test_its_reader_finds_curves_and_settings(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = plugins.build("loggers", {"kind": "tensorboard", "folder": str(tmp_path)}, "log").open("net", {"seed": 7})
    for epoch, loss in enumerate((0.5, 0.25)):
        run.write({"student/loss": loss}, epoch)
    run.close({"results/ort-cpu/int8/p50_ms": 0.125}, True)
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("net-")
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("student/loss")] == [(0, 0.5), (1, 0.25)]
    assert [event.value for event in events.Scalars("results/ort-cpu/int8/p50_ms")] == [0.125]
    assert b"| `seed` | 7 |" in events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0]
