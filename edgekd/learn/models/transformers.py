"""Networks of the transformers library: ResNet-50, MobileNetV2, BERT, DistilBERT and the rest of its classifiers.

Untrained, or from a checkpoint folder on this machine; nothing is ever fetched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import transformers
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import RecipeError
from edgekd.learn.quiet import quiet
from edgekd.learn.teacher import PickedOutput

MASKED = -1e4  # exp(-1e4) is zero in every float type, and float16 still holds the number


class TextLogits(PickedOutput):
    """A classifier of tokens, told where padding is as what it adds to the attention's scores.

    Left to itself the library works that out with a dozen operators, which the runtimes keep.
    """

    def returned(self, *inputs: Tensor) -> object:
        """(N, L) token numbers and (N, L) of 1 for tokens and 0 for padding -> what the library returns."""
        input_ids, attention_mask = inputs
        padding = (1 - attention_mask[:, None, None, :]).to(next(self.parameters()).dtype)
        return super().returned(input_ids, padding * MASKED)


@dataclass(frozen=True)
class Transformers:
    """A classifier by the name of its class.

    Attributes:
        name: such as ``ResNetForImageClassification`` or ``DistilBertForSequenceClassification``.
        config: keys of its configuration that differ from the library's defaults; labels, channels and the number of
            tokens are ours to set.
        folder: a checkpoint folder (``config.json`` and safetensors); a head of another size is made anew.
        batch_norm_momentum: above 0, at most 1; 0: the library's own. MobileNetV2's is 0.997, TensorFlow's word for
            0.003: torch then takes the last batch for the whole data set, so a training from scratch wants 0.1.
    """

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    batch_norm_momentum: float = 0.0

    def __post_init__(self) -> None:
        with quiet():  # the library loads a class, and what that imports, when it is asked for
            known = hasattr(getattr(transformers, self.name, None), "config_class")
        if not known:
            raise ValueError("name: allowed is a model class of transformers, such as ResNetForImageClassification")
        if self.folder and not (Path(self.folder) / "config.json").is_file():
            raise ValueError("folder: allowed is one with config.json and model.safetensors")
        if not 0 <= self.batch_norm_momentum <= 1:
            raise ValueError("batch_norm_momentum: allowed is 0 to 1")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) images, or tokens (see ``TextLogits``), -> (N, classes) logits.

        Args:
            input_shape: (C, H, W); or how many tokens there are, and 2.

        Raises:
            RecipeError: an unknown key of the configuration, or a folder whose model knows fewer tokens.
        """
        images = len(input_shape) == 3
        # Eager attention: what the other kinds export as, the runtimes fuse less well.
        wanted = {**self.config, "num_labels": classes, "attn_implementation": "eager"}
        if images:
            wanted["num_channels"] = input_shape[0]
        cls = getattr(transformers, self.name)
        if self.folder:
            transformers.logging.disable_progress_bar()
            with quiet():  # it reports that the head was made anew
                model = plugins.call_user(
                    cls.from_pretrained,
                    "model.folder",
                    self.folder,
                    local_files_only=True,
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,
                    **wanted,
                )
            known = getattr(model.config, "vocab_size", None)
            if not images and known is not None and known < input_shape[0]:
                raise RecipeError(
                    "the tokenizer has more tokens than the model",
                    where="model.folder",
                    found=input_shape[0],
                    allowed=f"at most {known}",
                )
        else:
            if not images:
                wanted["vocab_size"] = input_shape[0]
            config = plugins.call_user(cls.config_class, "model.config", **wanted)
            unknown = sorted(set(self.config) - set(cls.config_class().to_dict()))
            if unknown:
                raise RecipeError(
                    f"{cls.config_class.__name__} has no such key",
                    where="model.config",
                    found=unknown[0],
                    allowed=cls.config_class().to_dict(),
                )
            model = plugins.call_user(cls, "model", config)
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and self.batch_norm_momentum:
                part.momentum = self.batch_norm_momentum
        return PickedOutput(model) if images else TextLogits(model)
