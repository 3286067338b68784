"""Locks between processes: one at a time, with patience, and none where the system knows none."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from edgekd.base import locks


def test_a_lock_file_is_held_by_one_at_a_time_and_gone_afterwards(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "lock", [0], [0]

    def work() -> None:
        with locks.file(path):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] and not path.exists()


def test_who_holds_a_lock_is_seen_from_outside(tmp_path: Path) -> None:
    assert not locks.is_held(tmp_path / "lock"), "there is none"
    with locks.file(tmp_path / "lock"):
        assert locks.is_held(tmp_path / "lock")
    (tmp_path / "lock").touch()
    assert not locks.is_held(tmp_path / "lock"), "left by a process that died"


def test_a_folder_in_the_place_of_a_lock_file_is_removed(tmp_path: Path) -> None:
    (tmp_path / "lock" / "inner").mkdir(parents=True)
    with locks.file(tmp_path / "lock"):
        assert (tmp_path / "lock").is_file()


def test_patience_with_a_folder_ends(tmp_path: Path) -> None:
    with locks.folder(tmp_path) as ours, locks.folder(tmp_path, patience=0.03) as theirs:
        assert (ours, theirs) == (True, False)


def test_where_the_system_knows_no_locks_everybody_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    with locks.folder(tmp_path) as ours, locks.folder(tmp_path) as theirs, locks.file(tmp_path / "lock"):
        assert ours and theirs
    handle = os.open(tmp_path, os.O_RDONLY)
    assert locks.take(handle) is None
    os.close(handle)
