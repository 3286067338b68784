"""Shards: whole or not there, never of somebody else, read in any order; samples of one row or of any number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgekd.base.ragged import Ragged
from edgekd.build.outputs.forms import Dense, Form, Top
from edgekd.build.outputs.shards import BATCH, Kept, KeptRagged, Layout, Shard, Shards, answers_of
from edgekd.build.store import Store

COUNT = 3 * BATCH + 17
LAYOUT = Layout(COUNT, BATCH)
TOKENS = np.random.default_rng(1).integers(0, 6, COUNT)


def answers(seed: int = 0, columns: int = 5, count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, columns)).astype(np.float32)


def shards(root: Path, form: Form | None = None, view: int = 0, *, ragged: bool = False) -> Shards:
    return Shards(Store(root), ("teacher key", 0, "train", view), LAYOUT, form or Dense(5), ragged)


def filled(root: Path, values: np.ndarray, form: Form | None = None, view: int = 0) -> Shards:
    kept = shards(root, form, view)
    for number, (start, stop) in enumerate(LAYOUT.spans):
        kept.put(number, values[start:stop])
    return kept


def opened(kept: Shards) -> list[Shard]:
    return [shard for shard in kept.opened() if shard is not None]


def test_a_layout_is_of_whole_batches_and_has_each_sample_once() -> None:
    layout = Layout.of(10_000, Dense(1000, "float16"), 2e6)
    assert layout.samples == 768 and layout.samples % BATCH == 0
    assert [i for start, stop in layout.spans for i in range(start, stop)] == list(range(10_000))
    assert Layout.of(10_000, Dense(1000), 1).samples == BATCH
    assert Layout.of(10**9, Dense(2), 1e9).samples == 262_144


@pytest.mark.parametrize("form", [Dense(5), Dense(5, "float16"), Top((2, 3), 2)])
def test_rows_come_in_any_order_as_the_form_gives_them(tmp_path: Path, form: Form) -> None:
    values = answers()
    kept = filled(tmp_path, values, form)
    assert kept.missing() == []
    rows = answers_of(LAYOUT, form, opened(kept))
    expected = form.decode(form.encode(values))
    index = np.random.default_rng(2).integers(-COUNT, COUNT, 500)
    for wanted in (index, np.array([], np.int64), slice(200, 300), slice(None), slice(None, None, -7)):
        np.testing.assert_array_equal(rows[wanted], expected[wanted])
    assert len(rows) == COUNT and rows.shape == (COUNT, 5)
    with pytest.raises(IndexError, match=f"sample {COUNT} of {COUNT}"):
        rows[np.array([0, COUNT])]


def test_one_shard_of_float32_is_an_array_on_the_disk(tmp_path: Path) -> None:
    layout, values = Layout(100, BATCH), answers(count=100)
    kept = Shards(Store(tmp_path), ("key",), layout, Dense(5))
    kept.put(0, values)
    rows = answers_of(layout, Dense(5), opened(kept))
    assert isinstance(rows, np.ndarray) and rows.tobytes() == values.tobytes() and not rows.flags.writeable


def test_which_samples_have_an_answer(tmp_path: Path) -> None:
    values = answers()
    values[[5, BATCH + 1]] = np.nan
    rows = Kept(LAYOUT, Dense(5), opened(filled(tmp_path, values)))
    assert np.flatnonzero(~rows.answered()).tolist() == [5, BATCH + 1]


def test_a_shard_is_of_one_view_one_form_and_its_own_samples(tmp_path: Path) -> None:
    filled(tmp_path, answers())
    assert shards(tmp_path, view=1).missing() == shards(tmp_path, Dense(5, "float16")).missing() == [0, 1, 2, 3]
    other = Shards(Store(tmp_path), ("teacher key", 0, "train", 0), Layout(COUNT + BATCH, BATCH), Dense(5))
    assert other.missing() == [3, 4]  # the last of the smaller set holds other samples
    with pytest.raises(ValueError, match="shard 3 is of 17 samples, and 16 are answered"):
        shards(tmp_path).put(3, answers(count=16))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone", "swapped"])
def test_a_damaged_shard_is_missing_and_made_anew(tmp_path: Path, damage: str) -> None:
    kept = filled(tmp_path, answers())
    place = tmp_path / "artifacts" / kept.key(1)[:2] / kept.key(1) / "rows"
    data = place.read_bytes()
    other = tmp_path / "artifacts" / kept.key(0)[:2] / kept.key(0) / "rows"
    changed = {
        "cut": data[:-1],
        "flipped": bytes([data[0] ^ 1]) + data[1:],
        "empty": b"",
        "swapped": other.read_bytes(),
    }
    place.unlink()
    if damage in changed:
        place.write_bytes(changed[damage])
    assert [shard is None for shard in kept.opened()] == [False, True, False, False]
    assert kept.missing() == [1]
    kept.put(1, answers()[BATCH : 2 * BATCH])
    np.testing.assert_array_equal(Kept(LAYOUT, Dense(5), opened(kept))[:], answers())


WRITER = """
import sys, numpy as np
from pathlib import Path
from tests.build.outputs import test_shards as t
kept = t.shards(Path(sys.argv[1]))
print("begins", flush=True)
for number in kept.missing():
    start, stop = t.LAYOUT.spans[number]
    kept.put(number, t.answers()[start:stop])
"""


def test_killed_at_any_moment_no_row_is_another_and_a_shard_is_lost_at_most(tmp_path: Path) -> None:
    """The benchmark does this 50 times on more shards; here it is that what is there is right, each time."""
    line = [sys.executable, "-c", WRITER, str(tmp_path)]
    before = len(LAYOUT.spans)
    for wait in (0.0, 0.002, 0.006):
        root = Path(__file__).parents[3]
        with subprocess.Popen(line, cwd=root, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}) as p:
            assert p.stdout is not None and p.stdout.readline() == b"begins\n"
            time.sleep(wait)
            p.send_signal(signal.SIGKILL)
        kept = shards(tmp_path)
        for number, shard in enumerate(kept.opened()):
            start, stop = LAYOUT.spans[number]
            assert shard is None or shard.records.tobytes() == answers()[start:stop].tobytes()
        assert len(kept.missing()) <= before
        before = len(kept.missing())


def entries(seed: int = 3) -> Ragged:
    return Ragged.of(np.split(answers(seed, count=int(TOKENS.sum())), np.cumsum(TOKENS)[:-1]))


@pytest.mark.parametrize("form", [Dense(5), Dense(5, "float16"), Top((5,), 2)])
def test_samples_of_any_number_of_rows(tmp_path: Path, form: Form) -> None:
    whole, kept = entries(), shards(tmp_path, form, ragged=True)
    for number, (start, stop) in enumerate(LAYOUT.spans):
        kept.put(number, whole.take(np.arange(start, stop)))
    assert kept.missing() == [] and shards(tmp_path, form).missing() == [0, 1, 2, 3]
    rows = KeptRagged(LAYOUT, form, opened(kept))
    index = np.random.default_rng(4).integers(0, COUNT, 300)
    taken, expected = rows[index], whole.take(index)
    np.testing.assert_array_equal(taken.offsets, expected.offsets)
    np.testing.assert_array_equal(taken.values, form.decode(form.encode(expected.values)))


@pytest.mark.parametrize("kind", ["dense", "ragged"])
def test_labels_of_ragged_answers_stay_with_their_rows(tmp_path: Path, kind: str) -> None:
    """Each row says of which sample and which row of it it is; so do its labels."""
    sample = np.repeat(np.arange(COUNT), TOKENS)
    row = np.concatenate([np.arange(count) for count in TOKENS])
    whole = Ragged(np.stack([sample, row], 1).astype(np.float32), entries().offsets)
    kept = shards(tmp_path, Dense(2), ragged=True)
    for number, (start, stop) in enumerate(LAYOUT.spans):
        kept.put(number, whole.take(np.arange(start, stop)))
    labels = np.arange(COUNT) * 10 if kind == "dense" else Ragged(sample * 10 + row, whole.offsets)
    index = np.random.default_rng(5).permutation(COUNT)[:200]
    taken = KeptRagged(LAYOUT, Dense(2), opened(kept))[index]
    of_rows = taken.of_rows(labels.take(index) if isinstance(labels, Ragged) else labels[index])
    np.testing.assert_array_equal(of_rows, taken.values[:, 0] * 10 + (taken.values[:, 1] if kind == "ragged" else 0))


def test_offsets_of_another_number_of_samples_are_damage(tmp_path: Path) -> None:
    kept = shards(tmp_path, ragged=True)
    files = {"rows": answers(count=4).astype("<f4").tobytes(), "offsets": np.array([0, 4], "<i8").tobytes()}
    kept.store.put(kept.key(0), files)
    assert kept.mapped(0) is None and kept.missing() == [0, 1, 2, 3]
