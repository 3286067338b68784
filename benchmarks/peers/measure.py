"""What the files are worth, in our environment: accuracy on test, agreement with fp32, bytes, and p50 in turns.

Both steps keep a file a pair of net and target, with the hash of what was scored or timed: what is there already and
has not changed is not done again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import _common
import numpy as np

from edgekd.base import host
from edgekd.base.errors import EdgekdError
from edgekd.build import target_runtime
from edgekd.runtime import bench
from edgekd.runtime.backend import Backend
from edgekd.spec import target
from peers import _samples, quantize
from peers._samples import Folder

TARGETS = ("ort-cpu", "openvino")
FLOAT, OURS, CALIBRATED = "fp32", "int8", "int8-ptq"
ENDINGS = (".onnx", ".xml", ".bin")
TIMED = 256  # samples of which the one of median length is timed
Files = dict[str, bytes]


def backend_of(name: str) -> Backend:
    """The runtime of a target."""
    return target_runtime.parse(target.load(name)).backend


def candidates(folder: Path, net: str, name: str) -> dict[str, Files]:
    """fp32, our int8 files and the peers' that aim at a target, as that runtime opens them."""
    place = folder / "nets" / net
    files = {FLOAT: dict(backend_of(name).lower(Folder(place).fp32(name)))}
    for ours in (OURS, CALIBRATED):
        files[ours] = {file.name: file.read_bytes() for file in sorted((place / "ours" / name / ours).iterdir())}
    for peer, facts in quantize.PEERS.items():
        made = [
            file for file in quantize.files_of(folder, net, peer).glob("*") if file.suffix in (".onnx", ".xml", ".bin")
        ]
        if facts.target == name and made:
            files[peer] = {file.name: file.read_bytes() for file in sorted(made)}
    return files


def hashed(files: Mapping[str, bytes]) -> str:
    """A key of a candidate's files."""
    parts = hashlib.sha256()
    for name, content in files.items():
        parts.update(name.encode() + hashlib.sha256(content).digest())
    return parts.hexdigest()


def _kept(file: Path) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return kept


def score(net: Folder, name: str, files: Files) -> np.ndarray:
    """(N, classes) what a file says to the test split, one sample at a time, as it ships.

    Raises:
        EdgekdError, RuntimeError, ValueError: the runtime does not open or run it.
    """
    session = backend_of(name).open(files, batch=1)
    return np.concatenate([next(iter(session.run(feed).values())).copy() for feed in net.feeds("test")])


def score_all(folder: Path, nets: Sequence[str]) -> None:
    """Accuracy and agreement of every file; ``scored/NET.TARGET.json``."""
    for net in nets:
        place = Folder(folder / "nets" / net)
        for name in TARGETS:
            file = folder / "scored" / f"{net}.{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            before, rows, truth = _kept(file), {}, None
            every = candidates(folder, net, name)
            for candidate, files in every.items():
                key = [hashed(files), hashed(every[FLOAT])]
                if before.get(candidate, {}).get("key") == key:
                    rows[candidate] = before[candidate]
                    continue
                row: dict[str, Any] = {"key": key, "bytes": sum(map(len, files.values())), "error": ""}
                try:
                    truth = score(place, name, every[FLOAT]) if truth is None else truth
                    scores = truth if candidate == FLOAT else score(place, name, files)
                    row["value"] = place.value(scores, "test")
                    row["agreement"] = float((scores.argmax(1) == truth.argmax(1)).mean())
                except (EdgekdError, RuntimeError, ValueError) as err:
                    row["error"] = str(err).strip().splitlines()[0][:300]
                rows[candidate] = row
                print(f"{net} on {name}, {candidate}: {row.get('value', row['error'])}", flush=True)
                _samples.keep(file, before | rows)
            _samples.keep(file, rows)


def timed_feed(net: Folder) -> _samples.Feed:
    """The validation sample of median length."""
    feeds = net.feeds("validation")[:TIMED]
    return sorted(feeds, key=lambda feed: next(iter(feed.values())).size)[len(feeds) // 2]


def time_one(folder: Path, net: str, name: str, rounds: int, seconds: float, again: bool) -> None:
    """Every file of a net that a target opens, in turns; ``timed/NET.TARGET.json``."""
    scored = _kept(folder / "scored" / f"{net}.{name}.json")
    files = {c: data for c, data in candidates(folder, net, name).items() if "value" in scored.get(c, {})}
    file = folder / "timed" / f"{net}.{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    key = [host.facts()["cpu"], rounds, seconds, {candidate: hashed(data) for candidate, data in files.items()}]
    if _kept(file).get("key") == key and not again:
        return
    x = timed_feed(Folder(folder / "nets" / net))
    samples, busy = _common.in_turns(target.load(name), files, x, rounds, seconds)
    rows = {}
    for candidate, taken in samples.items():
        ratio, (low, high) = bench.ratio_ci(taken, samples[OURS])
        rows[candidate] = {"p50_us": float(np.median(taken)) / 1e3, "over_ours": [ratio, low, high]}
        print(f"{net} on {name}, {candidate}: {rows[candidate]['p50_us']:.0f} us, {ratio:.2f} x ours", flush=True)
    _samples.keep(file, {"key": key, "cpus_used_by_others": busy, "rows": rows})


def measure_all(folder: Path, nets: Sequence[str], rounds: int, seconds: float, again: bool = False) -> None:
    """Score what is not scored, time every file, and write the results."""
    score_all(folder, nets)
    for net in nets:
        for name in TARGETS:
            time_one(folder, net, name, rounds, seconds, again)
    found = _common.nets("peers") | {net: row_of(folder, net) for net in nets}
    titles = {name: peer.title for name, peer in quantize.PEERS.items()}
    _common.write("peers", {"nets": found, "titles": titles, "rounds": rounds, "seconds": seconds})


def row_of(folder: Path, net: str) -> dict[str, Any]:
    """All that is known of a net: by target, every candidate's figures, or why it has none."""
    facts = Folder(folder / "nets" / net).facts
    row: dict[str, Any] = {"params": facts["params"], "targets": {}}
    for name in TARGETS:
        scored, timed = _kept(folder / "scored" / f"{net}.{name}.json"), _kept(folder / "timed" / f"{net}.{name}.json")
        found: dict[str, Any] = {}
        for candidate in (FLOAT, OURS, CALIBRATED, *(p for p, facts in quantize.PEERS.items() if facts.target == name)):
            figures = {k: v for k, v in scored.get(candidate, {}).items() if k != "key"}
            figures |= timed.get("rows", {}).get(candidate, {})
            if candidate in quantize.PEERS:
                figures |= _of_peer(folder, net, candidate, figures.get("error", ""))
            elif candidate != FLOAT:
                figures["seconds"] = facts["ours"][name][candidate]
            found[candidate] = figures
        row["targets"][name] = {"cpus_used_by_others": timed.get("cpus_used_by_others"), "candidates": found}
    return row


def _of_peer(folder: Path, net: str, peer: str, error: str) -> dict[str, Any]:
    """Its seconds, the version of what quantized, and what went wrong: in its own environment, or in our runtime."""
    made = _kept(folder / "rows" / net / f"{peer}.json") or {"error": "not run", "seconds": None, "version": ""}
    return {"seconds": made["seconds"], "version": made["version"], "error": made["error"] or error}
