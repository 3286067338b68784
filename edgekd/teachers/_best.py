"""Answers that name the best few labels of a sample, or each label with its score, as tables of files hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeGuard

import numpy as np

from edgekd.base.errors import DataError
from edgekd.teachers._cells import is_empty
from edgekd.teachers._columns import Column, Columns


class Best(NamedTuple):
    """How the best few labels of a row, and their numbers, are read; whether these are logarithms (None: not said)."""

    of: Callable[[int], tuple[list[object], list[object]]]
    logs: bool | None = None


def best(columns: Columns) -> Best | None:
    """How the best few labels of a row, and their shares or the logarithms of these, are read; None: none are there."""
    values, shares = columns.values, ("probabilities", "log_probabilities")
    if "top" in values:
        top = by_label(values["top"])
        return Best(lambda i: _pairs(top[i], columns.place(i)))
    if "top_labels" in values:
        known = [f"top_{name}" for name in shares if f"top_{name}" in values]
        if not known:
            raise DataError(
                "top_labels alone", where=columns.where, allowed="top_probabilities or top_log_probabilities"
            )
        labels_of, of = _in_memory(values["top_labels"]), _in_memory(values[known[0]])
        return Best(lambda i: _filled(_listed(labels_of[i]), _listed(of[i]), columns.place(i)), "log_" in known[0])
    labels = numbered(values, "label")
    for name in ("probability", "log_probability", "logprob"):
        if labels and (numbers := numbered(values, name)):

            def of_row(i: int, numbers: Sequence[str] = numbers) -> tuple[list[object], list[object]]:
                return _filled(
                    [values[one][i] for one in labels], [values[one][i] for one in numbers], columns.place(i)
                )

            return Best(of_row, name.startswith("log"))
    return None


def are_lists(values: Column) -> bool:
    """Whether cells are lists of ``{"label": ..., "score": ...}``, as pipelines of transformers answer."""
    return not isinstance(values, np.ndarray) and any(map(_is_list, values))


def _is_list(value: object) -> TypeGuard[list[Mapping[str, object]]]:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(one, Mapping) and {"label", "score"} == {*one} for one in value)


def by_label(values: Column) -> Column:
    """Cells, of which lists of ``{"label": ..., "score": ...}`` become pairs."""
    if not are_lists(values):
        return values
    cells: list[object] = []
    for cell in values:
        cells.append({one["label"]: one["score"] for one in cell} if _is_list(cell) else cell)
    return cells


def _in_memory(values: Column) -> Column:
    """A column of which each row is asked for: slow where it is mapped from a file."""
    return np.array(values) if isinstance(values, np.memmap) else values


def numbered(names: Mapping[str, Column], name: str) -> list[str]:
    """``label_1``, ``label_2`` and so on, as far as they go."""
    columns: list[str] = []
    while f"{name}_{len(columns) + 1}" in names:
        columns.append(f"{name}_{len(columns) + 1}")
    return columns


def _pairs(value: object, place: str) -> tuple[list[object], list[object]]:
    if value is None or value == "":
        return [], []
    if isinstance(value, Mapping):
        return list(value), list(value.values())
    pairs = [list(pair) for pair in value] if isinstance(value, Sequence) and not isinstance(value, str) else [[]]
    if any(len(pair) != 2 for pair in pairs):
        raise DataError("no labels with shares", where=place, found=value, allowed="[[label, share], ...], or a table")
    return [label for label, _ in pairs], [share for _, share in pairs]


def _filled(labels: list[object], values: list[object], place: str) -> tuple[list[object], list[object]]:
    """Labels and their shares, without those that are empty."""
    if len(labels) != len(values):
        raise DataError(
            "another number of shares than of labels", where=place, found=len(values), allowed=str(len(labels))
        )
    pairs = [pair for pair in zip(labels, values, strict=True) if not is_empty(pair[0])]
    return [label for label, _ in pairs], [value for _, value in pairs]


def _listed(value: object) -> list[object]:
    if isinstance(value, np.ndarray):
        return list(value.tolist())
    return (
        [] if value is None else list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    )
