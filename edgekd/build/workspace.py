"""What every step of a build works with: the recipe's parts, built and checked, and the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from edgekd.base import notes
from edgekd.base.arrays import Samples
from edgekd.base.errors import FactoryError
from edgekd.base.notes import Progress
from edgekd.build import network_key, tokens
from edgekd.build.plan import Plan, Step
from edgekd.build.store import Store
from edgekd.build.tokens import Order
from edgekd.compress import Clock
from edgekd.learn import lengths, nets, predictions
from edgekd.learn.feed import Feed, some
from edgekd.learn.foreign import Unasked
from edgekd.learn.objective import Term
from edgekd.learn.predictions import Tensors
from edgekd.learn.student import Student, TensorSpec
from edgekd.learn.teaching import AnswerSource
from edgekd.metrics import ByHead, Evaluator, Metric
from edgekd.spec.recipe import Recipe
from edgekd.tasks import SINGLE, Heads, Task, table_of_heads

if TYPE_CHECKING:
    from edgekd.runtime.runners import BuildRunner

PROBED = 16  # samples that a network is tried on before it is trusted


@dataclass(frozen=True)
class Workspace:
    """What every step works with.

    Attributes:
        feed: the student's view of the data; ``feeds`` are the teachers', by step.
        classes, heads: what the columns of the scores are called, and which head has which.
        order: of the rows of the student's table of tokens, see ``tokens``.
        roots: how to make each untrained teacher and "student" (a recipe's model table, or a user's object).
        terms: the recipe's losses.
        runner: where latencies are measured.
        clocks: by target, what times a student's shape there: one for a whole build, so that what the rehearsal timed
            is known already.
        sources: teachers that bring answers and no network, by step.
        outside: by split, raw samples of no class that is known, see ``[abstain]``.
        notes: what the user is to know of the data; ``found``: what else, as it is found on the way.
    """

    recipe: Recipe
    plan: Plan
    store: Store
    feed: Feed
    feeds: Mapping[str, Feed]
    classes: tuple[str, ...]
    heads: Heads
    order: Order
    roots: Mapping[str, Callable[[], nn.Module]]
    terms: tuple[Term, ...]
    metric: Metric | ByHead
    progress: Progress
    runner: BuildRunner
    clocks: Mapping[str, Clock]
    sources: Mapping[str, AnswerSource] = field(default_factory=dict)
    outside: Mapping[str, Samples] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    found: list[str] = field(default_factory=list)

    def feed_of(self, step: str) -> Feed:
        """What a step's network is shown."""
        return self.feeds.get(step, self.feed)

    @property
    def taught(self) -> Feed:
        """What students are trained on: their feed, with the labels that they are told."""
        count = self.recipe.student.labels
        return self.feed if count is None else self.feed.with_labels(count)

    def heads_of(self, step: str) -> Heads:
        """What a step's network answers: a teacher may know one head of several."""
        taught = self.recipe.ensemble[step].head if step in self.feeds else None
        return self.heads if taught is None else self.heads.only(taught)

    def evaluator_of(self, step: str) -> Evaluator:
        """What a step's network is measured by."""
        return Evaluator(self.metric, self.heads_of(step))

    @property
    def task(self) -> Task:
        """Of the first output."""
        return next(iter(self.heads.tasks.values()))

    @property
    def task_kind(self) -> str:
        """What the student answers, as a manifest names it."""
        return str(table_of_heads(self.heads)["kind"])

    @property
    def classifies(self) -> bool:
        """Whether every output is of classes of which the best is the answer."""
        return self.heads.exclusive

    def untrained(self, role: str) -> Student:
        """A teacher (by its step's name) or the "student" as its factory makes it, seeded."""
        heads, teaches = self.heads_of(role), role in self.feeds
        outputs = {SINGLE: heads.width} if teaches and len(heads) > 1 else dict(heads)
        specs = tuple(TensorSpec(name, (None, size)) for name, size in outputs.items())
        seed = (self.recipe.ensemble[role].seed or 0) if teaches else self.recipe.seed
        if role in self.sources:
            return Student(Unasked(role), self.feed_of(role).specs, specs, ({"kind": "teacher"},))
        x, sizes = self.probe(role), list(outputs.values())
        # Under the seed, too: a lazy layer draws its weights when it sees its first input.
        module = network_key.seeded(lambda: self._ready(self.roots[role](), x, sizes, role), seed)
        shortest = lengths.shortest(module, self.feed_of(role).specs, role)
        inputs = tuple(replace(spec, shortest=shortest) for spec in self.feed_of(role).specs)
        # Which of the teachers it is, its step knows: in another recipe the same one may stand in another place.
        untrained = Student(module, inputs, specs, ({"kind": "teacher" if teaches else "student"},))
        return tokens.reordered(untrained, x, () if teaches else self.order)

    def of_teacher(self, teacher: Student) -> Student:
        """The first teacher as the student begins that is made of it: it reads as the student does. Changes it."""
        if not self.order:
            return teacher
        read = {spec.name: spec for spec in self.feed.specs}
        inputs = tuple(replace(read[spec.name], shortest=spec.shortest) for spec in teacher.inputs)
        return replace(tokens.reordered(teacher, self.probe("teacher"), self.order), inputs=inputs)

    def _ready(self, module: nn.Module, x: Tensors, sizes: list[int], role: str) -> nn.Module:
        """See ``nets.ready``."""
        try:
            heads = self.heads_of(role)
            return nets.ready(module, x, sizes, role, self.note, heads.link, heads)
        except FactoryError as err:
            raise lengths.too_long(module, x, role) or err from err

    def probe(self, role: str) -> tuple[torch.Tensor, ...]:
        """A few training samples as a step's network is given them."""
        feed = self.feed_of(role)
        return predictions.tensors(feed.plain("train", some(feed.length("train"), PROBED)))

    def note(self, sentence: str) -> None:
        """Tell the user something once; it stands in the report, too."""
        if sentence not in self.found:
            self.found.append(sentence)
            notes.tell(self.progress, [sentence])

    def progress_of(self, step: Step) -> Progress:
        """Progress that names its step."""
        return lambda event: self.progress({"step": step.name, **event})
