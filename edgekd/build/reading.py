"""How much of its texts a student reads."""

from __future__ import annotations

from edgekd.base import preprocess, units
from edgekd.learn.feed import Feed, some

MOST = 2_000  # texts that are looked at


def notes(feed: Feed) -> tuple[str, ...]:
    """A sentence where texts of the training lose their end; none of anything else."""
    if not feed.ops or feed.ops[-1]["op"] != "wordpiece":
        return ()
    index = some(feed.length("train"), MOST)
    count = preprocess.cut(feed.ops, feed.raw("train")[index].tolist())
    if not count:
        return ()
    of = f"{count:,} of {len(index):,} training texts" + (" looked at" if len(index) == MOST else "")
    length = feed.ops[-1]["length"]
    share = units.share(count / len(index))
    return (f"{of} ({share}) are longer than the {length} tokens that are read: their end is cut off",)
