"""A net's folder as a peer reads it: numpy, and nothing of a peer's or ours but the metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.metrics import make_metric

LABELS, LENGTHS, RAW = "labels of samples", "lengths of sequences", "raw samples"
Feed = dict[str, np.ndarray]


class Folder:
    """One net; see ``nets`` for the files.

    Attributes:
        place: the folder.
        facts: what ``net.json`` says.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.facts: dict[str, Any] = json.loads((place / "net.json").read_text(encoding="utf-8"))

    @property
    def tokens(self) -> bool:
        """Whether it is a transformer, which some quantizers want to be told."""
        return bool(self.facts["tokens"])

    def fp32(self, target: str) -> bytes:
        """Our fp32 file for a target."""
        return (self.place / "fp32" / f"{target}.onnx").read_bytes()

    def feeds(self, split: str) -> list[Feed]:
        """Model inputs of one sample each, as long as that sample is."""
        return list(self._feeds(split))

    def _feeds(self, split: str) -> Iterator[Feed]:
        arrays = self._arrays(split)
        lengths = arrays.get(LENGTHS)
        inputs = {name: arrays[name] for name in self.facts["inputs"]}
        for i in range(len(next(iter(inputs.values())))):
            feed = {name: array[i : i + 1] for name, array in inputs.items()}
            yield feed if lengths is None else {name: array[:, : lengths[i]] for name, array in feed.items()}

    def _arrays(self, split: str) -> dict[str, np.ndarray]:
        with np.load(self.place / f"{split}.npz", allow_pickle=False) as archive:
            return dict(archive)

    def labels(self, split: str) -> np.ndarray:
        """(N,) class numbers."""
        return self._arrays(split)[LABELS]

    def value(self, scores: np.ndarray, split: str) -> float:
        """The net's metric of (n, classes) scores of a split's first n samples."""
        arrays = self._arrays(split)
        raw = arrays.get(RAW, arrays[LABELS])[: len(scores)]
        return float(self._metric(scores, arrays[LABELS][: len(scores)], raw))

    @cached_property
    def _metric(self) -> Any:
        return make_metric(self.facts["metric"])
