"""``edgekd.build`` with data and networks as libraries give them, from the batches to an app's answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForSequenceClassification

import edgekd
from edgekd.base import plugins
from edgekd.build import network_key, set_up
from edgekd.document.report import Report
from edgekd.spec import recipe


def bert(width: int) -> nn.Module:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": width, "intermediate_size": width, "num_attention_heads": 2}
    config = BertConfig(vocab_size=60, max_position_embeddings=16, num_hidden_layers=1, **sizes)
    return BertForSequenceClassification(config)


def texts(count: int) -> list[dict[str, Any]]:
    """Samples as a tokenizer gives them, of several lengths; token 50 says that it is of class 1."""
    rng, samples = np.random.default_rng(count), []
    for i in range(count):
        ids = rng.integers(5, 50, 4 + i % 3)
        ids[1] = 50 + i % 2
        row = {"input_ids": ids, "token_type_ids": 0 * ids, "attention_mask": 0 * ids + 1, "labels": i % 2, "idx": i}
        samples.append(row)
    return samples


def padded(samples: list[dict[str, Any]]) -> dict[str, Tensor]:
    """A batch, padded to its own longest."""
    longest = max(len(sample["input_ids"]) for sample in samples)
    rows = {
        name: torch.tensor(np.array([np.resize(np.append(s[name], [0] * longest), longest) for s in samples]))
        for name in ("token_type_ids", "input_ids", "attention_mask")
    }
    return {**rows, **{name: torch.tensor([s[name] for s in samples]) for name in ("labels", "idx")}}


class Small(nn.Module):
    """A student that takes fewer columns than its teacher, by other arguments' order, and returns more than scores."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.head = nn.Embedding(60, 8), nn.Linear(8, 2)

    def forward(self, attention_mask: Tensor, input_ids: Tensor) -> dict[str, Any]:
        hidden = self.words(input_ids) * attention_mask[..., None]
        return {"hidden_states": (hidden,), "logits": self.head(hidden.sum(1))}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    samples: list[Any] = [texts(n) for n in (48, 24, 24)]
    loaders: list[DataLoader[Any]] = [DataLoader(x, batch_size=2, collate_fn=padded, shuffle=True) for x in samples]
    table = {"student": {"epochs": 1}, "compress": []}
    report = edgekd.build(
        table,
        teacher=bert(16),
        student=Small(),
        data=tuple(loaders),
        targets=["ort-cpu"],
        out=folder / "out",
        cache=folder / "cache",
        quick=True,
    )
    return report, folder / "out"


def test_a_loader_of_padded_dicts_a_model_output_and_fewer_columns(built: tuple[Report, Path]) -> None:
    report, folder = built
    notes = " ".join(report["details"]["notes"])
    assert "sequences of 4 to 6 are padded to 6" in notes or "sequences of 5 to 6 are padded to 6" in notes
    assert "columns that no network takes are left out: idx" in notes
    assert "of what the student returns logits is taken, and left out: hidden_states.0" in notes
    model = edgekd.load(folder)
    sample = np.array([1, 1, 1, 1, 1, 0, 7, 50, 8, 9, 10, 0])
    assert model.predict(sample).index in (0, 1), "the student's columns, in its own order"
    columns = {"attention_mask": sample[None, :6], "input_ids": sample[None, 6:]}
    assert list(model.run(columns)) == ["logits"] and model.run(columns)["logits"].shape == (1, 2)
    edgekd.verify(folder)


def split_of_texts(count: int) -> dict[str, Any]:
    return padded(texts(count))


def splits_of_texts() -> dict[str, dict[str, Any]]:
    """What a factory of a recipe may give: it does not know the networks, so no column is left out yet."""
    splits = {"train": 48, "validation": 24, "test": 26}
    return {name: {k: v for k, v in split_of_texts(count).items() if k != "idx"} for name, count in splits.items()}


def test_a_recipes_factories_are_given_what_their_arguments_say() -> None:
    table = {
        "name": "t",
        "data": {"source": "python", "factory": f"{__name__}:splits_of_texts"},
        "teacher": {"model": {"kind": "python", "factory": f"{__name__}:bert", "args": {"width": 8}}},
        "student": {"model": {"kind": "python", "factory": f"{__name__}:Small"}},
        "losses": [{"kind": "kl"}],
    }
    parsed = recipe.parse(table, "r")
    data = plugins.build("data", {"kind": "python", "factory": f"{__name__}:splits_of_texts"}, "data").load()
    shown = set_up.views(parsed, data, quick=False)
    assert [spec.name for spec in shown.feed.specs] == ["attention_mask", "input_ids"], "what the student takes"
    teacher = [spec.name for spec in shown.feeds["teacher"].specs]
    assert teacher == ["attention_mask", "input_ids", "token_type_ids"]
    roots = set_up.roots(parsed, shown, None, None)
    for role, feed in (("student", shown.feed), ("teacher", shown.feeds["teacher"])):
        x = [torch.tensor(array) for array in feed.inputs("train", 0, 4).values()]
        module = network_key.seeded(roots[role], 0).eval()
        answers = module(*x)
        scores = answers["logits"] if isinstance(answers, dict) else answers
        assert scores.shape == (4, 2)
    ids = shown.feeds["teacher"].inputs("train", 0, 4)["input_ids"]
    assert np.array_equal(ids, shown.feed.inputs("train", 0, 4)["input_ids"]) and (ids >= 50).any()


class Towers(nn.Module):
    """A picture and a person: inputs of other types and shapes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.person, self.head = nn.Conv2d(1, width, 3), nn.Embedding(9, width), nn.Linear(width, 2)

    def forward(self, image: Tensor, user: Tensor) -> tuple[Tensor, Tensor]:
        features = self.conv(image).relu().mean((2, 3)) + self.person(user)
        return features, self.head(features)


def test_two_towers_of_numbers_and_ids(tmp_path: Path) -> None:
    def split(count: int) -> dict[str, Any]:
        rng, y = np.random.default_rng(count), np.arange(count) % 2
        image = rng.standard_normal((count, 1, 6, 6)) + y[:, None, None, None]
        return {"user": rng.integers(0, 9, count), "image": image, "label": y.astype(np.int32)}

    report = edgekd.build(
        {"student": {"epochs": 1}, "compress": []},
        teacher=Towers(16),
        student=Towers(8),
        data={"train": split(48), "validation": split(24), "test": split(26)},
        targets=["ort-cpu"],
        out=tmp_path / "out",
        cache=tmp_path / "cache",
        quick=True,
    )
    assert report["targets"]["ort-cpu"]["parity"]["argmax_agreement"] == 1.0
    model = edgekd.load(tmp_path / "out")
    assert model.predict(np.append(np.zeros(36), 8.0).astype(np.float32)).index in (0, 1)
    with pytest.raises(edgekd.EdgekdError, match="unknown user"):
        model.predict(np.append(np.zeros(36), 9.0).astype(np.float32))
    edgekd.verify(tmp_path / "out")
