"""A function of the user's own that answers samples: a service, a model in another program, a person."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable as Function
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edgekd.base import plugins, units
from edgekd.base.arrays import AnyArray
from edgekd.base.errors import DataError, EdgekdError, FactoryError, RecipeError
from edgekd.base.scores import answered
from edgekd.learn.answers import whole
from edgekd.learn.teaching import AnswerSource
from edgekd.tasks import kind_of
from edgekd.teachers._asking import Asker, Batch, at_once, one_by_one
from edgekd.teachers._base import Asked, check_unknown, first
from edgekd.teachers._classes import Classes
from edgekd.teachers._columns import Columns
from edgekd.teachers._forms import Reader, Rows
from edgekd.teachers._given import column, of_batch, packed, plain, unpacked
from edgekd.teachers._journal import Journal
from edgekd.teachers._links import check_form

SPLITS = ("train", "validation", "test")
HASHED = 256  # samples at once
TOLD = 5.0  # seconds between two lines of how far it is
READ_ANEW = "answers are kept, and read anew by another form, unknown or smoothing; another version is asked anew"


@dataclass(frozen=True)
class Callable:
    """Calls ``function(samples, **args)`` with a batch of samples; it gives as many answers, in their order.

    Samples are texts in a list, else an array, as the data has them (``reads = "raw"``), or as a network would be given
    them. Answers are arrays (of numpy, of torch) or lists of numbers, or of tables by class; labels; lists of labels
    (votes); the best few with their shares; None where there is none. Each batch is on the disk as it was given before
    it is read and before the next is asked, by the content of its samples, so that nothing is ever asked twice: not
    after a kill, in another split or in another recipe, nor where answers are read otherwise (``form``, ``unknown``,
    ``smoothing``, the classes).

    Attributes:
        function: ``"package.module:function"``; with its source it says who answers.
        version: of what answers behind it, such as a model's name and date; another one is asked anew.
        form: ``logits``, ``probabilities``, ``log_probabilities``, ``labels`` or ``top``.
        args: keyword arguments.
        reads: ``raw``, or ``inputs``: what the preprocessing makes of the samples.
        batch: samples of a call, 1 to 65,536.
        at_once: calls that may run at the same time, 1 to 256, each in a thread of its own.
        per_minute: calls at most; 0: as many as it takes.
        retries: how often a call that fails is made again, 0 to 1,000.
        wait: seconds before the first of these; the next waits twice as long, a minute at most.
        price: of a sample, in any money: what a build will cost is told before the first call.
        most: samples that a build may ask; 0: any number.
        in_doubt: a batch that was being asked when the process was killed: ``ask`` again, with the same ``request``
            where the function has such a parameter; or ``skip``: never twice, so it stays without an answer.
        by_version: the version alone says who answers: an edit of the source asks nothing anew.
        missing: a sample without an answer: ``error``, or ``skip``: it is taught by its label alone.
        unknown: a label that is no class: ``error``, or ``skip``: it is no answer.
        smoothing: of labels and votes, the share that is spread over all classes, 0 to below 1.
    """

    UNKEYED: ClassVar[frozenset[str]] = frozenset(
        ("batch", "at_once", "per_minute", "retries", "wait", "price", "most")
    )

    function: str
    version: str
    form: Literal["logits", "probabilities", "log_probabilities", "labels", "top"] = "logits"
    args: dict[str, object] = field(default_factory=dict, hash=False)
    reads: Literal["raw", "inputs"] = "raw"
    batch: int = 16
    at_once: int = 1
    per_minute: float = 0.0
    retries: int = 5
    wait: float = 1.0
    price: float = 0.0
    most: int = 0
    in_doubt: Literal["ask", "skip"] = "ask"
    by_version: bool = False
    missing: Literal["error", "skip"] = "error"
    unknown: Literal["error", "skip"] = "error"
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not self.version:
            raise ValueError("version: allowed is a text that changes when what answers does")
        if not 1 <= self.batch <= 65_536:
            raise ValueError("batch: allowed is 1 to 65536")
        if not 1 <= self.at_once <= 256:
            raise ValueError("at_once: allowed is 1 to 256")
        if not 0 <= self.retries <= 1000:
            raise ValueError("retries: allowed is 0 to 1000")
        for name in ("per_minute", "wait", "price", "most"):
            if not 0 <= getattr(self, name) <= 1e9:
                raise ValueError(f"{name}: allowed is 0 or more")
        if not 0 <= self.smoothing < 1:
            raise ValueError("smoothing: allowed is 0 <= e < 1")

    def answers(self, asked: Asked) -> AnswerSource:
        """See ``AnswersKind``; what it will cost is noted."""
        check_unknown(self.unknown, asked.task, asked.where)
        check_form(self.form, asked.task, f"{asked.where}.form")  # before anything is paid
        where = f"{asked.where}.function"
        function = plugins.load_object(self.function, where)
        if not callable(function):
            raise FactoryError("not callable", where=where, found=self.function)
        source = AskedAnswers(self, asked, functools.partial(function, **self.args))
        source.note_cost()
        return source


@dataclass(frozen=True)
class AskedAnswers:
    """An ``AnswerSource`` that asks what nobody answered yet, and keeps it at once."""

    kind: Callable
    asked: Asked
    function: Function[..., object]
    sees_views: ClassVar[bool] = True
    may_miss: ClassVar[bool] = True

    @property
    def of_shares(self) -> bool:
        """See ``AnswerSource``."""
        return self.kind.form != "logits"

    @functools.cached_property
    def journal(self) -> Journal:
        """The answers that are kept, by the content of the samples."""
        return Journal(self.asked.folder / f"{self._identity}.journal")

    @functools.cached_property
    def earlier(self) -> Sequence[Journal]:
        """Of before answers were kept as they were given: what they were read as, under this smoothing alone."""
        # Where each label was a class, those that are none were never met: how they would be taken is no matter.
        unknown = dict.fromkeys((self.kind.unknown, "error"))
        paths = [self.asked.folder / f"{self._earlier_identity(each)}.journal" for each in unknown]
        return [Journal(path, len(self.asked.classes)) for path in paths if path.is_file()]

    @property
    def _identity(self) -> str:
        """Who answers; not how it is read, how fast it is asked, or what it costs."""
        kind, asked = self.kind, self.asked
        code = "" if kind.by_version else asked.code
        shown = repr(asked.feed.ops) if kind.reads == "inputs" else ""
        parts = ("as given", kind.function, kind.version, code, sorted(kind.args.items()), shown)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def _earlier_identity(self, unknown: str) -> str:
        """As it was while what answers were read as was kept: also in which form, and of which classes."""
        kind, asked = self.kind, self.asked
        code = "" if kind.by_version else asked.code
        shown = repr(asked.feed.ops) if kind.reads == "inputs" else ""
        parts = (kind.function, kind.version, code, sorted(kind.args.items()), kind.form, unknown, kind.smoothing)
        read_by = () if asked.task.exclusive else (kind_of(asked.task), getattr(asked.task, "separator", ""))
        return hashlib.sha256(repr((*parts, asked.classes, asked.columns, shown, *read_by)).encode()).hexdigest()

    def view(self, view: int) -> Rows:
        """See ``TeacherOutputs``."""
        return self._filled("train", view)

    def split(self, split: str) -> Rows:
        """See ``TeacherOutputs``."""
        return self._filled(split)

    def note_cost(self) -> None:
        """Tell how much a build will ask, before it does.

        Raises:
            RecipeError: more than the recipe allows.
        """
        kind, feed = self.kind, self.asked.feed
        count = len({digest for split in SPLITS for digest in self._digests(split) if not self._is_kept(digest)})
        if feed.views > 1:  # of views nobody knows yet which are alike
            count += (feed.views - 1) * feed.length("train")
        if kind.most and count > kind.most:
            allowed = f"at most {kind.most:,} samples (most)"
            raise RecipeError("asks more than is allowed", where=self.asked.where, found=count, allowed=allowed)
        if not count:
            return
        calls = -(-count // kind.batch)
        parts = [f"{'up to ' if feed.views > 1 else ''}{count:,} samples in {calls:,} calls"]
        if kind.per_minute:
            parts.append(f"at {kind.per_minute:g} a minute: {calls / kind.per_minute:,.0f} min or more")
        if kind.price:
            parts.append(f"at {kind.price:g} each: {count * kind.price:,.2f}")
        sentence = f"{kind.function} ({kind.version}) will be asked {', '.join(parts)}"
        kept = set[bytes]().union(*(journal.answers.keys() | journal.read_as.keys() for journal in self._journals))
        self.asked.note(f"{sentence}; {len(kept):,} answers are kept")

    @property
    def _journals(self) -> Sequence[Journal]:
        return (self.journal, *self.earlier)

    def _is_kept(self, digest: bytes) -> bool:
        return any(digest in journal for journal in self._journals)

    def _filled(self, split: str, view: int | None = None) -> Rows:
        digests = self._digests(split, view)
        if not all(map(self._is_kept, digests)):
            with self.journal.held():
                self._rows([digest for digest in digests if self._is_kept(digest)])  # before more is paid for
                self._ask(split, view, digests)
        rows = self._rows(digests)
        if self.kind.missing == "error" and not (known := answered(rows)).all():
            names = self.asked.feed.names(split) or [str(i) for i in range(len(rows))]
            absent = first(name for name, has in zip(names, known, strict=True) if not has)
            hint = 'teacher.model.missing = "skip" lets these be taught by labels alone'
            raise DataError("samples without an answer", where=f"{self.asked.where}: {split}", found=absent, hint=hint)
        return rows

    def _rows(self, digests: Sequence[bytes]) -> Rows:
        """(N, K) logits that are kept; NaN of what has no answer, or none yet.

        Raises:
            DataError: answers that can't be read as the recipe says.
        """
        answers = self.journal.answers
        rows = self._read([unpacked(answers[digest]) if digest in answers else None for digest in digests])
        for i, digest in enumerate(digests):
            if digest not in answers and (was := [one.read_as[digest] for one in self.earlier if digest in one]):
                rows[i] = was[0]
        return rows

    def _ask(self, split: str, view: int | None, digests: Sequence[bytes]) -> None:
        """Ask what is missing, batch by batch, each kept as it comes.

        Raises:
            FactoryError, DataError: the first call that failed, or whose answers are none; what else was being asked is
                kept before.
        """
        kind, journal = self.kind, self.journal
        places = {digest: i for i, digest in reversed(list(enumerate(digests))) if not self._is_kept(digest)}
        batches = self._batches(sorted(places, key=places.__getitem__))
        asker = Asker(
            self.function, f"{self.asked.where}.function", kind.per_minute, kind.retries, kind.wait, self.asked.tell
        )

        def samples(batch: Batch) -> object:
            return self._samples(split, view, np.array([places[digest] for digest in batch]))

        parts = (asker, batches, samples, journal.about_to_ask)
        total, done, last = sum(map(len, batches)), 0, time.monotonic()
        failure: EdgekdError | None = None
        for batch, given in one_by_one(*parts) if kind.at_once == 1 else at_once(*parts, kind.at_once):
            try:
                self._keep(batch, given)
            except EdgekdError as err:
                failure = failure or err
                asker.stop()
                continue
            done += len(batch)
            if time.monotonic() - last > TOLD or done == total:
                last = time.monotonic()
                self.asked.tell(f"asked {done:,} of {total:,} samples ({units.share(done / total)})")
        if failure is not None:
            raise failure

    def _keep(self, batch: Batch, given: object) -> None:
        """Keep what was answered to a batch, or that nothing was; then see whether it can be read.

        Raises:
            FactoryError: nobody answered. DataError: not as many answers as samples, or none that can be read.
        """
        if isinstance(given, FactoryError):
            self.journal.failed(batch)
            raise given
        value = plugins.call_user(plain, f"{self.asked.where}.function", given)
        if (answers := of_batch(value, len(batch))) is None:
            several = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
            number = len(value) if several else type(given).__name__
            what, where = "another number of answers than of samples", f"{self.kind.function} answers"
            raise DataError(what, where=where, found=number, allowed=str(len(batch)))
        kept = {digest: packed(answer) for digest, answer in zip(batch, answers, strict=True)}
        self.journal.returned(kept)
        self._read([unpacked(answer) for answer in kept.values()])

    def _batches(self, missing: Sequence[bytes]) -> list[Batch]:
        """First the batches that were being asked when a process was killed, as they were; or, of these, none."""
        wanted, size = set(missing), self.kind.batch
        in_doubt = dict.fromkeys(batch for journal in self._journals for batch in journal.in_doubt)
        doubted = {digest for batch in in_doubt for digest in batch}
        if self.kind.in_doubt == "skip":
            again, rest = [], [digest for digest in missing if digest not in doubted]
        else:
            again = [batch for batch in in_doubt if wanted.issuperset(batch)]
            settled = {digest for batch in again for digest in batch}
            rest = [digest for digest in missing if digest not in settled]
        return [*again, *(tuple(rest[i : i + size]) for i in range(0, len(rest), size))]

    def _read(self, answers: Sequence[object]) -> Rows:
        """(N, K) logits of answers as they were given.

        Raises:
            DataError: some can't be read.
        """
        kind, where = self.kind, f"{self.kind.function} answers"
        if all(answer is None for answer in answers):
            return np.full((len(answers), len(self.asked.classes)), np.nan, np.float32)
        classes = Classes(self.asked.classes, self.asked.columns, kind.unknown)
        reader = Reader(classes, kind.form, kind.smoothing, (), self.asked.task, is_exact=True)
        try:
            return whole(reader.read(Columns({kind.form: column(answers)}, where)).logits)
        except DataError as err:
            err.hint = "; ".join(filter(None, (err.hint, READ_ANEW)))
            raise

    def _digests(self, split: str, view: int | None = None) -> list[bytes]:
        """The hash of each raw sample, as the view shows it; what is made of it is in the identity."""
        length = self.asked.feed.length(split)
        parts = (np.arange(start, min(start + HASHED, length)) for start in range(0, length, HASHED))
        return [digest for index in parts for digest in _hashes(self._raw(split, view, index))]

    def _raw(self, split: str, view: int | None, index: NDArray[np.int64]) -> AnyArray:
        feed = self.asked.feed
        return np.asarray(feed.raw(split)[index]) if view is None else feed.raw_view(view, index)

    def _samples(self, split: str, view: int | None, index: NDArray[np.int64]) -> object:
        """Some samples as the function is given them: a list of texts, an array, or arrays by name."""
        if self.kind.reads == "inputs":
            feed = self.asked.feed
            inputs = feed.plain(split, index) if view is None else feed.train(view, index)
            return next(iter(inputs.values())) if len(inputs) == 1 else inputs
        raw = self._raw(split, view, index)
        return [str(text) for text in raw] if raw.dtype.kind in "UO" else raw


def _hashes(raw: AnyArray) -> list[bytes]:
    if raw.dtype.kind in "UO":
        return [hashlib.sha256(f"text {text}".encode()).digest() for text in raw]
    head = f"{raw.dtype.str} {raw.shape[1:]} ".encode()
    return [hashlib.sha256(head + row.tobytes()).digest() for row in np.ascontiguousarray(raw)]
