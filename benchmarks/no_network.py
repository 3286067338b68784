"""A build, a bench and a verify without a network: nothing changes. Needs ``unshare`` (util-linux).

python benchmarks/no_network.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import _common
import kills

ALONE = ["unshare", "-rn"]


def main() -> None:
    """Build with and without a network, compare the bytes; then bench and verify without."""
    with tempfile.TemporaryDirectory(prefix="edgekd-network-") as name:
        root = Path(name)
        settings = list(kills.SHORT)
        kills.run(kills.command(root / "with", "digits", settings))
        kills.run([*ALONE, *kills.command(root / "without", "digits", settings)])
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
    print(f"files that differ: {differ or 'none'}; exit codes without a network: {codes}")
    _common.write("no_network", {"differ": differ, "exit_codes": codes})
    sys.exit(1 if differ or any(codes.values()) else 0)


if __name__ == "__main__":
    main()
