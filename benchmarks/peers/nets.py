"""What every peer starts from, a folder a net: our fp32 exports, the torch module, samples, and our own int8 files.

FOLDER/nets/NET/net.json           model, inputs, sizes that are free, seconds of our own int8 files
.../fp32/TARGET.onnx               the fp32 file of each runtime
.../weights.safetensors            the same network's, for the ``model`` that net.json names
.../transformers/                  instead of both: the same network as a folder of that library
.../calibration.npz validation.npz test.npz    model inputs; the last two with labels
.../ours/TARGET/CANDIDATE/...      int8 (trained) and int8-ptq (calibrated), as a runtime opens them
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _nets
import numpy as np
from safetensors.torch import save_file

from edgekd.base.preprocess import Inputs
from edgekd.build import exports, target_runtime
from edgekd.build import request as requests
from edgekd.build.plan import ExportStep
from edgekd.learn.feed import some
from edgekd.learn.teacher import bare
from edgekd.spec import target
from peers import _samples

TARGETS = ("ort-cpu", "openvino")
NAMES = ("resnet20", "mobilenet", "distilbert", "keywords", "digits", "efficient", "unet", "vit")
CALIBRATION = 300  # training samples that every peer sees
QAT = {"kind": "int8_qat", "losses": _nets.LABELS}
VIT = {
    "kind": "transformers",
    "name": "ViTForImageClassification",
    "config": {
        "image_size": 28,
        "patch_size": 4,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    },
}
# Nets on Fashion-MNIST: the model with its training.
FASHION: dict[str, dict[str, Any]] = {
    "unet": {"model": {"kind": "python", "factory": "peers.unet:UNet"}, "epochs": 4, "lr": 2e-3},
    "efficient": {"model": {"kind": "python", "factory": "peers.efficient:EfficientNet"}, "epochs": 6, "lr": 3e-3},
    "vit": {"model": VIT, "epochs": 10, "lr": 1e-3},
}


def table(name: str, data: Path) -> dict[str, Any]:
    """The recipe of a net: itself as its own teacher, then calibrated and trained int8."""
    if name == "distilbert":
        recipe = _nets.table(name, data)
        recipe["teacher"]["epochs"], recipe["student"]["epochs"] = 5, 4
        recipe["compress"] = [
            _nets.PTQ,
            *(row | {"epochs": 1} for row in recipe["compress"] if row["kind"] == "int8_qat"),
        ]
    elif name in ("resnet20", "mobilenet"):
        recipe = _nets.table(name, data)
        recipe["data"]["limit"] = 10_000  # of the images that it was trained on before
        recipe["compress"][-1] |= {"epochs": 1, "lr": 5e-4}
    elif name == "digits":
        recipe = _nets.table(name, data)
        recipe["student"]["epochs"] = 30
        recipe["compress"] = [_nets.PTQ, {"kind": "int8_qat", "epochs": 8}]
    elif name == "keywords":
        recipe = _of("keyword-spotting", f"data={_clips(data / 'tasks' / 'arabic_keywords.npz')}")
        recipe["teacher"] |= {"model": {"kind": "keyword_cnn", "width": 64, "rate": 8000, "hop": 160}, "epochs": 30}
        recipe["compress"] = [_nets.PTQ, QAT | {"epochs": 6, "lr": 1e-3}]
    else:
        recipe = _of("fashion-mnist", f"data.path={data / 'fashion_mnist.npz'}", "data.limit=12000")
        recipe["data"]["validation"] = 2000
        recipe["teacher"] |= FASHION[name]
        recipe["compress"] = [_nets.PTQ, QAT | {"epochs": 1, "lr": 3e-4}]
    return recipe


def _of(recipe: str, *settings: str) -> dict[str, Any]:
    """A recipe whose student is its teacher."""
    found = _nets._dump(recipe, list(settings))
    return found | {"student": _nets._itself()}


def _clips(file: Path) -> str:
    arrays = "samples='audio',labels='label',rates='sample_rate',split='split'"
    return f"{{source='audio',path='{file}',rate=8000,length=8000,{arrays}}}"


def prepare_net(name: str, data: Path, folder: Path) -> None:
    """Train what is missing of one net and write its folder; one that is there already is left alone."""
    place = folder / "nets" / name
    if (place / "net.json").is_file():
        return
    order = requests.make(table(name, data), TARGETS, progress=_nets.told)
    net = _nets.built(name, order)
    place.mkdir(parents=True, exist_ok=True)
    (place / "fp32").mkdir(exist_ok=True)
    student, workspace = net.trained["student"].student, net.workspace
    for chosen in TARGETS:
        (place / "fp32" / f"{chosen}.onnx").write_bytes(net.onnx[chosen]["fp32"])
    network: Any = bare(student.module)
    if hasattr(network, "save_pretrained"):
        network.save_pretrained(place / "transformers")
    else:
        state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
        save_file(state, place / "weights.safetensors")
    write_samples(net, place)
    facts = {
        "name": name,
        "params": student.params,
        "model": order.recipe.student.model or order.recipe.teacher.model,
        "shape": list(workspace.feed.sample_shape),
        "classes": len(workspace.classes),
        "inputs": [spec.name for spec in student.inputs],
        "free": {spec.name: [i for i, size in enumerate(spec.shape) if size is None] for spec in student.inputs},
        "tokens": name in ("distilbert", "vit"),
        "ours": {chosen: _write_ours(net, chosen, place) for chosen in TARGETS},
    }
    _samples.keep(place / "net.json", facts)


def write_samples(net: _nets.Net, place: Path) -> None:
    """Model inputs of calibration, validation and test, padded to the longest, with the length of each."""
    feed = net.workspace.feed
    index = some(feed.length("train"), CALIBRATION)
    np.savez(place / "calibration.npz", **_padded([feed.plain("train", np.array([i])) for i in index]))
    for split in ("validation", "test"):
        rows = [feed.plain(split, np.array([i])) for i in range(feed.length(split))]
        np.savez(place / f"{split}.npz", **_padded(rows) | {_samples.LABELS: np.asarray(feed.labels(split))})


def _padded(rows: list[Inputs]) -> dict[str, Any]:
    """Inputs of one sample each -> (N, ...) by name, and ``lengths`` where sequences differ."""
    arrays: dict[str, Any] = {}
    for name, first in rows[0].items():
        lengths = np.array([row[name].shape[1] if first.ndim > 1 else 0 for row in rows])
        if (lengths == lengths[0]).all():
            arrays[name] = np.concatenate([row[name] for row in rows])
            continue
        arrays[name] = np.zeros((len(rows), lengths.max(), *first.shape[2:]), first.dtype)
        for i, row in enumerate(rows):
            arrays[name][i, : lengths[i]] = row[name][0]
        arrays[_samples.LENGTHS] = lengths
    return arrays


def _write_ours(net: _nets.Net, name: str, place: Path) -> dict[str, float]:
    """Our int8 files of one target, and how many seconds each took: calibrated or trained, exported, lowered."""
    plan, backend = net.workspace.plan, target_runtime.parse(target.load(name)).backend
    seconds: dict[str, float] = {}
    metadata = exports.metadata(net.workspace)
    for candidate in plan.candidates[name]:
        if not candidate.name.startswith("int8"):
            continue
        trained, step = net.trained[candidate.step], plan.get(candidate.export, ExportStep)
        started = time.monotonic()
        onnx = exports.lowered(net.workspace, step, trained.student, metadata)
        files: Mapping[str, bytes] = backend.lower(onnx)
        seconds[candidate.name] = round(trained.seconds + time.monotonic() - started, 2)
        for file, content in files.items():
            path = place / "ours" / name / candidate.name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return seconds
