"""Looking at things: bundles and model files, targets, this machine, the cache. With numpy and a runtime alone."""

from __future__ import annotations

import time
from pathlib import Path

from edgekd.base import backend_facts, child, child_limits, host, reader, target_files
from edgekd.base.disk import cache_root
from edgekd.base.errors import EdgekdError
from edgekd.build.store import Store
from edgekd.document.commands import Cache, Doctor, Inspection, TargetRow
from edgekd.runtime import availability


def inspect(path: Path, max_memory_gb: float | None = None, max_seconds: float | None = None) -> Inspection:
    """What is in a bundle, an ``.onnx`` or an OpenVINO ``.xml``: metadata, and per operator how many are quantized.

    Read in a child; its limits are those of ``edgekd.verify``.
    """
    allowed = child_limits.of(path, max_memory_gb, max_seconds)
    answer = child.ask("edgekd.runtime.inside", {"path": str(path)}, allowed, str(path))
    return reader.check(answer, Inspection, f"{path}: what the child answered that read it")


def targets() -> list[TargetRow]:
    """Every built-in target, and whether this machine can run it."""
    rows: list[TargetRow] = []
    for name in target_files.names():
        table = target_files.read(target_files.folder() / f"{name}.toml")
        backend, options, also = table["backend"], table.get("options", {}), table.get("also", {})
        try:
            main, others = availability.parse(name, backend, options, also)
            availability.check(name, (main, *others.values()), table.get("isa", ()), host.isa())
            reason = None
        except EdgekdError as err:
            reason = str(err)
        rows.append(
            {
                "name": name,
                "backend": backend,
                "numerics": [scheme["name"] for scheme in table["numerics"]],
                "available": reason is None,
                "reason": reason,
                "description": table.get("description", ""),
            }
        )
    return rows


def doctor() -> Doctor:
    """Facts about this machine, what is wrong with it, and what is missing to build on it."""
    machine = host.facts()
    versions = machine["versions"]
    problems = []
    for names in dict.fromkeys(facts.distributions for facts in backend_facts.every().values()):
        if len(both := [name for name in names if name in versions]) > 1:
            problems.append(
                f"{' and '.join(both)} are both installed and overwrite each other: "
                f"pip uninstall -y {' '.join(both)}, then install one"
            )
    problems += [f"{row['name']}: {row['reason']}" for row in targets() if row["reason"]]
    missing = [name for name in host.TO_BUILD if name not in versions]
    return {"host": machine, "problems": problems, "missing": missing}


def cache(root: Path | None, days: float | None) -> Cache:
    """The cache's place and size; with ``days`` pruned first."""
    store = Store(root or cache_root())
    freed = 0 if days is None else store.prune(days, time.time())
    count, total = store.size()
    return {"path": str(store.root), "artifacts": count, "bytes": total, "freed_bytes": freed}
