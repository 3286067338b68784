"""Which change makes which step run again: the keys of a plan before and after each, and for some a build.

For every mutation of ``_mutations.py`` a project is written, changed in one place and planned: exactly the steps that
depend on that place must have another key. For some of each kind a quick build follows one of the unchanged project in
the same cache: exactly these steps must run, and the others come from the cache.

    python benchmarks/mutations.py [--builds 6]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import _common
import _mutations
from _mutations import BUNDLE, MUTATIONS, Mutation, World, changed, expected, keys, order_of, world

from edgekd import pipeline
from edgekd.base.errors import EdgekdError
from edgekd.build import run as running
from edgekd.build.prepare import Objects
from edgekd.build.store import Store

BUILT = (
    "the pruning ratio",
    "the target's weight bits",
    "the target's threads",
    "a module two imports away, in a namespace",
    "a safetensors file",
    "a graph pass of the user's",
)


def compared(root: Path, mutation: Mutation, before: dict[str, str]) -> dict[str, Any]:
    """A row of the table: what should run again, and what has another key."""
    with world(root, mutation.of) as made:
        mutation.change(made)
        got = changed(before, keys(made))
    wanted = expected(mutation)
    row: dict[str, Any] = {
        "change": mutation.name,
        "of": mutation.of,
        "runs_again": [name for name in (*before, *_mutations.REFUSED) if name in got and name != BUNDLE],
        "another_bundle": BUNDLE in got,
        "missed": sorted(wanted - got),
        "too_many": sorted(got - wanted),
    }
    print(f"{mutation.name}: {', '.join(row['runs_again']) or 'nothing'}", flush=True)
    return row


def ran(made: World, cache: Path, out: Path) -> set[str]:
    """The steps whose result a quick build did not find in a cache; a measurement's is found by its file."""
    put: list[tuple[str, tuple[str, ...]]] = []
    real = Store.put

    def noted(self: Store, key: str, files: Any) -> Any:
        put.append((key, tuple(files)))
        return real(self, key, files)

    order = order_of(made, cache=cache, out=out, quick=True, overwrite=True)
    with made.patches:
        made.patches.callback(setattr, Store, "put", real)
        Store.put = noted  # type: ignore[method-assign]
        workspace = running.checked(order, made.given or Objects())
        pipeline.run(order, made.given)
    names = {step.key: step.name for step in workspace.plan.steps.values()}
    return {names[key] for key, _ in put if key in names} | {
        name for _, files in put if "measured.json" in files for name in _mutations.MEASURE
    }


def built(root: Path, mutation: Mutation) -> dict[str, Any]:
    """A build of the unchanged project, then one of the changed: what ran the second time."""
    with tempfile.TemporaryDirectory(prefix="edgekd-mutations-") as name:
        with world(root, mutation.of) as made:
            first = ran(made, Path(name, "cache"), Path(name, "out"))
        with world(root, mutation.of) as made:
            mutation.change(made)
            second = ran(made, Path(name, "cache"), Path(name, "out"))
    row: dict[str, Any] = {
        "change": mutation.name,
        "first": len(first),
        "again": sorted(second),
        "right": second == {*mutation.reruns},
    }
    print(f"built: {mutation.name}: {', '.join(row['again']) or 'nothing'}", flush=True)
    return row


def main() -> None:
    """Compare, build, write; exit 1 where a step is missed, or runs for nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builds", type=int, default=len(BUILT), help="so many of the changes are also built")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgekd-mutations-") as name:
        root = Path(name) / "project"
        before: dict[str, dict[str, str]] = {}
        for of in ("recipe", "notebook"):
            with world(root, of) as made:
                before[of] = keys(made)
        rows = [compared(root, mutation, before[mutation.of]) for mutation in MUTATIONS]
        by_name = {mutation.name: mutation for mutation in MUTATIONS}
        builds = []
        for change in BUILT[: given.builds]:
            try:
                builds.append(built(root, by_name[change]))
            except EdgekdError as err:
                builds.append({"change": change, "error": str(err), "right": False})
                print(f"built: {change}: {err}")
    wrong = [row["change"] for row in rows if row["missed"] or row["too_many"]]
    wrong += [f"{row['change']} (built)" for row in builds if not row["right"]]
    _common.write("mutations", {"mutations": rows, "builds": builds, "wrong": wrong})
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
