"""A net's folder as a peer reads it: numpy alone, and nothing of a peer's or ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

LABELS, LENGTHS = "labels of samples", "lengths of sequences"
Feed = dict[str, np.ndarray]


def keep(file: Path, row: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(row, indent=1), encoding="utf-8")
    part.replace(file)


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

    def value(self, scores: np.ndarray, split: str, rows: Sequence[int] | None = None) -> float:
        """Accuracy of (n, classes) scores of a split's samples, or of those whose numbers are ``rows``."""
        index = np.arange(len(scores)) if rows is None else np.asarray(rows)
        return float((scores.argmax(1) == self.labels(split)[index]).mean())
