"""Shared fixtures. Training in tests is tiny, on one thread, and never sees the network."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("EDGEKD_CACHE", str(tmp_path / "cache"))
