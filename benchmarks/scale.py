"""Kept teacher outputs at the size of ImageNet and of 100 million texts: on paper, in a simulation, and under kills.

    python benchmarks/scale.py [--kills 50] [--share 0.005] [--texts 100000000] [--folder FOLDER]

- *Paper*: bytes, shards and folders of 1,281,167 images x 300 views at 1,000 classes and of 100 M texts, in each form.
- *Rows*: one whole view of 1,281,167 images in float16 (2.6 GB), written shard by shard, then read at random from a
  warm page cache: at least 200,000 rows a second.
- *Views*: 300 views of a share of the images with top-8, through ``CachedOutputs``; each row says its sample and view.
- *Texts*: 100 M texts with top-8, written, opened and read at random.
- *Kills*: SIGKILL at 50 random moments of a process that answers views: after each every shard that is there is right,
  and at most one that was asked for is lost.

Needs 6 GB of disk. Answers are made, so that no teacher's time is in any figure.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import _common
import numpy as np
import torch

from edgekd.build.outputs import policy
from edgekd.build.outputs.cached import CachedOutputs
from edgekd.build.outputs.forms import Dense, Form, Top
from edgekd.build.outputs.policy import Readings
from edgekd.build.outputs.shards import Kept, Layout, Shard, Shards
from edgekd.build.store import Store
from edgekd.spec.teacher_outputs import TeacherOutputs

IMAGES, VIEWS, CLASSES, TEXTS, TEXT_CLASSES = 1_281_167, 300, 1_000, 100_000_000, 1_000
SHARD = TeacherOutputs().shard_mb * 1e6
FASTEST = 200_000  # rows a second, at least
Rows = np.ndarray[Any, np.dtype[np.float32]]


class Ready(Top):
    """Top-8 whose records are made already: what a teacher's answers cost to reduce is measured by itself."""

    def encode(self, logits: Any) -> Any:
        return logits


def paper() -> list[dict[str, Any]]:
    """What is kept, in each form."""
    found = []
    for what, samples, views, classes in (("images", IMAGES, VIEWS, CLASSES), ("texts", TEXTS, 1, TEXT_CLASSES)):
        for form in (Dense(classes), Dense(classes, "float16"), Top((classes,), 8)):
            layout = Layout.of(samples, form, SHARD)
            shards = len(layout.spans) * views
            row = {
                "what": what,
                "form": form.name,
                "bytes_a_row": form.record.itemsize,
                "bytes_a_view": samples * form.record.itemsize,
                "bytes": samples * views * form.record.itemsize,
                "shards_a_view": len(layout.spans),
                "shards": shards,
                "samples_a_shard": layout.samples,
            }
            print(policy.size_note("teacher", samples, views, form, shards))
            found.append(row)
    return found


def seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def rate(kept: Kept, size: int, rounds: int) -> dict[str, float]:
    """Rows a second, as float32, drawn at random from pages that were read before: by the clock, and of one CPU.

    On a machine that others use the clock measures them, too; on an idle one both are the same.
    """
    rng = np.random.default_rng(size)
    index = [rng.integers(0, len(kept), size) for _ in range(rounds)]
    for one in index:
        kept[one]
    started, cpu = time.perf_counter(), time.process_time()
    for one in index:
        kept[one]
    clock, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"clock": size * rounds / clock, "cpu": size * rounds / cpu}


def opened(shards: Shards) -> list[Shard]:
    return [shard for shard in shards.opened() if shard is not None]


def rows(root: Path) -> dict[str, Any]:
    """One view of all images in float16: written, opened, read."""
    form = Dense(CLASSES, "float16")
    layout = Layout.of(IMAGES, form, SHARD)
    shards = Shards(Store(root), ("images",), layout, form)
    made = np.random.default_rng(0).standard_normal((layout.samples, CLASSES)).astype(np.float32)

    def write() -> None:
        for number, (start, stop) in enumerate(layout.spans):
            made[:, 0] = number
            shards.put(number, made[: stop - start])

    written, parts = seconds(write), list[Shard]()
    read = seconds(lambda: parts.extend(opened(shards)))
    kept = Kept(layout, form, parts, complete=True)
    for shard in parts:
        shard.records.sum(axis=0, dtype=np.float32)  # into the page cache
    index = np.random.default_rng(1).integers(0, IMAGES, 4096)
    right = bool((kept[index][:, 0] == index // layout.samples).all())
    rates = {size: rate(kept, size, rounds) for size, rounds in ((64, 200), (256, 200), (1024, 100), (4096, 50))}
    size = IMAGES * form.record.itemsize
    shown = ", ".join(f"{n}: {r['clock']:,.0f} ({r['cpu']:,.0f} of a CPU)" for n, r in rates.items())
    print(f"rows: {size / written / 1e6:.0f} MB/s written, {size / read / 1e6:.0f} MB/s verified")
    print(f"rows a second, by batch: {shown}")
    return {
        "samples": IMAGES,
        "shards": len(parts),
        "bytes": size,
        "write_s": written,
        "open_and_verify_s": read,
        "rows_per_s": rates,
        "right": right,
    }


def answers_of(view: int | None, start: int, stop: int, classes: int) -> Rows:
    """What is answered: the likeliest class and its logit say sample and view, so that no row passes as another."""
    sample, number = np.arange(start, stop), -1 if view is None else view
    logits = np.zeros((stop - start, classes), np.float32)
    logits[np.arange(len(sample)), (sample + 7 * number) % classes] = 3 + (sample % 97) / 32 + number % 5
    return logits


@dataclass(frozen=True)
class Made:
    """A teacher that costs nothing, or so many seconds a shard; tells a file what it is asked."""

    classes: int
    log: Path | None = None
    pause: float = 0.0
    sees_views: ClassVar[bool] = True
    may_miss: ClassVar[bool] = False

    def parts(self, split: str, view: int | None, spans: Sequence[tuple[int, int]]) -> Iterator[Rows]:
        for start, stop in spans:
            if self.log is not None:
                with self.log.open("a") as file:
                    file.write(f"{view} {start}\n")
            time.sleep(self.pause)
            yield answers_of(view, start, stop, self.classes)

    def view(self, view: int) -> Rows:
        raise NotImplementedError("is asked in parts")

    def split(self, split: str) -> Rows:
        raise NotImplementedError("is asked in parts")


@dataclass(frozen=True)
class Count:
    """As much of a feed as kept outputs look at."""

    samples: int

    def length(self, split: str) -> int:
        return self.samples


def outputs(root: Path, key: str, samples: int, source: Made, shard_mb: float, views: int) -> CachedOutputs:
    table = TeacherOutputs(form="top", top=8, shard_mb=shard_mb)
    feed: Any = Count(samples)
    return CachedOutputs(Store(root), key, source, feed, (source.classes,), 0, "teacher", table, Readings(views, views))


def wrong(kept: Any, form: Form, view: int, index: np.ndarray[Any, np.dtype[np.int64]], classes: int) -> int:
    """Rows that are not those of their sample and view."""
    expected = np.concatenate([answers_of(view, int(i), int(i) + 1, classes) for i in index])
    return int((kept[index] != form.decode(form.encode(expected))).any(axis=1).sum())


def views(root: Path, share: float) -> dict[str, Any]:
    """300 views of a share of the images, each answered once and read twice."""
    samples, mistakes, rng = int(IMAGES * share), 0, np.random.default_rng(0)
    source = Made(CLASSES, root / "asked")
    root.mkdir()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = outputs(root, "views", samples, source, 0.5, VIEWS)
    filled = seconds(lambda: [kept.view(view) for view in range(VIEWS)])
    asked = len((root / "asked").read_text().splitlines())

    def read() -> None:
        nonlocal mistakes
        for view in rng.permutation(VIEWS).tolist():
            mistakes += wrong(kept.view(view), kept.form, view, rng.integers(0, samples, 64), CLASSES)

    again = seconds(read)
    same = len((root / "asked").read_text().splitlines()) == asked
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(f"views: {samples:,} x {VIEWS} in {asked:,} shards, {filled:.0f} s; read {again:.0f} s, {mistakes} mixed")
    return {
        "samples": samples,
        "views": VIEWS,
        "shards": asked,
        "bytes": kept.size(),
        "fill_s": filled,
        "read_s": again,
        "mixed_rows": mistakes,
        "asked_once": same and asked == VIEWS * len(kept.layout().spans),
        "peak_memory_grown_bytes": grown,
    }


def texts(root: Path, count: int) -> dict[str, Any]:
    """100 M texts with top-8: records are made, a shard of them at a time."""
    form = Ready((TEXT_CLASSES,), 8)
    layout = Layout.of(count, form, SHARD)
    shards = Shards(Store(root), ("texts",), layout, form)
    records = np.zeros(layout.samples, form.record)
    records["class 0"] = np.arange(8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def write() -> None:
        for number, (start, stop) in enumerate(layout.spans):
            sample = np.arange(start, stop)
            records["class 0"][: len(sample), 0] = sample % 65_521
            records["rest 0"][: len(sample)] = -(sample // 65_521) % 2048
            shards.put(number, records[: len(sample)])

    written, parts = seconds(write), list[Shard]()
    read = seconds(lambda: parts.extend(opened(shards)))
    kept = Kept(layout, form, parts, complete=True)
    index = np.random.default_rng(0).integers(0, count, 100_000)
    taken = kept.records(index)
    right = (taken["class 0"][:, 0] == index % 65_521) & (taken["rest 0"] == -(index // 65_521) % 2048)
    small = Top((TEXT_CLASSES,), 8)
    logits = np.random.default_rng(1).standard_normal((2048, TEXT_CLASSES)).astype(np.float32)
    encoded = seconds(lambda: small.encode(logits))
    index_rate = 100_000 / seconds(lambda: kept.records(index))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(
        f"texts: {count:,} in {len(parts)} shards, {written:.0f} s written, {read:.1f} s verified, {index_rate:,.0f}/s"
    )
    return {
        "samples": count,
        "shards": len(parts),
        "bytes": count * form.record.itemsize,
        "write_s": written,
        "open_and_verify_s": read,
        "random_records_per_s": index_rate,
        "reduced_rows_per_s_at_1000_classes": 2048 / encoded,
        "wrong_rows": int((~right).sum()),
        "peak_memory_grown_bytes": grown,
    }


def killed(root: Path, kills: int) -> dict[str, Any]:
    """Kill a process that answers views, at random moments; look at all that it left."""
    root.mkdir()
    samples, classes, number_of_views, dice = 5_000, 20, 6, random.Random(0)
    lost, mixed, rounds = list[int](), 0, 0
    while len(lost) < kills:
        log = root / f"asked {rounds}"
        log.touch()
        kept = outputs(root, f"kills {rounds}", samples, Made(classes, log, 0.002), 0.001, number_of_views)
        shards = [kept._shards("train", view) for view in range(number_of_views)]
        wasted = 0
        while len(lost) < kills and any(one.missing() for one in shards):
            if not _killed(kept, number_of_views, dice.uniform(0.0, 0.3)):
                break
            there = sum(len(one.layout.spans) - len(one.missing()) for one in shards)
            before, wasted = wasted, len(log.read_text().splitlines()) - there
            lost.append(wasted - before)
            mixed += sum(_mixed(one, view, classes) for view, one in enumerate(shards))
        rounds += 1
    print(
        f"kills: {len(lost)} in {rounds} rounds, at most {max(lost)} shard lost, {sum(lost)} in all; {mixed} mixed rows"
    )
    return {"kills": len(lost), "rounds": rounds, "shards_lost": lost, "mixed_rows": mixed}


def _killed(kept: CachedOutputs, number_of_views: int, wait: float) -> bool:
    """Whether a process that fills the views was killed before it was done."""
    pid = os.fork()
    if not pid:
        for view in range(number_of_views):
            kept.view(view)
        os._exit(0)
    time.sleep(wait)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def _mixed(shards: Shards, view: int, classes: int) -> int:
    """Rows of the shards that are there which are not those of their samples and view."""
    wrong_rows = 0
    for (start, stop), shard in zip(shards.layout.spans, shards.opened(), strict=True):
        if shard is not None:
            expected = shards.form.encode(answers_of(view, start, stop, classes))
            wrong_rows += int((shard.records != expected).sum())
    return wrong_rows


def main() -> None:
    """Measure, hold the limits, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--share", type=float, default=0.005, help="of the images, in the simulation of 300 views")
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--folder", help="where to write; a temporary one")
    given = parser.parse_args()
    torch.set_num_threads(1)  # no pool of threads when the process is forked
    result: dict[str, Any] = {"paper": paper()}
    for name, part in (
        ("kills", lambda root: killed(root, given.kills)),
        ("rows", rows),
        ("views", lambda root: views(root, given.share)),
        ("texts", lambda root: texts(root, given.texts)),
    ):
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            result[name] = part(Path(folder) / name)
    mixed = result["kills"]["mixed_rows"] + result["views"]["mixed_rows"] + result["texts"]["wrong_rows"]
    fast = result["rows"]["rows_per_s"][256]["cpu"] >= FASTEST
    held = {
        f"at least {FASTEST:,} rows a second of one CPU, batches of 256": fast,
        f"{given.kills} kills lose a shard each, at most": max(result["kills"]["shards_lost"]) <= 1,
        "no row is another's": not mixed and result["rows"]["right"],
        "nobody is asked twice": result["views"]["asked_once"],
    }
    print(held)
    _common.write("scale", {**result, "held": held})
    sys.exit(0 if all(held.values()) else 1)


if __name__ == "__main__":
    main()
