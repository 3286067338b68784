"""What is measured on a GPU, in pieces and in order of worth: made for fifteen minutes of one.

    python benchmarks/gpu.py --left [--out FOLDER]                       # what is done, and what is left
    python benchmarks/gpu.py --data FOLDER --out FOLDER [--budget 540]   # where the GPU is
    python benchmarks/gpu.py --keep --data FOLDER --out FOLDER           # the results, into benchmarks/results/
    python benchmarks/gpu.py --device cpu --quick --out FOLDER           # every part on made data: the way, no figures

Each piece runs in a process of its own and is written as soon as it is there; one that fails is written with its error,
and the others go on. The same command goes on where it was cut, and leaves out what ``results/`` holds (``--again``: it
does not). Exit code 1: a piece failed; 4: there is no GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import _pieces
from _pieces import Outcome, Part, Piece

from edgekd.base import host
from edgekd.base.disk import replace_file

RESULTS = Path(__file__).parent / "results"
POLL = 0.1  # seconds
QUICK = 60.0  # seconds that a piece should take with --quick, on two CPUs
NETS, SEEDS, FULL = ("resnet20", "mobilenetv2", "distilbert"), range(3), ("bert-distilbert", "one-tenth", "cifar10-cnn")


def pieces(kind: str, seconds: float, names: Sequence[object] = ()) -> list[Piece]:
    """Of one kind: its name and what each is of."""
    return [Piece(f"{kind} {name}", kind, seconds) for name in names] or [Piece(kind, kind, seconds)]


# The seconds of net, distilled and alone were measured on an H100 and an H200, the last two with six beside each other;
# the others are estimates, until a piece of their kind was run.
PARTS = (
    Part(
        1,
        "builds for ort-cuda, parity, latency, and int8 by what the provider's kernels do",
        "gpu",
        360,
        (
            *pieces("build", 60, ["digits", "cifar10-resnet", "bert-distilbert"]),
            *pieces("net", 40, NETS),
            *pieces("int8", 45, NETS),
            *pieces("kernels", 10),
        ),
    ),
    Part(
        2,
        "ResNet-56 -> ResNet-20 after int8, three seeds, mixed precision",
        "gpu_gap",
        480,
        (*pieces("distilled", 370, SEEDS), *pieces("alone", 120, SEEDS)),
        beside=6,
    ),
    Part(3, "recipes of full size, fitted to minutes", "gpu_full", 420, tuple(pieces("full", 240, FULL)), beside=3),
    Part(4, "two processes on one GPU", "gpu_ranks", 240, (*pieces("launch", 90), *pieces("rates", 120))),
)

# By module, the functions that do a piece, named as its kind: a library that is missing stops those that need it.
WHERE = {
    "_gpu_files": ("build", "net", "int8", "kernels"),
    "_gpu_trained": ("distilled", "alone", "full"),
    "_gpu_two": ("launch", "rates"),
}


def read(folder: Path, part: Part) -> dict[str, Any]:
    """A part's file; empty where there is none."""
    file = folder / f"{part.file}.json"
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return document


def outcomes_of(document: Mapping[str, Any]) -> dict[str, Outcome]:
    """The pieces of a part's file; nets and trainings that ``keep`` summed up stand in tables of their own."""
    nets: dict[str, Outcome] = {f"net {name}": {"result": rows} for name, rows in document.get("nets", {}).items()}
    trainings = {name.replace("_seed", " "): row for name, row in document.get("trained", {}).items()}
    trained: dict[str, Outcome] = {name: {"result": row, "seconds": row["seconds"]} for name, row in trainings.items()}
    return {**nets, **trained, **document.get("pieces", {})}


def in_folder(folder: Path, parts: Sequence[Part]) -> dict[str, Outcome]:
    """The pieces of several parts."""
    return {name: outcome for part in parts for name, outcome in outcomes_of(read(folder, part)).items()}


def quickened(part: Part) -> Part:
    """Its first piece of each kind; of full recipes all, which differ."""
    first = {piece.kind: piece for piece in reversed(part.pieces)}
    few = [piece for piece in part.pieces if piece is first[piece.kind] or piece.kind == "full"]
    pieces = tuple(replace(piece, seconds=QUICK) for piece in few)
    return replace(part, pieces=pieces, beside=min(part.beside, host.cores()))


def work(given: argparse.Namespace) -> None:
    """One piece, in this process: its result, or the error that ended it, into the folder."""
    kind, *of = given.piece.split()
    try:
        module = importlib.import_module(next(name for name, kinds in WHERE.items() if kind in kinds))
        setup = importlib.import_module("_gpu_files").Setup(given.data, given.out, given.device == "cuda", given.quick)
        outcome: Outcome = {"result": getattr(module, kind)(setup, *of)}
    except (Exception, SystemExit) as err:  # noqa: BLE001  # what fails must not stop the others, and leaves its reason
        traceback.print_exc()
        outcome = {"error": f"{type(err).__name__}: {err}"}
    replace_file(file_of(given.out, given.piece, "json"), json.dumps(outcome).encode())


def file_of(out: Path, piece: str, suffix: str) -> Path:
    """A piece's own ``json`` (until it is taken over) or its ``log``."""
    return out / "pieces" / f"{piece.replace(' ', '-')}.{suffix}"


def started(given: argparse.Namespace, piece: Piece) -> subprocess.Popen[bytes]:
    """A process that does a piece; it and all that it starts are one group."""
    log, answer = (file_of(given.out, piece.name, suffix) for suffix in ("log", "json"))
    log.parent.mkdir(parents=True, exist_ok=True)
    answer.unlink(missing_ok=True)
    line = [sys.executable, __file__, "--piece", piece.name, "--out", str(given.out), "--device", given.device]
    line += ["--data", str(given.data)] if given.data else []
    line += ["--quick"] if given.quick else []
    environment = {"EDGEKD_CACHE": str(given.out / "cache"), **os.environ}
    if given.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    with log.open("wb") as output:
        return subprocess.Popen(line, env=environment, stdout=output, stderr=output, process_group=0)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a piece and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def attempts(given: argparse.Namespace, chosen: Sequence[Piece], limit: float) -> Iterator[tuple[Piece, Outcome]]:
    """Pieces side by side, each in a process; those that are not done after so many seconds are cut."""
    device = (host.gpu() or "a GPU") if given.device == "cuda" else host.cpu()
    print(f"{', '.join(piece.name for piece in chosen)}: at most {limit:.0f} s", flush=True)
    running = {piece: started(given, piece) for piece in chosen}
    ends = time.monotonic() + limit
    try:
        while running and time.monotonic() < ends:
            for piece in [piece for piece, process in running.items() if process.poll() is not None]:
                yield piece, {**answered(given.out, piece, running.pop(piece)), "on": device}
            time.sleep(POLL)
        for piece in list(running):
            stop(running.pop(piece))
            print(f"{piece.name} was cut", flush=True)
            yield piece, {"cut": True, "on": device}
    finally:
        for process in running.values():
            stop(process)


def answered(out: Path, piece: Piece, process: subprocess.Popen[bytes]) -> Outcome:
    """What a piece left behind that ended by itself."""
    stop(process)  # what it started and did not wait for
    file, end = file_of(out, piece.name, "json"), file_of(out, piece.name, "log").read_text(errors="replace")[-2000:]
    if not file.is_file():
        outcome: Outcome = {"error": f"ended with {process.returncode}: {end[-500:]}"}
    else:
        outcome = json.loads(file.read_text())
        file.unlink()
    print(f"{piece.name}: done" if "result" in outcome else f"{piece.name}: {outcome['error']}\n{end}", flush=True)
    return outcome


def measure(given: argparse.Namespace, parts: Sequence[Part]) -> int:
    """Do what is left and fits; the exit code."""
    begun = time.monotonic()
    import _common  # noqa: PLC0415
    import torch  # noqa: PLC0415

    if given.device == "cuda" and not torch.cuda.is_available():
        print(f"no CUDA device: torch {torch.__version__} sees none; --device cpu --quick proves the way without one")
        return 4
    for part in parts:
        before = read(given.out, part)
        if before and (before["device"], before["quick"]) != (given.device, given.quick):
            print(f"{given.out}: holds what --device {before['device']} gave, quick: {before['quick']}; another --out?")
            return 2
    here = in_folder(given.out, parts)
    outcomes = ChainMap(here, {} if given.again or given.quick else in_folder(RESULTS, parts))
    about = {"command": f"python benchmarks/gpu.py --data FOLDER --out FOLDER --budget {given.budget:g}"}
    about |= {"date": time.strftime("%Y-%m-%d", time.gmtime()), "revision": _common.revision()}
    table = {**about, "host": host.facts(), "torch": torch.__version__, "device": given.device, "quick": given.quick}

    def save(part: Part) -> None:
        rows = {piece.name: here[piece.name] for piece in part.pieces if piece.name in here}
        write(given.out, part, {**table, "pieces": rows})

    budget = given.budget - (time.monotonic() - begun)
    _pieces.run(parts, outcomes, functools.partial(attempts, given), save, budget)
    print(*_pieces.lines(parts, outcomes), sep="\n")
    return 1 if any("error" in here.get(piece.name, {}) for part in parts for piece in part.pieces) else 0


def write(folder: Path, part: Part, document: Mapping[str, Any]) -> None:
    """A part's file."""
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    replace_file(folder / f"{part.file}.json", text.encode())


def keep(given: argparse.Namespace, parts: Sequence[Part]) -> int:
    """The results of a GPU, into ``results/``; what was refused or failed elsewhere stays there. The exit code."""
    for part in parts:
        document = read(given.out, part)
        if document and (document["device"], document["quick"]) != ("cuda", False):
            print(f"{given.out}: {part.file}.json is of a trial, and no result")
            return 2
        done = {name: row for name, row in document.get("pieces", {}).items() if _pieces.is_done(row)}
        if done:
            before = read(RESULTS, part)
            rows = {**before.get("pieces", {}), **done}
            kept = {"gpu": with_nets, "gpu_gap": with_gap}.get(part.file, with_pieces)(given, before, rows)
            about = {key: value for key, value in document.items() if key not in ("pieces", "device", "quick")}
            write(RESULTS, part, {**about, **kept})
            print(f"{part.file}.json: {', '.join(done)}")
    return 0


def with_pieces(given: argparse.Namespace, before: Mapping[str, Any], rows: dict[str, Outcome]) -> dict[str, Any]:
    """The pieces as they are."""
    return {"pieces": rows}


def with_nets(given: argparse.Namespace, before: Mapping[str, Any], rows: dict[str, Outcome]) -> dict[str, Any]:
    """The nets in a table of their own, each with its GPU."""
    nets = {name.split()[1]: row for name, row in rows.items() if name.startswith("net ")}
    known = before.get("cpus") or dict.fromkeys(before.get("nets", ()), before.get("host", {}).get("gpu"))
    tables = {**before.get("nets", {}), **{name: row["result"] for name, row in nets.items()}}
    others = {name: row for name, row in rows.items() if not name.startswith("net ")}
    return {"cpus": {**known, **{name: row["on"] for name, row in nets.items()}}, "nets": tables, "pieces": others}


def with_gap(given: argparse.Namespace, before: Mapping[str, Any], rows: dict[str, Outcome]) -> dict[str, Any]:
    """The sum of all seeds, once they are there; its files are asked on this machine's runtimes, too."""
    from _gpu_files import Setup  # noqa: PLC0415
    from _gpu_trained import gap, judged  # noqa: PLC0415

    if missing := [piece.name for piece in PARTS[1].pieces if piece.name not in rows]:
        print(f"gpu_gap.json sums up without {', '.join(missing)}, which are not there yet: as it was")
        return {**before, "pieces": rows}
    setup = Setup(given.data, given.out, cuda=True, quick=False)
    results = {name: row["result"] for name, row in rows.items()}
    for seed in map(str, SEEDS):
        results[f"distilled {seed}"] = judged(setup, seed, results[f"distilled {seed}"])
    trained = {
        name.replace(" ", "_seed"): {"gpu": row["on"], "seconds": row["seconds"]}
        | {key: value for key, value in row["result"].items() if key != "right"}
        for name, row in rows.items()
    }
    return {**gap(results), "trained": trained}


def main() -> int:
    """Say what is left, measure, or keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--left", action="store_true", help="say what is done, and what is left")
    parser.add_argument("--keep", action="store_true", help="put what was measured into benchmarks/results/")
    parser.add_argument("--data", type=Path, help="the folder of the data sets")
    parser.add_argument("--out", type=Path, help="where outcomes are written, and looked for")
    parser.add_argument("--parts", default=",".join(str(part.number) for part in PARTS), help="such as 1,3")
    parser.add_argument("--budget", type=float, default=540.0, help="seconds of the whole run")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="made data, and no figures")
    parser.add_argument("--again", action="store_true", help="what results/ holds, too")
    parser.add_argument("--piece", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out, given.data = (path and path.resolve() for path in (given.out, given.data))
    known = {str(part.number): part for part in PARTS}
    if unknown := [number for number in given.parts.split(",") if number not in known]:
        parser.error(f"--parts: no part {', '.join(unknown)}; allowed: {', '.join(known)}")
    if not given.left and given.out is None:
        parser.error("--out: where the outcomes are to be written")
    if not given.left and given.data is None and not given.quick:
        parser.error("--data: the folder of the data sets; or --quick, on made data")
    if given.device == "cpu" and not given.quick and not given.left:
        parser.error("--device cpu: with --quick alone; these figures are a GPU's")
    parts = [known[number] for number in sorted(given.parts.split(","))]
    parts = [quickened(part) for part in parts] if given.quick else parts
    if given.piece:
        work(given)
        return 0
    if given.left:
        here = in_folder(given.out, parts) if given.out else {}
        outcomes = ChainMap(here, {} if given.again or given.quick else in_folder(RESULTS, parts))
        print(*_pieces.lines(parts, outcomes), sep="\n")
        return 0
    return keep(given, parts) if given.keep else measure(given, parts)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    sys.exit(main())
