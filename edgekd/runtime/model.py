"""What an app imports: ``load(bundle).predict(raw sample)``. Needs numpy and the one runtime."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Never

import numpy as np

from edgekd.base import batches, preprocess, samples, table_rows
from edgekd.base import plugins as own_classes
from edgekd.base.errors import IntegrityError, UnavailableError, UsageError, in_bundle
from edgekd.base.printable import printable
from edgekd.runtime import bundle as bundles
from edgekd.runtime import opening
from edgekd.runtime.backend import Array, Port, Session, check_inputs
from edgekd.runtime.bundle import Bundle, Variant
from edgekd.runtime.signature import Trust
from edgekd.runtime.steady import folder_of, steadily
from edgekd.tasks import Shown


class Model:
    """A student, ready to run; safe to use from many threads, each with a request and buffers of its own.

    Attributes:
        labels: names of classes, labels or values, those of several heads one after another.
        heads: how many of them each head has.
        target: the variant that was chosen.
        inputs, outputs: what ``run`` takes and gives.
    """

    def __init__(self, bundle: Bundle, variant: Variant, session: Session) -> None:
        self.labels = tuple(bundle.labels)
        self.heads: dict[str, int] = dict(bundle.heads)
        self._heads = bundle.heads
        self.target = variant.target
        self.inputs: tuple[Port, ...] = session.inputs
        self.outputs: tuple[Port, ...] = session.outputs
        self._ops, self._shape, self._dtype = bundle.preprocess, bundle.sample_shape, bundle.sample_dtype
        self._hears = bool(bundle.rate) and len(bundle.sample_shape) == 1
        self._told = not (self._ops and self._ops[-1]["op"] == "wordpiece")  # that texts are cut; others are not
        self._first = session
        self._owner = threading.get_ident()
        self._local = threading.local()

    def __repr__(self) -> str:
        given = ", ".join(f"{port.name} {port.shape}" for port in self.inputs)
        return printable(f"Model({self.target}: {given} -> {len(self.labels)} labels)")

    def __reduce__(self) -> Never:
        """It can't be copied or sent to another process: a session is of the process that opened it."""
        hint = "open its bundle where it is to run, edgekd.load(path); threads may share a model"
        raise UsageError("a model can't be copied or pickled", where="Model", hint=hint)

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Model inputs by name to outputs by name; the result is the caller's own."""
        if threading.get_ident() == self._owner:
            return self._first.run(arrays)
        return self._of_thread().run(arrays)

    def predict(self, x: object) -> Any:
        """One raw sample, or a batch of them (then a list), preprocessed as in training.

        A clip of sound may be of any length, and a batch a list of clips: the middle of a longer one is heard, and
        zeros behind a shorter one, as in training. A row of a table may be a dict, ``{column: value}``, and a batch a
        list of dicts: categories by name, None for a missing value (in a row of numbers NaN). Of a text that is longer
        than the student reads the end is cut off, with a warning, once.

        Returns:
            What the student's task gives: a ``Prediction``, ``Labels`` or ``Values``; where it has several heads a dict
            of them by head.

        Raises:
            UsageError: another shape than the bundle's samples have, or other columns; NaN or Inf; pictures that are
                scaled already, of truth values, or Pillow's where their numbers are not what training reads (palettes,
                EXIF).
            IntegrityError: the model does not answer as its bundle says.
            UnavailableError: what its scores mean is said by a class of its maker's own, which was not named: ``load``.
        """
        if isinstance(x, list | tuple) and not x:
            return []
        table = table_rows.op_of(self._ops)
        x = x if table is None else table_rows.raw_rows(x, table["columns"])
        raw, single = batches.clips(x, self._shape[0]) if self._hears else batches.batched(x, self._shape)
        if len(raw) == 0:
            return []
        samples.check_numbers(raw if table is None else table_rows.known(raw), self._dtype)
        inputs = preprocess.apply(self._ops, raw)
        if not self._told:
            self._tell_cut(raw.tolist(), inputs[preprocess.MASK].shape[1])
        outputs = self._answered(inputs, single)
        for name, size in self.heads.items():
            shape = outputs[name].shape if name in outputs else None
            if shape != (len(raw), size):
                raise IntegrityError(
                    "the model's answer has another shape", where=name, found=shape, allowed=f"({len(raw)}, {size})"
                )
        if not all(np.isfinite(scores).all() for scores in outputs.values()):
            raise UsageError(
                "the student answers NaN or Inf to this", where="predict", allowed="samples as in training"
            )
        answers = {
            name: own_classes.call_user(self._decoded, "predict", name, outputs[name], raw) for name in self._heads
        }
        predictions: list[Any] = [dict(zip(answers, row, strict=True)) for row in zip(*answers.values(), strict=True)]
        if len(answers) == 1:
            predictions = [one for row in predictions for one in row.values()]
        return predictions[0] if single else predictions

    def _decoded(self, name: str, scores: Array, raw: Array) -> list[object]:
        """What one output says to each sample."""
        names = self.labels[self._heads.name_columns[name]]
        return self._heads.decode(name, scores, names, [Shown(sample, self._ops) for sample in raw])

    def _answered(self, inputs: Mapping[str, Array], single: bool) -> dict[str, Array]:
        """What ``run`` gives to what the bundle's own preprocessing made: one sample that it refuses is the bundle's
        fault, as are other inputs than the model's; that many are too many may be the user's."""
        try:
            return self.run(inputs)
        except UsageError:
            with in_bundle():
                check_inputs(self.inputs, inputs)
                if single:
                    raise
            raise

    def _tell_cut(self, texts: Sequence[str], longest: int) -> None:
        """Warn where a text is longer than the student reads; ``longest``: tokens of a row, full where one may be."""
        length = self._ops[-1]["length"]
        if longest == length and (count := preprocess.cut(self._ops, texts)):
            self._told = True
            what = "a text" if len(texts) == 1 else f"{count} of {len(texts)} texts"
            message = f"{what} longer than the {length} tokens that the student reads: the end is cut off (told once)"
            warnings.warn(message, UserWarning, stacklevel=3)

    def _of_thread(self) -> Session:
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._first.fork()
        return session


def load(
    path: str | Path,
    target: str | None = None,
    threads: int | None = None,
    plugins: Sequence[str | type[object]] = (),
    key: str | Path | Trust | None = None,
) -> Model:
    """Open a bundle, in this process.

    Before a runtime sees a variant's files, their hashes and the options that the manifest asks for are checked, and
    of ONNX files and OpenVINO IRs what they hold (``look``, ``look_ir``: other files, too many nodes, functions in
    circles, loops of too many constant rounds). What a model computes while it runs is not: it may take any time and
    memory, or crash its runtime. So hold a stranger's bundle with ``edgekd.verify`` first, which opens it in a child
    with limits; of ``.ort`` files, and of a plugin's own, nothing but the hash is checked.

    Args:
        target: a variant by name; else, of those that this machine can run, the one with the lowest p50 in
            report.json, or the manifest's first where there is no report.
        threads: else as many as it was measured with.
        plugins: backends and tasks of your own that may be opened, each a class or ``"package.module:Class"``: a bundle
            brings no code. Without its task ``run`` gives the scores, and ``predict`` says what is missing.
        key: who must have signed it: a public key's file, or a ``signature.Trust`` (``edgekd[sign]``).

    Raises:
        IntegrityError: damaged, or not signed as asked; a file is held against its hash when it is opened.
        UnavailableError: no variant can run here: each was refused by a runtime on which it was never checked, answers
            otherwise than where it was, or lacks something; says why for each.
    """
    named = own_classes.paths_of(plugins)
    folder = folder_of(path)
    return steadily(folder, lambda: _load(folder, target, threads, named, Trust.of(key)))


def _load(folder: Path, target: str | None, threads: int | None, plugins: Sequence[str], trust: Trust | None) -> Model:
    bundle = bundles.read(folder, plugins, trust)
    if target is not None:
        names = [v.target for v in bundle.variants]
        if target not in names:
            raise UsageError("no such variant in this bundle", where=str(folder), found=target, allowed=names)
        wanted: Sequence[Variant] = [bundle.variant(target)]
    else:
        wanted = sorted(bundle.variants, key=lambda variant: p50(bundle, variant))
    reasons = []
    for variant in wanted:
        try:
            opened = opening.open_variant(bundle, variant, threads)
            opening.hold(bundle, opened)
            return Model(bundle, variant, opened.session)
        except UnavailableError as err:
            reasons.append(str(err))
    raise UnavailableError("no variant of this bundle runs here", where=str(folder), hint="; ".join(reasons))


def p50(bundle: Bundle, variant: Variant) -> float:
    """The shipped candidate's p50 in milliseconds, infinity where the report does not say."""
    try:
        report = bundle.report["targets"][variant.target]
        shipped = next(c for c in report["candidates"] if c["name"] == report["shipped"])
        return float(shipped["latency_ms"]["p50"])
    except (KeyError, TypeError, ValueError, OverflowError, StopIteration):
        return float("inf")
