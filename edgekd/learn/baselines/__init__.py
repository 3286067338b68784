"""Plain models, one kind a file, that are fitted in seconds and stand beside every student that they suit.

May import base, with scikit-learn, which takes 1.5 s to import: so a build loads the one that it fits, and no other.
"""

from edgekd.learn.baselines._base import Baseline, scores_of

__all__ = ["Baseline", "scores_of"]
