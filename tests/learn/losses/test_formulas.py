"""Each loss against an independent plain implementation: numpy in float64, written from the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edgekd.base import plugins
from edgekd.base.errors import RecipeError

RNG = np.random.default_rng(0)
S, T = RNG.standard_normal((7, 5)), RNG.standard_normal((7, 5))
Y = RNG.integers(0, 5, 7)
MAPS = RNG.standard_normal((6, 4, 4, 4)), RNG.standard_normal((6, 3, 2, 2))


def number(loss: torch.Tensor) -> float:
    return float(loss.detach())


def value(kind: str, *tensors: Any, **keys: Any) -> float:
    loss = plugins.build("losses", {"kind": kind, **keys}, "test")
    given = [None if t is None else torch.as_tensor(t) for t in tensors]
    return number(loss(*given))


def on_layers(kind: str, student: Any, teacher: Any, adapter: Any = None, **keys: Any) -> float:
    loss = plugins.build("losses", {"kind": kind, "student_layers": ["a"], "teacher_layers": ["b"], **keys}, "test")
    return number(loss([torch.as_tensor(student)], [torch.as_tensor(teacher)], adapter))


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return float((p * np.log(p / q)).sum(1).mean())


def close(wanted: float) -> Any:
    return pytest.approx(wanted, rel=1e-5)


def spread(z: np.ndarray) -> np.ndarray:
    return (z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True)


def test_cross_entropy() -> None:
    assert value("cross_entropy", S, None, Y) == close(-np.log(softmax(S)[np.arange(7), Y]).mean())


def test_cosine() -> None:
    cosines = (S * T).sum(1) / (np.linalg.norm(S, axis=1) * np.linalg.norm(T, axis=1))
    assert value("cosine", S, T, None) == close((1 - cosines).mean())
    assert value("cosine", 5 * T, T, None) == pytest.approx(0, abs=1e-12)


PAIRED = np.array([[0, 0.9], [1, 0.2], [0, 0.9], [1, 0.2], [2, 0.8], [2, 0.8], [9, 0.5]])


def cosines(z: np.ndarray) -> np.ndarray:
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    return unit @ unit.T


def test_similarity_scores() -> None:
    gaps = [cosines(S)[a, b] - PAIRED[a, 1] for a, b in ((0, 2), (1, 3), (4, 5))]
    assert value("similarity_scores", S, None, PAIRED) == close(float(np.mean(np.square(gaps))))
    assert value("similarity_scores", S[:2], None, PAIRED[:2]) == 0.0, "no partner is there"


def test_info_nce() -> None:
    s, t, partner = cosines(S), cosines(T), {0: 2, 2: 0, 4: 5, 5: 4}
    losses = []
    for i, p in partner.items():
        logits = {j: (s[i, j] + 0.3 * (t[i, p] - t[i, j])) / 0.5 for j in partner if j != i}
        logits = {j: logit for j, logit in logits.items() if j == p or t[i, j] < t[i, p]}
        losses.append(np.log(sum(np.exp(logit) for logit in logits.values())) - logits[p])
    keys = {"temperature": 0.5, "margin": 0.3}
    assert value("info_nce", S, T, PAIRED, **keys) == close(float(np.mean(losses)))
    assert value("info_nce", S, T, np.where(PAIRED == 0.9, 0.1, PAIRED), positive=0.85) == 0.0
    for wrong in ({"margin": 2.0}, {"positive": -0.1}, {"temperature": 0.0}):
        with pytest.raises(RecipeError, match=next(iter(wrong))):
            value("info_nce", S, T, PAIRED, **wrong)


NAMED = np.array([[4, 3], [4, 2], [1, 2], [4, 4], [1, 3], [1, 4], [4, 4]])  # of 1 and 4, which has two negatives
ORDER = [(1, 0, 3), (1, 0, 6), (2, 4, 5)]


def test_losses_on_triplets_that_the_labels_name() -> None:
    s, t = cosines(S), cosines(T)
    ours, theirs = (np.array([z[a, p] - z[a, n] for a, p, n in ORDER]) for z in (s, t))
    assert value("labelled_triplets", S, None, NAMED, margin=0.4) == close(np.maximum(0, 0.4 - ours).mean())
    assert value("margin_mse", S, T, NAMED) == close(np.square(ours - theirs).mean())
    for kind in ("labelled_triplets", "margin_mse"):
        assert value(kind, S, T, PAIRED) == 0.0, "no triplet is there"
        assert value(kind, S[1:], T[1:], NAMED[1:]) == close(
            np.maximum(0, 0.2 - ours[2]) if kind == "labelled_triplets" else (ours[2] - theirs[2]) ** 2
        )
    alike = [1.0, 0.0] * 3
    gaps = [s[a, b] - y for (a, b), y in zip([(1, 0), (1, 3), (2, 4), (2, 5), (1, 6)], [*alike[:4], 0.0], strict=True)]
    assert value("similarity_scores", S, None, NAMED) == close(float(np.mean(np.square(gaps))))
    with pytest.raises(RecipeError, match=r"test\.margin: allowed is 0 to 2"):
        value("labelled_triplets", S, None, NAMED, margin=3.0)


def test_a_partner_is_looked_for_among_the_negatives_of_all_triplets() -> None:
    s, t, partner = cosines(S), cosines(T), {1: 0, 0: 1, 2: 4, 4: 2}

    def mean(logit: Any, *, leaves_out: bool) -> float:
        losses = []
        for i, p in partner.items():
            others = [j for j in range(7) if j != i and (j == p or not leaves_out or t[i, j] < t[i, p])]
            losses.append(np.log(sum(np.exp(logit(i, j, p)) for j in others)) - logit(i, p, p))
        return float(np.mean(losses))

    plain = mean(lambda i, j, p: s[i, j] / 0.5, leaves_out=False)
    assert value("multiple_negatives", S, None, NAMED, temperature=0.5) == close(plain)
    guided = mean(lambda i, j, p: (s[i, j] + 0.3 * (t[i, p] - t[i, j])) / 0.5, leaves_out=True)
    assert value("info_nce", S, T, NAMED, temperature=0.5, margin=0.3) == close(guided)
    pairs = np.array([[0, 1.0], [0, 1.0], [1, 0.1], [1, 0.1], [2, 0.8], [2, 0.8], [9, 1.0]])
    among, wanted = [0, 1, 4, 5], []
    for i, p in {0: 1, 1: 0, 4: 5, 5: 4}.items():
        wanted.append(np.log(sum(np.exp(s[i, j] / 0.05) for j in among if j != i)) - s[i, p] / 0.05)
    assert value("multiple_negatives", S, None, pairs) == close(float(np.mean(wanted)))
    assert value("multiple_negatives", S, None, np.where(pairs == 0.8, 0.7, pairs)[2:]) == 0.0


def test_kl() -> None:
    assert value("kl", S, T, None, temperature=3.0) == close(9 * kl(softmax(T / 3), softmax(S / 3)))
    wanted = 4 * kl(softmax(spread(T) / 2), softmax(spread(S) / 2))
    assert value("kl", S, T, None, temperature=2.0, standardise=True) == close(wanted)


def test_kl_of_what_a_teacher_says_of_its_best_classes_alone() -> None:
    """Two of five are known, the other three together: the student's shares of those three are its own matter."""
    shares = softmax(T)
    best = np.argsort(-shares, axis=1)[:, :2]
    rows = np.arange(7)[:, None]
    known = shares[rows, best]
    rest = np.repeat((1 - known.sum(1, keepdims=True)) / 3, 5, axis=1)
    rest[rows, best] = known
    q = softmax(S)[rows, best]
    p_all, q_all = (np.concatenate([of, 1 - of.sum(1, keepdims=True)], axis=1) for of in (known, q))
    together = {"temperature": 1.0, "rest": "together"}
    assert value("kl", S, np.log(rest), None, **together) == close(kl(p_all, q_all))
    assert value("kl", S, np.log(rest), None, temperature=1.0) == close(kl(rest, softmax(S)))
    own = torch.tensor(S).log_softmax(1)
    within = own.clone()
    mask = torch.tensor(rest == rest.min(1, keepdims=True))
    within[mask] = own[mask].reshape(7, 3).flip(1).reshape(-1)
    assert value("kl", within, np.log(rest), None, **together) == close(
        value("kl", own, np.log(rest), None, **together)
    )
    assert value("kl", S, T, None, temperature=3.0, rest="together") == close(value("kl", S, T, None, temperature=3.0))
    with pytest.raises(RecipeError, match=r"test\.rest: allowed is spread"):
        value("kl", S, T, None, form="multi_label", rest="together")


def test_soft_cross_entropy() -> None:
    votes = np.array([[3, 1, 0, 0, 0], [0, 0, 5, 0, 0], *[[1, 1, 1, 1, 0]] * 5]) / np.array([4, 5, *[4] * 5])[:, None]
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(votes), -87.0)
    assert value("soft_cross_entropy", S, logs, None) == close(-(votes * np.log(softmax(S))).sum(1).mean())
    agreed = value("soft_cross_entropy", S[1:2], logs[1:2], None)
    assert agreed == close(value("cross_entropy", S[1:2], None, np.array([2])))
    student = [torch.tensor(S, requires_grad=True) for _ in range(2)]
    for kind, of in zip(("soft_cross_entropy", "kl"), student, strict=True):
        plugins.build("losses", {"kind": kind, **({"temperature": 1.0} if kind == "kl" else {})}, "t")(
            of, torch.tensor(logs), None
        ).backward()
    assert torch.allclose(student[0].grad, student[1].grad, atol=1e-12)  # type: ignore[arg-type]


def test_kl_of_many_labels() -> None:
    p, q = 1 / (1 + np.exp(-T / 2)), 1 / (1 + np.exp(-S / 2))
    bits = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert value("kl", S, T, None, temperature=2.0, form="multi_label") == close(4 * bits.sum(1).mean())
    assert value("kl", T, T, None, form="multi_label") == pytest.approx(0, abs=1e-12)


def test_decoupled_kl() -> None:
    p, q = softmax(T / 4), softmax(S / 4)
    target, others = 0.0, 0.0
    for n, y in enumerate(Y):
        b, c = np.array([p[n, y], 1 - p[n, y]]), np.array([q[n, y], 1 - q[n, y]])
        target += float((b * np.log(b / c)).sum()) / 7
        u, v = np.delete(p[n], y), np.delete(q[n], y)
        u, v = u / u.sum(), v / v.sum()
        others += float((u * np.log(u / v)).sum()) / 7
    assert value("decoupled_kl", S, T, Y, alpha=0.5, beta=6.0) == close(16 * (0.5 * target + 6 * others))


def test_decoupled_kl_is_kl_where_it_weighs_as_kl_does() -> None:
    """Eq. 4 of the paper: KL = KL(b) + (1 - p_y) KL(q), so one sample with beta = 1 - p_y is plain KL."""
    p = softmax(T / 4)[0, Y[0]]
    one = value("decoupled_kl", S[:1], T[:1], Y[:1], alpha=1.0, beta=float(1 - p))
    assert one == close(value("kl", S[:1], T[:1], None))


def test_dist() -> None:
    p, q = softmax(T / 2), softmax(S / 2)
    inter = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)])
    intra = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, q.T, strict=True)])
    assert value("dist", S, T, None, beta=2.0, gamma=3.0, temperature=2.0) == close(4 * (2 * inter + 3 * intra))


def test_ranking() -> None:
    weight = np.array([np.exp(-r / 2) for r in (1, 2, 3)])
    weight /= weight.sum()
    found = []
    for s, t in zip(S, T, strict=True):
        best = sorted(range(5), key=lambda i: -t[i])[:3]
        found.append(-sum(w * np.log(1 / (1 + np.exp(-s[i]))) for w, i in zip(weight, best, strict=True)))
    assert value("ranking", S, T, None, top=3, decay=2.0) == close(float(np.mean(found)))
    assert value("ranking", S, T, None, top=100) == close(value("ranking", S, T, None, top=5)), "of fewer all count"


def test_squared_error() -> None:
    assert value("squared_error", S, T, None) == close(((S - T) ** 2).mean())


def test_attention_transfer() -> None:
    s, t = MAPS
    a = (s**2).mean(1).reshape(6, 2, 2, 2, 2).mean((2, 4)).reshape(6, -1)
    b = (t**2).mean(1).reshape(6, -1)
    a, b = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (a, b))
    assert on_layers("attention_transfer", s, t) == close(((a - b) ** 2).sum(1).mean())
    assert on_layers("attention_transfer", s, 3 * s) == pytest.approx(0, abs=1e-12)


def test_similarity_preserving() -> None:
    def similar(x: np.ndarray) -> np.ndarray:
        g = x.reshape(6, -1) @ x.reshape(6, -1).T
        return g / np.linalg.norm(g, axis=1, keepdims=True)

    s, t = MAPS
    assert on_layers("similarity_preserving", s, t) == close(((similar(s) - similar(t)) ** 2).sum() / 36)


def test_hint() -> None:
    loss = plugins.build("losses", {"kind": "hint", "student_layers": ["a"], "teacher_layers": ["b"]}, "test")
    s, t = (torch.as_tensor(m) for m in MAPS)
    adapter = loss.adapter([s.shape], [t.shape]).double()
    w, bias = (p.detach().numpy() for p in adapter[0].parameters())
    mapped = np.einsum("oi,nihw->nohw", w[:, :, 0, 0], MAPS[0]) + bias[None, :, None, None]
    small = mapped.reshape(6, 3, 2, 2, 2, 2).mean((3, 5))
    assert number(loss([s], [t], adapter)) == close(((small - MAPS[1]) ** 2).mean())


def huber(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 1, x**2 / 2, np.abs(x) - 0.5)


def test_relational() -> None:
    def far(x: np.ndarray) -> np.ndarray:
        d = [np.linalg.norm(x[i] - x[j]) for i in range(7) for j in range(7) if i != j]
        return np.array(d) / np.mean(d)

    def turned(x: np.ndarray) -> np.ndarray:
        found = []
        for j in range(7):
            for i in range(7):
                for k in range(7):
                    if len({i, j, k}) == 3:
                        a, b = x[i] - x[j], x[k] - x[j]
                        found.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        return np.array(found)

    wanted = 2 * huber(far(S) - far(T)).mean() + 3 * huber(turned(S) - turned(T)).mean()
    assert on_layers("relational", S, T, distance=2.0, angle=3.0) == close(float(wanted))
    q, _ = np.linalg.qr(RNG.standard_normal((5, 5)))
    assert on_layers("relational", 3 * S @ q + 1, S) == pytest.approx(0, abs=1e-9), "moved, turned and scaled"


def test_triplet() -> None:
    unit = S / np.linalg.norm(S, axis=1, keepdims=True)
    found = []
    for i in range(7):
        order = sorted((j for j in range(7) if j != i), key=lambda j: float(np.linalg.norm(T[i] - T[j])))
        near = np.linalg.norm(unit[i] - unit[order[0]])
        found += [max(0.0, float(0.3 - np.linalg.norm(unit[i] - unit[k]) + near)) for k in order[3:]]
    assert on_layers("triplet", S, T, margin=0.3) == close(float(np.mean(found)))


def test_contrastive_with_its_memory() -> None:
    keys = {"student_layers": ["a"], "teacher_layers": ["b"], "width": 3, "memory": 9, "temperature": 0.5}
    loss = plugins.build("losses", {"kind": "contrastive", **keys}, "test")
    s, t = torch.as_tensor(S), torch.as_tensor(T)
    adapter = loss.adapter([s.shape], [t.shape]).double().train()
    space = adapter[0]

    def unit(layer: Any, x: np.ndarray) -> np.ndarray:
        y = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        return y / np.linalg.norm(y, axis=1, keepdims=True)

    ours, theirs = unit(space.student, S), unit(space.teacher, T)
    z = softmax(ours @ theirs.T / 0.5)
    assert number(loss([s], [t], adapter)) == close(-np.log(np.diag(z)).mean())
    known = np.concatenate([theirs, theirs])
    z = softmax(ours @ known.T / 0.5)
    assert number(loss([s], [t], adapter)) == close(-np.log(np.diag(z)).mean())
    assert int(space.count) == 9, "the memory is bounded"
    adapter.eval()
    before = space.queue.clone()
    loss([s], [t], adapter)
    assert torch.equal(before, space.queue)


@pytest.mark.parametrize("form", ["cosine", "squares"])
def test_hidden_states(form: str) -> None:
    s, t = RNG.standard_normal((3, 4, 5)), RNG.standard_normal((3, 4, 5))
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
    if form == "cosine":
        gap = 1 - (s * t).sum(2) / np.linalg.norm(s, axis=2) / np.linalg.norm(t, axis=2)
    else:
        gap = ((s - t) ** 2).mean(2)
    keys = {"student_layers": ["a"], "teacher_layers": ["b"], "form": form}
    loss = plugins.build("losses", {"kind": "hidden_states", **keys}, "test")
    given = [torch.as_tensor(s)], [torch.as_tensor(t)]
    assert number(loss(*given, None)) == close(gap.mean())
    assert number(loss(*given, None, mask=torch.as_tensor(mask))) == close((gap * mask).sum() / mask.sum())
    assert number(loss(given[0], given[0], None)) == pytest.approx(0, abs=1e-9)


def test_hidden_states_of_vectors_have_no_padding_and_maps_are_none() -> None:
    loss = plugins.build("losses", {"kind": "hidden_states", "student_layers": ["a"], "teacher_layers": ["b"]}, "test")
    given = [torch.as_tensor(S)], [torch.as_tensor(T)]
    mask = torch.ones(7, 9, dtype=torch.int64)
    mask[3:, 4:] = 0
    assert number(loss(*given, None, mask=mask)) == number(loss(*given, None))
    size = torch.Size((2, 4, 8, 8))
    with pytest.raises(RecipeError, match="hidden_states: maps are no hidden states"):
        loss.adapter([size], [size])


@pytest.mark.parametrize(
    ("kind", "shapes"), [("hint", ((2, 3), (2, 3, 4, 4))), ("attention_transfer", ((2, 3), (2, 3)))]
)
def test_shapes_that_cannot_be_matched_are_told(kind: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    loss = plugins.build("losses", {"kind": kind, "student_layers": ["a"], "teacher_layers": ["b"]}, "test")
    with pytest.raises(RecipeError, match=kind):
        loss.adapter([torch.Size(shapes[0])], [torch.Size(shapes[1])])


def test_torch_says_the_same() -> None:
    s, y = torch.as_tensor(S), torch.as_tensor(Y)
    loss = plugins.build("losses", {"kind": "cross_entropy", "label_smoothing": 0.2}, "test")
    assert number(loss(s, None, y)) == close(float(F.cross_entropy(s, y, label_smoothing=0.2)))
