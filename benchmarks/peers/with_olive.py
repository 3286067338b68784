"""Olive: a search over ONNX Runtime's static quantizer's settings, as its examples for convolutional nets have it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from olive.data.registry import Registry
from olive.workflows import run

from peers._samples import Feed, Folder

NAME = "net_samples"
DECIDE = {"type": "decide"}
SAMPLES = 5  # of the settings that it tries


class Rows:
    """One sample a row, without the batch, and its class."""

    def __init__(self, feeds: list[Feed], labels: np.ndarray) -> None:
        self._feeds, self._labels = feeds, labels

    def __len__(self) -> int:
        return len(self._feeds)

    def __getitem__(self, index: int) -> tuple[Feed, int]:
        return {name: array[0] for name, array in self._feeds[index].items()}, int(self._labels[index])


def rows(place: str, split: str, **_: Any) -> Rows:
    """The samples of a split; those of calibration have no labels."""
    net = Folder(Path(place))
    feeds = net.feeds(split)
    return Rows(feeds, np.zeros(len(feeds)) if split == "calibration" else net.labels(split))


def decide(output: Any, **_: Any) -> Any:
    """Scores -> classes."""
    return output.argmax(-1)


def samples(net: Folder, split: str) -> dict[str, Any]:
    """A split as Olive reads it."""
    data = {"type": NAME, "params": {"place": str(net.place), "split": split}}
    return {"name": split, "type": "DataContainer", "load_dataset_config": data, "post_process_data_config": DECIDE}


def workflow(net: Folder, fp32: Path, folder: Path) -> dict[str, Any]:
    """What Olive is asked for."""
    accuracy = {"name": "accuracy_score", "priority": 1, "goal": {"type": "max-degradation", "value": 0.01}}
    accuracy["metric_config"] = {"task": "multiclass", "num_classes": net.facts["classes"]}
    latency: dict[str, Any] = {"name": "avg", "priority": 2}
    latency["metric_config"] = {"warmup_num": 20, "repeat_test_num": 100}
    validation = samples(net, "validation")
    metrics = [
        {"name": "accuracy", "type": "accuracy", "sub_types": [accuracy], "data_config": validation},
        {"name": "latency", "type": "latency", "sub_types": [latency], "data_config": validation},
    ]
    sampler = {"max_samples": SAMPLES, "seed": 0}
    strategy = {"execution_order": "joint", "max_iter": SAMPLES, "sampler": "tpe", "sampler_config": sampler}
    cpu = {"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}
    return {
        "input_model": {"type": "ONNXModel", "model_path": str(fp32)},
        "systems": {"here": {"type": "LocalSystem", "accelerators": [cpu]}},
        "host": "here",
        "target": "here",
        "evaluators": {"both": {"type": "OnnxEvaluator", "metrics": metrics}},
        "passes": {"quantization": {"type": "OnnxStaticQuantization", "data_config": samples(net, "calibration")}},
        "evaluator": "both",
        "search_strategy": strategy,
        "cache_dir": str(folder / "cache"),
        "output_dir": str(folder / "out"),
    }


def search(net: Folder) -> dict[str, bytes]:
    """The first of its ranking: no more than a point of the metric lost, then the fastest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fp32.onnx").write_bytes(net.fp32("ort-cpu"))
        output = run(workflow(net, folder / "fp32.onnx", folder))
        best = output.get_best_candidate()
        if best is None:
            raise RuntimeError(f"none of the {SAMPLES} settings that it tried lost no more than a point")
        path = Path(best.model_path)
        return {"model.onnx": (path / "model.onnx" if path.is_dir() else path).read_bytes()}


Registry.register_dataset(NAME)(rows)
Registry.register_post_process()(decide)
PEERS = {"olive": search}
