"""Sure answers: how often their promise is broken over resplits, how many are sure, and what out-of-scope inputs get.

A student of intents (Snips: five intents to know, two that nobody showed it) is distilled and goes to int8 for both
runtimes; what its files say to validation and test is kept. Then 200 times the two are shuffled, the thresholds are
found on one part as a build finds them, and the other tells whether the promise held.

    python benchmarks/abstain.py --data FOLDER        FOLDER holds snips_slots_{train,dev,test}.tsv.gz
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import sys
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import write
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional

import edgekd
from edgekd.base.scores import softmax
from edgekd.build.thresholds import Rated, certainty, drawn
from edgekd.decide.abstain import auroc
from edgekd.spec.recipe import Abstain
from edgekd.tasks import CLASSES

COLUMNS = 2_048  # hashed words and pairs of words
UNKNOWN = ("RateBook", "SearchCreativeWork")  # intents that neither teacher nor student was shown
TRAINING, RESPLITS, VALIDATION = 2_000, 200, 2_000
MOST = 18  # of 200: 5 %, and what so many draws add by chance
TARGETS = ("ort-cpu", "openvino")
WISHES = (Abstain(agreement=0.985), Abstain(agreement=0.985, against="labels"), Abstain(agreement=0.99))


def features(texts: list[str]) -> np.ndarray:
    """(N, COLUMNS) float32: words and pairs of words, hashed, each row of length 1."""
    rows = np.zeros((len(texts), COLUMNS), np.float32)
    for row, text in zip(rows, texts, strict=True):
        words = ["<", *text.split(), ">"]
        for token in (*words, *map(" ".join, itertools.pairwise(words))):
            row[zlib.crc32(token.encode()) % COLUMNS] += 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """All sentences once, and their intents."""
    lines: dict[str, str] = {}
    for split in ("train", "dev", "test"):
        with gzip.open(folder / f"snips_slots_{split}.tsv.gz", "rt", encoding="utf-8") as file:
            for line in file.read().splitlines()[1:]:
                text, _, intent = line.split("\t")
                lines[text] = intent
    return features(list(lines)), np.array(list(lines.values()))


def taught(x: np.ndarray, y: np.ndarray, classes: int) -> nn.Module:
    """The teacher: a wide perceptron, 40 epochs."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(COLUMNS, 512), nn.ReLU(), nn.Dropout(0.3), nn.Linear(512, classes))
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=1e-2)
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(40):
        for index in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(module(inputs[index]), labels[index]).backward()
            optimizer.step()
    return module.eval()


def scores_of(bundle: Path, x: np.ndarray) -> list[np.ndarray]:
    """What the file of each target says, one sample at a time as an app asks."""
    models = [edgekd.load(bundle, target=target) for target in TARGETS]
    return [np.concatenate([model.run({"input": row[None]})["logits"] for row in x]) for model in models]


def resplit(said: list[np.ndarray], reference: np.ndarray, wish: Abstain) -> dict[str, Any]:
    """Thresholds on one part of the pool, the promise on the other, 200 times."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(RESPLITS):
        order = rng.permutation(len(reference))
        here, there = order[:VALIDATION], order[VALIDATION:]
        tuning = drawn(VALIDATION, seed)
        rated = [Rated(s[here], reference[here], s[here].argmax(axis=1) == reference[here], tuning) for s in said]
        found = certainty(CLASSES, rated, wish)
        for target, scores in zip(TARGETS, said, strict=True):
            sure = np.zeros(len(there), bool)
            if found["least"] is not None:
                sure = CLASSES.certainty(scores[there], found["by"], found["temperature"]) >= found["least"]
            agree = scores[there].argmax(axis=1) == reference[there]
            kept = float(agree[sure].mean()) if sure.any() else 1.0
            rows.append((target, found["by"], float(sure.mean()), kept, kept < wish.agreement))
    by_target = {}
    for target in TARGETS:
        mine = [row for row in rows if row[0] == target]
        by_target[target] = {
            "broken": sum(row[4] for row in mine),
            "coverage": {name: float(np.quantile([row[2] for row in mine], q)) for name, q in QUANTILES.items()},
            "agreement": {name: float(np.quantile([row[3] for row in mine], q)) for name, q in QUANTILES.items()},
            "nothing_sure": sum(row[2] == 0 for row in mine),
        }
    chosen = [row[1] for row in rows[:: len(TARGETS)]]
    return {"by": {by: chosen.count(by) for by in CLASSES.certainties}, "targets": by_target}


QUANTILES = {"p5": 0.05, "median": 0.5, "p95": 0.95}


def out_of_scope(
    inside: np.ndarray, outside: np.ndarray, temperature: float, linear: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """The area under the ROC curve, inputs of known intents against others, by score; (N, K) scores of one file."""
    areas = {
        f"{by} at temperature {heat:.3g}": auroc(*(CLASSES.certainty(s, by, heat) for s in (inside, outside)))
        for by in CLASSES.certainties
        for heat in dict.fromkeys((1.0, temperature))
    }
    areas["probability of logistic regression"] = auroc(*(linear[part].max(axis=1) for part in ("inside", "outside")))
    return areas


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--width", type=int, default=64, help="of the student's hidden layer")
    args = parser.parse_args()
    x, intents = read(args.data)
    outside = x[np.isin(intents, UNKNOWN)]
    known = ~np.isin(intents, UNKNOWN)
    names, y = np.unique(intents[known], return_inverse=True)
    order = np.random.default_rng(0).permutation(int(known.sum()))
    x, y = x[known][order], y[order].astype(np.int64)
    ends = (0, TRAINING, TRAINING + VALIDATION, None)
    parts = {name: slice(*ends[i : i + 2]) for i, name in enumerate(("train", "validation", "test"))}
    teacher = taught(x[parts["train"]], y[parts["train"]], len(names))
    torch.manual_seed(1)
    student = nn.Sequential(nn.Linear(COLUMNS, args.width), nn.ReLU(), nn.Linear(args.width, len(names)))
    table = {
        "name": "intents",
        "data": {"preprocess": []},
        "student": {"epochs": 6, "lr": 2e-3},
        "budget": {"max_drop": 1.0},
        "abstain": {"agreement": 0.985},
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        report = edgekd.build(
            table,
            teacher=teacher,
            student=student,
            data=tuple((x[part], y[part]) for part in parts.values()),
            classes=names.tolist(),
            targets=TARGETS,
            out=out,
            cache=Path(folder) / "cache",
        )
        pool = slice(TRAINING, None)
        said, strangers = scores_of(out, x[pool]), scores_of(out, outside)
    with torch.no_grad():
        teachers = teacher(torch.from_numpy(x[pool])).numpy().argmax(axis=1)
    references = {"teacher": teachers, "labels": y[pool]}
    linear = LogisticRegression(C=10, max_iter=500).fit(x[parts["train"]], y[parts["train"]])
    shares = {"inside": linear.predict_proba(x[pool]), "outside": linear.predict_proba(outside)}
    found = report["thresholds"]["logits"]["sure"]
    tried = [{**wish.model_dump(), "of": RESPLITS, **resplit(said, references[wish.against], wish)} for wish in WISHES]
    results = {
        "samples": {"training": TRAINING, "pool": len(teachers), "validation": VALIDATION, "outside": len(outside)},
        "unknown": UNKNOWN,
        "accuracy": {"teacher": float((teachers == y[pool]).mean())}
        | {t: float((s.argmax(axis=1) == y[pool]).mean()) for t, s in zip(TARGETS, said, strict=True)},
        "agreement": {t: float((s.argmax(axis=1) == teachers).mean()) for t, s in zip(TARGETS, said, strict=True)},
        "shipped": {t: report["targets"][t]["shipped"] for t in TARGETS},
        "build": {"sure": found, **{t: report["targets"][t]["sure"][t]["logits"] for t in TARGETS}},
        "resplits": tried,
        "out_of_scope_auroc": out_of_scope(said[0], strangers[0], found["temperature"], shares),
        "seeds": 1,
    }
    results["mean_probability"] = {
        part: float(softmax(scores[0]).max(axis=1).mean())
        for part, scores in (("inside", said), ("outside", strangers))
    }
    write("abstain", results)
    broken = [row["broken"] for one in tried for row in one["targets"].values()]
    print(f"broken of {RESPLITS}: {broken}; at most {MOST}")
    return int(max(broken) > MOST)


if __name__ == "__main__":
    sys.exit(main())
