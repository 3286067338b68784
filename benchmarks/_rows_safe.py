"""Rows of the table of measured figures: what goes wrong on purpose. ``table.py`` puts them into it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def killed(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """SIGKILL."""
    rows = found["kills"]
    same = sum(not row["differ"] for row in rows)
    yield (
        f"builds killed at {len(rows)} random moments and run again",
        f"{same} of {len(rows)} ended with the same bytes",
    )


def mutated(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys."""
    rows, builds = found["mutations"], found["builds"]
    right = sum(not (row["missed"] or row["too_many"]) for row in rows)
    yield (
        "kinds of change to data, recipe, target, code, files, versions, networks: the steps that depend on it run "
        "again, and no other",
        f"{right} of {len(rows)} by their keys; {sum(row['right'] for row in builds)} of {len(builds)} by a build",
    )


def network(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Namespaces."""
    good = not found["differ"] and not any(found["exit_codes"].values())
    yield "build, bench and verify without a network", "no difference" if good else f"differs: {found['differ']}"


def faults(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """ssh."""
    yield (
        "faults of a device over a real sshd: named, nothing left there, a second try succeeds",
        f"{sum(how == 'held' for how in found['cases'].values())} of {len(found['cases'])} cases",
    )


def tampered(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Bundles."""
    counts = found["counts"]
    unsigned = sum(number for name, number in counts.items() if name.endswith(": ACCEPTED unsigned"))
    silent = sum(number for name, number in counts.items() if name.endswith("with the same digest"))
    signed = sum(number for name, number in counts.items() if name.endswith("ACCEPTED signed"))
    yield (
        f"{found['tried']:,} tampers of a bundle, its manifest and signature included: accepted",
        f"signed {signed}; unsigned {unsigned}; with the digest made anew, and printed as it was: {silent}",
    )


def cached(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The cache."""
    rows = found["rows"].values()
    wrong, left = (sum(row[key] for row in rows) for key in ("wrong", "not_healed"))
    yield (
        f"{found['done']:,} damaged or exchanged entries of the cache, in {len(found['rows'])} ways",
        f"{wrong} wrong bytes used, {left} not healed",
    )


def written(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every call of what writes."""
    tries = dict(found["tries"])
    kills = tries.pop("kill")
    yield (
        f"{len(found['primitives'])} ways to write or read: {kills:,} kills and {sum(tries.values()):,} injected "
        f"faults at their file-system calls",
        f"{found['half_visible']} half visible, {found['wrong_accepted']} wrong accepted, "
        f"{found['not_healed']} not healed, {found['plain']} plain exceptions",
    )


def hostile(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Models that fit their hashes."""
    yield (
        f"{found['pieces']:,} models changed at random, with fitting hashes, given to `verify`",
        f"{found['parent_died']} killed it, {found['hangs']} hung; the longest took "
        f"{found['seconds']['longest']:.1f} s",
    )


def whole_kills(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Commands that are killed."""
    rows = found["cases"].values()
    half, other, left = (sum(row[key] for row in rows) for key in ("half", "other_bytes", "left"))
    yield (
        f"{found['kills']} kills at a file-system call of whole runs ({', '.join(found['cases'])})",
        f"{half} half bundles, {other} with other bytes when run again, {left} left something",
    )


def whole_faults(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Commands whose disk fails."""
    rows = found["cases"].values()
    silent, traceback, lost = (sum(row[key] for row in rows) for key in ("silent", "traceback", "lost"))
    yield (
        f"{found['runs']} whole runs with an injected fault ({', '.join(found['cases'])})",
        f"{silent} silent successes, {traceback} tracebacks, {lost} earlier bundles lost",
    )


def fuzzed(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Bytes from outside."""
    yield (
        f"{found['harnesses']} fuzz harnesses, {found['executions']:,} executions",
        f"{found['plain_exceptions']} plain exceptions, {found['deaths']} deaths; "
        f"new coverage in the last tenth: {', '.join(found['not_quiet']) or 'none'}",
    )


def rebuilt(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The same inputs elsewhere."""
    yield (
        f"rebuilds with another {', '.join(found['changed'])}",
        f"{len(found['differ'])} of {found['rebuilds']} with other bytes",
    )


def soaked(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Many threads for long."""
    rows = found["variants"]
    wrong = sum(row["wrong"] for row in rows.values())
    slopes = []
    for name, row in rows.items():
        low, high = row["interval"]
        slopes.append(f"{name} {row['slope_mb_a_minute']:+.3f} ({low:+.3f} to {high:+.3f})")
    yield (
        f"{found['threads']} threads on one bundle for {found['minutes']:.0f} minutes, {len(rows)} variants",
        f"{wrong} wrong answers; memory, MB a minute: {', '.join(slopes)}",
    )


def searched(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Workers of a search that are killed."""
    rows = found["rows"]
    kills = sum(row["kills"] + row["kills_away"] for row in rows.values())
    lost = sum(row["ended_by_a_kill"] for row in rows.values())
    wrong = sum(len(row["not_asked_again_once"]) + len(row["asked_again_though_not_killed"]) for row in rows.values())
    yield (
        f"{kills} kills of workers that share a search ({'; '.join(rows)})",
        f"{lost} trials lost, {wrong} of them not run again once; {sum(r['finished_twice'] for r in rows.values())} "
        "recipes finished twice",
    )


PARTS = (
    ("kills", killed, "kills.py"),
    ("mutations", mutated, "mutations.py"),
    ("no_network", network, "no_network.py"),
    ("tampers", tampered, "tampers.py"),
    ("cache_tampers", cached, "cache_tampers.py"),
    ("primitive_faults", written, "primitive_faults.py"),
    ("hostile_models", hostile, "hostile_models.py digits"),
    ("whole_kills", whole_kills, "whole_kills.py"),
    ("whole_faults", whole_faults, "whole_faults.py"),
    ("fuzz", fuzzed, "fuzz.py"),
    ("rebuilds", rebuilt, "rebuilds.py"),
    ("tune_kills", searched, "tune_kills.py"),
    ("soak", soaked, "soak.py --together"),
    ("device_faults", faults, "device_faults.py"),
)
