"""``samples.json`` of a bundle: every latency, in nanoseconds, by target and candidate."""

from __future__ import annotations

from edgekd.document.rules import Nanoseconds

Samples = dict[str, dict[str, list[Nanoseconds]]]
MOST = 128_000_000  # bytes: some 20 million runs
