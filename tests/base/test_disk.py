"""What the disk refuses is told as such."""

from __future__ import annotations

import pytest

from edgekd.base import disk
from edgekd.base.errors import EdgekdError, ResourceError


def test_what_fails_on_a_full_disk_is_the_disks_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="as it was"), disk.temporary("test"):
        raise ValueError("as it was")
    monkeypatch.setattr(disk, "_is_full", lambda folder: True)
    for err in (RuntimeError("iostream error"), ValueError("no JSON"), EdgekdError("the child ended with 1")):
        with pytest.raises(ResourceError, match="the disk is full"), disk.temporary("test") as folder:
            raise err
        assert not folder.exists()


def test_no_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with pytest.raises(ResourceError, match="set TMPDIR"), disk.temporary("test"):
        pass
