"""Checkpoint folders of transformers: their own head, a new one over a frozen body, their own tokenizer."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from edgekd.base import preprocess
from edgekd.base.errors import FactoryError, RecipeError
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build import set_up, teach
from edgekd.build.plan import TeachStep
from edgekd.build.prepare import Objects, prepare
from edgekd.learn import answers, predictions
from edgekd.learn.data._base import Dataset, Split
from edgekd.learn.data._batches import fingerprint, from_splits
from edgekd.learn.data.made_text import MadeText
from edgekd.learn.feed import Feed
from edgekd.learn.frozen import FrozenBody, embedded
from edgekd.learn.models.transformers import Transformers
from edgekd.learn.rescaled import Rescaled
from edgekd.learn.teacher import bare
from edgekd.spec import recipe as recipes
from edgekd.spec.recipe import Augment
from edgekd.tasks.regression import Regression

MADE: dict[str, Any] = {"classes": 2, "words": 30, "train": 96, "validation": 48, "test": 32, "length": 24}
TOKENS = MadeText(**MADE).load().preprocess[0]["vocabulary"]
SHAPE = (len(TOKENS), 2)
SIZES: dict[str, Any] = {
    "max_position_embeddings": 20,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A classifier, its body alone, and a network of images, each with what it was saved with."""
    root = tmp_path_factory.mktemp("folders")
    torch.manual_seed(0)
    config = transformers.BertConfig(**{"vocab_size": len(TOKENS), "num_labels": 2, **SIZES})
    whole = transformers.BertForSequenceClassification(config)
    nn.init.normal_(whole.bert.embeddings.word_embeddings.weight, std=1.0)
    images = transformers.ResNetConfig(
        num_channels=1, embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic"
    )
    models = {"whole": whole, "body": whole.bert, "images": transformers.ResNetModel(images)}
    for name, model in models.items():
        model.save_pretrained(root / name)
    others = [*TOKENS[:5], *TOKENS[:4:-1]]  # the same tokens with other numbers
    for name in ("whole", "body"):
        (root / name / "vocab.txt").write_text("".join(f"{token}\n" for token in others))
        (root / name / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    return {name: str(root / name) for name in models}


def tokens(count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, len(TOKENS), (count, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[2:, 6:] = 0
    return ids, mask


def test_its_own_head_answers_as_the_library_does(folders: dict[str, str]) -> None:
    ids, mask = tokens()
    wanted = transformers.BertForSequenceClassification.from_pretrained(folders["whole"]).eval()(ids, mask).logits
    for keys in ({}, {"name": "BertForSequenceClassification"}):
        module = Transformers(folder=folders["whole"], head="own", **keys).build(SHAPE, 2).eval()  # type: ignore[arg-type]
        torch.testing.assert_close(module(ids, mask), wanted, rtol=1e-4, atol=1e-5)
    anew = Transformers(folder=folders["whole"]).build(SHAPE, 5).eval()
    assert anew(ids, mask).shape == (4, 5), "without a word of the head one of another size is made anew"


@pytest.mark.parametrize("pool", ["mean", "first"])
def test_a_new_head_alone_trains_over_the_body(folders: dict[str, str], pool: Any) -> None:
    module = Transformers(folder=folders["body"], head="linear", pool=pool).build(SHAPE, 3)
    assert isinstance(module, FrozenBody)
    ids, mask = tokens()
    module.train()
    assert not any(part.training for part in module.body.modules()), "dropout is off in the body"
    module(ids, mask).sum().backward()
    assert {name for name, p in module.named_parameters() if p.grad is not None} == {"head.weight", "head.bias"}
    hidden = transformers.BertModel.from_pretrained(folders["body"]).eval()(ids, mask).last_hidden_state
    wanted = hidden[:, 0] if pool == "first" else (hidden * mask[..., None]).sum(1) / mask.sum(1)[:, None]
    torch.testing.assert_close(module.embed(ids, mask), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(module(ids, mask)[2:], module(ids[2:, :6], mask[2:, :6]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "first"])
def test_all_of_a_network_under_a_new_head_may_train(folders: dict[str, str], pool: Any) -> None:
    frozen = Transformers(folder=folders["body"], head="linear", pool=pool).build(SHAPE, 3).eval()
    module = Transformers(folder=folders["body"], head="linear", pool=pool, trains="all").build(SHAPE, 3).eval()
    ids, mask = tokens()
    module.head.load_state_dict(frozen.head.state_dict())  # type: ignore[union-attr]
    torch.testing.assert_close(module(ids, mask), frozen(ids, mask))
    module.train()
    assert all(part.training for part in module.modules())
    module(ids, mask).sum().backward()
    assert not [name for name, p in module.named_parameters() if p.grad is None], "a pooler would have none"
    with pytest.raises(ValueError, match="trains: allowed is all with head = linear"):
        Transformers(folder=folders["body"], trains="all")


def test_images_have_bodies_too(folders: dict[str, str]) -> None:
    module = Transformers(folder=folders["images"], head="linear").build((1, 16, 16), 3).eval()
    assert module(torch.zeros(2, 1, 16, 16)).shape == (2, 3)


def test_what_a_folder_lacks_is_told(folders: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"model\.folder: no classifier; found 'BertModel'.*head = \"linear\""):
        Transformers(folder=folders["body"]).build(SHAPE, 2)
    with pytest.raises(RecipeError, match=r"model\.folder: .*allowed: a checkpoint folder, or a name without a head"):
        Transformers(head="linear").build(SHAPE, 2)
    with pytest.raises(RecipeError, match="the tokenizer has more tokens than the model"):
        Transformers(folder=folders["body"], head="linear").build((1000, 2), 2)
    (tmp_path / "config.json").write_text(Path(folders["whole"], "config.json").read_text())
    with pytest.raises(FactoryError, match=r"model\.folder: "):
        Transformers(folder=str(tmp_path), head="own").build(SHAPE, 2)


def test_it_reads_texts_by_the_tokenizer_in_its_folder(folders: dict[str, str], tmp_path: Path) -> None:
    op = MadeText(**MADE).load().preprocess[0]
    ops, note = Transformers(folder=folders["whole"]).tokens(op, "teacher.model.folder")
    assert ops is not None and ops[0]["vocabulary"][5] == TOKENS[-1] and ops[0]["length"] == 20
    assert note == f"the teacher reads texts by the tokenizer in its folder, {len(TOKENS):,} tokens"
    same = {**op, "vocabulary": ops[0]["vocabulary"], "length": 20}
    assert Transformers(folder=folders["whole"]).tokens(same, "here") == (None, "")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes(Path(folders["whole"], name).read_bytes())
    assert Transformers(folder=str(tmp_path)).tokens(op, "here") == (None, "")
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE"}}))
    with pytest.raises(RecipeError, match=r"here: its tokenizer: not a WordPiece tokenizer"):
        Transformers(folder=str(tmp_path)).tokens(op, "here")


def recipe(folder: str, epochs: int, **model: Any) -> dict[str, Any]:
    return {
        "name": "small",
        "data": {"source": "made_text", **MADE},
        "teacher": {"model": {"kind": "transformers", "folder": folder, **model}, "epochs": epochs, "lr": 0.02},
        "student": {"model": {"kind": "bert", "width": 16, "layers": 1, "heads": 2, "positions": 24}, "epochs": 1},
        "losses": [{"kind": "kl"}],
        "targets": ["ort-cpu"],
    }


def test_a_body_is_asked_once_and_its_head_learns(
    folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    embed = FrozenBody.embed

    def counted(self: FrozenBody, *inputs: torch.Tensor) -> torch.Tensor:
        asked.append(len(inputs[0]))
        return embed(self, *inputs)

    request = requests.make(recipe(folders["body"], 30, head="linear"), cache=tmp_path)
    workspace = prepare(request, Objects())
    monkeypatch.setattr(FrozenBody, "embed", counted)
    trained, outputs = running.train_all(workspace)
    history = trained["teacher"].history
    assert len(history) == 30 and sum(asked) < 1000, "not thirty times 96"
    labels = workspace.feed.labels("train")
    assert labels is not None and (answers.whole(outputs.split("train")).argmax(1) == labels).mean() > 0.75
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert isinstance(bare(trained["teacher"].student.module), FrozenBody)
    assert any("reads texts by the tokenizer in its folder" in note for note in workspace.notes)


def test_what_a_body_gives_of_samples_stays_together_as_these_do() -> None:
    x, pairs = np.arange(12, dtype=np.float32).reshape(6, 2), np.arange(6) // 2
    split = Split(x, np.arange(6) % 2, together=pairs, group=pairs // 2)
    feed = Feed(Dataset(split, split, split, ("a", "b"), ()), (), Augment(views=1), 0)
    shown = embedded(FrozenBody(nn.Identity(), (torch.zeros(2, 2),), 2, "mean"), feed, 0)
    for name in ("train", "validation"):
        together, group = shown.together(name), shown.group(name)
        assert together is not None and together.tolist() == [0, 0, 1, 1, 2, 2]
        assert group is not None and group.tolist() == [0, 0, 0, 0, 1, 1]


def test_a_new_head_over_a_body_learns_values_in_the_unit_of_their_labels(
    folders: dict[str, str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    light = rng.uniform(-1.7, 1.7, 96)
    x = (128 + 60 * light[:, None, None, None] + rng.normal(0, 5, (96, 16, 16, 1))).clip(0, 255).astype(np.uint8)
    values = (190 + 180 * light[:, None]).astype(np.float32)
    data = from_splits([(x, values)] * 3, "data", task=Regression())
    table = {
        "name": "values",
        "task": "regression",
        "metric": "mse",
        "data": {"source": "objects"},
        "teacher": {
            "model": {"kind": "transformers", "folder": folders["images"], "head": "linear"},
            "epochs": 20,
            "batch_size": 16,
            "lr": 0.05,
        },
        "student": {"model": {"kind": "convnet"}},
        "losses": [{"kind": "squared_error"}],
        "targets": ["ort-cpu"],
    }
    request = requests.make(table, data=fingerprint(data), cache=tmp_path)
    workspace = prepare(request, Objects(dataset=data))
    trained = teach.teacher(workspace, workspace.plan.get("teacher", TeachStep)).student.module
    assert isinstance(trained, Rescaled) and isinstance(bare(trained), FrozenBody)
    answered = predictions.predict(trained, workspace.feed_of("teacher"), "train")
    assert np.abs(answered - values).mean() < values.std(), "head and unit together, and not the unit twice"


def test_a_folder_teaches_as_it_stands(folders: dict[str, str], tmp_path: Path) -> None:
    request = requests.make(recipe(folders["whole"], 0, head="own"), cache=tmp_path, quick=True)
    workspace = prepare(request, Objects())
    assert request.recipe.teacher.epochs == 0
    trained, outputs = running.train_all(workspace)
    assert trained["teacher"].history == []
    ids, mask = (torch.tensor(x) for x in workspace.feed_of("teacher").inputs("test", 0, 32).values())
    model = transformers.BertForSequenceClassification.from_pretrained(folders["whole"]).eval()
    with torch.no_grad():
        wanted = model(ids, mask).logits.numpy()
    np.testing.assert_allclose(answers.whole(outputs.split("test")), wanted, rtol=1e-3, atol=1e-4)


RECORD = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 28}, "resample": 3}


@pytest.mark.parametrize(
    ("record", "channels", "ops", "note"),
    [
        (
            RECORD,
            3,
            ["resize", "crop", "scale", "normalise", "layout"],
            "as preprocessor_config.json in its folder says",
        ),
        ({**RECORD, "resample": 5}, 3, None, "resample = .*5.* is not done"),
        ({**RECORD, "image_processor_type": "LevitImageProcessor"}, 3, None, "LevitImageProcessor is not read"),
        (RECORD, 1, None, "no three channels"),
        ({}, 3, None, ""),
    ],
    ids=["read", "a filter", "another processor", "grey", "no record"],
)
def test_a_folders_network_is_shown_images_as_its_record_says(
    folders: dict[str, str], tmp_path: Path, record: dict[str, object], channels: int, ops: list[str] | None, note: str
) -> None:
    shutil.copytree(folders["images"], tmp_path / "net")
    if record:
        (tmp_path / "net" / "preprocessor_config.json").write_text(json.dumps(record))
    x = np.random.default_rng(0).integers(0, 256, (6, 20, 24, channels), dtype=np.uint8)
    data = from_splits([(x, np.arange(6) % 2)] * 3, "data")
    table = {
        "name": "t",
        "data": {"source": "objects"},
        "student": {"model": {"kind": "convnet"}},
        "losses": [{"kind": "kl"}],
        "teacher": {"model": {"kind": "transformers", "folder": str(tmp_path / "net"), "head": "linear"}},
    }
    shown = set_up.views(recipes.parse(table, "r"), data, quick=False)
    assert [op["op"] for op in shown.feed.ops] == ["scale", "layout"], "the student's are the data's"
    feed = shown.feeds["teacher"]
    assert [op["op"] for op in feed.ops] == (ops or ["scale", "layout"])
    if ops:
        assert feed.ops[0] == {"op": "resize", "height": 32, "width": 38, "interpolation": "bicubic"}
        assert preprocess.apply(feed.ops, x)["input"].shape == (6, 3, 28, 28)
    assert re.search(note, " ".join(shown.dataset.notes)) and bool(note) == (shown.dataset.notes != data.notes)


def test_a_record_that_the_library_can_not_read_is_told(folders: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(folders["images"], tmp_path / "net")
    (tmp_path / "net" / "preprocessor_config.json").write_text(json.dumps({**RECORD, "size": "large"}))
    with pytest.raises(FactoryError, match=r"preprocessor_config.json.*size"):
        Transformers(folder=str(tmp_path / "net")).preprocess((20, 24, 3))
