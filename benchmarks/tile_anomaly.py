"""Defects of magnetic tiles, learned from tiles without one and from defects made on them: writes
``results/tile_anomaly.json``, and beside it what principal components of squares find, ``results/tile_patch_pca.json``.

python benchmarks/tile_anomaly.py TILE_DEFECTS.npz [EPOCHS | pca]

With ``pca`` the components alone, which take minutes. The archive holds ``train_bytes``, ``train_offsets`` and
``train_label`` (0: free of defects), and the same of val and test; and, for the figures by pixel, ``val_mask_bytes``,
``val_mask_offsets`` and those of test.

Nothing is learned of real defects: half of the training pictures have lines and blobs drawn on them. Each picture
is seen as its difference from its surroundings by their deviation, since light differs more than defects do. One seed:
teacher, student alone, distilled student and what ships of it. Nothing here is timed.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import _common
import numpy as np
from _patch_pca import By, PatchPca
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import edgekd
from edgekd.metrics.auc import Auc

Pictures = NDArray[np.uint8]
RECIPE = """
name = "tiles"
task = { kind = "anomaly", false_alarms = 0.05 }
metric = "auc"
[data]
source = "npz"
path = "tiles.npz"
x_validation = "x_val"
y_validation = "y_val"
[augment]
flip = true
views = 4
[teacher]
model = { kind = "convnet", width = 24, depth = 4, strides = [2, 2, 2, 1] }
epochs = EPOCHS
lr = 3e-3
batch_size = 32
[student]
model = { kind = "convnet", width = 8, depth = 4, strides = [2, 2, 2, 1] }
epochs = EPOCHS
lr = 5e-3
batch_size = 32
LOSSES
[[compress]]
kind = "int8_qat"
epochs = 2
[budget]
max_drop = 1.0
"""
LABELS = '[[losses]]\nkind = "deep_sad"\nweight = WEIGHT\n'
DISTILLED = LABELS.replace("WEIGHT", "0.2") + '[[losses]]\nkind = "squared_error"\n'


def pictures(archive: Any, split: str) -> Pictures:
    """(N, H, W) of encoded ones."""
    data, offsets = archive[f"{split}_bytes"], archive[f"{split}_offsets"]
    parts = [data[offsets[i] : offsets[i + 1]].tobytes() for i in range(len(offsets) - 1)]
    return np.stack([np.asarray(Image.open(io.BytesIO(part)).convert("L")) for part in parts])


def spoiled(picture: Pictures, rng: np.random.Generator) -> Pictures:
    """A picture with one to three defects: crooked lines, and blobs of few pixels."""
    height, width = picture.shape
    mask = np.zeros(picture.shape)
    for _ in range(rng.integers(1, 4)):
        y, x = rng.uniform(8, height - 8), rng.uniform(8, width - 8)
        turn, length = rng.uniform(0, 2 * np.pi), int(rng.choice([1, int(rng.integers(8, 60))]))
        for _ in range(length):
            mask[int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))] = 1
            y, x, turn = y + np.sin(turn), x + np.cos(turn), turn + rng.normal(0, 0.25)
    mask = ndimage.gaussian_filter(mask, rng.uniform(0.7, 3.0))
    mask = mask / mask.max() * rng.choice([-1, -1, -1, 1]) * rng.uniform(0.25, 0.9)
    return np.clip(picture * (1 + mask), 0, 255).astype(np.uint8)


def seen(raw: Pictures) -> Pictures:
    """(N, H, W, 1) each pixel less the mean around it, by the deviation there: 128 is none, 32 a whole one."""
    values = raw.astype(np.float32)
    less = values - ndimage.gaussian_filter(values, (0, 6, 6))
    deviation = np.sqrt(ndimage.gaussian_filter(np.square(less), (0, 12, 12))) + 2
    return np.clip(128 + 32 * less / deviation, 0, 255).astype(np.uint8)[..., None]


def prepare(path: Path, folder: Path) -> dict[str, NDArray[np.int64]]:
    """``tiles.npz`` of an archive; the labels of each split as they came."""
    archive, rng = np.load(path, allow_pickle=False), np.random.default_rng(0)
    raw = {split: pictures(archive, split) for split in ("train", "val", "test")}
    kinds = {split: archive[f"{split}_label"].astype(np.int64) for split in raw}
    labels = {split: (of > 0).astype(np.int64) for split, of in kinds.items()}
    made = np.stack([spoiled(one, rng) for one in raw["train"]])
    raw["train"] = np.concatenate([raw["train"], made])
    labels["train"] = np.repeat([0, 1], len(made))
    arrays: dict[str, Any] = {f"x_{split}": seen(of) for split, of in raw.items()}
    np.savez(folder / "tiles.npz", **arrays | {f"y_{split}": of for split, of in labels.items()})
    return kinds


def build(folder: Path, name: str, losses: str, epochs: str) -> Any:
    """The report of one build for both runtimes; the teacher is trained once."""
    recipe = RECIPE.replace("EPOCHS", epochs).replace("LOSSES", losses)
    (folder / f"{name}.toml").write_text(recipe)
    targets = ["ort-cpu", "openvino"]
    return edgekd.build(folder / f"{name}.toml", targets=targets, out=folder / name, cache=folder / "cache")


def row(folder: Path, name: str, report: Any, kinds: NDArray[np.int64]) -> dict[str, Any]:
    """Values of all files of a student, and what the shipped ones call an anomaly on test."""
    archive = np.load(folder / "tiles.npz")
    targets = {}
    for target, told in report["targets"].items():
        said = edgekd.load(folder / name, target=target).predict(archive["x_test"])
        flagged = np.array([one.is_anomaly for one in said])
        targets[target] = {
            "shipped": told["shipped"],
            "test": {one["name"]: one["value_test"] for one in told["candidates"]},
            "validation": {one["name"]: one["value_validation"] for one in told["candidates"]},
            "false_alarms_test": float(flagged[kinds == 0].mean()),
            "found_test": {str(kind): float(flagged[kinds == kind].mean()) for kind in range(1, int(kinds.max()) + 1)},
        }
    stages = {one["name"]: one["value_test"] for one in report["stages"]}
    return {"stages_test": stages, "thresholds": report["thresholds"], "targets": targets}


TRIED: list[tuple[By, int]] = [(by, kept) for by in ("left", "distance") for kept in (4, 16, 40, 80, 120)]  # of 144
AREA = 0.01  # of a picture, whose largest errors are its score


def auc(scores: NDArray[np.float32], hits: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, of scores and hits of one shape."""
    return Auc()(scores.reshape(-1, 1), hits.reshape(-1, 1).astype(np.int64), scores)


def areas(errors: NDArray[np.float32], kinds: NDArray[np.int64], masks: Pictures) -> dict[str, Any]:
    """Of (N, H, W) errors, by picture and by pixel: the score of a picture is the mean of its largest errors."""
    count = round(AREA * errors[0].size)
    scores = np.partition(errors.reshape(len(errors), -1), -count, axis=1)[:, -count:].mean(axis=1)
    of_kinds = {str(kind): np.isin(kinds, (0, kind)) for kind in range(1, int(kinds.max()) + 1)}
    by_kind = {kind: auc(scores[of], kinds[of] > 0) for kind, of in of_kinds.items()}
    return {"by_sample": auc(scores, kinds > 0), "by_pixel": auc(errors, masks > 0), "by_kind": by_kind}


def principal_components(path: Path) -> dict[str, Any]:
    """What principal components of normal squares find; how many are kept, and by what they tell, is chosen on
    validation, by picture."""
    archive = np.load(path, allow_pickle=False)
    shown = {split: seen(pictures(archive, split))[..., 0].astype(np.float32) for split in ("train", "val", "test")}
    kinds = {split: archive[f"{split}_label"].astype(np.int64) for split in ("val", "test")}
    masks = {split: pictures(archive, f"{split}_mask") for split in ("val", "test")}
    pca = PatchPca.of(shown["train"])
    tried = {(by, kept): areas(pca.errors(shown["val"], kept, by), kinds["val"], masks["val"]) for by, kept in TRIED}
    best = max(tried, key=lambda way: float(tried[way]["by_sample"]))
    test = areas(pca.errors(shown["test"], best[1], best[0]), kinds["test"], masks["test"])
    rows = [{"by": by, "kept": kept, **of} for (by, kept), of in tried.items()]
    return {"metric": "auc", "seed": 0, "by": best[0], "kept": best[1], "validation": rows, "test": test}


def main() -> None:
    """Principal components, and both students."""
    path, epochs = Path(sys.argv[1]), (sys.argv[2:] or ["8"])[0]
    _common.write("tile_patch_pca", principal_components(path))
    if epochs == "pca":
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        kinds = prepare(path, folder)["test"]
        students = {}
        for name, losses in (("distilled", DISTILLED), ("alone", LABELS.replace("WEIGHT", "1.0"))):
            students[name] = row(folder, name, build(folder, name, losses, epochs), kinds)
    _common.write("tile_anomaly", {"metric": "auc", "epochs": int(epochs), "seed": 0, "students": students})


if __name__ == "__main__":
    main()
