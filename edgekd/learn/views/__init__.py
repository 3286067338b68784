"""Augmentation, one kind a file: pure functions of raw samples and of what is drawn for them; ``Views`` calls them."""

from edgekd.learn.views._base import RAW, Draws, Mix, Moves, View, check_share
from edgekd.learn.views._views import Mixture, Views

__all__ = ["RAW", "Draws", "Mix", "Mixture", "Moves", "View", "Views", "check_share"]
