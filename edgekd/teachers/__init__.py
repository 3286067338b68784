"""Teachers that are no network trained here, one kind a file: files of networks, recorded answers, functions that ask.

May import base, tasks, learn and runtime. Each kind is a plugin whose fields are the keys of a recipe's
``teacher.model``.
"""

from edgekd.teachers._base import AnswersKind, Asked, NetworkKind
from edgekd.teachers._links import of_shares

__all__ = ["AnswersKind", "Asked", "NetworkKind", "of_shares"]
