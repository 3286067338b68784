"""Records of pre-trained weights: our ops give what timm's steps and the image processors of transformers give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import transformers
from PIL import Image

from edgekd.base import preprocess
from edgekd.learn.models import _records
from edgekd.learn.models.transformers import PROCESSORS

SIZES = [(40, 61), (61, 40), (33, 33), (24, 90)]
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


def picture(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def shown(ops: Any, image: np.ndarray) -> np.ndarray:
    """(C, H, W) of one image; the ops are what a recipe may say."""
    preprocess.check(list(ops), "teacher.preprocess")
    return preprocess.apply(ops, image[None])["input"][0]


@dataclass
class Trained:
    """As of ``timm.get_pretrained_cfg``."""

    input_size: tuple[int, int, int] = (3, 30, 30)
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    crop_mode: str = "center"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)


def timms(trained: Trained, image: np.ndarray) -> np.ndarray:
    """timm's evaluation by Pillow: Resize, ResizeKeepRatio, CenterCrop and CenterCropOrPad, ToTensor, Normalize."""
    height, width = (int(side / trained.crop_pct) for side in trained.input_size[1:])
    high, wide = image.shape[:2]
    ratios, colour = (high / height, wide / width), (0, 0, 0)
    if trained.crop_mode == "squash":
        size = (height, width)
    elif trained.crop_mode == "border":
        size = (round(high / max(ratios)), round(wide / max(ratios)))
        colour = (round(255 * trained.mean[0]), round(255 * trained.mean[1]), round(255 * trained.mean[2]))
    elif height == width:
        size = (height, int(height * wide / high)) if high <= wide else (int(height * high / wide), height)
    else:
        size = (round(high / min(ratios)), round(wide / min(ratios)))
    resized = Image.fromarray(image).resize(size[::-1], FILTERS[trained.interpolation])
    short = [max(0, trained.input_size[1 + i] - size[i]) for i in (0, 1)]
    padded = Image.new("RGB", (resized.width + short[1], resized.height + short[0]), colour)
    padded.paste(resized, (short[1] // 2, short[0] // 2))
    top, left = (
        round((side - wanted) / 2.0) for side, wanted in zip(padded.size[::-1], trained.input_size[1:], strict=True)
    )
    box = (left, top, left + trained.input_size[2], top + trained.input_size[1])
    x = np.asarray(padded.crop(box), np.float32).transpose(2, 0, 1) / np.float32(255)
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (trained.mean, trained.std))
    return (x - mean) / std


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"interpolation": "bilinear", "crop_pct": 0.95},
        {"crop_mode": "squash", "crop_pct": 1.0},
        {"crop_mode": "squash", "crop_pct": 0.9, "interpolation": "lanczos"},
        {"input_size": (3, 20, 31), "interpolation": "box"},
        {"crop_pct": 1.2},  # black around
        {"crop_mode": "border", "crop_pct": 1.0},
        {"crop_mode": "border", "crop_pct": 0.9, "interpolation": "bilinear", "mean": (0.5, 0.2, 0.01)},
        {"crop_mode": "border", "input_size": (3, 21, 30), "crop_pct": 1.3, "interpolation": "lanczos"},
    ],
    ids=str,
)
def test_timms_steps_bit_for_bit(size: tuple[int, int], change: dict[str, Any]) -> None:
    trained, image = replace(Trained(), **change), picture(size)
    ops, note = _records.of_timm("net", trained, size)
    assert note == ""
    found = shown(ops, image)
    assert found.shape == trained.input_size and np.array_equal(found, timms(trained, image))


def test_where_timm_does_otherwise_it_is_told() -> None:
    ops, note = _records.of_timm("net", Trained(interpolation="hamming"), (40, 60))
    assert ops[0]["interpolation"] == "bicubic" and "net was trained on images resized by hamming" in note
    _, note = _records.of_timm("net", Trained(crop_mode="border", interpolation="hamming"), (40, 60))
    assert "resized by hamming" in note


def test_a_border_is_of_the_mean_colour() -> None:
    """A picture of black is black in the middle, and what is around it is 0 once the mean is gone, to a grey level."""
    ops, note = _records.of_timm("net", Trained(crop_mode="border", crop_pct=1.0), (20, 60))
    x = shown(ops, np.zeros((20, 60, 3), np.uint8))
    assert note == "" and x.shape == (3, 30, 30)
    assert np.abs(x[:, :10]).max() < 0.02 and np.abs(x[:, 20:]).max() < 0.02 and x[:, 10:20].max() < -1


CHANGES: list[dict[str, Any]] = [
    {},
    {"resample": 2, "size": {"shortest_edge": 35}, "crop_size": {"height": 32, "width": 30}, "do_center_crop": True},
    {"resample": 1, "do_normalize": False},
    {"resample": 0, "do_rescale": False, "image_mean": [127.0] * 3, "image_std": [60.0, 61.0, 62.0]},
    {"do_resize": False},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("name", PROCESSORS)
def test_image_processors(name: str, change: dict[str, Any]) -> None:
    processor = getattr(transformers, f"{name}ImageProcessorPil")(**change)
    for size in SIZES[:3]:
        image = picture(size)
        wanted = processor(image, return_tensors="np")["pixel_values"][0]
        found = shown(_records.of_processor(processor.to_dict(), size), image)
        assert found.shape == wanted.shape
        if change.get("resample") == 0:  # Pillow's nearest adds up fractions, ours divides whole numbers
            assert np.mean(found != wanted) < 0.05
        else:
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)  # it multiplies by 1/255 in float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resample": 5}, "resample = 5"),
        ({"resample": None}, "resample = None"),
        ({"size": {"longest_edge": 9}}, "size = "),
        ({"size": {"shortest_edge": 9, "longest_edge": 9}}, "size = "),
        ({"size": {"height": 9, "width": True}}, "size = "),
        ({"size": 9}, "size = 9"),
        ({"do_pad": True}, "do_pad"),
        ({"image_mean": ["a"]}, "image_mean = "),
        ({"rescale_factor": 0}, "rescale_factor = 0"),
        ({"do_center_crop": True, "crop_size": {"height": -1, "width": 3}}, "crop_size = "),
    ],
    ids=str,
)
def test_what_no_op_does_is_named(change: dict[str, Any], message: str) -> None:
    table = {**transformers.ViTImageProcessorPil().to_dict(), **change}
    with pytest.raises(ValueError, match=message):
        _records.of_processor(table, (40, 60))
