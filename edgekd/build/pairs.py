"""What labels of pairs and of triplets ask of a recipe: batches that part none, losses and a metric that they tell
something.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import RecipeError
from edgekd.build.parsed_recipe import ParsedRecipe
from edgekd.learn.feed import Feed
from edgekd.metrics import correlates, needs_triplets, of_head
from edgekd.tasks import Heads, pairs_of, triplets_of


def check_batches(together: NDArray[np.int64] | None, sizes: Mapping[str, int]) -> None:
    """Raise RecipeError where a batch parts a pair or a triplet, which losses on these then never see whole.

    Args:
        together: of the training samples, see ``Task.together``.
        sizes: of the batches of each schedule, by its place in the recipe.
    """
    if together is None:
        return
    counts = np.unique(together[together >= 0], return_counts=True)[1]
    whole = int(np.lcm.reduce(np.unique(counts))) if len(counts) else 2
    for where, size in sizes.items():
        if not size % whole:
            continue
        place, beside = f"{where}.batch_size", "stand side by side"
        if whole == 2:
            allowed = f"an even number: the samples of a pair {beside}"
            raise RecipeError("an odd batch parts a pair", where=place, found=size, allowed=allowed)
        allowed = f"a multiple of {whole}, such as {size - size % whole or whole}: the samples of a triplet {beside}"
        raise RecipeError("the batch parts a triplet", where=place, found=size, allowed=allowed)


def check_labels(parsed: ParsedRecipe, heads: Heads, feed: Feed) -> None:
    """What compares triplets finds some, and what correlates scores finds several.

    Raises:
        RecipeError: a loss or the metric of a task of pairs to which its labels say nothing.
    """
    terms = (*parsed.terms, *(term for one in parsed.compressions for term in one.terms))
    for name in (name for name, task in heads.tasks.items() if task.pairs):
        train, validation = (heads.labels_of(feed.labels(split), name) for split in ("train", "validation"))
        of_triplets = [term for term in terms if getattr(term.loss, "triplets", False) and term.only in (None, name)]
        if of_triplets and train is not None and not len(triplets_of(train).anchor):
            _refuse_without_triplets("loss", f"{of_triplets[0].where}.kind", of_triplets[0].name)
        where = f"heads.{name}.metric" if parsed.recipe.heads else "metric"
        metric = of_head(parsed.metric, name)
        if needs_triplets(metric) and (validation is None or not len(triplets_of(validation).anchor)):
            _refuse_without_triplets("metric", where, type(metric).__name__)
        if validation is not None and correlates(metric) and np.ptp(scores := pairs_of(validation).scores) == 0:
            what, allowed = "correlates scores that are all alike", heads.tasks[name].suited(validation)[1]
            raise RecipeError(what, where=where, found=f"{type(metric).__name__} of {scores[0]:g}", allowed=allowed)


def _refuse_without_triplets(what: str, where: str, kind: str) -> None:
    allowed = "one of pairs; or data.negative, or rows [triplet, role] of arrays"
    raise RecipeError(f"this {what} needs triplets and the data has none", where=where, found=kind, allowed=allowed)
