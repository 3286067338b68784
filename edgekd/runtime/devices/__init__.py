"""Machines to measure on: one kind of ``Device`` a file; ``find`` reads what ``--device`` names."""

from edgekd.runtime.devices._base import LOADER, LONGEST, Device
from edgekd.runtime.devices._find import find

__all__ = ["LOADER", "LONGEST", "Device", "find"]
