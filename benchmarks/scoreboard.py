"""Other people's quantizers on eight nets: accuracy, size, p50 and the time to get there, beside our own int8 files.

    python benchmarks/scoreboard.py environments --environments FOLDER [names ...]
    python benchmarks/scoreboard.py prepare --work FOLDER --data FOLDER [nets ...]
    python benchmarks/scoreboard.py quantize --work FOLDER --environments FOLDER [--peers ...] [nets ...]
    python benchmarks/scoreboard.py score --work FOLDER [nets ...]
    python benchmarks/scoreboard.py measure --work FOLDER [--rounds 3] [--seconds 0.3] [--again] [nets ...]

``environments`` makes one virtual environment a peer, ``prepare`` trains the nets (kept in the cache) and writes what
every peer starts from, ``quantize`` runs the peers, without a network where the machine lets us, ``score`` finds what
their files answer on the test split, and ``measure``, alone on an idle machine, times them in turns with ours and fp32:
p50, one thread, batch 1, each on the runtime that it aims at. Every step goes on where it was cut: a pair of net and
peer is a file; ``--again`` times what was timed already, too. ``measure`` writes the results.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from peers import environments, measure, nets, quantize


def main() -> None:
    """One step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("environments", "prepare", "quantize", "score", "measure"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--environments", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peers", nargs="+", choices=tuple(quantize.PEERS), default=list(quantize.PEERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("names", nargs="*")
    given = parser.parse_intermixed_args()
    needed = {"environments": ["environments"], "prepare": ["work", "data"], "quantize": ["work", "environments"]}
    for option in needed.get(given.step, ["work"]):
        if getattr(given, option) is None:
            parser.error(f"{given.step} needs --{option}")
    chosen = given.names or list(nets.NAMES)
    if given.step == "environments":
        environments.make_all(given.environments, given.names)
    elif given.step == "prepare":
        for name in chosen:
            nets.prepare_net(name, given.data, given.work)
    elif given.step == "quantize":
        quantize.run_all(given.work, given.environments, chosen, given.peers)
    elif given.step == "score":
        measure.score_all(given.work, chosen)
    else:
        measure.measure_all(given.work, chosen, given.rounds, given.seconds, given.again)


if __name__ == "__main__":
    main()
