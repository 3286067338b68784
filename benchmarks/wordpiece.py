"""Our WordPiece against the ``tokenizers`` library: equal on every sentence of SST-2, and how long each takes.

    python benchmarks/wordpiece.py --data FOLDER

FOLDER holds ``sst2_train.tsv.gz``, ``sst2_dev.tsv.gz`` and ``sst2_test.tsv.gz``. The vocabulary is that of the built-in
recipe, learned from the training split. The sentences are lower-case ASCII, so each is tokenized as it comes and once
more with capitals, accents and punctuation put into it. Exits 1 where a sentence differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import _common
import numpy as np
from tokenizers import BertWordPieceTokenizer

from edgekd.base.wordpiece import Vocabulary
from edgekd.learn.data.text import Text

LENGTH, ROUNDS = 64, 5
ODD = {"a": "Á", "e": "é", "i": "İ", "o": "ö", " , ": "，", "n": "Ñ", "u": "日u", "s": "s\u200b", "'": "\u2019"}


def main() -> int:
    """Compare, time, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="FOLDER")
    data = Text(parser.parse_args().data, prefix="sst2_").load()
    vocabulary = Vocabulary.of(data.preprocess[0]["vocabulary"])
    theirs = BertWordPieceTokenizer({token: i for i, token in enumerate(vocabulary)})
    theirs.enable_truncation(LENGTH)
    differ: dict[str, dict[str, int]] = {}
    for name, split in data.splits.items():
        plain = np.asarray(split.x).tolist()
        odd = [disturbed(text, i) for i, text in enumerate(plain)]
        differ[name] = {
            "sentences": len(plain),
            "differ": different(vocabulary, theirs, plain),
            "differ_disturbed": different(vocabulary, theirs, odd),
        }
        print(name, differ[name])
    speed = timed(vocabulary, theirs, np.asarray(data.test.x).tolist())
    print(speed)
    equal = not any(found[key] for found in differ.values() for key in ("differ", "differ_disturbed"))
    _common.write("wordpiece", {"tokens": len(vocabulary), "splits": differ, "us_per_sentence": speed, "equal": equal})
    return 0 if equal else 1


def disturbed(text: str, seed: int) -> str:
    """The sentence with some of its letters replaced, and some words in capitals."""
    rng = np.random.default_rng(seed)
    for old, new in ODD.items():
        if rng.random() < 0.5:
            text = text.replace(old, new, int(rng.integers(1, 4)))
    return " ".join(word.upper() if rng.random() < 0.2 else word for word in text.split(" "))


def different(vocabulary: Vocabulary, theirs: Any, texts: Sequence[str]) -> int:
    """How many sentences the two tokenize in another way."""
    return sum(vocabulary.encode([t], LENGTH, True)[0][0] != theirs.encode(t).ids for t in texts)


def timed(vocabulary: Vocabulary, theirs: Any, texts: Sequence[str]) -> dict[str, float]:
    """Median microseconds a sentence, one by one, in turns; ours with its words remembered, and with none."""
    new = Vocabulary(vocabulary)

    def forgetful(text: str) -> None:
        new._known.clear()
        new.encode([text], LENGTH, True)

    runs: dict[str, Callable[[str], Any]] = {
        "ours": lambda text: vocabulary.encode([text], LENGTH, True),
        "ours, no word remembered": forgetful,
        "tokenizers": theirs.encode,
    }
    took: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started = time.perf_counter()
            for text in texts:
                run(text)
            took[name].append((time.perf_counter() - started) / len(texts) * 1e6)
    return {name: round(float(np.median(values)), 1) for name, values in took.items()}


if __name__ == "__main__":
    sys.exit(main())
