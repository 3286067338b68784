"""Nothing leaves the machine: every command, backend and program of a bundle under strace, for a minute after its work.

    apt install strace
    python benchmarks/no_network.py [--node FOLDER] [--ort FOLDER] [--seconds 60]

Each row is a command with an empty HOME and TMPDIR: counted are its sockets, look-ups of hosts, files that it wrote
outside of ``--out`` and the cache, and what it left. 0 of each is allowed. What measures, loads or answers lives on for
``--seconds`` afterwards; the rows sleep side by side. The controls do what ONNX Runtime does where nobody keeps it from
it: a watch that saw nothing there would be blind. ``--node`` holds node_modules (``npm install onnxruntime-node
onnxruntime-web``), ``--ort`` the headers and library of ONNX Runtime, for the C++ program.

At last a build, a bench and a verify in a namespace without a network (``unshare``, util-linux): the same bytes? The
same command goes on where it was stopped (``--again`` starts anew).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import _watched
import _watched_rows
import kills

from edgekd.base import disk

ALONE = ["unshare", "-rn"]
WORK = Path(__file__).parent / "work" / "no_network"


def without() -> dict[str, Any]:
    """Build with and without a network, compare the bytes; then bench and verify without."""
    with tempfile.TemporaryDirectory(prefix="edgekd-network-") as name:
        root = Path(name)
        given = argparse.Namespace(
            recipe="digits", targets=["ort-cpu", "openvino"], settings=list(kills.SHORT), quick=False
        )
        kills.run(kills.command(root / "with", given))
        kills.run([*ALONE, *kills.command(root / "without", given)])
        one, two = (kills.content(root / folder / "out") for folder in ("with", "without"))
        differ = sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key))
        codes = {
            command: subprocess.run(
                [*ALONE, sys.executable, "-m", "edgekd", command, str(root / "without" / "out")],
                capture_output=True,
                check=False,
            ).returncode
            for command in ("bench", "verify")
        }
    return {"differ": differ, "exit_codes": codes}


def watched(given: argparse.Namespace, done: dict[str, Any], keep: Any) -> dict[str, str]:
    """Every row that is not done yet; what could not be measured, with the reason."""
    place = _watched_rows.Place(WORK, given.seconds, given.node, given.ort)
    if not place.bundle.is_dir():
        shutil.rmtree(WORK / "build", ignore_errors=True)
        row = place.build()
        keep(row, _watched.watch(row.line, WORK / "build", more=row.env))
    rows, missing = place.rows()
    with ThreadPoolExecutor(len(rows)) as pool:
        waiting = {}
        for row in rows:
            if row.what not in done:
                folder = WORK / "rows" / "".join(char if char.isalnum() else "-" for char in row.what)
                shutil.rmtree(folder, ignore_errors=True)
                waiting[pool.submit(_watched.watch, row.line, folder, row.own, row.env, row.held)] = row
        for future in as_completed(waiting):
            keep(waiting[future], future.result())
    return missing


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value[:5] if isinstance(value, list) else value for key, value in row.items()}


def main() -> None:
    """Watch, compare, write; exit 1 where something was asked or left, or a control saw nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node", type=Path)
    parser.add_argument("--ort", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="that each lives on")
    parser.add_argument("--again", action="store_true", help="forget what an earlier run found")
    parser.add_argument("--no-result", action="store_true")
    given = parser.parse_args()
    if given.again:
        shutil.rmtree(WORK, ignore_errors=True)
    kept = WORK / "rows.json"
    state: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {"rows": {}}

    def keep(row: _watched_rows.Row, found: dict[str, Any]) -> None:
        state["rows"][row.what] = {"kind": row.kind, **found}
        disk.replace_file(kept, json.dumps(state).encode())
        print(f"{row.kind}: {row.what}: {'clean' if _watched.is_clean(found) else _short(found)}", flush=True)

    missing = watched(given, state["rows"], keep)
    if "differ" not in state:
        state |= without()
        disk.replace_file(kept, json.dumps(state).encode())
    by_kind: dict[str, dict[str, Any]] = {kind: {} for kind in _watched_rows.KINDS}
    for what, row in sorted(state.pop("rows").items()):
        kind = row.pop("kind")
        by_kind[kind][what] = {"clean": _watched.is_clean(row), **row}
    bad = [what for what, row in by_kind["watched"].items() if not row["clean"]]
    blind = [what for what, row in by_kind["controls"].items() if row["clean"]]
    print(
        f"{len(by_kind['watched'])} watched, not clean: {bad or 'none'}; controls that saw nothing: {blind or 'none'}"
    )
    print(f"files that differ: {state['differ'] or 'none'}; exit codes without a network: {state['exit_codes']}")
    if not given.no_result:
        import _common  # noqa: PLC0415  # torch is not needed before

        told = {"seconds": given.seconds, "not_clean": bad, "blind_controls": blind, "not_measured": missing}
        _common.write("no_network", {**state, **told, **by_kind})
    shutil.rmtree(WORK)
    sys.exit(1 if bad or blind or state["differ"] or any(state["exit_codes"].values()) else 0)


if __name__ == "__main__":
    main()
