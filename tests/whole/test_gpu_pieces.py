"""The fifteen minutes of a GPU without one: what comes next, what fits, and what a cut or a crash leaves behind."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import _gpu_files
import _gpu_rows
import _gpu_trained
import _pieces
import gpu  # of benchmarks/
import numpy as np
import onnx.parser
import pytest
import torch
from _pieces import Outcome, Part, Piece

from edgekd.base.errors import ExportError, UnavailableError
from edgekd.runtime.backends.ort_cuda.backend import OrtCuda

WORLDS = 40  # of 490 pieces


class Killed(Exception):
    """The machine is gone."""


@dataclass
class World:
    """Made parts whose pieces take known seconds, a clock, and a disk that outlives a kill."""

    seed: int
    parts: list[Part] = field(default_factory=list)
    true: dict[str, float] = field(default_factory=dict)
    fails: set[str] = field(default_factory=set)
    disk: dict[str, Outcome] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)  # how often each piece gave its result
    now: float = 0.0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        for number in range(1, self.rng.randint(2, 5)):
            seconds = self.rng.uniform(60, 200)
            kinds = [(f"{number}{letter}", self.rng.uniform(5, seconds)) for letter in "abc"]
            pieces = []
            for place in range(self.rng.randint(2, 8)):
                kind, stated = self.rng.choice(kinds)
                pieces.append(Piece(f"{kind} {place}", kind, stated))
                self.true[pieces[-1].name] = min(stated * self.rng.uniform(0.3, 2), seconds - 1)
            self.parts.append(Part(number, "", "", seconds, tuple(pieces), self.rng.choice([1, 1, 3])))
        hangs, breaks = self.rng.sample(sorted(self.true), 2)
        self.true[hangs], self.fails = 1e9, {breaks}

    def run(self, budget: float, dies: float = 1e9) -> None:
        """One run, as from a fresh process; ``dies``: after how many seconds the machine goes."""
        begun, outcomes = self.now, json.loads(json.dumps(self.disk))
        room, tried = {part.number: part.seconds for part in self.parts}, set[str]()

        def attempt(chosen: Sequence[Piece], limit: float) -> Iterator[tuple[Piece, Outcome]]:
            part = next(part for part in self.parts if chosen[0] in part.pieces)
            assert 1 <= len(chosen) <= part.beside and set(chosen) <= set(part.pieces)
            assert limit == pytest.approx(min(room[part.number], budget - (self.now - begun)))
            for piece in chosen:
                assert piece.name not in tried and not _pieces.is_done(outcomes.get(piece.name))
                assert _pieces.expected(piece, part, outcomes) <= limit
            for earlier in self.parts[: part.number - 1]:  # nothing that is worth more would have fitted
                most = min(room[earlier.number], budget - (self.now - begun))
                waiting = [piece for piece in _pieces.left(earlier, outcomes) if piece.name not in tried]
                assert all(_pieces.expected(piece, earlier, outcomes) > most for piece in waiting)
            tried.update(piece.name for piece in chosen)
            start = self.now
            for piece in sorted(chosen, key=lambda piece: self.true[piece.name]):
                self.now = start + min(self.true[piece.name], limit)
                if self.now - begun > dies:
                    raise Killed
                if self.true[piece.name] > limit:
                    yield piece, {"cut": True}
                elif piece.name in self.fails:
                    yield piece, {"error": "broken"}
                else:
                    self.runs[piece.name] = self.runs.get(piece.name, 0) + 1
                    yield piece, {"result": {"of": piece.name}}
            room[part.number] -= self.now - start

        def save(part: Part) -> None:
            self.disk = json.loads(json.dumps(outcomes))

        with suppress(Killed):
            _pieces.run(self.parts, outcomes, attempt, save, budget, lambda: self.now)
            untried = {piece.name for part in self.parts for piece in _pieces.left(part, outcomes)} - tried
            for part in self.parts:
                most = min(room[part.number], budget - (self.now - begun))
                waiting = [piece for piece in part.pieces if piece.name in untried]
                assert all(_pieces.expected(piece, part, outcomes) > most for piece in waiting)
        assert self.now - begun <= budget + 1e-6


@pytest.mark.parametrize("seed", range(WORLDS))
def test_runs_keep_their_budgets_and_go_on_until_nothing_is_left_that_ends(seed: int) -> None:
    world = World(seed)
    for _ in range(60):
        world.run(world.rng.uniform(200, 600), world.rng.choice([1e9, world.rng.uniform(0, 400)]))
    ends = {name for name, seconds in world.true.items() if seconds < 1e9} - world.fails
    assert {name for name, outcome in world.disk.items() if _pieces.is_done(outcome)} == ends
    assert set(world.runs.values()) <= {1}  # what has its result is never done again
    assert all(world.disk[name]["error"] == "broken" for name in world.fails)


def test_a_measured_time_counts_for_its_kind_and_one_that_was_cut_does_not() -> None:
    part = Part(1, "", "", 100, (Piece("a 0", "a", 10), Piece("a 1", "a", 10), Piece("b", "b", 10)))
    outcomes: dict[str, Outcome] = {"a 0": {"result": {}, "seconds": 70}, "b": {"cut": True, "seconds": 90}}
    assert [_pieces.expected(piece, part, outcomes) for piece in part.pieces] == [70, 70, 10]
    turn = _pieces.following([part], outcomes, set(), {1: 60.0}, 500)
    assert turn is not None and [piece.name for piece in turn[1]] == ["b"]  # it fits, and a 1 does not
    text = "\n".join(_pieces.lines([part], outcomes))
    assert "done: a 0\n" in text and "left: a 1 (70 s), b (10 s)" in text and "b: was cut after 90 s" in text


def test_every_piece_fits_its_part_and_has_a_name_of_its_own() -> None:
    assert all(piece.seconds <= part.seconds for part in gpu.PARTS for piece in part.pieces)
    names = [piece.name for part in gpu.PARTS for piece in part.pieces]
    assert len(set(names)) == len(names)
    for module, kinds in gpu.WHERE.items():
        assert all(callable(getattr(importlib.import_module(module), kind)) for kind in kinds)
    assert {kind for kinds in gpu.WHERE.values() for kind in kinds} == {
        piece.kind for part in gpu.PARTS for piece in part.pieces
    }
    assert {piece.kind for part in map(gpu.quickened, gpu.PARTS) for piece in part.pieces} == {
        piece.kind for part in gpu.PARTS for piece in part.pieces
    }


def test_what_was_measured_before_there_were_pieces_stays_done() -> None:
    outcomes = gpu.in_folder(gpu.RESULTS, gpu.PARTS)
    assert all(_pieces.is_done(outcomes.get(f"net {name}")) for name in gpu.NETS)
    assert _pieces.left(gpu.PARTS[1], outcomes) == []


# What a process does in the place of a piece.
WRITES = "import json, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(json.dumps({}))"
ACTS = {
    "ends": WRITES.format({"result": {"x": 1}}),
    "fails": WRITES.format({"error": "ValueError: no"}),
    "crashes": "import os; print('the last words', flush=True); os._exit(9)",
    "hangs": "import subprocess, sys, time\n"
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(p.pid, flush=True); time.sleep(60)",
}


def options(out: Path, **more: Any) -> argparse.Namespace:
    return argparse.Namespace(
        **{"out": out, "data": None, "device": "cpu", "quick": True, "budget": 600.0, "again": False, **more}
    )


def test_a_piece_that_fails_crashes_or_hangs_leaves_its_reason_and_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def acting(given: argparse.Namespace, piece: Piece) -> subprocess.Popen[bytes]:
        answer, log = (gpu.file_of(given.out, piece.name, suffix) for suffix in ("json", "log"))
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as output:
            line = [sys.executable, "-c", ACTS[piece.name], str(answer)]
            return subprocess.Popen(line, stdout=output, stderr=output, process_group=0)

    monkeypatch.setattr(gpu, "started", acting)
    chosen = [Piece(name, name, 1) for name in ACTS]
    outcomes = {piece.name: outcome for piece, outcome in gpu.attempts(options(tmp_path), chosen, 3)}
    assert list(outcomes)[-1] == "hangs" and outcomes["hangs"].get("cut")
    assert outcomes["ends"]["result"] == {"x": 1} and outcomes["fails"]["error"] == "ValueError: no"
    assert "ended with 9" in outcomes["crashes"]["error"] and "last words" in outcomes["crashes"]["error"]
    child = int(gpu.file_of(tmp_path, "hangs", "log").read_text())
    for _ in range(50):
        if not is_running(child):
            break
        time.sleep(0.1)
    assert not is_running(child)
    assert list((tmp_path / "pieces").glob("*.json")) == []


def is_running(process: int) -> bool:
    """Whether there is such a process that is not a mere entry of the dead."""
    try:
        os.kill(process, 0)
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_run_writes_each_part_goes_on_and_says_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [gpu.quickened(part) for part in gpu.PARTS[2:]]
    calls: list[str] = []

    def attempts(given: argparse.Namespace, chosen: Sequence[Piece], limit: float) -> Iterator[tuple[Piece, Outcome]]:
        for piece in chosen:
            calls.append(piece.name)
            yield piece, {"error": "ValueError: no"} if piece.name == "launch" else {"result": {"of": piece.name}}

    monkeypatch.setattr(gpu, "attempts", attempts)
    assert gpu.measure(options(tmp_path), parts) == 1
    assert sorted(calls) == sorted(piece.name for part in parts for piece in part.pieces)
    assert json.loads((tmp_path / "gpu_full.json").read_text())["pieces"]["full one-tenth"]["result"]
    text = capsys.readouterr().out
    assert "left: launch (60 s)" in text and "launch: ValueError: no" in text
    assert gpu.measure(options(tmp_path), parts) == 1 and calls[len(calls) - 1] == "launch"
    assert calls.count("launch") == 2 and calls.count("rates") == 1
    assert gpu.measure(options(tmp_path, device="cpu", quick=False), parts) == 2  # a trial's folder is no other's


def test_without_a_gpu_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert gpu.measure(options(tmp_path, device="cuda", quick=False), gpu.PARTS) == 4
    assert "no CUDA device" in capsys.readouterr().out and list(tmp_path.iterdir()) == []


def test_what_is_kept_joins_what_was_there_and_a_trial_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, out = tmp_path / "results", tmp_path / "out"
    gpu.write(results, gpu.PARTS[0], {"host": {"gpu": "an old one"}, "nets": {"resnet20": {"1": {}}}})
    monkeypatch.setattr(gpu, "RESULTS", results)
    pieces = {
        "net distilbert": {"result": {"1": {"refused": "the CPU"}}, "on": "a new one"},
        "kernels": {"result": {"eight_bits": {}}, "on": "a new one"},
        "build digits": {"error": "ValueError: no"},
    }
    about = {"host": {"gpu": "a new one"}, "device": "cuda", "quick": False}
    gpu.write(out, gpu.PARTS[0], {**about, "pieces": pieces})
    assert gpu.keep(options(out), gpu.PARTS) == 0
    document = gpu.read(results, gpu.PARTS[0])
    assert document["cpus"] == {"resnet20": "an old one", "distilbert": "a new one"}
    assert list(document["pieces"]) == ["kernels"] and document["nets"]["distilbert"]["1"]["refused"]
    done = gpu.in_folder(results, gpu.PARTS)
    assert set(done) == {"net resnet20", "net distilbert", "kernels"}
    gpu.write(out, gpu.PARTS[0], {**about, "quick": True, "pieces": pieces})
    assert gpu.keep(options(out), gpu.PARTS) == 2


NET = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 3] x) => (float[N, 3] y) { y = Add(x, x) }
"""


def test_what_the_target_refuses_is_a_result_with_its_nodes_and_a_missing_provider_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As DistilBERT's few operators on shapes, which the provider would leave to the CPU."""
    setup = _gpu_files.Setup(None, tmp_path, cuda=False, quick=True)
    data, x = onnx.parser.parse_model(NET).SerializeToString(), {"x": np.ones((1, 3), np.float32)}
    opens = OrtCuda.open

    def strict(self: OrtCuda, files: dict[str, bytes], batch: int | None = None) -> Any:
        if not self.fallback:
            raise ExportError("some nodes would run on the CPU")
        return opens(self, files, batch)

    monkeypatch.setattr(OrtCuda, "open", strict)
    row = _gpu_files.placed(setup, data, x)
    assert row["refused"] == "some nodes would run on the CPU" and row["p50_ms"] > 0
    assert row["ops"] == {"CPUExecutionProvider": {"Add float": 1}}
    (_, text), *_ = _gpu_rows.eight_bits({"a": {"fp16": row, "int8": {}}})
    assert text == "1 of 1: Add"

    def missing(self: OrtCuda, files: dict[str, bytes], batch: int | None = None) -> Any:
        raise UnavailableError("no such provider")

    monkeypatch.setattr(OrtCuda, "open", missing)
    with pytest.raises(UnavailableError):
        _gpu_files.placed(setup, data, x)


def test_the_gap_is_summed_up_from_a_bit_a_sample_and_kept_as_the_table_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, labels = np.random.default_rng(0), np.zeros(1001, np.int64)
    feed = argparse.Namespace(feed=argparse.Namespace(labels=lambda split: labels))
    shares = {"alone": 0.5, "teacher": 0.9, "distilled": 0.8, "int8 on ort-cpu": 0.7, "int8 on openvino": 0.75}
    rows, right = {}, {}
    for seed in gpu.SEEDS:
        hits = {who: rng.random(len(labels)) < share for who, share in shares.items()}
        right[seed] = {who: float(hit.mean()) for who, hit in hits.items()}
        answers = {who: np.stack([hit, ~hit], axis=1).astype(np.float32) for who, hit in hits.items()}
        alone = {"alone": answers.pop("alone")}
        for student, told in (("alone", alone), ("distilled", answers)):
            result = _gpu_trained.record(feed, told, 1.0)  # type: ignore[arg-type]
            rows[f"{student} {seed}"] = {"result": result, "seconds": 2.0, "on": "a GPU"}
    monkeypatch.setattr(gpu, "RESULTS", tmp_path / "results")
    out = tmp_path / "out"
    about = {"host": {"gpu": "a GPU"}, "device": "cuda", "quick": False}
    fewer = {name: row for name, row in rows.items() if name != "alone 2"}
    gpu.write(out, gpu.PARTS[1], {**about, "pieces": fewer})
    assert gpu.keep(options(out), gpu.PARTS) == 0  # the sum waits for the last one
    assert set(gpu.in_folder(gpu.RESULTS, gpu.PARTS)) == set(fewer)
    gpu.write(out, gpu.PARTS[1], {**about, "pieces": {"alone 2": rows["alone 2"]}})
    assert gpu.keep(options(out), gpu.PARTS) == 0
    document = gpu.read(gpu.RESULTS, gpu.PARTS[1])
    assert _pieces.left(gpu.PARTS[1], gpu.outcomes_of(document)) == []
    for who in shares:
        assert document["value_test"][who] == [right[seed][who] for seed in gpu.SEEDS]
    mean = {who: np.mean([right[seed][who] for seed in gpu.SEEDS]) for who in shares}
    closed = (mean["int8 on ort-cpu"] - mean["alone"]) / (mean["teacher"] - mean["alone"])
    assert document["closes"]["int8 on ort-cpu"] == pytest.approx(closed)
    (_, gap), (_, kept) = _gpu_rows.gap(document)
    assert gap.startswith(f"{100 * (mean['teacher'] - mean['alone']):.2f} points")
    assert f"{100 * closed:.0f} % of the gap" in kept
