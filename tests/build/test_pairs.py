"""What labels of pairs and of triplets ask of a recipe, before anything trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekd
from edgekd.base.errors import RecipeError
from edgekd.build import pairs

SMALL = {"kind": "embedder", "width": 8, "layers": 1, "heads": 1}


def recipe(negatives: int, **changes: Any) -> dict[str, Any]:
    return {
        "name": "odd",
        "task": {"kind": "embedding", "size": 8},
        "metric": "recall_at_k",
        "data": {
            "source": "made_pairs",
            "meanings": 10,
            "train": 20,
            "validation": 8,
            "test": 8,
            "negatives": negatives,
        },
        "teacher": {"model": SMALL, "batch_size": 12},
        "student": {"model": SMALL, "batch_size": 12},
        "losses": [{"kind": "cosine"}],
        **changes,
    }


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            recipe(1, student={"model": SMALL, "batch_size": 32}),
            r"student\.batch_size: the batch parts a triplet; found 32; allowed: a multiple of 3, such as 30",
        ),
        (recipe(2, compress=[{"kind": "int8_qat", "batch_size": 6}]), r"compress\[0\]\.batch_size.*a multiple of 4"),
        (
            recipe(0, losses=[{"kind": "labelled_triplets"}]),
            r"losses\[0\]\.kind: this loss needs triplets and the data has none; found 'labelled_triplets'",
        ),
        (
            recipe(0, compress=[{"kind": "int8_qat", "losses": [{"kind": "margin_mse"}]}]),
            r"compress\[0\]\.losses\[0\]\.kind: this loss needs triplets",
        ),
        (recipe(0, metric="triplet_accuracy"), r"metric: this metric needs triplets and the data has none"),
    ],
)
def test_what_labels_say_nothing_to_is_refused(table: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        edgekd.build(table, targets=["ort-cpu"], out=tmp_path / "out", cache=tmp_path / "cache")


def test_scores_that_are_all_alike_have_no_order(tmp_path: Path) -> None:
    lines = [f"who is {i}\tit is {i}\tnot {i}" for i in range(60)]
    (tmp_path / "qa.tsv").write_text("\n".join(["query\tanswer\tother", *lines]))
    data = {"source": "text", "path": str(tmp_path / "qa.tsv"), "sentence": "query", "pair": "answer", "label": ""}
    where: dict[str, Any] = {"targets": ["ort-cpu"], "out": tmp_path / "out", "cache": tmp_path / "cache"}
    what = r"metric: correlates scores that are all alike; found 'Spearman of 1'; allowed: recall_at_k"
    with pytest.raises(RecipeError, match=what):
        edgekd.build(recipe(0, data={**data, "vocab": 100}, metric="spearman"), **where)


def test_batches_of_groups_of_several_sizes() -> None:
    pairs.check_batches(None, {"student": 7})
    together = np.array([0, 0, 1, 1, 1, -1])
    pairs.check_batches(together, {"student": 12})
    with pytest.raises(RecipeError, match=r"teacher\.batch_size.*a multiple of 6, such as 6"):
        pairs.check_batches(together, {"student": 12, "teacher": 4})
    with pytest.raises(RecipeError, match=r"an odd batch parts a pair; found 3"):
        pairs.check_batches(np.full(4, -1), {"teacher": 3})
