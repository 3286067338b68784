"""Where people watch a training, one kind a file: each writes what a build tells it to a folder.

May import base. Each kind is a plugin whose fields are the keys of a recipe's ``[log]``.
"""

from edgekd.loggers._base import Logger, Run, Setting

__all__ = ["Logger", "Run", "Setting"]
