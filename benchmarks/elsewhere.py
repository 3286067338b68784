"""Trainings of ``matrix.py`` and of ``_nets.py`` on another machine, a GPU: its steps go into the cache of this one.

    python benchmarks/elsewhere.py train FOLDER --data DATA [--seconds 420] [--jobs ...] # the GPU: edgekd[build]
    python benchmarks/elsewhere.py take FOLDER --data DATA                                # here, then matrix.py

A job is ``matrix:<recipe>:<seed>`` or ``nets:<name>``. All jobs run side by side, each in a process; after ``seconds``
what is trained so far is packed into files of at most 15 MiB. ``take`` puts each step where this machine would look for
it: keys differ, since they hold the versions of what trains. A step that was not trained there is trained here.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import _nets
import matrix

from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.plan import TrainedStep
from edgekd.build.prepare import Objects, prepare
from edgekd.build.store import Store
from edgekd.build.workspace import Workspace

NETS = ("ort-cpu", "openvino", "portable-int8", "ort-cpu-vnni")  # the targets of the scripts that ask for these nets
JOBS = [f"nets:{name}" for name in ("resnet20", "mobilenet", "distilbert", "fm")]
JOBS += [f"matrix:{recipe}:{seed}" for seed in range(3) for recipe in matrix.RECIPES]
PART = 15 << 20
INDEX = "steps.json"


def orders_of(job: str, data: Path, folder: Path) -> list[requests.BuildRequest]:
    """What a job builds."""
    kind, name, *seed = job.split(":")
    if kind == "nets":
        return [_nets.order_of(name, data, NETS)]
    file = matrix.RECIPES[name]
    return list(matrix.orders_of(name, None if file is None else data / file, int(*seed), folder))


def workspaces_of(job: str, data: Path) -> list[Workspace]:
    """The same, prepared; nothing is written to where they would build."""
    with tempfile.TemporaryDirectory() as folder:
        return [prepare(order, Objects()) for order in orders_of(job, data, Path(folder))]


def keys_of(workspace: Workspace) -> dict[str, str]:
    """The key of every trained step, as this machine has it."""
    return {step.name: step.key for step in workspace.plan.steps.values() if isinstance(step, TrainedStep)}


def file_of(job: str, folder: Path, kind: str) -> Path:
    """A job's ``json`` (which step stands under which key) or its ``log``."""
    return folder / f"{job.replace(':', '-')}.{kind}"


def train_one(job: str, data: Path, folder: Path) -> None:
    """Train a job's steps; which stands under which key is told first."""
    workspaces = workspaces_of(job, data)
    file_of(job, folder, "json").write_text(json.dumps([keys_of(workspace) for workspace in workspaces]))
    for workspace in workspaces:
        running.train_all(workspace)


def train(jobs: list[str], data: Path, folder: Path, seconds: float) -> None:
    """Every job in a process of its own, then a pack of what they made."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {"EDGEKD_CACHE": str(folder / "cache"), **os.environ}
    started, running = time.monotonic(), {}
    for job in jobs:
        line = [sys.executable, __file__, "one", str(folder), "--data", str(data), "--jobs", job]
        log = file_of(job, folder, "log").open("w")
        running[job] = subprocess.Popen(line, env=environment, stdout=log, stderr=log)
    while running and time.monotonic() - started < seconds:
        time.sleep(1)
        for job, process in list(running.items()):
            if process.poll() is not None:
                print(f"{time.monotonic() - started:.0f} s: {job} ended with {process.returncode}", flush=True)
                del running[job]
    for job, process in running.items():
        process.kill()
        print(f"{job} was stopped", flush=True)
    pack(jobs, Store(Path(environment["EDGEKD_CACHE"])), folder)


def pack(jobs: list[str], store: Store, folder: Path) -> None:
    """The entries that stand, each once, small ones first; cut into parts."""
    told = {job: file_of(job, folder, "json") for job in jobs}
    trained = {job: json.loads(file.read_text()) for job, file in told.items() if file.is_file()}
    keys = {key for of_order in trained.values() for keys in of_order for key in keys.values()}
    found = {key: files for key in keys if (files := store.get(key)) is not None}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:  # not squeezed: of weights 9 % would go, in minutes
        add(tar, INDEX, json.dumps(trained).encode())
        for key, files in sorted(found.items(), key=lambda entry: sum(map(len, entry[1].values()))):
            for name, content in files.items():
                add(tar, f"{key}/{name}", content)
    whole = packed.getvalue()
    for i, start in enumerate(range(0, len(whole), PART)):
        (folder / f"part{i:02d}").write_bytes(whole[start : start + PART])
    print(f"{len(found)} of {len(keys)} steps, {len(whole)} bytes", flush=True)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """One file of a pack."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def unpacked(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a pack by name, as far as its parts reach: a part that is missing costs what is in it."""
    whole = io.BytesIO(b"".join(part.read_bytes() for part in sorted(folder.glob("part*"))))
    try:
        with tarfile.open(fileobj=whole, mode="r|*") as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                yield member.name, file.read()
    except (EOFError, tarfile.ReadError):
        print("the pack is not whole", flush=True)


def take(data: Path, folder: Path) -> None:
    """Put what was trained elsewhere into the cache, under the keys of this machine."""
    entries: dict[str, dict[str, bytes]] = {}
    trained: dict[str, list[dict[str, str]]] = {}
    for name, content in unpacked(folder):
        if name == INDEX:
            trained = json.loads(content)
        else:
            key, _, file = name.partition("/")
            entries.setdefault(key, {})[file] = content
    for job, there in trained.items():
        count = 0
        for workspace, keys in zip(workspaces_of(job, data), there, strict=True):
            here = keys_of(workspace)
            for step, key in keys.items():
                if key in entries:
                    workspace.store.put(here[step], entries[key])
                    count += 1
        print(f"{job}: {count} of {sum(map(len, there))} steps", flush=True)


def main() -> None:
    """Train there, or take here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("train", "one", "take"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=420.0)
    parser.add_argument("--jobs", nargs="+", default=JOBS)
    given = parser.parse_args()
    if given.do == "train":
        train(given.jobs, given.data, given.folder, given.seconds)
    elif given.do == "one":
        train_one(given.jobs[0], given.data, given.folder)
    else:
        take(given.data, given.folder)


if __name__ == "__main__":
    main()
