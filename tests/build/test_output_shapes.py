"""An answer of another shape is refused with the shape that is wanted, and the way there where it is plain."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgekd.base.errors import ExportError
from edgekd.build import output_shapes
from edgekd.learn.student import Student, TensorSpec
from edgekd.tasks import Heads
from edgekd.tasks.anomaly import Anomaly
from edgekd.tasks.anomaly_map import AnomalyMap
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation
from edgekd.tasks.tagging import Tagging

MASKS = Heads({"logits": (2, 16, 8)}, {"logits": Segmentation()})
TAGS = Heads({"logits": (12, 3)}, {"logits": Tagging()})
TWO_HEADS = Heads({"kind": 3, "size": 1}, {"size": Regression()})


def check(heads: Heads, *shapes: tuple[int, ...], kind: torch.dtype = torch.float32, **keys: Any) -> None:
    specs = tuple(TensorSpec(name, (None, size)) for name, size in heads.items())
    parts = tuple(torch.zeros(shape, dtype=kind) for shape in shapes)
    given = parts[0] if len(parts) == 1 else parts
    student = Student(nn.Identity(), (), specs)
    output_shapes.check(given, student, "student", heads, ("O", "B-x", "I-x"), **keys)


def test_rows_are_what_is_wanted() -> None:
    check(MASKS, (2, 256))
    check(TWO_HEADS, (2, 3), (2, 1))


@pytest.mark.parametrize(
    ("heads", "shapes", "message"),
    [
        (MASKS, [(2, 16, 8, 2)], r"found '\(2, 16, 8, 2\)'; allowed: \(N, 2, 16, 8\); permute\(0, 3, 1, 2\)"),
        (MASKS, [(2, 2, 4, 2)], r"\(N, 2, 16, 8\); F\.interpolate\(scores, size=\(16, 8\)\)"),
        (MASKS, [(2, 1, 16, 8)], r"torch\.cat\(\[torch\.zeros_like\(z\), z\], 1\).*\(N, 1, 16, 8\).*sigmoid"),
        (MASKS, [(2, 16, 8)], r"torch\.cat.*unsqueeze\(1\)"),
        (MASKS, [(2, 5, 16, 8)], r"allowed: \(N, 2, 16, 8\)$"),
        (TAGS, [(2, 12, 2)], r"allowed: \(N, 12, 3\); the tags are O, B-x, I-x: of every kind of span both"),
        (TAGS, [(2, 3, 12)], r"permute\(0, 2, 1\)"),
        (Heads({"logits": 2}), [(2,)], r"allowed: \(N, 2\); torch\.cat.*\(N, 1\), which unsqueeze\(1\).*multi_label"),
        (Heads({"logits": 2}), [(2, 1)], r"torch\.cat.*\(N, 1\); or the task multi_label"),
        (Heads({"logits": 1}, {"logits": Anomaly()}), [(2, 6)], r"\(N, 1\); give the error of each sample"),
        (Heads({"logits": (1, 4, 4)}, {"logits": AnomalyMap()}), [(2, 3, 4, 4)], r"allowed: \(N, 1, 4, 4\)$"),
        (Heads({"logits": 6}, {"logits": Regression(points=True)}), [(2, 3, 3)], r"\(N, 6\) or \(N, 3, 2\)$"),
        (TWO_HEADS, [(2, 1), (2, 3)], r"kind \(N, 3\), size \(N, 1\), in this order, or a dict by these names$"),
    ],
)
def test_the_shape_that_is_wanted_and_the_way_there(heads: Heads, shapes: Any, message: str) -> None:
    with pytest.raises(ExportError, match=f"student: the output has the wrong shape; .*{message}"):
        check(heads, *shapes)


def test_classes_without_scores_columns_of_a_teacher_and_texts() -> None:
    with pytest.raises(ExportError, match="argmax"):
        check(MASKS, (2, 16, 8), kind=torch.int64)
    with pytest.raises(ExportError, match=r"allowed: \(N, 4\); teacher\.classes says for each of ours its column"):
        check(Heads({"logits": 4}), (2, 10), teaches=True)
    for shape, teaches in (((2, 10), False), ((2, 3), True)):
        with pytest.raises(ExportError, match=r"allowed: \(N, 4\)$"):
            check(Heads({"logits": 4}), shape, teaches=teaches)
    with pytest.raises(ExportError, match=r"allowed: \(N, L, 3\)"):
        check(TAGS, (2, 7, 5), texts=True)
