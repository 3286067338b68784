"""Model families, one a file: a ``Family`` makes a network for what goes in and how many scores come out."""

from edgekd.learn.models._base import Family, HeadsFamily, conv_bn, initialise

__all__ = ["Family", "HeadsFamily", "conv_bn", "initialise"]
