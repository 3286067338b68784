"""Sure answers: how often their promise is broken over resplits, how many are sure, and what out-of-scope inputs get.

A student of intents (Snips: five intents to know, two that nobody showed it) is distilled and goes to int8 for both
runtimes; what its files say to validation and test is kept. Then 200 times the two are shuffled, the thresholds are
found on one part as a build finds them, and the other tells whether the promise held: once more with one of the two
unknown intents to choose the score with.

Three students know five intents each, and each of the two unknown ones chooses the score once, and is what the other
choice is judged on. Beside them stand digits (scikit-learn), two of which are unknown.

    python benchmarks/abstain.py --data FOLDER        FOLDER holds snips_slots_{train,dev,test}.tsv.gz
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import write
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional

import edgekd
from edgekd.build.thresholds import Rated, certainty, drawn
from edgekd.decide.abstain import auroc
from edgekd.document.thresholds import SureFrom
from edgekd.runtime import thresholds
from edgekd.spec.recipe import Abstain
from edgekd.tasks import CLASSES, Certainty, Heads, certainties_of

Labelled = tuple[np.ndarray, np.ndarray]

COLUMNS = 2_048  # hashed words and pairs of words
# Intents that neither teacher nor student was shown: of each seed its own.
UNKNOWN = (
    ("RateBook", "SearchCreativeWork"),
    ("AddToPlaylist", "BookRestaurant"),
    ("GetWeather", "SearchScreeningEvent"),
)
DIGITS = ((3, 8), (0, 5), (4, 9))
CHOOSING = 100  # samples of no class that choose a score
SCORES = certainties_of(CLASSES)
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


def learned(module: nn.Module, x: np.ndarray, y: np.ndarray, *, epochs: int) -> None:
    """The teacher's training, by its labels."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=1e-2)
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(epochs):
        for index in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(module(inputs[index]), labels[index]).backward()
            optimizer.step()
    module.eval()


def scores_of(bundle: Path, x: np.ndarray) -> list[np.ndarray]:
    """What the file of each target says, one sample at a time as an app asks."""
    models = [edgekd.load(bundle, target=target) for target in TARGETS]
    return [np.concatenate([model.run({"input": row[None]})["logits"] for row in x]) for model in models]


def certainty_of(found: SureFrom) -> Certainty:
    """The score and threshold that a build found."""
    return thresholds.applied(Heads({"logits": 2}), {"logits": {"sure": found}}).certainties["logits"]


def found_on(
    said: list[np.ndarray], reference: np.ndarray, seed: int, wish: Abstain, outside: list[np.ndarray] | None = None
) -> SureFrom:
    """What a build would find on validation; ``outside``: what the files say to samples of no class, of which some
    choose the score."""
    parts = drawn(len(reference), seed)
    by_target: Sequence[np.ndarray | None] = [None for _ in said] if outside is None else outside
    rated = [
        Rated(s, reference, s.argmax(axis=1) == reference, *parts, None if of is None else of[:CHOOSING])
        for s, of in zip(said, by_target, strict=True)
    ]
    return certainty(CLASSES, rated, wish)


def resplit(
    said: list[np.ndarray], reference: np.ndarray, wish: Abstain, outside: list[np.ndarray] | None = None
) -> dict[str, Any]:
    """Thresholds on one part of the pool, the promise on the other, 200 times."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(RESPLITS):
        order = rng.permutation(len(reference))
        here, there = order[:VALIDATION], order[VALIDATION:]
        found = found_on([s[here] for s in said], reference[here], seed, wish, outside)
        for target, scores in zip(TARGETS, said, strict=True):
            sure = certainty_of(found).sure(CLASSES, scores[there])
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
    return {"by": {by: chosen.count(by) for by in certainties_of(CLASSES)}, "targets": by_target}


QUANTILES = {"p5": 0.05, "median": 0.5, "p95": 0.95}


def out_of_scope(
    said: list[np.ndarray], reference: np.ndarray, validation: int, strangers: list[list[np.ndarray]]
) -> dict[str, Any]:
    """How well scores tell samples of known classes from others: areas under the ROC curve of the first target's file.

    Args:
        said: of each target (N, K), the first ``validation`` of which choose.
        strangers: of each unknown class, of each target.
    """
    here, test = [s[:validation] for s in said], said[0][validation:]

    def area(found: SureFrom, others: np.ndarray) -> float:
        of = certainty_of(found)
        return auroc(of.values(CLASSES, test), of.values(CLASSES, others))

    every = np.concatenate([of[0] for of in strangers])
    named = {by: found_on(here, reference[:validation], 0, Abstain(agreement=0.985, by=by)) for by in SCORES}
    plain = found_on(here, reference[:validation], 0, Abstain(agreement=0.985))
    chosen = []
    for i, one in enumerate(strangers):
        found = found_on(here, reference[:validation], 0, Abstain(agreement=0.985), one)
        others = [of for j, of in enumerate(strangers) if j != i]
        judged = np.concatenate([of[0] for of in others])
        chosen.append({"with": i, "by": found["by"], "auroc": area(found, judged)})
    return {
        "auroc": {by: area(found, every) for by, found in named.items()},
        "chosen_without_outside": {"by": plain["by"], "auroc": area(plain, every)},
        "chosen_with_one_judged_on_the_other": chosen,
    }


def linear_area(train: Labelled, inside: np.ndarray, outside: np.ndarray) -> float:
    """The area of logistic regression on the same inputs, by its best probability."""
    model = LogisticRegression(C=10, max_iter=500).fit(*train)
    return auroc(*(model.predict_proba(part).max(axis=1) for part in (inside, outside)))


def built(
    table: Mapping[str, Any], teacher: nn.Module, student: nn.Module, parts: tuple[Labelled, ...], folder: Path
) -> dict[str, Any]:
    """The report of a bundle in the folder, which is built where it is not there yet."""
    if not (folder / "report.json").is_file():
        with tempfile.TemporaryDirectory() as cache:
            edgekd.build(
                {**table, "abstain": {"agreement": 0.985}, "budget": {"max_drop": 1.0}},
                teacher=teacher,
                student=student,
                data=parts,
                targets=TARGETS,
                out=folder,
                cache=cache,
            )
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def digits(seed: int, unknown: tuple[int, int], folder: Path) -> dict[str, Any]:
    """Out-of-scope inputs of a student of eight digits, a small network of convolutions."""
    data = load_digits()
    images, y = data.images[:, None].astype(np.float32) / 16, data.target
    known = np.flatnonzero(~np.isin(y, unknown))
    known = known[np.random.default_rng(seed).permutation(len(known))]
    x, labels = images[known], np.unique(y[known], return_inverse=True)[1].astype(np.int64)
    ends = (0, 600, 1_000, None)
    parts = tuple((x[ends[i] : ends[i + 1]], labels[ends[i] : ends[i + 1]]) for i in range(3))
    torch.manual_seed(seed)
    teacher, student = (
        nn.Sequential(
            *(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8 * width, 32), nn.ReLU(), nn.Linear(32, 8)),
        )
        for width in (32, 6)
    )
    learned(teacher, *parts[0], epochs=30)
    table = {"name": "digits", "data": {"preprocess": []}, "student": {"epochs": 25, "lr": 5e-3}}
    built(table, teacher, student, parts, folder)
    said = scores_of(folder, x[600:])
    strangers = [scores_of(folder, images[y == digit]) for digit in unknown]
    with torch.no_grad():
        teachers = teacher(torch.from_numpy(x[600:])).numpy().argmax(axis=1)
    flat = [part.reshape(len(part), -1) for part in (parts[0][0], x[1_000:], images[np.isin(y, unknown)])]
    return {
        "unknown": unknown,
        **out_of_scope(said, teachers, 400, strangers),
        "logistic_regression": linear_area((flat[0], parts[0][1]), flat[1], flat[2]),
    }


def intents_of(args: argparse.Namespace, seed: int, unknown: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """A student of five intents; of the first seed with the resplits."""
    x, intents = read(args.data)
    known = ~np.isin(intents, unknown)
    outside = [x[intents == name] for name in unknown]
    names, y = np.unique(intents[known], return_inverse=True)
    order = np.random.default_rng(seed).permutation(int(known.sum()))
    x, y = x[known][order], y[order].astype(np.int64)
    ends = (0, TRAINING, TRAINING + VALIDATION, None)
    parts = tuple((x[ends[i] : ends[i + 1]], y[ends[i] : ends[i + 1]]) for i in range(3))
    torch.manual_seed(seed)
    teacher = nn.Sequential(nn.Linear(COLUMNS, 512), nn.ReLU(), nn.Dropout(0.3), nn.Linear(512, len(names)))
    learned(teacher, *parts[0], epochs=40)
    torch.manual_seed(seed + 1)
    student = nn.Sequential(nn.Linear(COLUMNS, args.width), nn.ReLU(), nn.Linear(args.width, len(names)))
    table = {"name": "intents", "data": {"preprocess": []}, "student": {"epochs": 6, "lr": 2e-3}}
    report = built(table, teacher, student, parts, folder)
    said = scores_of(folder, x[TRAINING:])
    strangers = [scores_of(folder, of) for of in outside]
    with torch.no_grad():
        teachers = teacher(torch.from_numpy(x[TRAINING:])).numpy().argmax(axis=1)
    told = {
        "unknown": unknown,
        "samples": {"training": TRAINING, "pool": len(teachers), "validation": VALIDATION}
        | {name: len(of) for name, of in zip(unknown, outside, strict=True)},
        "accuracy": {"teacher": float((teachers == y[TRAINING:]).mean())}
        | {t: float((s.argmax(axis=1) == y[TRAINING:]).mean()) for t, s in zip(TARGETS, said, strict=True)},
        "agreement": {t: float((s.argmax(axis=1) == teachers).mean()) for t, s in zip(TARGETS, said, strict=True)},
        "shipped": {t: report["targets"][t]["shipped"] for t in TARGETS},
        "build": {
            "sure": report["thresholds"]["logits"]["sure"],
            **{t: report["targets"][t]["sure"][t]["logits"] for t in TARGETS},
        },
        **out_of_scope(said, teachers, VALIDATION, strangers),
        "logistic_regression": linear_area(parts[0], x[TRAINING + VALIDATION :], np.concatenate(outside)),
    }
    if not seed:
        references = {"teacher": teachers, "labels": y[TRAINING:]}
        told["resplits"] = [
            {
                **wish.model_dump(exclude={"outside"}),
                "outside": None if of is None else unknown[0],
                "of": RESPLITS,
                **resplit(said, references[wish.against], wish, of),
            }
            for wish, of in [*((wish, None) for wish in WISHES), (WISHES[0], strangers[0])]
        ]
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--width", type=int, default=64, help="of the student's hidden layer")
    parser.add_argument("--bundles", type=Path, help="keeps the bundles, and takes those that are there already")
    args = parser.parse_args()
    parts: dict[str, list[dict[str, Any]]] = {"intents": [], "digits": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.bundles or Path(temporary)
        for seed, unknown in enumerate(UNKNOWN):
            parts["intents"].append(intents_of(args, seed, unknown, folder / f"intents-{seed}"))
            write("abstain", parts)  # a run that is stopped leaves what it has
        for seed, two in enumerate(DIGITS):
            parts["digits"].append(digits(seed, two, folder / f"digits-{seed}"))
            write("abstain", parts)
    broken = [row["broken"] for one in parts["intents"][0]["resplits"] for row in one["targets"].values()]
    print(f"broken of {RESPLITS}: {broken}; at most {MOST}")
    return int(max(broken) > MOST)


if __name__ == "__main__":
    sys.exit(main())
