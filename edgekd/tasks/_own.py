"""A user's own task: what the house asks of its class, and what stands in its place where an app did not name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Never

from edgekd.base import plugins
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import EdgekdError, UnavailableError
from edgekd.tasks._base import Decided, Floats, Record, Task
from edgekd.tasks._classes import At, Numbered

PLUGIN = "plugin:"  # before the name of a user's own task, whose module no bundle names
LINKS = ("", "softmax", "sigmoid")
SAYS = ("axes", "hub", "metrics", "losses", "label_loss", "program", "holds", "prints")  # what has no default


@dataclass(frozen=True)
class Unnamed(Task):
    """A task whose class nobody named: its scores are numbers, held as they are, and are not decoded.

    A bundle brings no code and causes no import. ``run``, ``bench`` and golden data need no more than this.

    Attributes:
        kind: as a manifest names it, ``plugin:Class``.
        axes: of the output, as the manifest says; axis: which of a sample's the names count.
    """

    losses: ClassVar[tuple[str, ...]] = ()

    kind: str
    axes: tuple[str, ...]  # type: ignore[misc]  # of a class whose axes the manifest alone tells
    axis: int = 0  # type: ignore[misc]

    def _absent(self) -> Never:
        raise UnavailableError(
            "needs a task of its maker's own, which a bundle does not bring; run gives the scores",
            where="predict",
            found=self.kind.removeprefix(PLUGIN),
            hint='name it: edgekd.load(..., plugins=["package.module:Class"]), or --allow-plugin',
        )

    def numbered(self, labels: Mapping[str, AnyArray], names: tuple[str, ...] | None, at: At, where: str) -> Numbered:
        """See ``Task``.

        Raises:
            UnavailableError: its class was not named.
        """
        self._absent()

    def check(self, labels: AnyArray, count: int, size: int, where: str) -> None:
        """The same."""
        self._absent()

    def decode(self, shares: Floats, names: Sequence[str]) -> Decided:
        """The same."""
        self._absent()

    def record(self, decided: Decided) -> Record:
        """The same."""
        self._absent()

    def numbers(self, record: Record) -> list[float]:
        """The same."""
        self._absent()


def path_of(task: Task) -> str | None:
    """``package.module:Class`` of a user's own task; None of a built-in one."""
    return None if is_built_in(type(task)) else plugins.path_of(type(task))


def is_built_in(cls: type[object]) -> bool:
    """Whether a class is one of ``tasks/``."""
    return cls.__module__.startswith("edgekd.tasks.")


def check_class(cls: type[object], where: str, error: type[EdgekdError]) -> None:
    """Hold a user's own class to what is asked of a task, before one is made of it. A built-in one has its tests.

    Raises:
        EdgekdError: (of class ``error``) no ``Task``, one that leaves something open, or a decoding that edgekd's
            programs do not have.
    """
    if is_built_in(cls):
        return
    if not issubclass(cls, Task):
        raise error("no task", where=where, found=cls.__name__, allowed="a subclass of edgekd.tasks.Task")
    if missing := cls.__abstractmethods__ - set(SAYS):
        listed = ", ".join(sorted(missing))
        raise error("a task without a method that it needs", where=where, found=cls.__name__, allowed=listed)
    if silent := [name for name in SAYS if getattr(cls, name, None) is getattr(Task, name, None)]:
        raise error(f"a task says its {silent[0]!r}", where=where, found=cls.__name__, allowed=", ".join(SAYS))
    known = _decodings()
    if cls.program and cls.program not in known:
        what = "a decoding that edgekd's programs do not have"
        raise error(what, where=f"{where}: program", found=cls.program, allowed=['"" (no programs)', *known])


def check_says(task: Task, where: str, error: type[EdgekdError]) -> None:
    """Raise where what a user's own task says of itself is of another form than the house reads, or where it does not
    tell the numbers that the decoding of its programs needs.
    """
    if is_built_in(type(task)):
        return
    if absent := _decodings().get(task.program, frozenset()) - task.constants.keys():
        what = f"a program of {task.program!r} needs a constant"
        raise error(what, where=where, found=type(task).__name__, allowed=", ".join(sorted(absent)))
    for family in ("metrics", "losses"):
        for kind in _texts(task, family, where, error):
            _check_kind(kind, family, f"{where}: {family}", error)
    if not task.metrics:
        raise error("no metric suits it", where=f"{where}: metrics", found=task.metrics, allowed='("mae",)')
    if task.label_loss:
        _check_kind(task.label_loss, "losses", f"{where}: label_loss", error)
    axes = _texts(task, "axes", where, error)
    if axes[:1] != ("batch",) or len({*axes}) < len(axes):
        raise error("the axes of an output begin with 'batch', each another one", where=f"{where}: axes", found=axes)
    if task.program and len(axes) not in (known := _axes_of_programs()[task.program]):
        what = f"a program of {task.program!r} decodes another number of axes"
        raise error(what, where=f"{where}: program", found=axes, allowed=f'{min(known)} axes, or ""')
    _texts(task, "limits", where, error)
    _texts(task, "certainties", where, error)
    if not isinstance(task.hub, Mapping):
        raise error("a table by the kind of sample", where=f"{where}: hub", found=task.hub, allowed="{'numbers': ...}")
    for name in ("holds", "prints", "unit"):
        if not isinstance(text := getattr(task, name), str):
            raise error("a text is needed", where=f"{where}: {name}", found=text)
    if task.holds.count("{}") != 1 or task.holds.count("{") + task.holds.count("}") > len("{}"):
        raise error("a text with {} for how many", where=f"{where}: holds", found=task.holds, allowed="'{} values'")
    if task.link not in LINKS:
        raise error("no function that makes shares of scores", where=f"{where}: link", found=task.link, allowed=LINKS)


def _texts(task: Task, name: str, where: str, error: type[EdgekdError]) -> tuple[str, ...]:
    """What a task says by that name, a tuple of texts."""
    value = getattr(task, name)
    if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
        raise error("a tuple of texts is needed", where=f"{where}: {name}", found=value, allowed='("one", "two")')
    return value


def _check_kind(kind: str, family: str, where: str, error: type[EdgekdError]) -> None:
    """Raise where a family has no plugin of that name, and it is none of a user's own."""
    if ":" not in kind and kind not in (known := plugins.kinds(family)):
        raise error(f"unknown kind of {family}", where=where, found=kind, allowed=known)


def _decodings() -> dict[str, frozenset[str]]:
    """How the built-in tasks' programs decode, and the numbers that this takes: those that all of these tasks tell."""
    needed: dict[str, frozenset[str]] = {}
    for kind in plugins.kinds("tasks"):
        cls: type[Task] = plugins.load("tasks", kind, "tasks")
        constants = frozenset(cls().constants)
        needed[cls.program] = needed.get(cls.program, constants) & constants
    return needed


def _axes_of_programs() -> dict[str, set[int]]:
    """How many axes the outputs have that a program decodes: as many as those of the built-in tasks that name it."""
    counts: dict[str, set[int]] = {}
    for kind in plugins.kinds("tasks"):
        cls: type[Task] = plugins.load("tasks", kind, "tasks")
        counts.setdefault(cls.program, set()).add(len(cls.axes))
    return counts
