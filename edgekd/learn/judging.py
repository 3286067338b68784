"""What validation says of a network in training, and whether training is worth keeping where it began well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from edgekd.base import bootstrap
from edgekd.base.arrays import AnyArray, Samples
from edgekd.base.scores import answered
from edgekd.learn import predictions, ranks
from edgekd.learn.answers import Logits
from edgekd.learn.feed import Feed, groups
from edgekd.metrics import Evaluator, cut
from edgekd.metrics.accuracy import Accuracy
from edgekd.tasks import SINGLE, Heads

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Validation:
    """The validation split, and how a network is judged on it.

    Attributes:
        evaluator: None: accuracy, of one head.
        teacher: (N, K) logits, where the metric is held against the teacher or the data has no labels.
        judged: of the network, the one that is judged; None: itself.
    """

    feed: Feed
    evaluator: Evaluator | None
    teacher: Logits | None
    judged: Callable[[nn.Module], nn.Module] | None

    def scores(self, module: nn.Module) -> Logits:
        """(N, K) what the network says."""
        judged = self.judged(module) if self.judged else module
        return predictions.predict(judged, self.feed, "validation")

    def value(self, module: nn.Module) -> float:
        """The metric, the same on all ranks."""
        scores = self.scores(module)
        evaluator, _, held = self._held(scores)
        return ranks.number_from_first(evaluator(*held))

    def gains(self, module: nn.Module, before: State, after: State) -> bool:
        """Whether training changed the value by more than chance does: by one standard error of the difference over
        the same samples, from resamples (Efron and Tibshirani 1993, chapter 6; the rule of Breiman et al. 1984, 3.4).

        The best of several epochs is chosen by this very split, so what they gain by less is often nothing. Of 12
        students on CIFAR-10 (2,000 images) int8 training gained 0.07 to 0.82 points on the 10,000 test images in the
        three that passed, and lost 0.12 and 0.73 in the two that did not.

        Args:
            module: it takes either state, and has ``after`` at the end.
        """
        module.load_state_dict(before)
        old = self.scores(module)
        module.load_state_dict(after)
        new = self.scores(module)
        (evaluator, rows, held_old), (_, _, held_new) = self._held(old), self._held(new)
        was, now = evaluator.resampled(*held_old), evaluator.resampled(*held_new)
        group = self.feed.drawn_by("validation")
        of = None if group is None else groups(group[rows])
        drawn = evaluator.draws(held_new[0], held_new[3], of).first(bootstrap.FEWEST)
        error = float(np.std([now(index) - was(index) for index in drawn]))
        gain = evaluator(*held_new) - evaluator(*held_old)
        return ranks.number_from_first(float(gain > error)) > 0

    def _held(
        self, scores: Logits
    ) -> tuple[Evaluator, np.ndarray, tuple[Logits, AnyArray | None, Logits | None, Samples]]:
        """The evaluator, which samples it judges, and its arguments: where a teacher counts, only what it answered.

        Where thresholds of labels are chosen on validation, the scores are cut at their own.
        """
        feed, teacher = self.feed, self.teacher
        evaluator = self.evaluator or Evaluator(Accuracy(), Heads({SINGLE: scores.shape[1]}))
        labels, raw = feed.labels("validation"), feed.raw("validation")
        rows = np.arange(len(scores))
        if teacher is not None and not (known := answered(teacher)).all():
            rows, scores, teacher, raw = np.flatnonzero(known), scores[known], teacher[known], raw[known]
            labels = None if labels is None else labels[known]
        return evaluator, rows, (cut(scores, evaluator.cuts(scores, labels, teacher)), labels, teacher, raw)
