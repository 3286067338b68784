"""What every peer starts from, a folder a net: our fp32 exports, the torch module, samples, and our own int8 files.

    FOLDER/nets/NET/net.json           metric, inputs, sizes that are free, seconds of our own int8 files
    .../fp32/TARGET.onnx               the fp32 file of each runtime
    .../float.pt2                      the same network as a ``torch.export`` program
    .../transformers/                  the same network as a folder of that library, where it is one of it
    .../calibration.npz validation.npz test.npz    model inputs; the last two with labels and what the metric asks for
    .../ours/TARGET/CANDIDATE/...      int8 (trained) and int8-ptq (calibrated), as a runtime opens them
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _nets
import numpy as np
import torch
from peers import _samples

from edgekd.base.disk import temporary
from edgekd.base.preprocess import Inputs
from edgekd.build import exports, target_runtime
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.plan import ExportStep
from edgekd.build.prepare import Objects, prepare
from edgekd.learn.feed import some
from edgekd.learn.student import Student
from edgekd.learn.teacher import bare
from edgekd.spec import target

TARGETS = ("ort-cpu", "openvino")
NAMES = ("resnet20", "mobilenet", "distilbert", "keywords", "digits", "fm", "unet", "vit")
CALIBRATION = 300  # training samples that every peer sees
QAT = {"kind": "int8_qat", "losses": _nets.LABELS}
UNET = {"kind": "python", "factory": "peers.unet:UNet"}
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


def table(name: str, data: Path) -> dict[str, Any]:
    """The recipe of a net: itself as its own teacher, then calibrated and trained int8."""
    if name in ("distilbert", "fm"):
        recipe = _nets.table(name, data)
        recipe["compress"] = [_nets.PTQ, *(row for row in recipe["compress"] if row["kind"] == "int8_qat")]
    elif name in ("resnet20", "mobilenet"):
        recipe = _nets.table(name, data)
        recipe["compress"][-1] |= {"epochs": 4, "lr": 1e-3}
    elif name == "digits":
        recipe = _nets.table(name, data)
        recipe["student"]["epochs"] = 30
        recipe["compress"] = [_nets.PTQ, {"kind": "int8_qat", "epochs": 8}]
    elif name == "keywords":
        recipe = _of("keyword-spotting", f"data={_clips(data / 'tasks' / 'arabic_keywords.npz')}")
        recipe["teacher"] |= {"model": {"kind": "keyword_cnn", "width": 64, "rate": 8000, "hop": 160}, "epochs": 30}
        recipe["compress"] = [_nets.PTQ, QAT | {"epochs": 6, "lr": 1e-3}]
    else:
        recipe = _of("fashion-mnist", f"data.path={data / 'fashion_mnist.npz'}", "data.limit=14000")
        recipe["data"]["validation"] = 2000
        recipe["teacher"] |= {"model": UNET, "epochs": 5} if name == "unet" else {"model": VIT, "epochs": 12}
        recipe["compress"] = [_nets.PTQ, QAT | {"epochs": 2, "lr": 5e-4 if name == "unet" else 2e-4}]
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
    workspace = prepare(order, Objects())
    trained, _ = running.train_all(workspace)
    net = _nets.Net(name, workspace, trained, running.export_all(workspace, trained))
    place.mkdir(parents=True, exist_ok=True)
    (place / "fp32").mkdir(exist_ok=True)
    student = trained["student"].student
    for chosen in TARGETS:
        (place / "fp32" / f"{chosen}.onnx").write_bytes(net.onnx[chosen]["fp32"])
    _write_torch(student, place)
    write_samples(net, place)
    facts = {
        "name": name,
        "metric": order.recipe.model_dump(mode="json")["metric"],
        "params": student.params,
        "inputs": [spec.name for spec in student.inputs],
        "free": {spec.name: [i for i, size in enumerate(spec.shape) if size is None] for spec in student.inputs},
        "tokens": name in ("distilbert", "vit"),
        "ours": {chosen: _write_ours(net, chosen, place) for chosen in TARGETS},
    }
    with temporary(place / "net.json") as part:
        part.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _write_torch(student: Student, place: Path) -> None:
    """The float network: a ``torch.export`` program, and a folder of transformers where it is that library's."""
    module = student.module.eval()
    program = torch.export.export(module, student.example(), dynamic_shapes=student.dynamic_shapes())
    torch.export.save(program, place / "float.pt2")
    network = bare(module)
    if hasattr(network, "save_pretrained"):
        network.save_pretrained(place / "transformers")


def write_samples(net: _nets.Net, place: Path) -> None:
    """Model inputs of calibration, validation and test, padded to the longest, with the length of each."""
    feed = net.workspace.feed
    index = some(feed.length("train"), CALIBRATION)
    np.savez(place / "calibration.npz", **_padded([feed.plain("train", np.array([i])) for i in index]))
    for split in ("validation", "test"):
        rows = [feed.plain(split, np.array([i])) for i in range(feed.length(split))]
        labels, raw = feed.labels(split), feed.raw(split)
        more = {_samples.LABELS: labels} if labels is not None else {}
        if raw.dtype.kind in "iu" and raw.ndim == 2:  # a ranking leaves out what a user knows already
            more[_samples.RAW] = raw
        np.savez(place / f"{split}.npz", **_padded(rows), **more)


def _padded(rows: list[Inputs]) -> dict[str, np.ndarray]:
    """Inputs of one sample each -> (N, ...) by name, and ``lengths`` where sequences differ."""
    arrays: dict[str, np.ndarray] = {}
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
