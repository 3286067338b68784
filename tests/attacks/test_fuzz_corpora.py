"""Every fuzz harness without the fuzzer: its corpus, and some seeded mutations of it. 0 plain exceptions.

``benchmarks/fuzz.py`` runs the same harnesses millions of times. One that is added there is found here by itself.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fuzz
import fuzzing
import pytest

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of numpy and Pillow, over damaged files

FOLDER = Path(__file__).parents[2] / "benchmarks" / "fuzzing"
MUTATIONS, SLOW_MUTATIONS = 300, 3
SECONDS = 0.08  # of one harness's mutations; a slow machine makes fewer


HARNESSES: dict[str, Any] = fuzzing.load()


@pytest.fixture(autouse=True, scope="module")
def _rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What harnesses write is gone with what other tests write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("fuzz")))
        yield


@pytest.mark.parametrize("name", HARNESSES)
def test_a_door_answers_or_refuses(name: str) -> None:
    harness = HARNESSES[name]
    corpus = [path.read_bytes() for path in harness.corpus()]
    for data in corpus:
        harness.ask(data)
    rng, until = random.Random(name), time.monotonic() + SECONDS
    for _ in range(SLOW_MUTATIONS if harness.slow else MUTATIONS):
        data = rng.choice(corpus)
        for _ in range(rng.choice((1, 1, 1, 3))):
            data = harness.mutate(data, rng)
        harness.ask(data[: harness.most])
        if time.monotonic() > until:
            break


@pytest.mark.parametrize("name", HARNESSES)
def test_what_edgekd_writes_is_taken(name: str) -> None:
    """A corpus that is behind the formats would be refused at its first line, and nothing behind that is tried."""
    good = [path for path in HARNESSES[name].corpus() if path.name.startswith("good")]
    assert good
    for path in good:
        assert HARNESSES[name].ask(path.read_bytes()) is None, path.name


def test_corpora_are_small_and_of_a_harness() -> None:
    folders = sorted(path.name for path in (FOLDER / "corpora").iterdir())
    assert folders == sorted(HARNESSES) and len(folders) >= 18
    for name, harness in HARNESSES.items():
        sizes = [path.stat().st_size for path in harness.corpus()]
        assert 1 <= len(sizes) <= 12 and max(sizes) <= harness.most, name


def test_the_runner_counts_by_what_the_fuzzer_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges that the corpus covers at the start of a process are not new; one in the last tenth is."""
    monkeypatch.setattr(fuzz, "WORK", tmp_path)
    run = fuzz.Run(HARNESSES["wav"], "code", tmp_path / "memory")
    first = b"INFO: x\n#2\tINITED cov: 10 ft: 9\n#50\tNEW    cov: 12 ft: 9\n#110\tDONE   cov: 12\n"
    run.heard([*first.splitlines(True), b"stat::slowest_unit_time_sec:     3\n"], 0)
    assert (run.state.executions, run.state.last_new, run.edges, run.state.slowest) == (110, 50, 12, 3)
    assert run.quiet() and run.state.edges_at(49) == 10
    run.heard(b"#3\tINITED cov: 12\n#7\tNEW    cov: 13 ft: 1\n#8\tpulse  cov: 13\n".splitlines(True), 110)
    assert (run.state.executions, run.state.last_new, run.edges) == (118, 117, 13) and not run.quiet()
    (tmp_path / "wav" / "finds" / "E.bin").write_bytes(b"x")
    (tmp_path / "wav" / "finds" / "E.json").write_text('{"kind": "E"}')
    assert run.row()["plain_exceptions"] == ["E"]
    again = fuzz.Run(HARNESSES["wav"], "other code", tmp_path / "memory")
    assert not again.finds() and (tmp_path / "wav" / "corpus" / "E.bin").exists() and not again.state.executions
