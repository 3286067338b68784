"""Documents of a bundle and of the cache: a manifest, report.json, decisions.json, indexes, what is kept of a build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgekd.base import reader
from edgekd.base import shards as indexes
from edgekd.base.errors import IntegrityError
from edgekd.build import code_keys, lineage, planner
from edgekd.build.store import Store
from edgekd.document import bench, cache, details
from edgekd.document import report as reports
from edgekd.document import samples as samples_json
from edgekd.runtime import bundle as bundles
from edgekd.runtime import decisions as decided
from edgekd.spec import recipe, target
from fuzzing import _mutate, harness, room

VOCABULARY = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n"
KEY = "ab" * 32
# What the cache holds by name.
CACHED: dict[bytes, Any] = {
    b"measured": cache.Measured,
    b"rehearsed": cache.Rehearsed,
    b"baseline": details.Baseline,
    b"size": int,
    b"kept": bench.Kept,
    b"samples": samples_json.Samples,
}


@harness(_mutate.of_json, most=6000)
def manifest(data: bytes) -> None:
    """A bundle's manifest, with a digest that fits; a vocabulary lies beside it."""
    folder = room("bundle")
    if not (folder / "vocab.txt").exists():
        (folder / "vocab.txt").write_bytes(VOCABULARY)
    (folder / bundles.MANIFEST).write_bytes(data)
    (folder / bundles.DIGEST).write_bytes(bundles.digest_file(data))
    bundle = bundles.read(folder)
    bundles.canonical({"labels": bundle.labels, "task": bundle.task})
    for variant in bundle.variants:
        assert bundle.variant(variant.target) is variant


@harness(_mutate.of_json, most=12_000)
def report_json(data: bytes) -> None:
    """report.json up to where a page is drawn of it."""
    table = reader.read(data, reports.Report, "report.json")
    for place, allowed in reports.contradictions(table):
        raise IntegrityError("does not fit the rest", where=f"report.json: {place}", allowed=allowed)


@harness(_mutate.of_json)
def decisions_json(data: bytes) -> None:
    """Raw samples, and what was decided about them."""
    decided._read(data, "ort-cpu", "decisions.json")


@harness(_mutate.of_json, most=6000)
def cached(data: bytes) -> None:
    """A document of the cache; the first line says which."""
    name, _, text = data.partition(b"\n")
    if name == b"seen":
        (room("seen") / "seen.json").write_bytes(text)
        found = code_keys._kept(room("seen") / "seen.json")
        assert found is None or all(isinstance(one, str) for one in found["modules"])
    else:
        reader.read(text, CACHED.get(name, int), "measured.json")


class _Kept(Store):
    """A cache whose odd entries stay, so that the next run need not make them anew."""

    def _drop(self, place: Path, seen: Any = None) -> bool:
        return True


@harness(_mutate.of_json)
def cache_index(data: bytes) -> None:
    """The index of an entry, with files that may be those it lists."""
    store = _Kept(room("cache"))
    place = store._place(KEY)
    if not place.exists():
        store.put(KEY, {"weights": b"weights", "student.json": b"{}"})
    (place / "index.json").write_bytes(data)
    found = store.get(KEY, ("weights",))
    assert found is None or found == {"weights": b"weights", "student.json": b"{}"}


RECIPE = recipe.load("digits")[0]
PASSES = lineage.passes(planner.of_recipe(RECIPE, [target.load("ort-cpu")], "data", 100))


@harness(_mutate.of_json)
def student_json(data: bytes) -> None:
    """What a cached student says that it was made of."""
    if lineage.fault(data, PASSES) is None:
        root, *records = json.loads(data)["lineage"]
        assert root["kind"] in lineage.ROOTS and all(record["table"] for record in records)
        json.dumps([root, *records], allow_nan=False)


@harness(_mutate.of_json)
def shard_index(data: bytes) -> None:
    """The index of a checkpoint in several files."""
    path = room("shards") / "model.safetensors.index.json"
    path.write_bytes(data)
    assert all(file.parent == path.parent for file in indexes.shards(path).values())
