"""For which lengths a model of texts is compiled, by how long the texts are. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Of the texts that run on the model of each length. The longest are rare, and run on the model of any length: one for
# them would be compiled for nothing.
QUANTILES = (0.25, 0.5, 0.8, 0.99)
MULTIPLE = 8  # of tokens: kernels take rows by the register, and a text is filled up by 3.5 on average


def chosen(texts: Sequence[int], longest: int) -> tuple[int, ...]:
    """At most four lengths, rising.

    Args:
        texts: the lengths of some texts, in tokens, at least one.
        longest: that the model reads.
    """
    upper = np.quantile(texts, QUANTILES, method="inverted_cdf")
    return tuple(sorted({min(-(-int(length) // MULTIPLE) * MULTIPLE, longest) for length in upper}))
