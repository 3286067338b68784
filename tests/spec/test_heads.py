"""``[heads]`` of a recipe."""

from __future__ import annotations

from typing import Any

import pytest

from edgekd.base.errors import RecipeError
from edgekd.build import step_keys
from edgekd.spec import heads, recipe

TABLE: dict[str, Any] = {
    "name": "two",
    "data": {"source": "text", "path": "d.tsv"},
    "heads": {"slots": {"task": "tagging", "label": "tags"}, "intent": {"task": {"kind": "classification"}}},
    "teacher": {"model": {"kind": "tagger"}},
    "student": {"model": {"kind": "tagger"}},
    "losses": [{"kind": "kl"}],
}


def test_each_head_has_its_task_its_metric_and_its_keys_of_the_data() -> None:
    parsed = recipe.parse(TABLE, "r.toml")
    assert {name: head.task for name, head in parsed.heads.items()} == {
        "slots": {"kind": "tagging"},
        "intent": {"kind": "classification"},
    }
    assert [head.measured["kind"] for head in parsed.heads.values()] == ["span_f1", "accuracy"]
    assert [head.data for head in parsed.heads.values()] == [{"label": "tags"}, {}]
    assert parsed.metric == {"kind": "mean of accuracy and span_f1"} and parsed.task == {"kind": "several"}
    assert recipe.parse(parsed.model_dump(exclude_unset=True), "r.toml") == parsed  # as a bundle holds it


def test_one_metric_of_all_keeps_its_name() -> None:
    same = {name: {**table, "metric": {"kind": "accuracy"}} for name, table in TABLE["heads"].items()}
    assert recipe.parse({**TABLE, "heads": same}, "r.toml").metric == {"kind": "accuracy"}
    assert heads.mean_of({"a": {"task": "no such"}, "b": 3}) == "metrics"


def test_the_order_of_heads_is_that_of_the_outputs_and_counts() -> None:
    turned = {**TABLE, "heads": dict(reversed(TABLE["heads"].items()))}
    one, other = (step_keys.content(recipe.parse(table, "r.toml")) for table in (TABLE, turned))
    assert step_keys.digest(one) != step_keys.digest(other)


REFUSED = [
    ({"heads": {"slots": {"label": "tags"}}}, r"heads\.slots\.task: missing"),
    ({"heads": {"slots": "tagging"}}, r"heads\.slots"),
    ({"heads": ["slots"]}, r"heads"),
    ({"task": "classification"}, r"r\.toml: task: each of \[heads\] has its own; found 'classification'"),
    ({"metric": "accuracy"}, r"r\.toml: metric: each of \[heads\] has its own"),
    ({"data": {"source": "text", "heads": {"a": {}}}}, r"data\.heads: groups of classes are heads of one task"),
    ({"data": {"source": "text", "heads": 3}}, r"data\.heads: groups of classes are heads of one task; found 3"),
    ({"heads": {"slots": {"task": "tagging", "path": "x"}}}, r"heads\.slots: path: the samples are those of \[data\]"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_what_no_head_can_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe.parse({**TABLE, **change}, "r.toml")
