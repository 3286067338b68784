"""What each backend states about itself, known without importing its runtime.

Every folder of ``runtime/backends/`` says in its ``__init__`` a constant ``FACTS``; whoever needs to know something
about a backend asks here. The folder is the only list of backends: one that is added needs no edit elsewhere.

The rules of options are what a stranger's manifest may ask of a runtime. A runtime's own settings open, write and load
files by name (ONNX Runtime's ``session.collect_node_memory_stats_to_file``, OpenVINO's ``CACHE_DIR``, a provider's
library), and a folder of Node's modules is code. So a bundle may set nothing but what a rule names, and none of it is
a path.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from edgekd.base import plugins

FAMILY = "backends"


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int

    def takes(self, value: object) -> bool:
        """Whether a value is allowed."""
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a whole number, {self.low} to {self.high}"


@dataclass(frozen=True)
class Several:
    """A list of at most ``most`` values that a rule allows."""

    rule: Whole
    most: int

    def takes(self, value: object) -> bool:
        """Whether a value is allowed."""
        return isinstance(value, list | tuple) and len(value) <= self.most and all(map(self.rule.takes, value))

    def __str__(self) -> str:
        return f"at most {self.most}, each {self.rule}"


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[str | bool, ...]

    def takes(self, value: object) -> bool:
        """Whether a value is allowed."""
        return any(type(value) is type(one) and value == one for one in self.values)

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


@dataclass(frozen=True)
class Text:
    """A text of a form."""

    pattern: str
    words: str

    def takes(self, value: object) -> bool:
        """Whether a value is allowed."""
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        return self.words


Rule = Whole | Several | Choice | Text | Mapping[str, "Rule"]
LENGTHS = "lengths"  # an option: of texts, for which the model is compiled. It changes times, and no answers
THREADS, FLAG = Whole(1, 1024), Choice((True, False))


@dataclass(frozen=True)
class Facts:
    """What a backend states. The defaults are safe: a bundle may ask for no option and hold no file.

    Attributes:
        runtime: the first word of what its ``version()`` says.
        modules: import names of its runtime, which no other part of ``runtime/`` imports.
        distributions: pip's packages, any one of which brings the runtime; two of them overwrite each other.
        extra: of edgekd, the one that installs the runtime; "" where none does.
        npm: npm's package, where the runtime is one.
        suffixes: of the files that ``lower`` writes and ``open`` takes.
        lone: the suffix of model files that it is asked to open where no target says who does; one backend a suffix.
        reads: ``onnx``: the first file of a variant is ONNX, whatever its name (unless it is of ONNX Runtime's own
            format, ``.ort``, which that verifies by itself); ``by suffix``: a file is what its name says. What is ONNX
            or OpenVINO's IR is inspected before the runtime reads it.
        options: those that a bundle may set, and their values; see the module.
        passes: graph passes that every file for it gets beside the usual ones.
        programs: the kinds of example programs that open its files (``ort``, ``web``, ``openvino``), and the place of
            its files among those that others give them: 0 is the best.
    """

    runtime: str = ""
    modules: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    extra: str = ""
    npm: str = ""
    suffixes: tuple[str, ...] = ()
    lone: str = ""
    reads: Literal["onnx", "by suffix"] = "by suffix"
    options: Mapping[str, Rule] = field(default_factory=dict)
    passes: tuple[str, ...] = ()
    programs: Mapping[str, int] = field(default_factory=dict)

    @property
    def requirement(self) -> str:
        """What to give ``pip install`` for the runtime, quoted for a shell; "" where pip has none."""
        return f"'edgekd[{self.extra}]'" if self.extra else next(iter(self.distributions), "")


@functools.cache
def of(kind: str) -> Facts:
    """The facts of a backend: of a built-in kind what its folder states, of a user's own (``"mypkg.mod:Class"``) the
    defaults. Imports neither a runtime nor a user's module.

    Raises:
        KeyError: no such backend.
    """
    if ":" in kind:
        return Facts()
    if kind not in plugins.kinds(FAMILY):
        raise KeyError(kind)
    return cast(Facts, plugins.constant(FAMILY, kind, "FACTS"))


def every() -> dict[str, Facts]:
    """The facts of each built-in backend, by its kind."""
    return {kind: of(kind) for kind in plugins.kinds(FAMILY)}


def of_lone_files() -> dict[str, str]:
    """By suffix the backend that opens a model file that stands alone."""
    return {facts.lone: kind for kind, facts in every().items() if facts.lone}


def distributions() -> tuple[str, ...]:
    """Pip's packages that bring a runtime, each once."""
    return tuple(dict.fromkeys(name for facts in every().values() for name in facts.distributions))


def openers(program: str) -> list[str]:
    """The backends whose files a kind of example programs opens, the best first."""
    ranks = {kind: facts.programs[program] for kind, facts in every().items() if program in facts.programs}
    return sorted(ranks, key=lambda kind: (ranks[kind], kind))
