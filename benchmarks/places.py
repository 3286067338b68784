"""The recipes ``street-segments`` and ``face-points`` on real pictures, made small: one seed.

    python benchmarks/places.py --data FOLDER --work FOLDER [--only NAME] [--by N] [--epochs N] [--seed N]

FOLDER of ``--data`` holds ``camvid_seg.npz`` (pictures of 192 x 144 and masks of 11 classes) and ``face_points.npz``
(pictures of 96 x 96, 68 points). Both are made ``--by`` (2) times smaller first, into ``--work``: pictures by the mean
of each square of pixels, masks by the pixel in its middle, points to the same places. The student is trained with the
teacher and without; every file is judged on the test split, by both runtimes.
"""

from __future__ import annotations

import argparse
import io
import itertools
from pathlib import Path
from typing import Any

import _common
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import edgekd

EYES = {"left": [36, 37, 38, 39, 40, 41], "right": [42, 43, 44, 45, 46, 47]}
SOURCES = {"street-segments": "camvid_seg.npz", "face-points": "face_points.npz"}
# Losses that need no teacher, and the keys of a student that is told labels alone.
ALONE = {
    "street-segments": 'losses=[{kind="cross_entropy"},{kind="dice"}]',
    "face-points": 'losses=[{kind="huber"}]',
}


def pictures(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(N, H, W, 3) or (N, H, W) of files one after another."""
    files = (data[start:stop].tobytes() for start, stop in itertools.pairwise(offsets))
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])


def smaller(name: str, by: int, data: Path, work: Path) -> Path:
    """The data of a recipe ``by`` times smaller, as arrays."""
    source, file = np.load(data / SOURCES[name]), work / f"by{by}_{SOURCES[name]}"
    if file.is_file():
        return file
    arrays: dict[str, Any] = {key: source[key] for key in source.files if key == "class_names"}
    for split in ("train", "val", "test"):
        x = pictures(source[f"{split}_bytes"], source[f"{split}_offsets"])
        squares = x.reshape(len(x), x.shape[1] // by, by, x.shape[2] // by, by, 3)
        arrays[f"{split}_x"] = np.rint(squares.mean(axis=(2, 4))).astype(np.uint8)
        if name == "face-points":
            arrays[f"{split}_y"] = (source[f"{split}_points"] + 0.5) / by - 0.5
        else:
            masks = pictures(source[f"{split}_mask_bytes"], source[f"{split}_mask_offsets"])
            arrays[f"{split}_y"] = masks[:, by // 2 :: by, by // 2 :: by]
    np.savez(file, **arrays)
    return file


def built(name: str, file: Path, work: Path, given: argparse.Namespace, alone: bool) -> dict[str, Any]:
    """A build's values on the test split: of the teacher, of the student, and of each file on each runtime."""
    settings = [f"data.path={file}", "data.offsets=", f"seed={given.seed}", "budget.max_drop=10"]
    for key, split in (("train", "train"), ("validation", "val"), ("test", "test")):
        settings += [f"data.x_{key}={split}_x", f"data.y_{key}={split}_y"]
    settings += [f"{part}.epochs={given.epochs}" for part in ("teacher", "student")]
    if name == "face-points":
        eyes = ",".join(f"{side}={points}" for side, points in EYES.items())
        settings.append(f'metric={{kind="normalised_mean_error",{eyes}}}')
    if alone:
        settings += [ALONE[name], "compress=[]"]
    out = work / f"{name}_by{given.by}_{'alone' if alone else 'distilled'}_{given.seed}"
    report = edgekd.build(name, settings=settings, out=out, cache=work / "cache", overwrite=True)
    found: dict[str, Any] = {
        stage["name"]: stage["value_test"] for stage in report["stages"] if stage["value_test"] is not None
    }
    for target, part in report["targets"].items():
        for candidate in part["candidates"]:
            row = {"test": candidate["value_test"], "bytes": candidate["size_bytes"]}
            found[f"{candidate['name']} on {target}"] = row
        found[f"ships on {target}"] = part["shipped"]
    return found


def main() -> None:
    """Train what is missing, judge it and write the result after each recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", choices=sorted(SOURCES))
    parser.add_argument("--by", type=int, choices=(1, 2, 4), default=2)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    rows = _common.written("places").get("rows", {})
    for name in [given.only] if given.only else SOURCES:
        file = smaller(name, given.by, given.data, given.work)
        distilled, alone = (built(name, file, given.work, given, alone) for alone in (False, True))
        rows[f"{name}, seed {given.seed}"] = {
            "by": given.by,
            "epochs": given.epochs,
            "distilled": distilled,
            "alone": alone,
        }
        _common.write("places", {"rows": rows})


if __name__ == "__main__":
    main()
