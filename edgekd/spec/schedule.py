"""How one network is trained: the keys of every trained step of a recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from edgekd.spec.validation import Frozen

MOST_WEIGHT = 1e6
ClassWeights = Literal["balanced"] | tuple[float, ...] | None


class Schedule(Frozen):
    """How one network is trained. Every trained step of a recipe takes these keys."""

    epochs: int = Field(default=10, ge=1, le=10_000, description="passes over the training split")
    batch_size: int = Field(default=64, ge=1, le=65_536, description="samples of a training step")
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="sgd: with Nesterov's momentum")
    lr: float = Field(default=2e-3, gt=0, le=10, description="the highest learning rate of the schedule")
    weight_decay: float = Field(default=1e-4, ge=0, le=1, description="of weights of two or more axes")
    schedule: Literal["cosine", "constant", "one_cycle"] = Field(
        default="cosine", description="of the learning rate, after the warm-up"
    )
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of all steps")
    patience: int | None = Field(
        default=None, ge=1, description="stop after so many epochs without a better validation"
    )
    sampler: Literal["shuffled", "balanced"] = Field(
        default="shuffled",
        description="shuffled: each sample once an epoch; balanced: each class as often, in as many steps",
    )
    class_weights: ClassWeights = Field(
        default=None,
        description="of labels in losses that compare them: one for each class; balanced: all classes count alike",
    )
    precision: Literal["fp32", "bf16", "auto"] = Field(
        default="auto",
        description="auto: mixed on a GPU that has bf16; bf16: on a CPU that has it, too (AMX, AVX512-BF16)",
    )

    @field_validator("class_weights", mode="before")
    @classmethod
    def _weights(cls, value: object) -> object:
        """Told in one sentence, where pydantic has one for each type of a union."""
        numbers = [*value] if isinstance(value, list | tuple) else []
        fit = [isinstance(number, int | float) and 0 <= number <= MOST_WEIGHT for number in numbers]
        if value is None or value == "balanced" or (all(fit) and any(numbers)):
            return value
        raise ValueError(f'allowed is "balanced", or numbers from 0 to {MOST_WEIGHT:g}, not all of them 0')


SCHEDULE_KEYS = frozenset(Schedule.model_fields)
