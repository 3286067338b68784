"""Networks of the transformers library: ResNet-50, MobileNetV2, BERT, DistilBERT and the rest of its classifiers.

Untrained, or from a checkpoint folder on this machine; nothing is ever fetched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import transformers
from torch import nn

from edgekd import plugins
from edgekd.errors import RecipeError
from edgekd.learn.teacher import Logits


@dataclass(frozen=True)
class Transformers:
    """A classifier by the name of its class.

    Attributes:
        name: such as ``ResNetForImageClassification`` or ``DistilBertForSequenceClassification``.
        config: keys of its configuration that differ from the library's defaults; labels and channels are ours to set.
        folder: a checkpoint folder (``config.json`` and safetensors); a head of another size is made anew.
        batch_norm_momentum: above 0, at most 1; 0: the library's own. MobileNetV2's is 0.997, TensorFlow's word for
            0.003: torch then takes the last batch for the whole data set, so a training from scratch wants 0.1.
    """

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    batch_norm_momentum: float = 0.0

    def __post_init__(self) -> None:
        if not hasattr(getattr(transformers, self.name, None), "config_class"):
            raise ValueError("name: allowed is a model class of transformers, such as ResNetForImageClassification")
        if self.folder and not (Path(self.folder) / "config.json").is_file():
            raise ValueError("folder: allowed is one with config.json and model.safetensors")
        if not 0 <= self.batch_norm_momentum <= 1:
            raise ValueError("batch_norm_momentum: allowed is 0 to 1")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) images, or token numbers, -> (N, classes) logits."""
        wanted = {**self.config, "num_labels": classes}
        if len(input_shape) == 3:
            wanted["num_channels"] = input_shape[0]
        cls = getattr(transformers, self.name)
        if self.folder:
            load = cls.from_pretrained
            where = "model.folder"
            made = plugins.call_user(
                load,
                where,
                self.folder,
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                **wanted,
            )
        else:
            config = plugins.call_user(cls.config_class, "model.config", **wanted)
            unknown = sorted(set(self.config) - set(cls.config_class().to_dict()))
            if unknown:
                raise RecipeError(
                    f"{cls.config_class.__name__} has no such key",
                    where="model.config",
                    found=unknown[0],
                    allowed=cls.config_class().to_dict(),
                )
            made = plugins.call_user(cls, "model", config)
        for part in made.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and self.batch_norm_momentum:
                part.momentum = self.batch_norm_momentum
        return Logits(made)
