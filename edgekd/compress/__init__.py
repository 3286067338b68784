"""Compression passes, one a file: structure only, a ``Pass`` never trains. The fit after it is the caller's.

May import base, tasks, spec, metrics and learn. A pass whose steps stand in its recipe table is a ``TablePass``.
"""

from edgekd.compress._base import Clock, Context, Pass, Rereads, TablePass

__all__ = ["Clock", "Context", "Pass", "Rereads", "TablePass"]
