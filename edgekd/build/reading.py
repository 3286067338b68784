"""How much of its texts a student reads, and whether a bundle can say what it reads and answers."""

from __future__ import annotations

from collections.abc import Sequence

from edgekd.base import preprocess, units
from edgekd.base.errors import RecipeError
from edgekd.learn.feed import Feed, some
from edgekd.runtime.bundle import MAX_MANIFEST, canonical

MOST = 2_000  # texts that are looked at
ROOM = MAX_MANIFEST - 2_000_000  # bytes of a manifest for names and preprocessing


def check_room(names: Sequence[str], feed: Feed) -> None:
    """Raise RecipeError where names and preprocessing are more than a bundle's manifest holds."""
    held: dict[str, object] = {"labels": list(names), "preprocess": preprocess.stored(feed.ops)[0]}
    size = len(canonical({"1": {"2": {"3": {"4": held}}}}))  # as deep as they stand there: each name is indented
    if size > ROOM:
        held_now = f"{len(names):,} names, and the preprocessing: {units.size(size)}"
        hint = "shorter names (numbers say as much), or fewer values of each category"
        allowed = f"at most {units.size(ROOM)}"
        raise RecipeError("more than a bundle holds", where="data", found=held_now, allowed=allowed, hint=hint)


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
