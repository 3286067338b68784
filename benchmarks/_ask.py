"""What ``runtimes.py`` runs in an environment of numpy and one runtime: predict every sample, alone and together.

python benchmarks/_ask.py BUNDLE TARGET SAMPLES
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import edgekd


def main(bundle: str, target: str, samples: str) -> dict[str, Any]:
    """The answers, or why the bundle does not open."""
    try:
        model = edgekd.load(bundle, target=target)
    except edgekd.EdgekdError as err:
        return {"refused": str(err)}
    raw: Any = Path(samples).read_text(encoding="utf-8").split("\n") if samples.endswith(".txt") else np.load(samples)
    alone = [model.predict(sample) for sample in raw]
    together = [one.index for one in model.predict(raw)]
    return {"index": [one.index for one in alone], "score": [one.score for one in alone], "together": together}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
