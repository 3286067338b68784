"""The child of ``soak.py``: sixteen threads that ask one loaded bundle, and hold every answer against the right one.

``python _soaked.py QUESTIONS BUNDLE TARGET MINUTES THREADS RATE OPENS STARTS TRIM`` (three of them a second) imports
what an app does, numpy and the one runtime, so that its memory is theirs. QUESTIONS: samples and right answers, .npz.
"""

from __future__ import annotations

import ctypes
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import edgekd

SIZES = (1, 1, 1, 5, 32)  # samples of a question


def questions(x: Any, seed: int = 0, count: int = 64) -> Iterator[Any]:
    """Batches of raw samples; always the same ones."""
    rng = random.Random(seed)
    for i in range(count):
        size = SIZES[i % len(SIZES)]
        start = rng.randrange(len(x) - size)
        yield x[start : start + size]


def answers(model: Any, x: Any) -> list[Any]:
    """What a model says to each question: the scores, one row a sample."""
    return [np.array([said.scores for said in model.predict(batch)]) for batch in questions(x)]


class Soak:
    """What the threads share: the model, the questions with their answers, and what was counted."""

    def __init__(self, bundle: Path, target: str, kept: Path, seconds: float) -> None:
        self.bundle, self.target = bundle, target
        self.model = edgekd.load(bundle, target=target)
        with np.load(kept) as arrays:
            self.asked = list(questions(arrays["x"]))
            self.right = [arrays[f"y{i}"] for i in range(len(self.asked))]
        self.until = time.monotonic() + seconds
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self.lock = threading.Lock()

    def ask(self, model: Any, rng: random.Random, times: int = 1) -> None:
        """Some questions; each answer must be the very numbers that another process gave."""
        for _ in range(times):
            i = rng.randrange(len(self.asked))
            found = np.array([said.scores for said in model.predict(self.asked[i])])
            wrong = found.shape != self.right[i].shape or not (found == self.right[i]).all()
            with self.lock:
                self.counts.update(calls=1, samples=len(found), wrong=int(wrong))

    def open(self, rng: random.Random) -> None:
        """A model of its own, asked and dropped."""
        self.ask(edgekd.load(self.bundle, target=self.target), rng, 3)
        with self.lock:
            self.counts["opened"] += 1

    def start(self, rng: random.Random) -> None:
        """A thread that comes and goes: the model makes it a session."""
        thread = threading.Thread(target=self.ask, args=(self.model, rng, 2))
        thread.start()
        thread.join()
        with self.lock:
            self.counts["threads"] += 1

    def turn(self, rng: random.Random, opens: float, starts: float) -> None:
        """Ask; with these probabilities open a model of one's own, too, or start a thread."""
        self.ask(self.model, rng)
        if rng.random() < opens:
            self.open(rng)
        if rng.random() < starts:
            self.start(rng)

    def run(self, seed: int, every: float, opens: float, starts: float) -> None:
        """One of the threads: a turn ``every`` so many seconds in the mean, until the time is over."""
        rng = random.Random(seed)
        due = time.monotonic() + rng.random() * every
        while due < self.until:
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                self.turn(rng, opens, starts)
            except (edgekd.EdgekdError, RuntimeError, ValueError, OSError) as err:
                with self.lock:
                    self.counts["errors"] += 1
                    self.errors = [*self.errors, f"{type(err).__name__}: {err}"][:5]
            due = max(due + every * rng.uniform(0.5, 1.5), time.monotonic() - every)


def trim() -> None:
    """Have glibc give back what is free, once a second: of sixteen threads' arenas some MB are, now more, now less."""
    while True:
        ctypes.CDLL(None).malloc_trim(0)
        time.sleep(1.0)


def main(kept: str, bundle: str, target: str, *numbers: str) -> None:
    """Soak; the counts as JSON at the end."""
    minutes, threads, rate, opens, starts, trims = map(float, numbers)
    if trims:
        threading.Thread(target=trim, daemon=True).start()
    soak = Soak(Path(bundle), target, Path(kept), 60 * minutes)
    pace = (threads / rate, opens / rate, starts / rate)
    running = [threading.Thread(target=soak.run, args=(i, *pace)) for i in range(int(threads))]
    print("begun", flush=True)
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    counts = {"wrong": 0, "errors": 0, **soak.counts}
    print(json.dumps({**counts, "said": soak.errors, "cpu_s": time.process_time()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
