"""Lengths that a target's runtime compiles a student of texts for: 0.63 to 0.76 of the time on OpenVINO."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import nn

from edgekd.base import backend_facts
from edgekd.base.backend_facts import LENGTHS
from edgekd.base.preprocess import MASK
from edgekd.build import network_key
from edgekd.build.target_runtime import TargetRuntime
from edgekd.decide import lengths
from edgekd.learn.feed import Feed, some

LOOKED_AT = 1_000  # training texts
MOST_PARAMETERS = 8_000_000  # of a network that is held once more for each length: 32 MB in float


def known(
    runtimes: Sequence[TargetRuntime], feed: Feed, roots: Mapping[str, Callable[[], nn.Module]], seed: int
) -> tuple[list[TargetRuntime], list[str]]:
    """The targets, those whose backend compiles for lengths, and which name none, with the data's; and what to tell.

    Args:
        roots: makes the untrained networks, by step, as of ``set_up.roots``.
        seed: of the recipe.
    """
    longest = next((spec.longest for spec in feed.specs if spec.name == MASK), None) if feed.reads_texts else None
    asks = [runtime.name for runtime in runtimes if _asks(runtime)]
    if not asks or longest is None:
        return list(runtimes), []
    make = roots.get("student") or roots.get("teacher")
    count = 0 if make is None else sum(p.numel() for p in network_key.seeded(make, seed).parameters())
    if count > MOST_PARAMETERS:
        return list(runtimes), [
            f"{', '.join(asks)}: not compiled for lengths of texts, as each would hold the {count:,} parameters once "
            f"more; a target's options.{LENGTHS} names some"
        ]
    texts = feed.plain("train", some(feed.length("train"), LOOKED_AT))[MASK].sum(axis=1)
    chosen = list(lengths.chosen(texts, longest))
    sentence = f"{', '.join(asks)}: compiled for texts of {', '.join(map(str, chosen))} tokens, and of any length"
    return [runtime.with_options(**{LENGTHS: chosen}) if runtime.name in asks else runtime for runtime in runtimes], [
        sentence
    ]


def _asks(runtime: TargetRuntime) -> bool:
    target = runtime.target
    takes = LENGTHS in backend_facts.of(target.backend).options and LENGTHS not in target.options
    return takes and target.options.get("device", "CPU") == "CPU"
