"""Structures that people deploy: are they built as asked, and how long does what ships take beside others' int8 files?

    pip install nncf    # for the peers on OpenVINO
    python benchmarks/zoo.py build --zoo FILE --work FOLDER [--jobs 2] [nets ...]
    python benchmarks/zoo.py peers --zoo FILE --work FOLDER [nets ...]
    python benchmarks/zoo.py time --zoo FILE --work FOLDER [--rounds 2] [--seconds 0.5] [nets ...]
    python benchmarks/zoo.py isa --zoo FILE --work FOLDER nets ...    # needs qemu-user
    python benchmarks/zoo.py table --work FOLDER [--name zoo]

The nets are no part of this project: FILE is a Python module with ``ZOO``, entries by name that have ``group`` and
``data``; ``recipe(entry, folder, prune)``, which writes the recipe that a user of the net would; and
``feeds(entry, names)``, model inputs of 64 training samples.

``build``: ``edgekd build --quick`` for both runtimes with ``channel_prune`` and ``int8_qat``; without pruning where
that fails. As asked: the pruning takes at least half of its ratio. Of ``--jobs`` nets at once, which share the
cores, each counts that part of its time. ``peers``: what ONNX Runtime's static and dynamic
quantizers and NNCF make of our fp32 file (pruned, as ours), and how often each file decides as that does. ``time``, on
an idle machine: the shipped file against the fastest of fp32 and the peers', of those that decide as fp32 no more than
a point less often than ours; fresh processes, in each of them every file opened several times (where a session's memory
lies moves its p50 by some 2 %) with the options of the bundle (OpenVINO compiles nets of texts for their lengths), the
sessions in turns, p50, one thread, batch 1; where what ships is the float file itself, the two are one. Each run is
kept, and the last one told. ``isa``: the int8 file's answers to 64 samples here and on an emulated CPU without VNNI.
One file a net lies in FOLDER, so that a run goes on where it was cut. ``table`` writes the results, the worst first.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import io
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import _common
import _peers
import numpy as np
import same_answers
from onnx import load_from_string

from edgekd.base.errors import EdgekdError
from edgekd.build import target_runtime
from edgekd.cli import run as edgekd
from edgekd.runtime import bench, bundle
from edgekd.spec import target

TARGETS = ("ort-cpu", "openvino")
# What every build imports: once, in the process that all are forked from.
IMPORTS = [
    "edgekd.build.run",
    "edgekd.compress.channel_prune",
    "edgekd.compress.int8_qat",
    "edgekd.pipeline",
    "onnxruntime",
    "onnxscript.function_libs.torch_lib.ops",
    "openvino",
    "torchao",
    "transformers",
]
LATE = 900.0  # seconds that a build may take
POINT = 0.01  # by which a peer may agree less with fp32 than ours does
ENOUGH = 0.5  # of the parameters that the pruning's ratio asks for
RATIO = 0.3
OPENED = 3  # sessions of each file in a process
KINDS = ("pruned", "dense")
MADE_OF = "made_of.json"  # beside the peers' files
Files = dict[str, bytes]


def zoo_of(file: Path) -> Any:
    """The module that holds the nets."""
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file}: no Python module")
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _command(arguments: list[str], folder: Path, said: Path) -> None:
    """One ``edgekd`` command, in a process of its own; what it says goes into two files."""
    os.chdir(folder)
    sys.path.insert(0, os.environ["PYTHONPATH"].split(os.pathsep)[0])  # before this script's own folder
    sys.modules.pop(Path(__file__).stem, None)
    with said.with_suffix(".out").open("w") as out, said.with_suffix(".err").open("w") as err:
        for stream, number in ((out, 1), (err, 2)):
            os.dup2(stream.fileno(), number)
        with contextlib.redirect_stdout(io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), write_through=True)):
            try:
                code = edgekd(arguments) or 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            except BaseException:  # noqa: BLE001  # a bug in edgekd is what is looked for
                traceback.print_exc()
                code = 1
    os._exit(code)


def run(context: Any, arguments: list[str], folder: Path, said: Path) -> dict[str, Any]:
    """An ``edgekd`` command: its code, seconds, document and last line."""
    started = time.monotonic()
    process = context.Process(target=_command, args=(arguments, folder, said))
    process.start()
    process.join(LATE)
    if process.is_alive():
        process.kill()
        process.join()
    lines = said.with_suffix(".err").read_text(errors="replace").splitlines()
    found = {"code": process.exitcode, "seconds": round(time.monotonic() - started, 1)}
    if process.exitcode == 0:
        return found | {"report": json.loads(said.with_suffix(".out").read_text())}
    errors = [line for line in lines if line.startswith(("error", "edgekd:"))] or lines[-1:] or ["nothing"]
    return found | {"message": errors[-1][:400], "traceback": any("Traceback" in line for line in lines)}


def build(zoo: Any, work: Path, name: str, context: Any, jobs: int) -> dict[str, Any]:
    """One net as a user would build it, of ``jobs`` at once, and what came of it."""
    entry, folder = zoo.ZOO[name], work / "nets" / name
    folder.mkdir(parents=True, exist_ok=True)
    row: dict[str, Any] = {"name": name, "group": entry.group, "jobs": jobs}
    for kind in KINDS:
        out = folder / kind
        targets = [part for target_name in TARGETS for part in ("--target", target_name)]
        more = ["--quick", "--keep-candidates", "--overwrite", "--cache", str(work / "cache"), "--json"]
        arguments = ["build", str(zoo.recipe(entry, folder, kind == "pruned")), *targets, *more, "--out", str(out)]
        found = run(context, arguments, folder, folder / kind)
        report = found.pop("report", None)
        row[kind] = found
        if report is not None:
            return row | {"passes": kind, **_of_report(report)}
    return row | {"passes": None}


def _of_report(report: dict[str, Any]) -> dict[str, Any]:
    params = {stage["name"]: stage["params"] for stage in report["stages"]}
    taken = 1 - params["channel_prune"] / params["student"] if "channel_prune" in params else 0.0
    targets = {
        name: {
            "shipped": of["shipped"],
            "reason": of["reason"],
            "parity": of.get("parity"),
            "speedup": {c["name"]: (c.get("speedup_vs_fp32") or {}).get("p50") for c in of["candidates"]},
        }
        for name, of in report["targets"].items()
    }
    return {"taken": round(taken, 3), "as_asked": taken >= ENOUGH * RATIO, "targets": targets}


def files_of(work: Path, row: dict[str, Any], name: str) -> tuple[Files, dict[str, Files]]:
    """The shipped candidate's files, and those of fp32 (pruned where ours is) and of int8."""
    folder = work / "nets" / row["name"] / f"{row['passes']}.candidates" / name
    float_name = "fp32-pruned" if (folder / f"fp32-pruned.{_ending(name)}").is_file() else "fp32"
    shipped = row["targets"][name]["shipped"] or "fp32"
    by_name = {c: _read(folder, c, name) for c in {float_name, "int8", shipped} if _read(folder, c, name)}
    by_name["fp32"] = by_name.pop(float_name)
    return by_name.get(shipped, by_name["fp32"]), by_name


def options_of(work: Path, row: dict[str, Any], name: str) -> Mapping[str, object]:
    """What the bundle's variant for a runtime is opened with."""
    variants = bundle.read(work / "nets" / row["name"] / row["passes"]).variants
    return next((variant.options for variant in variants if variant.target == name), {})


def _ending(name: str) -> str:
    return "xml" if name == "openvino" else "onnx"


def _read(folder: Path, candidate: str, name: str) -> Files:
    if name != "openvino":
        file = folder / f"{candidate}.onnx"
        return {"model.onnx": file.read_bytes()} if file.is_file() else {}
    files = {"openvino_model.xml": folder / f"{candidate}.xml", "openvino_model.bin": folder / f"{candidate}.bin"}
    return {key: file.read_bytes() for key, file in files.items() if file.is_file()}


def peers_of(
    onnx: bytes, feeds: list[dict[str, np.ndarray]], tokens: bool, name: str
) -> tuple[dict[str, Files], dict[str, str]]:
    """What others' quantizers make of our fp32 file, and why some make nothing; ``tokens``: it is a transformer."""
    made: dict[str, Files] = {}
    refused: dict[str, str] = {}
    for peer in ("ort_static", "ort_dynamic") if name == "ort-cpu" else ("nncf",):
        try:
            if peer == "nncf":
                made[peer] = _peers.nncf_openvino(onnx, feeds, tokens)
            else:
                made[peer] = {"model.onnx": _peers.ONNX[peer](onnx, feeds)}
        except Exception as err:  # noqa: BLE001  # whatever another's program raises
            refused[peer] = f"{type(err).__name__}: {[*str(err).strip().splitlines(), ''][0][:200]}"
    return made, refused


def files_below(place: Path) -> dict[str, Files]:
    """The files of each peer, by its folder's name; an IR's .xml before its .bin."""
    folders = sorted(folder for folder in place.glob("*") if folder.is_dir())
    return {f.name: {file.name: file.read_bytes() for file in sorted(f.iterdir(), reverse=True)} for f in folders}


def kept_peers(place: Path, fp32: str) -> tuple[dict[str, Files], dict[str, str]] | None:
    """What a run before made of the same fp32 file, by its SHA-256."""
    if not (place / MADE_OF).is_file():
        return None
    of = json.loads((place / MADE_OF).read_text())
    return (files_below(place), of["refused"]) if of["fp32"] == fp32 else None


def peers_one(zoo: Any, work: Path, row: dict[str, Any], name: str) -> dict[str, Any]:
    """The peers' files for a net on a runtime, kept in FOLDER, and how often each file decides as fp32 does."""
    chosen = target.load(name)
    backend = target_runtime.parse(chosen).backend
    shipped, ours = files_of(work, row, name)
    onnx = ours["fp32"] if name == "ort-cpu" else files_of(work, row, "ort-cpu")[1]["fp32"]
    feeds = feeds_of(zoo, row, onnx["model.onnx"])
    tokens = row["group"] in ("hf-text", "hf-audio") or row["name"] in ("hf_vit", "hf_deit", "hf_swin")
    place = work / "peers" / row["name"] / name
    fp32 = hashlib.sha256(onnx["model.onnx"]).hexdigest()
    made, refused = kept_peers(place, fp32) or peers_of(onnx["model.onnx"], feeds, tokens, name)
    files = {"shipped": shipped, "fp32": ours["fp32"], **made}
    answers: dict[str, np.ndarray] = {}
    for candidate in files:
        try:
            session = backend.open(files[candidate], batch=1)
            answers[candidate] = np.concatenate([next(iter(session.run(feed).values())).copy() for feed in feeds])
        except (EdgekdError, RuntimeError, ValueError) as err:
            refused[candidate] = str(err).splitlines()[0][:200]
    for candidate in made.keys() & answers.keys():
        (place / candidate).mkdir(parents=True, exist_ok=True)
        for file, data in made[candidate].items():
            (place / candidate / file).write_bytes(data)
    place.mkdir(parents=True, exist_ok=True)  # also where no peer made a file
    (place / MADE_OF).write_text(json.dumps({"fp32": fp32, "refused": refused}))
    agrees = {c: float((a.argmax(-1) == answers["fp32"].argmax(-1)).mean()) for c, a in answers.items()}
    return {"agrees": agrees, "refused": refused}


def time_one(
    zoo: Any, work: Path, row: dict[str, Any], name: str, rounds: int, seconds: float, seed: int
) -> dict[str, Any]:
    """The shipped file of a net on a runtime against the best of the others; ``seed``: of the order of the files."""
    chosen, known = target.load(name), row["peers"][name]
    chosen = chosen.model_copy(update={"options": {**chosen.options, **options_of(work, row, name)}})
    shipped, ours = files_of(work, row, name)
    made = files_below(work / "peers" / row["name"] / name)
    onnx = ours["fp32"] if name == "ort-cpu" else files_of(work, row, "ort-cpu")[1]["fp32"]
    feeds = feeds_of(zoo, row, onnx["model.onnx"])
    files = {"fp32": ours["fp32"], **({"int8": ours["int8"]} if "int8" in ours else {}), **made}
    ships = next((candidate for candidate, content in files.items() if content == shipped), "shipped")
    files.setdefault(ships, shipped)
    sessions = {f"{candidate} {number}": content for candidate, content in files.items() for number in range(OPENED)}
    feed = dict(feeds[len(feeds) // 2])
    by_session, busy = _common.in_turns(chosen, sessions, feed, rounds, seconds / OPENED, seed=seed)
    samples = {name: np.stack([by_session[f"{name} {k}"] for k in range(OPENED)], 1).ravel() for name in files}
    samples["shipped"] = samples[ships]
    p50 = {candidate: float(np.median(taken)) / 1e3 for candidate, taken in samples.items()}
    agrees = known["agrees"]
    fit = [c for c in ("fp32", *made) if c == "fp32" or agrees[c] >= agrees["shipped"] - POINT]
    best = min(fit, key=p50.__getitem__)
    ratio, ci = bench.ratio_ci(samples["shipped"], samples[best])
    return {
        "shipped": row["targets"][name]["shipped"],
        "best": best,
        "ratio": ratio,
        "ci95": ci,
        "p50_us": p50,
        **known,
        "cpus_used_by_others": busy,
    }


def isa_one(zoo: Any, work: Path, row: dict[str, Any], name: str) -> dict[str, Any]:
    """The int8 file of a net on a runtime, with and without VNNI."""
    chosen = target.load(name)
    files = files_of(work, row, name)[1]["int8"]
    onnx = files_of(work, row, "ort-cpu")[1]["fp32"]["model.onnx"]
    rows = feeds_of(zoo, row, onnx)
    return same_answers.compare(files, chosen.backend, dict(chosen.options), rows)


def feeds_of(zoo: Any, row: dict[str, Any], onnx: bytes) -> list[dict[str, np.ndarray]]:
    """Inputs of 64 training samples, those that the network has."""
    known = {value.name for value in load_from_string(onnx).graph.input}
    feeds = zoo.feeds(zoo.ZOO[row["name"]], [])
    return [{key: value for key, value in feed.items() if key in known} for feed in feeds]


def rows_of(work: Path) -> list[dict[str, Any]]:
    """What is known of each net."""
    return [json.loads(file.read_text()) for file in sorted((work / "rows").glob("*.json"))]


def table(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many were built as asked, and the ratios of each runtime, the worst first."""
    seconds = [row[row["passes"] or "dense"]["seconds"] / row.get("jobs", 1) for row in rows]
    summary: dict[str, Any] = {
        "tried": len(rows),
        "as_asked": sum(bool(row.get("as_asked")) for row in rows),
        "only_dense": [row["name"] for row in rows if row["passes"] == "dense"],
        "failed": {row["name"]: row["dense"].get("message") for row in rows if row["passes"] is None},
        "tracebacks": [row["name"] for row in rows if any(row.get(kind, {}).get("traceback") for kind in KINDS)],
        "median_seconds": float(np.median(seconds or [0.0])),
    }
    compared = {row["name"]: row["isa"] for row in rows if "isa" in row}
    equal = [net for net, of in compared.items() if all(answers["bit_identical"] for answers in of.values())]
    summary["isa"] = {"compared": len(compared), "equal_bits": len(equal), "rows": compared}
    for name in TARGETS:
        timed = {row["name"]: row["timed"][name] for row in rows if "ratio" in row.get("timed", {}).get(name, {})}
        worst = sorted(timed, key=lambda net: -timed[net]["ci95"][1])
        logs = [np.log(timed[net]["ci95"][1]) for net in timed]
        summary[name] = {
            "timed": len(timed),
            "at_most_1_03": sum(of["ci95"][1] <= 1.03 for of in timed.values()),
            "over_1_10": [net for net in worst if timed[net]["ci95"][1] > 1.10],
            "geometric_mean_of_upper_ends": float(np.exp(np.mean(logs))) if logs else None,
            "geometric_mean": float(np.exp(np.mean([np.log(of["ratio"]) for of in timed.values()]))) if logs else None,
            "timed_twice": sum(len(row.get("runs", {}).get(name, ())) > 1 for row in rows),
            "rows": {net: timed[net] for net in worst},
        }
    return summary


def main() -> None:
    """Build, time or tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("build", "peers", "time", "isa", "table"))
    parser.add_argument("--zoo", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--times", type=int, default=1, help="whole runs of each net that there shall be")
    parser.add_argument("--groups", default="cnn,act,seq,hf-vision,hf-text,hf-audio")
    parser.add_argument("--name", default="zoo", help="of the results' file: CPUs are never mixed in one")
    parser.add_argument("nets", nargs="*")
    given = parser.parse_intermixed_args()  # the nets stand behind the options
    work = given.work.resolve()
    (work / "rows").mkdir(parents=True, exist_ok=True)
    if given.what == "table":
        summary = table(rows_of(work))
        _common.write(given.name, summary)
        print(json.dumps({key: value for key, value in summary.items() if key not in (*TARGETS, "isa")}, indent=1))
        return
    os.environ["PYTHONPATH"] = os.pathsep.join([str(given.zoo.resolve().parent), os.environ.get("PYTHONPATH", "")])
    os.environ["OMP_NUM_THREADS"] = "1"
    zoo = zoo_of(given.zoo.resolve())
    names = given.nets or [n for n, entry in zoo.ZOO.items() if entry.group in given.groups.split(",")]
    if given.what == "build":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTS)
        todo = [name for name in names if given.nets or not (work / "rows" / f"{name}.json").is_file()]
        with ThreadPoolExecutor(given.jobs) as pool:
            for row in pool.map(lambda name: build(zoo, work, name, context, given.jobs), todo):
                _keep(work, row)
                said = row["pruned"].get("message", "") if row["passes"] != "pruned" else f"{row['taken']:.0%} taken"
                print(f"{row['name']}: {row['passes']}, {row['pruned']['seconds']} s; {said}", flush=True)
        return
    for row in [row for row in rows_of(work) if row["name"] in names and row["passes"]]:
        if given.what == "isa":
            row["isa"] = {name: isa_one(zoo, work, row, name) for name in TARGETS}
            _keep(work, row)
            print(row["name"], row["isa"], flush=True)
            continue
        if given.what == "peers":
            if "peers" not in row or given.nets:
                row["peers"] = {name: peers_one(zoo, work, row, name) for name in TARGETS}
                _keep(work, row)
                print(row["name"], row["peers"], flush=True)
            continue
        for name in TARGETS:
            runs = row.setdefault("runs", {}).setdefault(name, [])
            if len(runs) >= given.times and not given.nets:
                continue
            timing = time_one(zoo, work, row, name, given.rounds, given.seconds, seed=len(runs))
            runs.append({key: timing[key] for key in ("best", "ratio", "ci95", "p50_us", "cpus_used_by_others")})
            row.setdefault("timed", {})[name] = timing
            _keep(work, row)
            low, high = timing["ci95"]
            against = f"{timing['shipped']} / {timing['best']}"
            print(f"{row['name']} on {name}: {against} {timing['ratio']:.3f} ({low:.3f} to {high:.3f})", flush=True)


def _keep(work: Path, row: dict[str, Any]) -> None:
    file = work / "rows" / f"{row['name']}.json"
    file.with_suffix(".part").write_text(json.dumps(row, indent=1))
    file.with_suffix(".part").replace(file)


if __name__ == "__main__":
    main()
