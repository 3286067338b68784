"""What a system refuses, by whose fault it is: a full disk, a place that may not be written, the machine."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgekd.base import faults
from edgekd.base.errors import OutputError, ResourceError


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_error_number_has_one_kind_of_error_and_names_the_file(number: int) -> None:
    named = faults.told(OSError(number, os.strerror(number), "its/file"), Path("mine"))
    kind = OutputError if number in faults.REFUSED else ResourceError
    assert type(named) is kind and named.where == "its/file"
    assert ("the disk is full" in named.message) == (number in faults.FULL)
    assert not faults.FULL & faults.REFUSED and not faults.EXHAUSTED & faults.REFUSED


def test_where_the_system_names_no_file_the_place_is_named() -> None:
    assert faults.told(OSError(errno.EIO, "oh"), Path("mine")).where == "mine"
    assert faults.told(OSError(errno.EIO, "oh", b"by\xff"), Path("mine")).where == os.fsdecode(b"by\xff")
