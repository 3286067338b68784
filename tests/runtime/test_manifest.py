"""Format 2 of a bundle: what its manifest tells, what is replayed of it, and that format 1 still opens."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import edgekd
from edgekd.base.errors import IntegrityError, UnavailableError
from edgekd.runtime import bundle as bundles
from edgekd.runtime import opening

ONE = Path(__file__).parents[1] / "golden" / "bundle_1"


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    return rng.integers(0, 17, (count, 4, 4, 1)).astype(np.uint8), np.arange(count) % 3


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for two runtimes, of a network that is compressed as it stands."""
    folder = tmp_path_factory.mktemp("format")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    table = {
        "student": {"from_teacher": [], "epochs": 0},
        "data": {"preprocess": [{"op": "scale", "divide": 16}, {"op": "layout"}]},
    }
    data = (images(60), images(30), images(31))
    where: dict[str, Any] = {"out": folder / "out", "cache": folder / "cache"}
    edgekd.build(table, teacher=net, data=data, targets=["ort-cpu", "openvino"], quick=True, **where)
    return folder / "out"


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest, and its digest with it."""
    table = json.loads((folder / "manifest.json").read_text())
    change(table)
    data = bundles.canonical(table)
    (folder / "manifest.json").write_bytes(data)
    (folder / "manifest.sha256").write_bytes(bundles.digest_file(data))


def own(table: dict[str, Any], target: str) -> dict[str, Any]:
    found: dict[str, Any] = table["components"]["student"]["variants"][target]["executor_info"]["edgekd"]
    return found


def test_what_the_manifest_tells(built: Path) -> None:
    table = json.loads((built / "manifest.json").read_text())
    about = table["additional_metadata"]["edgekd"]
    assert about["format"] == 2 and about["task"] == {"kind": "classification"}
    assert about["sample"] == {"dtype": "uint8", "rate": 0, "shape": [4, 4, 1]}
    assert about["outputs"] == [{"axes": ["batch", "class"], "labels": ["0", "1", "2"], "name": "logits"}]
    assert (about["thresholds"], about["sbom"], about["decisions"]) == ({}, "sbom.json", "decisions.json")
    for target, runtime in (("ort-cpu", "onnxruntime"), ("openvino", "openvino")):
        variant = own(table, target)
        (graph,) = variant["graphs"]
        assert graph["inputs"] == [{"dtype": "float32", "name": "input", "shape": [None, 1, 4, 4]}]
        assert (graph["name"], graph["file"], graph["outputs"]) == ("main", variant["files"][0], ["logits"])
        assert [place["runtime"].split()[0] for place in variant["checked"]] == [runtime]


def test_sha256sum_reads_the_digest(built: Path) -> None:
    assert subprocess.run(["sha256sum", "-c", "manifest.sha256"], cwd=built, capture_output=True).returncode == 0
    assert bundles.read(built).digest == (built / "manifest.sha256").read_text().split()[0]


def test_verify_decides_about_raw_samples(built: Path) -> None:
    checks = [check["check"] for check in edgekd.verify(built)]
    assert sum("raw samples" in check for check in checks) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda about: about["outputs"][0]["labels"].reverse(), "edgekd_labels: says otherwise"),
        (lambda about: about["preprocess"][0].update(divide=-4), "edgekd_preprocess: says otherwise"),
    ],
    ids=["labels in another order", "another preprocessing"],
)
def test_what_golden_inputs_do_not_see(
    built: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    shutil.copytree(built, tmp_path / "b")
    rewrite(tmp_path / "b", lambda table: change(table["additional_metadata"]["edgekd"]))
    with pytest.raises(IntegrityError, match=said):
        edgekd.verify(tmp_path / "b")


def test_a_users_own_backend_is_named_without_its_module(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "b")

    def change(table: dict[str, Any]) -> None:
        own(table, "ort-cpu")["backend"] = "plugin:Ort"
        body = table["components"]["student"]["variants"]["ort-cpu"]
        del body["ep"], body["device"], body["executor_info"]["ort"]  # which are of ONNX Runtime's own

    rewrite(tmp_path / "b", change)
    with pytest.raises(UnavailableError, match="needs a backend of its maker's own"):
        edgekd.load(tmp_path / "b", target="ort-cpu")
    assert any("skipped" in check and "maker's own" in check["skipped"] for check in edgekd.verify(tmp_path / "b"))
    plugins = ["edgekd.runtime.backends.ort.backend:Ort"]
    assert edgekd.load(tmp_path / "b", target="ort-cpu", plugins=plugins).target == "ort-cpu"
    assert not any("skipped" in check for check in edgekd.verify(tmp_path / "b", plugins=plugins))


@pytest.mark.parametrize("target", ["ort-cpu", "openvino"])
def test_another_runtime_must_answer_alike(
    built: Path, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a variant was never scored, one golden sample is asked before an app gets it."""
    asked: list[str] = []
    golden_of = bundles.Bundle.golden_of

    def told(bundle: bundles.Bundle, variant: bundles.Variant) -> Any:
        asked.append(variant.target)
        x, y = golden_of(bundle, variant)
        return x, {name: -scores if wrong else scores for name, scores in y.items()}

    monkeypatch.setattr(bundles.Bundle, "golden_of", told)
    wrong = True
    assert edgekd.load(built, target=target).target == target and not asked, "scored on the like"
    older = {"arch": "x86_64", "isa": [], "runtime": "another 1.0"}
    out = shutil.copytree(built, tmp_path / "b")
    rewrite(out, lambda table: own(table, target).update(checked=[older]))
    with pytest.raises(UnavailableError, match="does not answer here as where it was checked"):
        edgekd.load(out, target=target)
    wrong = False
    assert edgekd.load(out, target=target).target == target and asked == [target, target]


def test_the_older_format_opens(tmp_path: Path) -> None:
    bundle = bundles.read(ONE)
    assert (bundle.format, bundle.task, bundle.labels) == (1, {"kind": "classification"}, ("0", "1", "2"))
    assert edgekd.load(ONE).predict(images(5)[0][0]).label in "012"
    checks = edgekd.verify(ONE)
    assert [check["check"] for check in checks if "skipped" in check] == ["format 1"]
    assert opening.open_variant(bundle, bundle.variants[0]).is_checked is False
