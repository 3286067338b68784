"""Which change makes which step run again: every mutation of ``benchmarks/_mutations.py``, its keys compared.

The graphs of the networks are left out here (``test_network_key.py`` and the benchmark hold them): their export
would take a second each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import _mutations as mutations
import pytest

from edgekd.build import network_key


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, dict[str, str]]]]:
    """Where the project stands, and its keys as it is, of both worlds; the same when it is written once more."""
    root = tmp_path_factory.mktemp("mutations") / "project"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_key, "_add_graph", lambda *_: None)
        found: dict[str, dict[str, str]] = {}
        for of in ("recipe", "notebook"):
            for _ in range(2):
                with mutations.world(root, of) as made:
                    now = mutations.keys(made)
                assert found.setdefault(of, now) == now, "nothing was changed"
        yield root, found


def test_the_table_is_as_long_as_it_says() -> None:
    assert len(mutations.MUTATIONS) >= 40
    assert len({mutation.name for mutation in mutations.MUTATIONS}) == len(mutations.MUTATIONS)


@pytest.mark.parametrize("mutation", mutations.MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_change_makes_what_depends_on_it_and_nothing_else(
    mutation: mutations.Mutation, before: tuple[Path, dict[str, dict[str, str]]]
) -> None:
    root, known = before
    with mutations.world(root, mutation.of) as made:
        mutation.change(made)
        after = mutations.keys(made)
    assert mutations.changed(known[mutation.of], after) == mutations.expected(mutation)
