"""What one training minimises: the losses, their weights over time, the layers they tap, their adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn import global_batch, taps
from edgekd.learn.losses import MapLoss, WeighedLoss
from edgekd.learn.places import as_maps, by_place
from edgekd.learn.terms import Term as Term
from edgekd.learn.terms import by_head as by_head
from edgekd.spec.recipe import TIMING
from edgekd.tasks import Heads

Table = Mapping[str, Any]
Tensors = tuple[Tensor, ...]
Weighed = tuple[Tensor, Tensor]  # labels and how much each counts, of one shape


class Texts(NamedTuple):
    """The texts of an example, as both networks read them.

    Attributes:
        student, teacher: how many tokens the rows of each one's have.
        alike: both read the same tokens.
    """

    student: int
    teacher: int
    alike: bool


def make_terms(tables: Sequence[Table], where: str = "losses", heads: Heads | None = None) -> tuple[Term, ...]:
    """The terms that ``[[losses]]`` tables describe; the one place where these are parsed.

    Args:
        heads: see ``by_head``; None: not known yet.

    Raises:
        RecipeError: an unknown kind, key or head, a value out of range, or nothing that would be learned.
    """
    terms: list[Term] = []
    for i, table in enumerate(tables):
        place = f"{where}[{i}]"
        weight = _number(table, "weight", 1.0, 1e6, place)
        kind = str(table.get("kind"))
        before = sum(earlier.get("kind") == kind for earlier in tables[:i])
        term = Term(
            name=f"{kind} #{before + 1}" if before else kind,
            loss=make_loss(table, place),
            weight=weight,
            final_weight=_number(table, "final_weight", weight, 1e6, place),
            start=_number(table, "start", 0.0, 1.0, place),
            stop=_number(table, "stop", 1.0, 1.0, place),
            only=table.get("head"),
            where=place,
        )
        terms.append(term)
        if terms[-1].start >= terms[-1].stop:
            raise RecipeError("ends before it begins", where=f"{place}.stop", found=terms[-1].stop)
    if not any(term.weight > 0 or term.final_weight > 0 for term in terms):
        raise RecipeError("every weight is 0: nothing would be learned", where=where)
    return tuple(terms) if heads is None else by_head(terms, heads)


def make_loss(table: Table, where: str) -> Any:
    """The loss of a table, from the keys that are its own.

    Raises:
        RecipeError: an unknown kind or key, a value out of range.
    """
    loss = plugins.build("losses", {key: value for key, value in table.items() if key not in TIMING}, where)
    if not isinstance(getattr(loss, "needs", None), frozenset):
        raise RecipeError("a loss says what it 'needs', a ClassVar", where=f"{where}.kind", allowed="a frozenset")
    return loss


def _number(table: Table, key: str, default: float, most: float, where: str) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise RecipeError("out of range", where=f"{where}.{key}", found=value, allowed=f"0 to {most:g}")
    return float(value)


def check_weighs(terms: Sequence[Term], why: str) -> None:
    """Raise RecipeError where a loss compares labels and has no value of each sample, by which labels are weighed."""
    for term in terms:
        if "labels" in term.loss.needs and not isinstance(term.loss, WeighedLoss):
            allowed = "a loss that has per_sample, or that needs no labels"
            raise RecipeError(
                f"can't weigh labels, and {why}", where=f"{term.where}.kind", found=term.name, allowed=allowed
            )


def check_layers(terms: Sequence[Term], student: nn.Module, teacher: nn.Module) -> None:
    """Raise RecipeError where a loss names a layer that a network does not have."""
    for term in terms:
        if term.on_features:
            taps.check(student, term.loss.student_layers, f"{term.where}.student_layers")
            taps.check(teacher, term.loss.teacher_layers, f"{term.where}.teacher_layers")


def left_out(terms: Sequence[Term], student: nn.Module) -> list[str]:
    """The terms whose layers a network no longer has: a quantized graph keeps no modules, only its output."""
    return [t.name for t in terms if t.on_features and taps.missing(student, t.loss.student_layers)]


class Objective:
    """The terms of one training, over one student.

    Args:
        terms: those whose layers the student lacks are left out.
        student: the module in training.
        teacher: in evaluation mode; only run where a term taps it.
        example: a batch of the student's inputs and one of the teacher's.
        seed: of the adapters.
        texts: the example's, where it is of texts.

    Raises:
        RecipeError: no term is left, shapes can't be matched, or what layers give of each token can't be compared.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        student: nn.Module,
        teacher: nn.Module | None = None,
        example: tuple[Tensors, Tensors] | None = None,
        seed: int = 0,
        texts: Texts | None = None,
    ) -> None:
        gone = set(left_out(terms, student))
        self.terms = tuple(term for term in terms if term.name not in gone)
        if not self.terms:
            raise RecipeError(
                "every loss taps layers, and here no layers are left to tap",
                where="losses",
                found=sorted(gone),
                allowed="add one on the outputs, such as kl",
            )
        self.student = student
        self._taps = [term for term in self.terms if term.on_features]
        self._beside: nn.Module | None = None  # the teacher, where it has to run
        self.adapters = nn.ModuleDict()
        self._seen: tuple[Mapping[str, Tensor], Mapping[str, Tensor]] = ({}, {})
        if self._taps:
            if teacher is None or example is None:
                raise RecipeError("compares layers, and there is no teacher to run", where=self._taps[0].where)
            self._beside = teacher
            self._make_adapters(*example, seed, texts)

    @property
    def taps_teacher(self) -> bool:
        """Whether the teacher has to run beside the student: its features are not kept."""
        return bool(self._taps)

    def _make_adapters(self, x: Tensors, x_teacher: Tensors, seed: int, texts: Texts | None) -> None:
        training = self.student.training
        self.student.eval()
        with self.watching(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            plugins.call_user(self.student, "student", *x)
            self.see(x_teacher)
            for term in self._taps:
                given, wanted = self._layers(term)
                if texts is not None:
                    _check_tokens(term, given, wanted, texts)
                shapes = [f.shape for f in given], [f.shape for f in wanted]
                adapter = plugins.call_user(term.loss.adapter, f"{term.where}: adapter", *shapes)
                if adapter is not None:
                    self.adapters[term.name.replace(".", "_")] = adapter
        self.student.train(training)

    def to(self, device: torch.device) -> None:
        """Move what runs beside the student."""
        self.adapters.to(device)
        if self._beside is not None:
            self._beside.to(device)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Taps on both networks, off again afterwards."""
        if self._beside is None:
            yield
            return
        ours = [path for term in self._taps for path in term.loss.student_layers]
        theirs = [path for term in self._taps for path in term.loss.teacher_layers]
        with taps.tapped(self.student, ours) as student, taps.tapped(self._beside, theirs) as teacher:
            self._seen = (student, teacher)
            yield
        self._seen = ({}, {})

    def __call__(
        self,
        logits: Tensor,
        teacher: Tensor | None,
        labels: Tensor | None,
        share: float,
        x_teacher: Tensors | None = None,
        mask: Tensor | None = None,
        weighed: Sequence[Weighed] = (),
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each loss by name, unweighted. Inside ``watching``, after the student's forward pass.

        Args:
            logits: (N, K) of the student; teacher: the kept ones; labels: see ``tasks.Heads``.
            share: of the training that is done, 0..1.
            x_teacher: the teacher's inputs, where ``taps_teacher`` and nobody let it ``see`` them before.
            mask: (N, L), 1 for tokens, for losses on sequences.
            weighed: in place of ``labels`` where these do not count alike, or a sample has several.
        """
        if x_teacher is not None:
            self.see(x_teacher)
        parts: dict[str, Tensor] = {}
        for term in self.terms:
            if term.on_features:
                given, wanted = self._layers(term)
                more = {"mask": mask} if "mask" in term.loss.needs else {}
                adapter = self.adapters[name] if (name := term.name.replace(".", "_")) in self.adapters else None
                parts[term.name] = plugins.call_user(term.loss, term.where, given, wanted, adapter, **more)
            else:
                parts[term.name] = _on_answers(term, logits, teacher, labels, weighed)
        weighted = [term.weight_at(share) * parts[term.name] for term in self.terms]
        return torch.stack(weighted).sum(), parts

    @torch.no_grad()
    def see(self, x_teacher: Tensors) -> None:
        """Run the teacher, where a loss taps it, in whatever precision networks run; losses are computed in float32."""
        if self._beside is not None:
            self._beside.eval()
            plugins.call_user(self._beside, "teacher", *x_teacher)

    def _layers(self, term: Term) -> tuple[list[Tensor], list[Tensor]]:
        student, teacher = self._seen
        given = [global_batch.gathered(student[path].float()) for path in term.loss.student_layers]
        wanted = [global_batch.gathered(teacher[path].detach().float()) for path in term.loss.teacher_layers]
        return given, wanted


def _check_tokens(term: Term, given: Sequence[Tensor], wanted: Sequence[Tensor], texts: Texts) -> None:
    """Raise RecipeError where layers give something of each token that a loss can't compare; see ``FeatureLoss``."""
    each = [*((f, texts.student) for f in given), *((f, texts.teacher) for f in wanted)]
    if not any(f.ndim > 2 and length in f.shape[1:] for f, length in each):
        return
    where, allowed = f"{term.where}.kind", "layers behind the pooling, or a loss on outputs"
    if getattr(term.loss, "by_position", False) and not texts.alike:
        what = "compares tokens, and the teacher reads others than the student"
        hint = "data.tokenizer names one for all; without preprocess of their own and the pass vocabulary"
        raise RecipeError(what, where=where, found=term.name, allowed=allowed, hint=hint)
    if getattr(term.loss, "one_size", False):
        what = "compares vectors, and texts have any number of tokens"
        raise RecipeError(what, where=where, found=term.name, allowed=allowed)


def on_answers(terms: Sequence[Term]) -> Callable[[Tensor, Tensor | None, Tensor | None], Tensor]:
    """What the losses on answers say together, each at the larger of its two weights.

    Raises:
        RecipeError: every loss taps layers.
    """
    answer_terms = [term for term in terms if not term.on_features]
    if not answer_terms:
        raise RecipeError("every loss taps layers", where="losses", allowed="add one on the outputs, such as kl")

    def loss(logits: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
        parts = [
            max(term.weight, term.final_weight) * _on_answers(term, logits, teacher, labels) for term in answer_terms
        ]
        return torch.stack(parts).sum()

    return loss


def _on_answers(
    term: Term, logits: Tensor, teacher: Tensor | None, labels: Tensor | None, weighed: Sequence[Weighed] = ()
) -> Tensor:
    """A loss sees the samples that have what it needs, a label or a teacher's answer; it is zero where none has."""
    s = _scaled(term, logits[:, term.columns])
    t = None if teacher is None else _scaled(term, teacher[:, term.columns])
    if weighed and "labels" in term.loss.needs:
        return _weighed(term, s, t, weighed)
    y = _labels_of(term, labels)
    if term.task.dense:
        arranged = as_maps if isinstance(term.loss, MapLoss) else by_place
        s, t, y = arranged(term.task, term.shape, s, t, y)
    taught: Tensor | None = None
    if y is not None and "labels" in term.loss.needs and not bool((able := learns_from(term, y)).all()):
        taught = able
    if t is not None and "teacher" in term.loss.needs and bool(t.isnan().any()):
        answered = ~t.isnan().flatten(1).any(dim=1)
        taught = answered if taught is None else taught & answered
    if taught is not None:
        if not bool(taught.any()):
            return s.sum() * 0.0
        s, t, y = s[taught], None if t is None else t[taught], None if y is None else y[taught]
    if not len(s):
        return s.sum() * 0.0
    y = _scaled(term, y) if y is not None and y.is_floating_point() else y
    loss: Tensor = plugins.call_user(term.loss, term.where, s, t, y)
    return loss


def _labels_of(term: Term, labels: Tensor | None) -> Tensor | None:
    """The labels of a term's head, where its loss compares them or they say which places there are.

    A head without labels has no column: the one at its place is of the next head, or of none.
    """
    if labels is None or not (term.task.dense or "labels" in term.loss.needs):
        return None
    y = term.labels(labels)
    return None if y.ndim > 1 and not y.shape[1] else y


def learns_from(term: Term, labels: Tensor) -> Tensor:
    """(N,) from which samples a loss that compares labels can learn, of its head's; see ``Loss``."""
    if getattr(term.loss, "unlabelled", False):
        return torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    return are_known(labels)


def are_known(labels: Tensor) -> Tensor:
    """(N,) of which samples a label is known, or something of a row of labels: -1 and NaN stand for none."""
    known = ~labels.isnan() if labels.is_floating_point() else labels >= 0
    return known if known.ndim == 1 else known.flatten(1).any(dim=1)


def _scaled(term: Term, values: Tensor) -> Tensor:
    """Values as losses see them: less their mean, by their standard deviation, where the task knows these."""
    if (scale := term.task.scale) is None:
        return values
    mean, std = (values.new_tensor(numbers) for numbers in scale)
    return (values - mean) / std


def _weighed(term: Term, student: Tensor, teacher: Tensor | None, weighed: Sequence[Weighed]) -> Tensor:
    """The weighted mean of a loss over all labels that are told."""
    total, weight = student.sum() * 0.0, 0.0
    for labels, weights in weighed:
        y, w = term.labels(labels), term.of_head(weights)
        w = w[:, 0] if term.task.row_labels else w  # a row counts as a whole
        told = learns_from(term, y) & (w > 0)
        if teacher is not None and "teacher" in term.loss.needs:
            told &= ~teacher.isnan().any(dim=1)
        if bool(told.any()):
            t = None if teacher is None else teacher[told]
            known = _scaled(term, y[told]) if y.is_floating_point() else y[told]
            each: Tensor = plugins.call_user(term.loss.per_sample, term.where, student[told], t, known)
            if each.shape != w[told].shape:
                shapes = tuple(each.shape), str(tuple(w[told].shape))
                raise RecipeError(
                    "per_sample gives no value of each sample", where=term.where, found=shapes[0], allowed=shapes[1]
                )
            total, weight = total + (w[told] * each).sum(), weight + float(w[told].sum())
    return total / weight if weight else total
