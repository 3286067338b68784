"""One teacher's answers: asked once and kept in shards, or answered anew for each view that is needed."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgekd.base.arrays import AnyArray
from edgekd.base.disk import disk
from edgekd.base.errors import RecipeError
from edgekd.build.outputs import forms, policy
from edgekd.build.outputs.forms import Dense, Form, Top
from edgekd.build.outputs.policy import Cost, Readings
from edgekd.build.outputs.shards import Layout, Shard, Shards, answers_of, pieces
from edgekd.build.store import Store
from edgekd.learn import nets, ranks
from edgekd.learn.answers import Answers, Logits, whole
from edgekd.learn.feed import Feed
from edgekd.learn.teaching import AnswerSource, HeldSource, PartSource, Span
from edgekd.spec.teacher_outputs import TeacherOutputs as Table

MEGABYTE = 1e6
NOTED = 100 * MEGABYTE  # of a teacher's answers, from which on their size is told unasked


@dataclass
class _Memory:
    """What a build finds out on the way: whether answers are kept, the view that was answered last, and what a source
    holds, checked."""

    keeps: bool | None = None
    view: int | None = None
    answers: Answers | None = None
    held: dict[str, Answers] = field(default_factory=dict)


@dataclass(frozen=True)
class CachedOutputs:
    """One teacher's answers, as ``learn.teaching.TeacherOutputs``.

    Of the training samples the recipe says in which form they are kept, and whether; those to validation and test are
    float32 and kept. Those of a source that can't be asked again at no cost are kept in any case. What a source holds
    is read there where the recipe says ``recompute``, and of the training samples where ``auto`` decides so.

    Attributes:
        key: of the teacher's step.
        source: who answers what is not kept yet.
        feed: the samples.
        sizes: classes of each head that it answers.
        seed: of the views.
        name: of the step, for errors.
        table: the recipe's.
        readings: what the build reads of the views.
        tell: told what policy ``auto`` decides, and why.
    """

    store: Store
    key: str
    source: AnswerSource
    feed: Feed
    sizes: tuple[int, ...]
    seed: int
    name: str = "teacher"
    table: Table = field(default_factory=Table)
    readings: Readings = field(default_factory=Readings)
    tell: Callable[[str], None] = lambda line: None
    _memory: _Memory = field(default_factory=_Memory, repr=False, compare=False)

    def view(self, view: int) -> Answers:
        """See ``TeacherOutputs``.

        Raises:
            RecipeError: an answer is not finite, or larger than its form can hold; names split and sample. What learned
                from it would only diverge.
        """
        if not self.source.sees_views:
            return self.split("train")
        if self._memory.view == view and self._memory.answers is not None:
            return self._memory.answers
        shards = self._shards("train", view)
        if self._keeps(shards, view):
            return self._kept(shards, "train", view)
        self._memory.answers = None  # its file goes before the next one is written
        self._memory.view, self._memory.answers = view, self._anew(shards, view)
        return self._memory.answers

    def split(self, split: str) -> Answers:
        """See ``TeacherOutputs``; raises as ``view`` does."""
        if split == "train" and self.source.sees_views and not self.feed.augments:
            return self.view(0)  # the same samples: nobody is asked twice
        shards = self._shards(split, None)
        if isinstance(self.source, HeldSource) and not self._keeps_held(shards, split):
            answers = self._held(self.source, shards, split)
        else:
            answers = self._kept(shards, split, None)
        return answers if split == "train" else whole(answers)

    @property
    def form(self) -> Form:
        """Of the answers to training samples."""
        return forms.of(self.table, self.sizes)

    def layout(self) -> Layout:
        """Of the answers to one view of the training samples."""
        return Layout.of(self.feed.length("train"), self.form, self.table.shard_mb * MEGABYTE)

    def size(self) -> int:
        """Bytes of what a build keeps of the training samples' answers."""
        views = self.readings.views if self.source.sees_views else 1
        return self.layout().count * self.form.record.itemsize * views

    def size_note(self) -> str:
        """The same, as a sentence."""
        return size_note(self.name, self.feed, self.sizes, self.table, self.readings, self.source.sees_views)

    def _shards(self, split: str, view: int | None) -> Shards:
        form = self.form if split == "train" else Dense(sum(self.sizes))
        layout = Layout.of(self.feed.length(split), form, self.table.shard_mb * MEGABYTE)
        return Shards(self.store, (self.key, self.seed, split, view), layout, form)

    def _kept(self, shards: Shards, split: str, view: int | None) -> Answers:
        """Answers out of the store; what is not there is asked for first, and kept shard by shard."""
        parts = shards.opened()
        absent = ranks.of_any([i for i, part in enumerate(parts) if part is None], len(parts))
        spans = [shards.layout.spans[i] for i in absent]
        with contextlib.closing(self._encoded(split, view, spans, shards.form)) as encoded:
            for number, records in zip(absent, encoded, strict=True):
                _put(shards, number, records)
                parts[number] = shards.written(number)
        there = [part for part in parts if part is not None]
        return answers_of(shards.layout, shards.form, there, complete=not self.source.may_miss)

    def _encoded(
        self, split: str, view: int | None, spans: Sequence[Span], form: Form
    ) -> Generator[AnyArray, None, None]:
        """The records of each span, in turn, of which only a part is ever there as logits."""
        parts = [pieces(span, form.columns) for span in spans]
        answers = self._answered(split, view, [piece for of_span in parts for piece in of_span], form)
        for of_span in parts:
            records = [form.encode(logits) for logits in itertools.islice(answers, len(of_span))]
            yield records[0] if len(records) == 1 else np.concatenate(records)

    def _answered(self, split: str, view: int | None, spans: Sequence[Span], form: Form) -> Iterator[Logits]:
        """The answers to each span, in turn, checked.

        Raises:
            RecipeError: see ``view``.
        """
        if not spans:
            return
        shown = split if view is None else f"{split}, view {view}"
        for (start, stop), logits in zip(spans, self._asked(split, view, spans), strict=True):
            samples = np.arange(start, stop)
            nets.check_answers(logits, self.name, shown, samples, may_miss=self.source.may_miss)
            if (large := form.too_large(logits)) is not None:
                number = f"{np.nanmax(np.abs(logits[large])):g} for sample {start + large} of {shown}"
                allowed, hint = f"at most {forms.MOST:,.0f}", 'teacher_outputs.form = "float32" holds it'
                raise RecipeError("too large for float16", where=self.name, found=number, allowed=allowed, hint=hint)
            yield logits

    def _asked(self, split: str, view: int | None, spans: Sequence[Span]) -> Iterator[Logits]:
        """What the source answers to each span: a part at a time where it can, else of all that it answers at once."""
        if isinstance(self.source, PartSource):
            yield from self.source.parts(split, view, spans)
        else:
            every = self.source.split(split) if view is None else self.source.view(view)
            yield from (every[start:stop] for start, stop in spans)

    def _keeps_held(self, shards: Shards, split: str) -> bool:
        """Whether what the source holds is kept as well."""
        if split == "train":
            return self._keeps(shards, None)
        return self.table.policy != "recompute" or not shards.missing()

    def _held(self, source: HeldSource, shards: Shards, split: str) -> Answers:
        """Answers where the source holds them, in the form that they would be kept in; all are looked at once.

        The likeliest classes are looked for once, too: that takes longer than to read them.
        """
        if split not in self._memory.held and isinstance(shards.form, Top):
            self._memory.held[split] = self._anew(shards, None)
        elif split not in self._memory.held:
            spans = [piece for span in shards.layout.spans for piece in pieces(span, shards.form.columns)]
            for _ in self._answered(split, None, spans, shards.form):
                pass
            self._memory.held[split] = forms.in_form(source.held(split), shards.form)
        return self._memory.held[split]

    def _keeps(self, shards: Shards, view: int | None) -> bool:
        """Whether a view is kept: as the recipe says it, or as the first shard that is missing tells."""
        if self.table.policy == "keep" or not isinstance(self.source, PartSource):
            return True
        missing = ranks.of_any(shards.missing(), len(shards.layout.spans))
        if not missing:
            return True
        if self._memory.keeps is None:
            self._memory.keeps = self.table.policy == "auto" and self._is_worth_it(shards, view, missing[0])
        return self._memory.keeps

    def _is_worth_it(self, shards: Shards, view: int | None, number: int) -> bool:
        """Answer one shard, keep it, read it back; whether the rest is worth it, too."""
        times = [time.perf_counter()]
        (records,) = self._encoded("train", view, [shards.layout.spans[number]], shards.form)
        times.append(time.perf_counter())
        _put(shards, number, records)
        times.append(time.perf_counter())
        shards.written(number)
        times.append(time.perf_counter())
        answer, write, read = np.diff(times).tolist()
        with disk(self.store.root):
            free = shutil.disk_usage(self.store.root).free
        readings = self.readings if self.source.sees_views else replace(self.readings, views=1)
        keeps, reason = policy.keeps(Cost(answer, write, read, self.size(), free), readings)
        keeps = bool(ranks.number_from_first(keeps))
        anew = "read where they are recorded" if isinstance(self.source, HeldSource) else "given anew for each view"
        self.tell(f"the answers of the {self.name} are {'kept' if keeps else anew}: {reason}")
        if not keeps:
            self.store.drop(shards.key(number))
        return keeps

    def _anew(self, shards: Shards, view: int | None) -> Answers:
        """A view's answers in a file without a name, which is gone with them."""
        layout, form = shards.layout, shards.form
        with disk(self.store.root):
            self.store.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.store.root) as file:
                for encoded in self._encoded("train", view, layout.spans, form):
                    file.write(encoded.tobytes())
                file.flush()
                records = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), form.record)
        together = Layout(layout.count, max(layout.count, 1))
        return answers_of(together, form, [Shard(records)], complete=not self.source.may_miss)


def _put(shards: Shards, number: int, records: AnyArray) -> None:
    """Keep a shard, once on each machine, where all of several ranks have it."""
    if ranks.is_first_here():
        shards.put_records(number, records)
    ranks.wait()


def size_note(
    name: str, feed: Feed, sizes: tuple[int, ...], table: Table, readings: Readings, sees_views: bool = True
) -> str:
    """What a build keeps of one teacher's answers to the training samples, as a sentence; see ``CachedOutputs``."""
    form, views = forms.of(table, sizes), readings.views if sees_views else 1
    layout = Layout.of(feed.length("train"), form, table.shard_mb * MEGABYTE)
    return policy.size_note(name, layout.count, views, form, len(layout.spans) * views)


def size_notes(outputs: Sequence[CachedOutputs]) -> list[str]:
    """What is to be said of the size of teachers' answers before they are asked: nothing where it is no matter."""
    takes = [one for one in outputs if one.table.policy != "recompute" or not isinstance(one.source, HeldSource)]
    noted = [one for one in takes if one.size() >= NOTED or one.table != Table()]
    if not noted:
        return []
    with disk(outputs[0].store.root):
        outputs[0].store.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(outputs[0].store.root).free
    kept = [one.size() for one in outputs if one.table.policy == "keep"]
    return [*(one.size_note() for one in noted), *filter(None, [policy.large(kept, free)])]
