"""Machines to measure on: one kind of ``Device`` a file; ``find`` reads what ``--device`` names."""

from edgekd.runtime.devices._base import LONGEST, Device
from edgekd.runtime.devices._find import find

__all__ = ["LONGEST", "Device", "find"]
