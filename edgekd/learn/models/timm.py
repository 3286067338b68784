"""Networks of the timm library (PyTorch Image Models), by their names there; untrained, nothing is ever fetched.

timm imports torchvision, whose compiled part must be of the very torch that is installed: beside a torch for CPUs alone
that is torchvision's build for CPUs. Without it no part of timm can be imported, and a recipe that names the family is
told so, with what to install.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from edgekd.base import plugins
from edgekd.base.errors import RecipeError, UnavailableError
from edgekd.learn.data import Pipeline
from edgekd.learn.models import _records

try:
    import timm
except (ImportError, RuntimeError) as err:  # of a torchvision for another torch: "operator torchvision::nms ..."
    MISSING: str | None = f"{type(err).__name__}: {err}"
else:
    MISSING = None

OURS = ("num_classes", "in_chans", "pretrained", "checkpoint_path", "exportable")  # what the data and the recipe say
INSTALL = "pip install timm torchvision --extra-index-url https://download.pytorch.org/whl/cpu"


@dataclass(frozen=True)
class Timm:
    """A classifier of images by its name in timm.

    Attributes:
        name: such as ``resnet18`` or ``vit_tiny_patch16_224``; one with a tag, such as ``resnet18.a1_in1k``, says how
            the weights of a checkpoint were trained.
        config: arguments of ``timm.create_model`` that differ from its defaults, such as ``{ drop_rate = 0.1 }``;
            classes, channels and the size of images are ours to set.
    """

    name: str
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if MISSING is not None:
            raise UnavailableError(
                "timm can't be imported: it needs a torchvision for this torch",
                where="model.kind: timm",
                found=MISSING,
                hint=f"{INSTALL} (a torch for GPUs: without the extra index)",
            )
        if not timm.is_model(self.name):
            near = difflib.get_close_matches(self.name.partition(".")[0], timm.list_models(), n=4) or ["resnet18"]
            raise ValueError(f"name: allowed is one of timm.list_models(), such as {', '.join(near)}")
        if mine := [key for key in self.config if key in OURS]:
            raise ValueError(f"config: allowed is what the data does not say, and {mine[0]} it does")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) -> (N, classes) logits.

        Raises:
            RecipeError: the inputs are no images.
            FactoryError: timm knows no such argument, or can't build the network for images of this size.
        """
        if len(input_shape) != 3:
            raise RecipeError("timm's networks read images", where="model.kind", found=input_shape, allowed="(C, H, W)")
        wanted = {"num_classes": classes, "in_chans": input_shape[0], "exportable": True, **self.config}
        if timm.get_pretrained_cfg(self.name).fixed_input_size and "img_size" not in wanted:
            wanted["img_size"] = input_shape[1:]
        model: nn.Module = plugins.call_user(timm.create_model, "model.config", self.name, pretrained=False, **wanted)
        return model

    def preprocess(self, shape: tuple[int, ...]) -> tuple[Pipeline, str]:
        """What images were like when the weights of that name were evaluated: resized, cropped and scaled as timm does.

        Args:
            shape: (H, W, C) of raw images, 0..255.

        Returns:
            Ops, and what is done otherwise than by timm, "" where nothing is.
        """
        return _records.of_timm(self.name, timm.get_pretrained_cfg(self.name), (shape[0], shape[1]))
