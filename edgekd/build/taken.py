"""How much each compression pass took, beside what was asked: sentences for the log, the plan and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgekd.base import units
from edgekd.document.details import Taken

Record = Mapping[str, Any]
UNTRAINED = "untrained"  # in the record of a pass that trained, but whose network is the one that training began with
LISTED = 12  # groups in a sentence; the report has all of them


def sentence(record: Record) -> str | None:
    """``"30.0 % of the channels asked, 28.6 % taken: body.0 24 of 32 (22.4), ..."``; None where none is counted.

    Args:
        record: the last of a student's lineage.
    """
    if "taken" not in record:
        return None
    asked = f"{units.share(record['asked'])} asked, " if record.get("asked") is not None else ""
    groups = [
        f"{path} {group['kept']:g} of {group['before']:g}"
        + ("" if group["asked"] is None else f" (asked {group['asked']:g})")
        for path, group in record["groups"].items()
    ]
    more = f", and {len(groups) - LISTED} more" if len(groups) > LISTED else ""
    return f"{asked}{units.share(record['taken'])} of the {record['unit']} taken: {', '.join(groups[:LISTED])}{more}"


def notes(record: Record) -> list[str]:
    """What of a pass the user is to know: which groups it left whole, by reason; that it trained for nothing."""
    by_reason: dict[str, list[str]] = {}
    for path, why in record.get("whole", {}).items():
        by_reason.setdefault(why, []).append(path)
    kind = record["kind"]
    sentences = [f"{kind} leaves {_listed(paths)} whole: {why}" for why, paths in by_reason.items()]
    if record.get(UNTRAINED):
        sentences.append(
            f"{kind} is as it was calibrated: no epoch gained more on validation than one standard error of the "
            "difference; int8_ptq gives such a network at once"
        )
    return sentences


def row(step: str, record: Record) -> Taken:
    """What the report keeps of a step: ``asked``, ``taken``, ``unit``, ``groups`` and ``whole``, see ``told``."""
    return {
        "step": step,
        "kind": record["kind"],
        "asked": record.get("asked"),
        "taken": record["taken"],
        "unit": record["unit"],
        "groups": record.get("groups"),
        "whole": record.get("whole"),
    }


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:LISTED])
    return shown if len(paths) <= LISTED else f"{shown} and {len(paths) - LISTED} more"
