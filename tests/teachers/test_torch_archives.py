"""TorchScript and exported programs as teachers: what they answer, and what is not opened."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgekd.base.errors import DataError, EdgekdError, FactoryError, IntegrityError, RecipeError
from edgekd.base.preprocess import Spec
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.prepare import Objects, prepare
from edgekd.teachers.torch_export import TorchExport
from edgekd.teachers.torchscript import Torchscript

IMAGE = (Spec("input", (None, 1, 8, 8)),)


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4)).eval()


def script(path: Path, module: nn.Module) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module), path)
    return str(path)


class Tabled(nn.Module):
    """Answers a table."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"features": x.flatten(1), "logits": self.net(x)}


def export(path: Path, module: nn.Module, batch: int | None = None) -> str:
    x = torch.randn(batch or 2, 1, 8, 8)
    free = ({0: torch.export.Dim("batch", min=1)},) if batch is None else None
    torch.export.save(torch.export.export(module, (x,), dynamic_shapes=free), path)
    return str(path)


def some(count: int) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_script_answers_as_the_network_does(tmp_path: Path) -> None:
    module = Torchscript(script(tmp_path / "t.pt", net())).network(IMAGE, "teacher.model")
    torch.testing.assert_close(module(some(5)), net()(some(5)))


@pytest.mark.parametrize("batch", [None, 3])
def test_an_exported_program_answers_any_number_of_samples(tmp_path: Path, batch: int | None) -> None:
    kind = TorchExport(export(tmp_path / "t.pt2", Tabled(), batch), allow_code=True)
    module = kind.network(IMAGE, "teacher.model").eval().float()
    for count in (1, 3, 7):
        given: Any = module(some(count))
        torch.testing.assert_close(given["logits"], net()(some(count)))
        assert given["features"].shape == (count, 64)


class Reads(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file("somewhere", False, 1)


class Writes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, "somewhere")
        return x


def test_a_script_that_reaches_for_files_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script(tmp_path / "t.pt", Reads())
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(
        IntegrityError, match=r"t\.pt: a program that reaches beyond its tensors; found 'torch\.from_file"
    ):
        Torchscript(path).network(IMAGE, "teacher.model")
    monkeypatch.undo()
    assert isinstance(Torchscript(path, allow_code=True).network(IMAGE, "teacher.model"), nn.Module)


def test_an_exported_program_is_opened_where_code_is_allowed_alone(tmp_path: Path) -> None:
    path = export(tmp_path / "t.pt2", net())
    with pytest.raises(RecipeError, match=r"t\.pt2: opening it may run code; allowed: with allow_code alone"):
        TorchExport(path).network(IMAGE, "teacher.model")


@pytest.mark.parametrize("make", [Torchscript, TorchExport])
def test_what_is_no_archive_is_told(tmp_path: Path, make: Callable[..., Any]) -> None:
    path = Path(script(tmp_path / "whole.pt", net()))
    half = tmp_path / "half.pt"
    half.write_bytes(path.read_bytes()[:-200])
    for file in (half, tmp_path / "weights.pt"):
        if not file.exists():
            torch.save(net().state_dict(), file)
        for allow_code in (False, True) if make is Torchscript else (True,):
            with pytest.raises((DataError, FactoryError), match=rf"{file.name}: ") as error:
                make(str(file), allow_code=allow_code).network(IMAGE, "teacher.model")
            assert isinstance(error.value, EdgekdError) and error.value.exit_code == 2


@pytest.mark.parametrize("kind", ["torchscript", "torch_export"])
def test_a_student_learns_from_it(tmp_path: Path, kind: str) -> None:
    """Its answers are kept; a run that has them opens nothing."""
    script(tmp_path / "t.pt", net())
    export(tmp_path / "t.pt2", net())
    file = {"torchscript": {"path": str(tmp_path / "t.pt")}, "torch_export": {"path": str(tmp_path / "t.pt2")}}[kind]
    recipe: dict[str, Any] = {
        "name": "small",
        "data": {"source": "made", "shape": [8, 8, 1], "classes": 4, "train": 96, "validation": 48, "test": 48},
        "teacher": {"model": {"kind": kind, **file, "allow_code": True}},
        "student": {"model": {"kind": "convnet", "width": 8, "depth": 2}, "epochs": 1},
        "losses": [{"kind": "kl"}],
        "targets": ["ort-cpu"],
    }
    workspace = prepare(requests.make(recipe, cache=tmp_path / "cache", quick=True), Objects())
    trained, outputs = running.train_all(workspace)
    x = torch.tensor(workspace.feed.inputs("test", 0, 48)["input"])
    torch.testing.assert_close(torch.tensor(outputs.split("test")), net()(x), rtol=1e-4, atol=1e-4)
    assert trained["teacher"].student.params == sum(p.numel() for p in net().parameters())
    assert running.teacher_bytes(workspace, trained) > 4 * 600
