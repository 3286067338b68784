"""The peers' scoreboard without peers: what fails is a row with its reason, and what was done is not done again."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import _common
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from peers import _samples, environments, measure, nets, quantize, table  # of benchmarks/

from edgekd.spec import recipe as recipes

NET = "tiny"
BENCHMARKS = Path(environments.__file__).parents[1]
SAMPLES = np.random.default_rng(0).standard_normal((24, 4)).astype(np.float32)
WEIGHT = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)


def one_layer() -> bytes:
    """(N, 4) -> (N, 3)."""
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["input", "weight", "bias"], ["logits"])],
        "one_layer",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(WEIGHT, "weight"), numpy_helper.from_array(np.zeros(3, np.float32), "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one net on one target; its labels are what its fp32 file answers."""
    monkeypatch.setattr(measure, "TARGETS", ("ort-cpu",))
    place = tmp_path / "work" / "nets" / NET
    for candidate in (measure.OURS, measure.CALIBRATED):
        (place / "ours" / "ort-cpu" / candidate).mkdir(parents=True)
        (place / "ours" / "ort-cpu" / candidate / "model.onnx").write_bytes(one_layer())
    (place / "fp32").mkdir()
    (place / "fp32" / "ort-cpu.onnx").write_bytes(one_layer())
    np.savez(place / "calibration.npz", input=SAMPLES)
    for split in ("validation", "test"):
        np.savez(place / f"{split}.npz", **{"input": SAMPLES, _samples.LABELS: (SAMPLES @ WEIGHT).argmax(1)})
    ours = {"ort-cpu": {measure.OURS: 2.0, measure.CALIBRATED: 1.0}}
    facts = {"params": 15, "classes": 3, "inputs": ["input"], "free": {"input": [0]}, "tokens": False, "ours": ours}
    _samples.keep(place / "net.json", facts)
    return tmp_path / "work"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Environments of which one is there, which is this one, and one did not install."""
    folder = tmp_path / "environments"
    python = environments.python_of(folder, "onnxruntime")
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    _samples.keep(folder / "onnxruntime.json", {"error": "", "packages": {"onnxruntime": "1.2.3"}})
    _samples.keep(folder / "olive.json", {"error": "ImportError: no such thing", "packages": {"olive_ai": "0.1"}})
    return folder


def test_peers_run_elsewhere_and_what_fails_is_a_row(
    work: Path, installed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    quantize.run_all(work, installed, [NET], list(quantize.PEERS))
    rows = {peer: json.loads((work / "rows" / NET / f"{peer}.json").read_text()) for peer in quantize.PEERS}
    assert rows["ort_static"]["error"] == "" and rows["ort_static"]["seconds"] > 0
    assert rows["ort_static"]["version"] == "onnxruntime 1.2.3" and rows["olive"]["version"] == "olive-ai 0.1"
    assert rows["olive"]["error"] == "not installable here: ImportError: no such thing"
    assert rows["nncf"]["error"] == "not installable here: not made here"
    made = onnx.load(quantize.files_of(work, NET, "ort_static") / "model.onnx")
    assert "QuantizeLinear" in {node.op_type for node in made.graph.node}
    capfd.readouterr()
    quantize.run_all(work, installed, [NET], list(quantize.PEERS))
    assert capfd.readouterr().out == ""  # every pair has its row

    (work / "nets" / NET / "ours" / "ort-cpu" / measure.CALIBRATED / "model.onnx").write_bytes(b"no model")
    measure.score_all(work, [NET])
    taken = {"fp32": 2000, measure.OURS: 1000, "ort_static": 1500, "ort_dynamic": 3000}
    monkeypatch.setattr(_common, "in_turns", lambda *_: ({name: np.full(100, ns) for name, ns in taken.items()}, [0.1]))
    measure.time_one(work, NET, "ort-cpu", 1, 0.1, again=False)
    row = measure.row_of(work, NET)["targets"]["ort-cpu"]["candidates"]
    assert row["fp32"]["value"] == row[measure.OURS]["agreement"] == 1.0 and row[measure.OURS]["seconds"] == 2.0
    assert row["ort_static"]["agreement"] > 0.8 and row["ort_static"]["over_ours"][0] == 1.5
    assert row[measure.CALIBRATED]["error"] and "p50_us" not in row[measure.CALIBRATED]
    measure.score_all(work, [NET])
    assert capfd.readouterr().out.count("on ort-cpu, fp32") == 2  # scored and timed once


def found() -> dict[str, Any]:
    """Results of two nets, one of which a peer refused."""
    good = {"value": 0.9, "agreement": 1.0, "bytes": 1000, "p50_us": 10.0, "over_ours": [1.0, 1.0, 1.0]}
    peer = good | {"value": 0.88, "bytes": 2000, "p50_us": 40.0, "over_ours": [4.0, 3.9, 4.1], "seconds": 3.0}
    refused = {"error": "ValueError: no | such <op>", "seconds": None, "version": "olive-ai 0.1"}
    first = {
        "fp32": good | {"value": 0.91},
        "int8": good,
        "int8-ptq": good,
        "olive": peer | {"version": "olive-ai 0.1"},
    }
    both = {"one": first, "two": first | {"olive": refused}}
    return {
        "titles": {"olive": "Olive"},
        "nets": {net: {"targets": {"ort-cpu": {"candidates": rows}}} for net, rows in both.items()},
    }


def test_the_tables_tell_what_was_measured_and_why_a_peer_has_no_file() -> None:
    (olive,) = [line for line in table.in_short(found()).splitlines() if "Olive" in line]
    assert "1 of 2" in olive and "-3.00, -3.00" in olive and "2.00 | 4.00 (4.00 to 4.00) | 3.0 | olive-ai 0.1" in olive
    lines = [line for line in table.by_net(found()).splitlines() if "Olive" in line]
    assert "4.000 (3.900 to 4.100)" in lines[0] and "no / such <op>" in lines[1]
    assert {line.count("|") for line in table.by_net(found()).splitlines()} == {10}
    assert {line.count("|") for line in table.in_short(found()).splitlines()} == {9}
    (row,) = [figure for what, figure in table.rows(found()) if figure != "not timed"]
    assert row == "Olive 4.00 (1 nets)"


@pytest.mark.parametrize("name", quantize.PEERS)
def test_a_peer_has_a_module_that_makes_it_and_an_environment(name: str) -> None:
    peer = quantize.PEERS[name]
    tree = ast.parse((BENCHMARKS / "peers" / f"{peer.module}.py").read_text())
    (assigned,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "PEERS"]
    assert isinstance(assigned, ast.Dict)
    assert name in [key.value for key in assigned.keys if isinstance(key, ast.Constant)]
    assert any(peer.package == asked.partition("[")[0] or peer.package.startswith("optimum") for asked in
               environments.ENVIRONMENTS[peer.environment].packages)  # fmt: skip


def test_no_environment_chooses_its_own_torch_or_runtime() -> None:
    for asked in environments.ENVIRONMENTS.values():
        names = {line.partition("==")[0] for line in environments.pins(asked.free)}
        assert {*environments.RUNTIMES, "torch"} <= names and not names & set(asked.free)


def test_sequences_come_back_as_long_as_they_were(work: Path) -> None:
    place = work / "nets" / NET
    rows = [{"input": np.full((1, length), length)} for length in (3, 5, 4)]
    np.savez(place / "validation.npz", **nets._padded(rows))
    feeds = _samples.Folder(place).feeds("validation")
    assert [feed["input"].tolist() for feed in feeds] == [row["input"].tolist() for row in rows]


@pytest.mark.parametrize("name", nets.NAMES)
def test_every_net_has_a_recipe(name: str, tmp_path: Path) -> None:
    recipe = recipes.parse(nets.table(name, tmp_path), "recipe")
    assert {step["kind"] for step in recipe.model_dump()["compress"]} == {"int8_ptq", "int8_qat"}
