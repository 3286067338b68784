"""Networks of the transformers library: ResNet-50, MobileNetV2, BERT, DistilBERT and the rest of its classifiers.

Untrained, or from a checkpoint folder on this machine; nothing is ever fetched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from torch import Tensor, nn

from edgekd.base import plugins
from edgekd.base.errors import DataError, RecipeError
from edgekd.base.preprocess import Op
from edgekd.learn.data import Pipeline, read_vocabulary
from edgekd.learn.frozen import FrozenBody, PooledBody
from edgekd.learn.models import _records
from edgekd.learn.quiet import quiet
from edgekd.learn.teacher import PickedOutput

PROCESSOR = "preprocessor_config.json"
# Image processors that resize, crop, scale and normalise as _records.py has it; each is held against the library's.
PROCESSORS = ("Beit", "Bit", "CLIP", "ConvNext", "DeiT", "MobileNetV1", "MobileNetV2", "MobileViT", "Siglip", "ViT")
CONFIG, CLASSIFIERS = "config.json", ("ForSequenceClassification", "ForImageClassification")
LISTED = 8  # files of a folder, in an error
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


class TextBody(nn.Module):
    """An encoder of tokens, told where padding is as ``TextLogits`` is."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> object:
        padding = (1 - attention_mask[:, None, None, :]).to(next(self.parameters()).dtype)
        return self.module(input_ids, padding * MASKED)


@dataclass(frozen=True)
class Transformers:
    """A classifier by the name of its class, or from a checkpoint folder.

    Attributes:
        name: such as ``ResNetForImageClassification`` or ``DistilBertForSequenceClassification``; empty: the class that
            the folder names.
        config: keys of its configuration that differ from the library's defaults; labels, channels and the number of
            tokens are ours to set.
        folder: a checkpoint folder (``config.json`` and safetensors); a head of another size is made anew. A teacher
            reads texts by the tokenizer in it.
        batch_norm_momentum: above 0, at most 1; 0: the library's own. MobileNetV2's is 0.997, TensorFlow's word for
            0.003: torch then takes the last batch for the whole data set, so a training from scratch wants 0.1.
        head: of a folder: ``own``, which then has to fit (with ``teacher.epochs = 0`` it teaches as it stands); or
            ``linear``: a new layer over what the body gives. Empty: as the class has it.
        pool: of a ``linear`` head, what stands for a sequence: ``mean`` of its tokens, or the ``first``.
        trains: of a network with a ``linear`` head: the ``head`` alone, over a frozen body, or ``all`` of it.
    """

    name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    batch_norm_momentum: float = 0.0
    head: Literal["", "own", "linear"] = ""
    pool: Literal["mean", "first"] = "mean"
    trains: Literal["head", "all"] = "head"

    def __post_init__(self) -> None:
        if self.trains == "all" and self.head != "linear":
            raise ValueError("trains: allowed is all with head = linear; another head trains with its network anyway")
        if self.name:
            with quiet():  # the library loads a class, and what that imports, when it is asked for
                known = hasattr(getattr(transformers, self.name, None), "config_class")
            if not known:
                example = "a model class of transformers, such as ResNetForImageClassification"
                raise ValueError(f"name: allowed is {example}")
        if self.folder and not (Path(self.folder) / CONFIG).is_file():
            raise ValueError("folder: allowed is one with config.json and model.safetensors")
        if not 0 <= self.batch_norm_momentum <= 1:
            raise ValueError("batch_norm_momentum: allowed is 0 to 1")

    def build(self, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """(N, C, H, W) images, or tokens (see ``TextLogits``), -> (N, classes) logits.

        Args:
            input_shape: (C, H, W); or how many tokens there are, and 2.

        Raises:
            RecipeError: an unknown key of the configuration, a folder whose model knows fewer tokens, or no classifier.
        """
        if not self.folder and (self.head or not self.name):
            allowed = "a checkpoint folder, or a name without a head"
            raise RecipeError("nothing to build", where="model.folder", found=self.folder, allowed=allowed)
        images = len(input_shape) == 3
        # Eager attention: what the other kinds export as, the runtimes fuse less well.
        wanted: dict[str, object] = {**self.config, "attn_implementation": "eager"}
        if images:
            wanted["num_channels"] = input_shape[0]
        if self.head != "own":
            wanted["num_labels"] = classes
        model = self._read(wanted) if self.folder else self._new(wanted, input_shape)
        known = getattr(model.config, "vocab_size", None)
        if self.folder and not images and known is not None and known < input_shape[0]:
            raise RecipeError(
                "the tokenizer has more tokens than the model",
                where="model.folder",
                found=input_shape[0],
                allowed=f"at most {known}",
            )
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and self.batch_norm_momentum:
                part.momentum = self.batch_norm_momentum
        if self.head != "linear":
            return PickedOutput(model) if images else TextLogits(model)
        tokens = torch.ones(2, 3, dtype=torch.int64)
        example = (torch.zeros(2, *input_shape),) if images else (tokens, tokens)
        kind: type[PooledBody] = FrozenBody
        if self.trains == "all":
            kind = PooledBody
            if getattr(model, "pooler", None) is not None:  # a layer that nothing reads, and no loss reaches
                model.pooler = None
        whole: nn.Module = plugins.call_user(
            kind, "model", model if images else TextBody(model), example, classes, self.pool
        )
        return whole

    def preprocess(self, shape: tuple[int, ...]) -> tuple[Pipeline | None, str]:
        """How images were shown to the folder's network: its ``preprocessor_config.json``, as the library reads it.

        Args:
            shape: (H, W, C) of raw images, 0..255.

        Returns:
            Ops, None where they are the data's; and a note.

        Raises:
            FactoryError: the library can't read the record.
        """
        table = _json(Path(self.folder) / PROCESSOR) if self.folder else {}
        kind = str(table.get("image_processor_type") or table.get("feature_extractor_type") or "")
        if not kind:
            return None, ""
        name = kind.removesuffix("Fast").removesuffix("ImageProcessor").removesuffix("FeatureExtractor")
        data = f"the teacher sees images as the data has them, whatever {PROCESSOR} in its folder says"
        if shape[2] != 3:
            return None, f"{data}: they have no three channels"
        if name not in PROCESSORS:
            return None, f"{data}: {kind} is not read; teacher.preprocess says how"
        processor = plugins.call_user(
            getattr(transformers, f"{name}ImageProcessorPil"), f"model.folder: {PROCESSOR}", **table
        )
        try:
            ops = _records.of_processor(processor.to_dict(), (shape[0], shape[1]))
        except ValueError as err:
            return None, f"{data}: {err} is not done; teacher.preprocess says how"
        return ops, f"the teacher sees images as {PROCESSOR} in its folder says"

    def tokens(self, op: Op, where: str, learned: bool = False) -> tuple[Pipeline | None, str]:
        """How a teacher from the folder reads texts: by the tokenizer that lies in it.

        Args:
            op: how the data reads them.
            where: the folder's place in the recipe, for errors.
            learned: that vocabulary was learned from the data, so that no folder's network knows it.

        Returns:
            Ops, None where they are the data's; and a note.

        Raises:
            RecipeError: the tokenizer is none that edgekd can make tokens with, or there is none.
        """
        folder = Path(self.folder)
        if not any((folder / name).is_file() for name in ("vocab.txt", "tokenizer.json")):
            if learned and self.head:
                files = sorted(path.name for path in folder.iterdir())[:LISTED]
                hint = "data.tokenizer names the folder with the vocabulary that it was trained with"
                allowed = "vocab.txt or tokenizer.json beside the weights"
                raise RecipeError("no tokenizer in it", where=where, found=", ".join(files), allowed=allowed, hint=hint)
            return None, ""
        table = _json(folder / "tokenizer_config.json")
        lower = table.get("do_lower_case") if isinstance(table.get("do_lower_case"), bool) else op["lower"]
        try:
            vocabulary = read_vocabulary(self.folder, bool(lower))
        except DataError as err:
            hint = "recorded answers, or an ONNX file behind a callable, need no tokenizer here"
            raise RecipeError(f"its tokenizer: {err.message}", where=where, found=err.found, hint=hint) from err
        longest = _json(folder / CONFIG).get("max_position_embeddings")
        length = min(op["length"], longest) if isinstance(longest, int) else op["length"]
        reading = {"op": "wordpiece", "vocabulary": vocabulary, "length": length, "lower": bool(lower)}
        if all(reading[key] == op[key] for key in reading):
            return None, ""
        return (reading,), f"the teacher reads texts by the tokenizer in its folder, {len(vocabulary):,} tokens"

    def _read(self, wanted: dict[str, object]) -> Any:
        """The folder's model; nothing is fetched, and no code of the folder runs."""
        transformers.logging.disable_progress_bar()
        options = {**wanted, "local_files_only": True, "use_safetensors": True, "trust_remote_code": False}
        cls = transformers.AutoModel if self.head == "linear" else self._class()
        if self.head == "linear":
            options.pop("num_labels")
        else:
            options["ignore_mismatched_sizes"] = self.head != "own"
        if not hasattr(cls, "config_class"):
            options.pop("trust_remote_code")
        with quiet():  # it reports that the head was made anew
            return plugins.call_user(cls.from_pretrained, "model.folder", self.folder, **options)

    def _class(self) -> type[transformers.PreTrainedModel]:
        """The class that is named here, or in the folder.

        Raises:
            RecipeError: the folder names none that classifies.
        """
        if self.name:
            return getattr(transformers, self.name)
        named = _json(Path(self.folder) / CONFIG).get("architectures")
        name = str(named[0]) if isinstance(named, list) and named else ""
        if not name.endswith(CLASSIFIERS) or not hasattr(transformers, name):
            hint = 'head = "linear" puts a head on a body without one; name says another class'
            raise RecipeError("no classifier", where="model.folder", found=name or None, allowed=CLASSIFIERS, hint=hint)
        return getattr(transformers, name)

    def _new(self, wanted: dict[str, object], input_shape: tuple[int, ...]) -> transformers.PreTrainedModel:
        """An untrained model."""
        cls = getattr(transformers, self.name)
        if len(input_shape) != 3:
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
        return plugins.call_user(cls, "model", config)


def _json(file: Path) -> dict[str, object]:
    """A JSON file of a checkpoint folder; nothing where there is none, or no table in it."""
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}
