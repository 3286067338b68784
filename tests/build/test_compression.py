"""The passes of a recipe, parsed once: what is the pass's, what its fine-tuning's, and what that learns from."""

from __future__ import annotations

from typing import Any

import pytest

from edgekd.base.errors import RecipeError
from edgekd.build import compression

LOSSES: list[dict[str, Any]] = [{"kind": "kl", "temperature": 4.0}, {"kind": "cross_entropy"}]


def parsed(**keys: Any) -> compression.Compression:
    return compression.parse([{"kind": "channel_prune", "ratio": 0.5, **keys}], LOSSES)[0]


def test_keys_of_the_schedule_are_not_the_passes() -> None:
    one = parsed(epochs=3, lr=0.01)
    assert one.whole.table == {"kind": "channel_prune", "ratio": 0.5} and one.schedule == {"epochs": 3, "lr": 0.01}
    schedule = one.training({"epochs": 9, "batch_size": 32})
    assert (schedule.epochs, schedule.batch_size, schedule.lr) == (3, 32, 0.01)
    assert one.losses == () == one.terms and one.parts == (one.whole,)


def test_a_temperature_goes_into_every_loss_that_has_one() -> None:
    assert parsed(temperature=2.0).losses[0]["temperature"] == 2.0
    assert "temperature" not in parsed(temperature=2.0).losses[1]
    own = parsed(losses=[{"kind": "kl"}])
    assert [table["kind"] for table in own.losses] == ["kl"] and len(own.terms) == 1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"ratoi": 0.5}, r"compress\[0\].*did you mean 'ratio'"),
        ({"ratio": 2}, r"compress\[0\]"),
        ({"epochs": -1}, r"compress\[0\]: epochs"),
        ({"losses": []}, r"compress\[0\]\.losses: no losses"),
        ({"losses": "kl"}, r"compress\[0\]\.losses"),
        ({"losses": [{"kind": "cross_entropy"}], "temperature": 2.0}, r"compress\[0\]\.temperature: no loss has"),
    ],
)
def test_mistakes_name_the_table(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parsed(**keys)


def test_steps_of_a_pass_are_trained_one_after_the_other() -> None:
    one = parsed(steps=3)
    assert len(one.parts) == 3 and all(part.kind == "channel_prune" for part in one.parts)
    (alone,) = compression.passes([{"kind": "low_rank", "ratio": 0.3}], "student.from_teacher")
    assert alone.kind == "low_rank"
