"""What ships is what was chosen, as it was measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgekd.base import host, reader
from edgekd.document.report import Report
from edgekd.publish import shipped
from edgekd.runtime import bundle as bundles
from edgekd.spec import target


@pytest.fixture(scope="module")
def built(digits: Path) -> tuple[bundles.Bundle, Report, Path]:
    """The quick bundle of digits, its report, and the folder of the candidates that were measured."""
    report = reader.read((digits / "out" / "report.json").read_bytes(), Report, "report.json")
    return bundles.read(digits / "out"), report, digits / "out.candidates"


def test_each_target_ships_the_files_of_its_choice(built: tuple[bundles.Bundle, Report, Path]) -> None:
    bundle, report, kept = built
    assert {variant.target for variant in bundle.variants} == set(report["targets"]) == {"ort-cpu", "openvino"}
    for variant in bundle.variants:
        name = report["targets"][variant.target]["shipped"]
        assert name is not None and variant.files
        for file in variant.files:
            measured = kept / variant.target / f"{name}{Path(file).suffix}"
            assert bundle.file(f"{variant.target}/{file}") == measured.read_bytes()


def test_what_an_app_is_told_is_what_was_measured(built: tuple[bundles.Bundle, Report, Path]) -> None:
    bundle, report, _ = built
    for variant in bundle.variants:
        table, recorded = target.load(variant.target), report["targets"][variant.target]
        choice = next(c for c in recorded["candidates"] if c["name"] == recorded["shipped"])
        assert (variant.numerics, variant.quantized) == (choice["numerics"], choice["numerics"] == "int8")
        assert (variant.backend, variant.batch) == (table.backend, table.shapes.batch)
        assert variant.checked[0].runtime == recorded["runtime"]
        assert all(set(check.isa) == host.isa() for check in variant.checked)
        (graph,) = variant.graphs
        assert graph.file == next(iter(variant.files))
        assert graph.inputs == (("input", (None, 1, 8, 8), "float32"),) and graph.outputs == ("logits",)
    assert bundle.shippable is report["shippable"] is False, "a quick build is a rehearsal"
    assert bundle.labels == tuple("0123456789") and dict(bundle.heads) == {"logits": 10}


def test_a_runtime_that_scored_the_file_twice_is_named_once() -> None:
    also = {"ort": {"runtime": "onnxruntime 1.30"}, "ort_web": {"runtime": "onnxruntime_web 1.30"}}
    measured: Any = SimpleNamespace(version="onnxruntime 1.30")
    chosen: Any = SimpleNamespace(also=also)
    runtimes = [check.runtime for check in shipped._checked(measured, chosen)]
    assert runtimes == ["onnxruntime 1.30", "onnxruntime_web 1.30"], "what measured it comes first"
