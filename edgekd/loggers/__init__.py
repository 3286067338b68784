"""Where people watch a training, one kind a file: each writes what a build tells it to a folder."""

from edgekd.loggers._base import Logger, Run, Setting

__all__ = ["Logger", "Run", "Setting"]
