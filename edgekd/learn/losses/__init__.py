"""Losses, one a file: pure functions of answers (``Loss``), or of what inner layers give (``FeatureLoss``)."""

from edgekd.learn.losses._base import FeatureLoss, Loss, MapLoss, TaskLoss, WeighedLoss, check_range, check_temperature

__all__ = ["FeatureLoss", "Loss", "MapLoss", "TaskLoss", "WeighedLoss", "check_range", "check_temperature"]
