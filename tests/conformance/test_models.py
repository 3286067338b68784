"""What every model family keeps, found by its file."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgekd.base import plugins

# Fields that have no default need an example here.
EXAMPLES: dict[str, dict[str, Any]] = {
    "python": {"factory": "torch.nn:Sequential"},
    "resnet": {"depth": 8, "width": 8},
    "convnet": {"width": 8},
    "mobilenet": {"width": 0.5},
    "patch_convnet": {"patch": 2, "overlap": 1, "width": 16, "depth": 2, "stages": 2, "residual": True},
    "keyword_cnn": {"width": 8, "depth": 2},
    "unet": {"width": 4, "depth": 2, "stride": 2},
    "deeplab": {"width": 4, "rates": [1, 2]},
    "keypoint_net": {"width": 4, "form": "heat_maps"},
    "transformers": {
        "name": "ResNetForImageClassification",
        "config": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    },
}
OUTPUTS = {"auto_encoder": 1}  # of those that have a number of their own
OF_NUMBERS = ("fm", "wide_deep")  # inputs of whole numbers; see below
ELSEWHERE = ("timm",)  # it needs torchvision: tests/learn/models/test_timm.py
OF_MAPS = ("unet", "deeplab")  # scores of every pixel
OF_TEXTS = ("bert", "embedder", "tagger")  # tokens and their mask
SHAPES: dict[str, list[tuple[int, ...]]] = {  # of inputs that are no images
    "keyword_cnn": [(4_000,), (1_333,)],
    "sensor_cnn": [(32, 3), (17, 1)],
    "sensor_gru": [(32, 3), (17, 1)],
}
IMAGES: list[tuple[int, ...]] = [(3, 16, 16), (1, 8, 8), (3, 17, 12)]
KINDS = [kind for kind in plugins.kinds("models") if kind not in ("python", *ELSEWHERE, *OF_NUMBERS, *OF_TEXTS)]
SHAPED = [(kind, shape) for kind in KINDS for shape in SHAPES.get(kind, IMAGES[1:])]


def usual(kind: str) -> tuple[int, ...]:
    """The input shape that most tests build a kind for."""
    return SHAPES.get(kind, IMAGES)[0]


def build(kind: str, shape: tuple[int, ...] | None = None, classes: int = 4, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    shape = shape or usual(kind)
    classes = OUTPUTS.get(kind, classes)
    module: nn.Module = plugins.build("models", {"kind": kind, **EXAMPLES.get(kind, {})}, "m").build(shape, classes)
    return module


@pytest.mark.parametrize(("kind", "shape"), SHAPED)
def test_gives_logits_for_any_input_and_batch(kind: str, shape: tuple[int, ...]) -> None:
    module = build(kind, shape, 6).eval()
    for count in (1, 3):
        out = module(torch.zeros(count, *shape))
        assert out.shape == (count, OUTPUTS.get(kind, 6), *(shape[1:] if kind in OF_MAPS else ())) and bool(
            torch.isfinite(out).all()
        )


@pytest.mark.parametrize("kind", KINDS)
def test_is_a_function_of_the_seed(kind: str) -> None:
    one, same, other = build(kind).state_dict(), build(kind).state_dict(), build(kind, seed=1).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind: str) -> None:
    module = build(kind).train()
    module(torch.randn(8, *usual(kind))).square().mean().backward()
    without = [name for name, p in module.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert len(without) <= 2, without  # a ReLU6 may be dead at the start


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_does_not_depend_on_its_batch(kind: str) -> None:
    module = build(kind).eval()
    x = torch.randn(4, *usual(kind))
    assert torch.allclose(module(x)[2:3], module(x[2:3]), atol=1e-5)


@pytest.mark.parametrize("kind", OF_NUMBERS)
def test_recommenders_rank_all_items_and_skip_padding(kind: str) -> None:
    torch.manual_seed(0)
    module = plugins.build("models", {"kind": kind}, "m").build((7, 11), 10)
    user, history = torch.tensor([0, 6]), torch.tensor([[1, 9, 10], [2, 10, 10]])
    module(user, history).square().mean().backward()
    assert all(p.grad is not None for p in module.parameters())
    module.eval()
    scores = module(user, history)
    assert scores.shape == (2, 10) and bool(torch.isfinite(scores).all())
    assert torch.allclose(scores[1:], module(user[1:], history[1:, :2]), atol=1e-6), "10 is no item, but padding"
    assert bool(torch.isfinite(module(user, torch.full((2, 3), 10))).all()), "a user without a history"


TEXT_MODELS = [
    *({"kind": kind} for kind in OF_TEXTS),
    {"kind": "transformers", "name": "DistilBertForSequenceClassification", "config": {"dim": 16, "n_heads": 2}},
]


@pytest.mark.parametrize("table", TEXT_MODELS, ids=lambda t: t["kind"])
def test_texts_do_not_depend_on_padding(table: dict[str, Any]) -> None:
    torch.manual_seed(0)
    module = plugins.build("models", table, "m").build((40, 2), 3)
    ids = torch.randint(5, 40, (4, 9))
    mask = torch.ones_like(ids)
    mask[2:, 6:] = 0
    module.train()(ids, mask).square().mean().backward()
    without = [name for name, p in module.named_parameters() if p.grad is None]
    assert not without, without
    module.eval()
    scores = module(ids, mask)
    assert scores.shape == (4, 3) and bool(torch.isfinite(scores).all())
    assert torch.allclose(scores[2:], module(ids[2:, :6], mask[2:, :6]), atol=1e-6), "padding is seen"


def test_vectors_of_texts_have_length_1_whatever_is_pooled() -> None:
    ids = torch.randint(5, 40, (4, 9), generator=torch.Generator().manual_seed(0))
    vectors = {}
    for pool in ("mean", "first"):
        torch.manual_seed(0)
        table = {"kind": "embedder", "width": 16, "layers": 2, "heads": 2, "pool": pool, "shared": True}
        module = plugins.build("models", table, "m").build((40, 2), 6).eval()
        vectors[pool] = module(ids, torch.ones_like(ids))
        assert vectors[pool].shape == (4, 6) and torch.allclose(vectors[pool].norm(dim=1), torch.ones(4), atol=1e-6)
    assert not torch.allclose(vectors["mean"], vectors["first"], atol=1e-3)


def test_bert_says_what_it_can_not_be() -> None:
    from edgekd.base.errors import RecipeError

    with pytest.raises(RecipeError, match="multiple of heads"):
        plugins.build("models", {"kind": "bert", "width": 30, "heads": 4}, "m")
    for kind in ("bert", "embedder"):
        with pytest.raises(RecipeError, match=f"{kind} reads texts"):
            plugins.build("models", {"kind": kind}, "m").build((3, 8, 8), 2)


@pytest.mark.parametrize("kind", OF_MAPS)
def test_networks_of_maps_answer_at_the_size_of_their_input(kind: str) -> None:
    from edgekd.base.errors import RecipeError
    from edgekd.tasks import Heads
    from edgekd.tasks.segmentation import Segmentation

    family, task = plugins.build("models", {"kind": kind, **EXAMPLES[kind]}, "m"), {"map": Segmentation()}
    module = family.build_heads((3, 9, 8), Heads({"map": (5, 9, 8)}, task)).eval()
    assert module(torch.zeros(2, 3, 9, 8)).shape == (2, 5, 9, 8)
    with pytest.raises(RecipeError, match=r"masks of another size than the pictures; found 'masks of \(4, 4\)'"):
        family.build_heads((3, 9, 8), Heads({"map": (5, 4, 4)}, task))
    several = Heads({"kind": 3, "map": (5, 9, 8), "size": 2, "edge": (2, 9, 8)}, task)
    module = family.build_heads((3, 9, 8), several)
    answers = module(torch.randn(2, 3, 9, 8))
    assert {name: tuple(scores.shape[1:]) for name, scores in answers.items()} == several.shapes
    sum(scores.square().mean() for scores in answers.values()).backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in module.parameters())
    for wrong in ({"kind": 3, "size": 2}, {"map": (5, 9, 8), "tags": (9, 4)}):
        with pytest.raises(RecipeError, match="answers with a map of classes"):
            family.build_heads((3, 9, 8), Heads(wrong))
    with pytest.raises(RecipeError, match=f"{kind} reads images"):
        family.build((7,), 5)


def test_points_are_read_of_heat_maps_in_pixels_of_the_picture() -> None:
    from edgekd.base.errors import RecipeError
    from edgekd.learn.models.keypoint_net import SoftArgmax

    heat = torch.zeros(1, 2, 4, 6)
    heat[0, 0, 1, 5] = heat[0, 1, 3, 0] = 1e3
    assert SoftArgmax((8, 24))(heat)[0].tolist() == pytest.approx([21.5, 2.5, 1.5, 6.5])
    assert SoftArgmax((4, 6))(torch.zeros(1, 1, 4, 6))[0].tolist() == pytest.approx([2.5, 1.5]), "the middle"
    with pytest.raises(RecipeError, match="points have two numbers; found 3"):
        build("keypoint_net", classes=3)
    with pytest.raises(RecipeError, match=r"picture: allowed are a height and a width"):
        plugins.build("models", {"kind": "keypoint_net", "picture": [0, 4]}, "m")


def test_an_auto_encoder_answers_with_the_error_of_its_reconstruction() -> None:
    from edgekd.base.errors import RecipeError
    from edgekd.learn.models.auto_encoder import LEAST

    x = torch.rand(3, 2, 9, 12, generator=torch.Generator().manual_seed(0))
    made = {}
    for window in (0, 4, 9):
        torch.manual_seed(0)
        table = {"kind": "auto_encoder", "width": 4, "depth": 2, "window": window}
        module = plugins.build("models", table, "m").build((2, 9, 12), 1).eval()
        rebuilt: list[torch.Tensor] = []
        module.head.register_forward_hook(lambda _, __, out, rebuilt=rebuilt: rebuilt.append(out))
        made[window] = module(x)
        error = (x - rebuilt[0]).square()
        starts = list[tuple[int, int]]()
        if window:  # half a window apart, and along the last row and the last column
            tops, lefts = (sorted({*range(0, size - window + 1, window // 2), size - window}) for size in (9, 12))
            starts = [(i, j) for i in tops for j in lefts]
        parts = [error[:, :, i : i + window, j : j + window] for i, j in starts] or [error]
        worst = torch.stack([part.mean(dim=(1, 2, 3)) for part in parts]).amax(dim=0)
        assert torch.allclose(made[window], torch.log(worst + LEAST)[:, None], atol=1e-5)
    assert bool((made[4] > made[0]).all())
    numbers = plugins.build("models", {"kind": "auto_encoder", "width": 8, "depth": 1}, "m").build((5,), 1).train()
    assert numbers(torch.randn(6, 5)).shape == (6, 1)
    for window, shape, classes, message in (
        (0, (1, 8, 8), 2, "auto_encoder answers one score; found 2"),
        (9, (1, 8, 12), 1, r"model\.window: a window larger than the picture; found 9; allowed: at most 8"),
        (2, (7,), 1, r"model\.window: a window is of pictures"),
        (0, (3, 8), 1, "auto_encoder reads images"),
    ):
        with pytest.raises(RecipeError, match=message):
            plugins.build("models", {"kind": "auto_encoder", "window": window}, "m").build(shape, classes)


@pytest.mark.parametrize("smoothing", [1, 3])
def test_an_auto_encoder_answers_with_the_error_around_each_pixel(smoothing: int) -> None:
    from edgekd.learn.models.auto_encoder import LEAST_AROUND
    from edgekd.tasks import Heads

    table = {"kind": "auto_encoder", "width": 4, "depth": 2, "window": 4, "smoothing": smoothing}
    family, x = plugins.build("models", table, "m"), torch.rand(3, 2, 9, 12, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    score = family.build((2, 9, 12), 1).eval()
    torch.manual_seed(0)
    both = family.build_heads((2, 9, 12), Heads({"map": (1, 9, 12), "score": 1})).eval()
    assert score.state_dict().keys() == both.state_dict().keys()
    rebuilt: list[torch.Tensor] = []
    both.head.register_forward_hook(lambda _, __, out: rebuilt.append(out))
    answers = both(x)
    assert list(answers) == ["map", "score"] and torch.equal(answers["score"], score(x))
    error, around = (x - rebuilt[0]).square().mean(dim=1), smoothing // 2
    for i, j in ((0, 0), (4, 5), (8, 11), (8, 3)):
        part = error[:, max(0, i - around) : i + around + 1, max(0, j - around) : j + around + 1]
        wanted = torch.log(part.mean(dim=(1, 2)) + LEAST_AROUND)
        assert torch.allclose(answers["map"][:, 0, i, j], wanted, atol=1e-5)
    torch.manual_seed(0)
    alone = family.build_heads((2, 9, 12), Heads({"map": (1, 9, 12)})).eval()
    assert torch.equal(alone(x), answers["map"]) and answers["map"].shape == (3, 1, 9, 12)


def test_an_auto_encoder_says_which_maps_it_can_not_give() -> None:
    from edgekd.base.errors import RecipeError
    from edgekd.tasks import Heads

    one = "auto_encoder answers with one map of the size of its pictures, and one score"
    wrong: list[tuple[dict[str, Any], tuple[int, ...], dict[str, Any], str]] = [
        (
            {},
            (1, 8, 8),
            {"map": (1, 4, 4)},
            f"{one}; found '\\(1, 4, 4\\)'; allowed: \\(1, 8, 8\\), and beside it \\(1,\\)",
        ),
        ({}, (1, 8, 8), {"map": (3, 8, 8)}, one),
        ({}, (1, 8, 8), {"a": 1, "b": 1}, one),
        ({}, (1, 8, 8), {"a": 2}, "auto_encoder answers one score; found 2"),
        ({}, (7,), {"map": (1, 8, 8)}, "auto_encoder with a map reads images"),
        (
            {"smoothing": 9},
            (1, 8, 8),
            {"map": (1, 8, 8)},
            r"model\.smoothing: a smoothing larger than the picture; found 9",
        ),
        ({"window": 9}, (1, 8, 8), {"map": (1, 8, 8)}, r"model\.window: a window larger than the picture; found 9"),
    ]
    for keys, shape, heads, message in wrong:
        with pytest.raises(RecipeError, match=message):
            plugins.build("models", {"kind": "auto_encoder", **keys}, "m").build_heads(shape, Heads(heads))
    with pytest.raises(RecipeError, match=r"m\.smoothing: allowed is an odd number"):
        plugins.build("models", {"kind": "auto_encoder", "smoothing": 4}, "m")
