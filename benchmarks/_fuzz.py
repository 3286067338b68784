"""One harness under atheris, as the child of ``fuzz.py``: ``_fuzz.py MODULE NAME FINDS SEED CORPUS... -runs=N``.

Only edgekd's own modules are instrumented. A plain exception ends nothing: the first input of each kind (its type, and
the last line of edgekd's that it came by) is kept in FINDS, and the run goes on. What ends a process (a signal, a limit
of time or memory) libFuzzer keeps.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
import traceback
from pathlib import Path

import atheris

LIMITS = (
    "-rss_limit_mb=2048",
    "-timeout=60",
    "-len_control=0",
    "-print_final_stats=1",
    "-reload=0",
    "-close_fd_mask=1",
)


def place(err: BaseException) -> str:
    """The last line of edgekd's that an exception came by; else of the harness."""
    frames = traceback.extract_tb(err.__traceback__)
    ours = [frame for frame in frames if "/edgekd/" in frame.filename and "site-packages" not in frame.filename]
    frame = (ours or frames)[-1]
    name = frame.filename.rpartition("/edgekd/")[2].rpartition("/fuzzing/")[2]
    return f"{name}:{frame.lineno}"


def main() -> None:
    module, name, finds, *line = sys.argv[1:]
    with atheris.instrument_imports(include=["edgekd"]):
        importlib.import_module(module)
        from fuzzing import HARNESSES  # noqa: PLC0415

        one, known = HARNESSES[name], set[str]()

        def run(data: bytes) -> None:
            try:
                one.ask(data)
            except Exception as err:  # noqa: BLE001 - what is looked for
                kind = f"{type(err).__name__} at {place(err)}"
                if kind not in known:
                    known.add(kind)
                    keep(Path(finds), kind, data, err)

        def mutate(data: bytes, most: int, seed: int) -> bytes:
            rng = random.Random(seed)
            made = one.mutate(data, rng) if rng.randrange(4) else b""
            return made if 0 < len(made) <= most else atheris.Mutate(data, most)

        for file in one.corpus():  # what is imported or compiled once is no input's time, and no edge of its own
            run(file.read_bytes())
        atheris.Setup([sys.argv[0], *line, f"-max_len={one.most}", *LIMITS], run, custom_mutator=mutate)
        atheris.Fuzz()


def keep(folder: Path, kind: str, data: bytes, err: BaseException) -> None:
    """The input, and what it raised."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "".join(c if c.isalnum() else "_" for c in kind)
    file.with_suffix(".bin").write_bytes(data)
    told = {"kind": kind, "message": str(err)[:300], "traceback": traceback.format_exception(err)[-8:]}
    file.with_suffix(".json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
