"""How sure a net is and how alike two nets are, from their scores and features: numpy alone, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekd.base.arrays import AnyArray
from edgekd.base.scores import log_softmax, parts
from edgekd.document.details import Bin, Sure

Array = NDArray[np.float64]
BINS = 15


def calibration(scores: AnyArray, labels: NDArray[np.int64], bins: int = BINS) -> Sure:
    """Whether a net is as often right as it says.

    ECE = sum over bins of  n_b / N * | accuracy_b - confidence_b |  (Guo et al. 2017, arXiv:1706.04599, eq. 5), over
    bins (low, high] of equal width. The confidence is the probability of the best class; nll is the mean of
    -log p(label), in nats.

    Args:
        scores: (N, K) with N >= 1; labels: (N,) in 0..K-1.

    Returns:
        ``{ece, confidence, accuracy, nll, bins: [{low, high, count, confidence, accuracy}]}``; the means of an empty
        bin are None.
    """
    confidence, nll = np.empty(len(scores)), np.empty(len(scores))
    for part in parts(len(scores)):
        log_p = log_softmax(scores[part])
        confidence[part] = np.minimum(np.exp(log_p.max(axis=1)), 1.0)
        nll[part] = -log_p[np.arange(len(log_p)), labels[part]]
    hit = scores.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.searchsorted(edges[1:], confidence, side="left")
    rows: list[Bin] = []
    ece = 0.0
    for b in range(bins):
        inside = place == b
        count = int(inside.sum())
        sure, right = (float(confidence[inside].mean()), float(hit[inside].mean())) if count else (None, None)
        if sure is not None and right is not None:
            ece += count / len(scores) * abs(right - sure)
        low, high = float(edges[b]), float(edges[b + 1])
        rows.append({"low": low, "high": high, "count": count, "confidence": sure, "accuracy": right})
    return {
        "ece": ece,
        "confidence": float(confidence.mean()),
        "accuracy": float(hit.mean()),
        "nll": float(nll.mean()),
        "bins": rows,
    }


def linear_cka(one: AnyArray, other: AnyArray) -> float | None:
    """How alike two layers arrange the same samples, 0..1.

    CKA(X, Y) = || Y'X ||^2 / ( || X'X || || Y'Y || ), Frobenius norms of centred columns (Kornblith et al. 2019,
    arXiv:1905.00414, section 3): 1 for X itself, and for X turned, mirrored, moved or scaled as a whole. With few
    samples of many values unlike layers look more alike than they are.

    Args:
        one, other: (N, D) and (N, E) features of the same samples.

    Returns:
        None where a layer says the same of every sample.
    """
    return _alike(_gram(one), _gram(other))


def cka_table(rows: list[AnyArray], columns: list[AnyArray]) -> list[list[float | None]]:
    """``linear_cka`` of each of some layers with each of others."""
    down, across = [_gram(x) for x in rows], [_gram(x) for x in columns]
    return [[_alike(a, b) for b in across] for a in down]


def _gram(features: AnyArray) -> Array | None:
    """(N, N) inner products of centred features, of norm 1: || Y'X ||^2 is the inner product of two of these."""
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    size = float(np.abs(features).max(initial=0.0))
    if float(np.abs(centred).max(initial=0.0)) <= 1e-12 * size:
        return None
    centred /= np.abs(centred).max()
    gram = centred @ centred.T
    return gram / float(np.linalg.norm(gram))


def _alike(one: Array | None, other: Array | None) -> float | None:
    return None if one is None or other is None else float(np.clip((one * other).sum(), 0.0, 1.0))


def furthest(distances: Array, most: int) -> list[tuple[int, float]]:
    """(number, distance) of the largest of some distances, the largest first.

    Held to six decimals, so that the last bits of a score don't change the order.
    """
    rounded = np.round(distances, 6)
    return [(int(i), float(rounded[i])) for i in np.argsort(-rounded, kind="stable")[:most]]
