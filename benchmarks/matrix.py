"""Does distillation help, and what does the int8 file keep of it? Teacher, student alone, distilled, int8; by seeds.

    python benchmarks/matrix.py --data FOLDER [--recipe NAME ...] [--seeds 0 1 2] [--files]

The teacher is trained once a recipe (seed 0; of several the next from 1 on). Both students have the same schedule, the
same views and the same labels; "alone" learns from the labels only, and where the student is made of its teacher, it
begins untrained. Every build is verified; with ``--files`` nothing is built: files are exported and asked, and what
ships is not told. Every finished cell stands in ``results/matrix/``; run the command again
after an interruption, and it goes on where it stopped. At the end the paired gains are printed, with their 95 %
intervals by bootstrap over (seed, test sample), and written to ``results/matrix.json``.
"""

from __future__ import annotations

import argparse
import base64
import json
import tempfile
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _common
import _nets
import numpy as np
from scipy import stats

import edgekd
from edgekd import pipeline
from edgekd.base.errors import EdgekdError
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build import target_runtime
from edgekd.build.prepare import Objects, prepare
from edgekd.build.trained import Trained
from edgekd.build.workspace import Workspace
from edgekd.learn import answers, predictions
from edgekd.metrics._base import PerSample
from edgekd.metrics._make import metric_name
from edgekd.spec import recipe as recipes
from edgekd.spec.target import Target

FOLDER = Path(__file__).parent / "results" / "matrix"
RECIPES = {
    "cifar10-cnn": "cifar10_jpeg.npz",
    "cifar10-half": "cifar10_jpeg.npz",
    "attention-transfer": "cifar10_jpeg.npz",
    "bert-distilbert": ".",
    "cross-modal": "cifar10_jpeg.npz",
    "wide-deep-fm": "goodbooks.npz",
    "resnet50-mobilenetv2": "cifar10_jpeg.npz",
    "multi-task": None,  # scikit-learn's digits
    "keyword-spotting": None,  # made words
}
# What a student that is made of its teacher is, without one.
UNTRAINED = {
    "bert-distilbert": {
        "kind": "transformers",
        "name": "DistilBertForSequenceClassification",
        "config": {"dim": 128, "n_layers": 2, "n_heads": 4, "hidden_dim": 512, "max_position_embeddings": 64},
    }
}
TRIALS = 2000


def cell(recipe: str, data: Path | None, seed: int, build: bool) -> dict[str, Any]:
    """One recipe and one seed: every value on the test split, and what each test sample adds to it."""
    started = time.time()
    with tempfile.TemporaryDirectory() as folder:
        order, alone_order = orders_of(recipe, data, seed, Path(folder))
        report = dict(pipeline.run(order)) if build else {}
        distilled = prepare(order, Objects())
        trained, teachers = running.train_all(distilled)
        adds = {
            "teacher": added(distilled, answers.whole(teachers.split("test"))),
            "distilled": added(distilled, of_torch(distilled, trained)),
        }
        if build:
            edgekd.verify(order.out)
        onnx = {} if build else running.export_all(distilled, trained)
        for target in order.targets:
            backend = target_runtime.parse(target).backend
            files = kept(order.out, target) if build else backend.lower(onnx[target.name]["int8"])
            said = _nets.scores(distilled.feed, backend.open(files, batch=1))
            adds[f"int8 on {target.name}"] = added(distilled, said)
        alone = prepare(alone_order, Objects())
        adds["alone"] = added(alone, of_torch(alone, running.train_all(alone)[0]))
    report.pop("details", None)
    return {
        "recipe": recipe,
        "seed": seed,
        "value_test": {name: float(values.mean()) for name, values in adds.items()},
        "adds": {name: base64.b64encode(zlib.compress(v.tobytes(), 9)).decode() for name, v in adds.items()},
        "seconds": time.time() - started,
        "metric": metric_name(order.recipe.metric["kind"], distilled.feed.labels("validation")),
        "report": report,
    }


def orders_of(
    recipe: str, data: Path | None, seed: int, folder: Path
) -> tuple[requests.BuildRequest, requests.BuildRequest]:
    """What is built of a cell: with a teacher, and alone."""
    settings = [f"seed={seed}", "teacher.seed=0", *([] if data is None else [f"data.path={data}"])]
    more = recipes.load(recipe)[0].teachers
    settings += [f"teachers.{i}.seed={i + 1}" for i in range(len(more))]
    return (
        requests.make(recipe, [], settings, out=folder / "out", progress=told, keep_candidates=True),
        requests.make(without_teacher(recipe, settings), [], out=folder / "alone", progress=told),
    )


def without_teacher(recipe: str, settings: list[str]) -> dict[str, Any]:
    """The recipe whose student learns from labels alone, and is not compressed."""
    table = recipes.load(recipe, settings)[0].model_dump(mode="json", exclude_unset=True)
    table |= {"losses": [{"kind": "cross_entropy"}], "compress": []}
    if table["student"].pop("from_teacher", None):
        table["student"]["model"] = UNTRAINED[recipe]
    return table


def added(workspace: Workspace, found: np.ndarray) -> np.ndarray:
    """(count,) float32, what each test sample adds to a metric that is a mean over samples; several heads' averaged."""
    labels, raw, metric = workspace.feed.labels("test"), np.asarray(workspace.feed.raw("test")), workspace.metric
    assert isinstance(metric, PerSample) and labels is not None
    by_head = [
        metric.per_sample(part, labels if len(workspace.heads) == 1 else labels[:, column], raw)
        for column, part in enumerate(workspace.heads.split(found).values())
    ]
    return np.mean(by_head, axis=0).astype(np.float32)


def of_torch(workspace: Workspace, trained: Mapping[str, Trained]) -> np.ndarray:
    """What the float student says to the test split."""
    return predictions.predict(trained["student"].student.module, workspace.feed, "test")


def kept(out: Path, target: Target) -> dict[str, bytes]:
    """A target's int8 file, whether or not it is the one that ships."""
    folder = out.with_name(f"{out.name}.candidates") / target.name
    return {path.name: path.read_bytes() for path in sorted(folder.glob("int8.*"), key=lambda p: p.suffix == ".bin")}


def told(event: dict[str, Any]) -> None:
    """A line an epoch."""
    if "loss" in event:
        print(f"  {event['step']} {event['epoch'] + 1}/{event['epochs']} {event['validation']:.4f}", flush=True)


def unpacked(found: dict[str, Any], name: str) -> np.ndarray:
    """(count,) what each test sample adds to the metric."""
    return np.frombuffer(zlib.decompress(base64.b64decode(found["adds"][name])), np.float32).astype(np.float64)


def interval(difference: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % interval of a (seeds, samples) array of paired differences.

    Over seeds Student's t of their means: a bootstrap of three draws one of them alone in a case of nine, and its
    variance is a third short. Over the samples, which all seeds share, a bootstrap; the squares of the two half widths
    add. One seed has the samples' alone.
    """
    rng, (seeds, samples) = np.random.default_rng(0), difference.shape
    mean, by_sample, by_seed = float(difference.mean()), difference.mean(axis=0), difference.mean(axis=1)
    drawn = [by_sample[rng.integers(0, samples, samples)].mean() for _ in range(TRIALS)]
    low, high = (float(end) for end in np.percentile(drawn, [2.5, 97.5]))
    if seeds == 1:
        return mean, low, high
    half = float(stats.t.ppf(0.975, seeds - 1) * by_seed.std(ddof=1) / np.sqrt(seeds))
    return mean, mean - float(np.hypot(half, mean - low)), mean + float(np.hypot(half, high - mean))


def summary(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """One recipe over its seeds."""
    names = list(cells[0]["value_test"])
    adds = {name: np.stack([unpacked(found, name) for found in cells]) for name in names}
    gap = adds["teacher"] - adds["alone"]
    found: dict[str, Any] = {
        "metric": cells[0].get("metric") or cells[0]["report"]["metric"],
        "seeds": [found["seed"] for found in cells],
        "value_test": {name: float(values.mean()) for name, values in adds.items()},
        "gap": interval(gap),
        "distilled_minus_alone": interval(adds["distilled"] - adds["alone"]),
    }
    for name in names:
        if name.startswith("int8"):
            found[f"{name}_minus_alone"] = interval(adds[name] - adds["alone"])
            found[f"{name}_closes"] = float((adds[name] - adds["alone"]).mean() / gap.mean())
    ships = {(t, told["shipped"]) for one in cells for t, told in one["report"].get("targets", {}).items()}
    found["ships"] = sorted(f"{target}: {name}" for target, name in ships)
    return found


def main() -> None:
    """Fill the missing cells and sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", action="append", choices=sorted(RECIPES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--files", action="store_true", help="export and ask, without a build")
    given = parser.parse_args()
    for seed in given.seeds:
        for recipe in given.recipe or RECIPES:
            name = f"matrix/{recipe}_seed{seed}"
            if not (FOLDER.parent / f"{name}.json").is_file():
                print(name, flush=True)
                try:
                    file = RECIPES[recipe]
                    _common.write(
                        name, cell(recipe, None if file is None else given.data / file, seed, not given.files)
                    )
                except EdgekdError as err:
                    print(f"{name}: {err}", flush=True)
    table = {}
    for recipe in RECIPES:
        cells = [json.loads(path.read_text()) for path in sorted(FOLDER.glob(f"{recipe}_seed*.json"))]
        if cells:
            table[recipe] = summary(cells)
            print(recipe, json.dumps(table[recipe], indent=1))
    _common.write("matrix", {"recipes": table})


if __name__ == "__main__":
    main()
