"""Documents of the cache: of their shape, or made anew."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import pytest

from edgekd.build import kept
from edgekd.build.store import Store

KEY = "a" * 64


class Document(TypedDict):
    """A document of a test."""

    value: int


def test_a_document_of_its_shape_comes_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert kept.document(store, KEY, "a.json", Document) is None
    store.put(KEY, {"a.json": b'{"value": 3}'})
    assert kept.document(store, KEY, "a.json", Document) == {"value": 3} and store.has(KEY)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"value": "3"}', b"{}"])
def test_an_odd_one_is_dropped(data: bytes, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, {"a.json": data})
    assert kept.document(store, KEY, "a.json", Document) is None and not store.has(KEY)
