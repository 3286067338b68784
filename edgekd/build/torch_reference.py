"""What the torch network of each trained step says: what exported files are held against."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edgekd.build import exports
from edgekd.build.plan import CompressStep, TrainedStep
from edgekd.build.trained import Trained
from edgekd.build.workspace import Workspace
from edgekd.learn import nets, predictions
from edgekd.spec.target import Numerics


def _fused(numerics: Numerics | None) -> str:
    """What tells the torch models of one trained step apart."""
    return f"{numerics.residual} {numerics.unrounded}" if numerics else ""


class TorchReference:
    """The torch model of a trained step over a split: (N, K) logits, computed once a build.

    Of a step that quantizes it is the network that is exported: what is rounded, is rounded in torch.
    """

    def __init__(self, workspace: Workspace, trained: Mapping[str, Trained]) -> None:
        self._workspace, self._trained = workspace, trained
        self._modules: dict[tuple[str, str], nn.Module] = {}
        self._known: dict[tuple[str, str, str, int], NDArray[np.float32]] = {}

    def __call__(
        self, step: str, split: str, limit: int | None = None, numerics: Numerics | None = None
    ) -> NDArray[np.float32]:
        """``limit``: only the first so many samples; ``numerics``: of the candidate that it was exported for."""
        feed = self._workspace.feed_of(step)
        count = feed.length(split) if limit is None else min(limit, feed.length(split))
        known = self._workspace.plan.steps.get(step)
        scheme = known.numerics if isinstance(known, CompressStep) else None
        wanted = None if scheme is None else numerics or scheme
        key = (step, _fused(wanted), split, count)
        if key not in self._known:
            self._known[key] = predictions.predict(self._module(step, wanted), feed, split, limit=count)
        return self._known[key]

    def _module(self, step: str, numerics: Numerics | None) -> nn.Module:
        subject = self._trained[step].student
        if numerics is None:
            return subject.module
        key = (step, _fused(numerics))
        if key not in self._modules:
            converted = exports.finished(self._workspace.plan.get(step, TrainedStep), subject, numerics)
            self._modules[key] = nets.Still(converted.module)
        return self._modules[key]
