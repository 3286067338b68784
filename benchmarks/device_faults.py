"""The faults of a connection, injected into a real sshd in a network namespace of its own: which hold.

    apt install openssh-server iproute2          # and root
    python benchmarks/device_faults.py

Runs ``tests/runtime/test_devices.py`` and keeps each case and what became of it. A skipped case is no evidence.
"""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from tempfile import TemporaryDirectory

import _common

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Run, count, write."""
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        line = [sys.executable, "-m", "pytest", "tests/runtime/test_devices.py", f"--junitxml={report}"]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        cases = {}
        for case in ET.parse(report).getroot().iter("testcase"):
            kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            cases[case.get("name")] = kinds[0] if kinds else "held"
    held = sum(outcome == "held" for outcome in cases.values())
    print(done.stdout[-2000:])
    _common.write("device_faults", {"held": held, "cases": cases})
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
