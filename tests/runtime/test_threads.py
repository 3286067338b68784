"""Many threads on one loaded bundle, and models that come and go: a second of ``benchmarks/soak.py``."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from unittest.mock import Mock

import _soaked
import numpy as np
import pytest

import edgekd
from edgekd.base.errors import UsageError
from edgekd.runtime.backends.openvino import backend as openvino


@pytest.mark.parametrize("target", ["ort-cpu", "openvino"])
def test_sixteen_threads_are_each_answered_right(target: str, digits: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 17, (100, 8, 8, 1)).astype(np.uint8)
    right = _soaked.answers(edgekd.load(digits / "out", target=target), x)
    np.savez(tmp_path / "asked.npz", x=x, **{f"y{i}": scores for i, scores in enumerate(right)})
    soak = _soaked.Soak(digits / "out", target, tmp_path / "asked.npz", 1.0)
    soak.until = time.monotonic() + 1.0
    threads = [threading.Thread(target=soak.run, args=(i, 0.05, 0.03, 0.1)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert soak.counts["wrong"] == 0 and soak.errors == []
    assert soak.counts["calls"] > 50 and soak.counts["threads"] and soak.counts["opened"]


def test_a_device_is_asked_once_what_it_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO keeps 3 kB of each asking for ever, and a bundle is opened often."""
    core = Mock(available_devices=["CPU"])
    core.get_property.return_value = ("INFERENCE_PRECISION_HINT",)
    monkeypatch.setattr(openvino, "_core", lambda: core)
    openvino._properties.cache_clear()
    for _ in range(3):
        openvino.Openvino().check()
        openvino.Openvino(config={"INFERENCE_PRECISION_HINT": "f32"}).check()
    with pytest.raises(UsageError, match="CPU has no such property"):
        openvino.Openvino(config={"NO_SUCH": 1}).check()
    assert core.get_property.call_count == 1
    openvino._properties.cache_clear()
