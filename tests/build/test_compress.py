"""What fine-tuning keeps of a quantized network: the weights whose exported file answers best, never worse ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build import taken
from edgekd.build.prepare import Objects, prepare
from edgekd.build.trained import Trained
from edgekd.build.workspace import Workspace

STEP = "int8_qat (int8)"


def trained(folder: Path, lr: float) -> tuple[Workspace, dict[str, Trained]]:
    """A small net, fine-tuned for two epochs."""
    net = {"kind": "convnet", "width": 8, "depth": 2}
    recipe = {
        "name": "small",
        "threads": 1,
        "data": {"source": "made", "shape": [8, 8, 1], "classes": 4, "train": 320, "validation": 160, "test": 16},
        "augment": {"views": 1},
        "teacher": {"model": net, "epochs": 1},
        "student": {"model": net, "epochs": 1, "batch_size": 16, "lr": 0.01},
        "losses": [{"kind": "cross_entropy"}],
        "compress": [{"kind": "int8_qat", "epochs": 2, "batch_size": 16, "lr": lr, "optimizer": "sgd"}],
    }
    order = requests.make(recipe, ["ort-cpu"], cache=folder)
    workspace = prepare(order, Objects())
    return workspace, running.train_all(workspace)[0]


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, Trained]]:
    return trained(tmp_path_factory.mktemp("well"), 0.01)


def test_what_validation_judges_is_the_exported_file(well: tuple[Workspace, dict[str, Trained]]) -> None:
    workspace, steps = well
    file = running.export_all(workspace, steps)["ort-cpu"]["int8"]
    feed = workspace.feed
    inputs = feed.inputs("validation", 0, feed.length("validation"))
    answers = onnxruntime.InferenceSession(file).run(None, inputs)[0]
    value = workspace.evaluator_of(STEP)(np.asarray(answers), feed.labels("validation"), None, feed.raw("validation"))
    judged = [epoch["validation"] for epoch in steps[STEP].history]
    assert value == pytest.approx(max(judged), abs=1e-9)


def test_a_training_that_ruins_the_network_keeps_what_it_began_with(
    well: tuple[Workspace, dict[str, Trained]], tmp_path: Path
) -> None:
    workspace, steps = trained(tmp_path, 3.0)
    ruined = [epoch["validation"] for epoch in steps[STEP].history]
    value_of = workspace.evaluator_of(STEP)
    feed = workspace.feed
    file = running.export_all(workspace, steps)["ort-cpu"]["int8"]
    inputs = feed.inputs("validation", 0, feed.length("validation"))
    answers = np.asarray(onnxruntime.InferenceSession(file).run(None, inputs)[0])
    value = value_of(answers, feed.labels("validation"), None, feed.raw("validation"))
    assert max(ruined) < 0.6 < value
    assert value >= max(epoch["validation"] for epoch in well[1]["student"].history) - 0.05
    (note,) = taken.notes(steps[STEP].student.lineage[-1])
    assert note.startswith("int8_qat is as it was calibrated") and note in workspace.found
    assert not taken.notes(well[1][STEP].student.lineage[-1])
