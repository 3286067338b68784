"""A whole build on digits, from the command line to a prediction."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import _small
import pytest

import edgekd
from edgekd import cli
from edgekd.learn.data.digits import Digits

SMALL = _small.line_of(_small.DIGITS)
QUICK = ["build", "digits", "--quick", "--target", "ort-cpu", "--target", "openvino", *SMALL]


@pytest.fixture(scope="module")
def built(own_digits: Path) -> Path:
    """A quick bundle for both runtimes, made by ``QUICK``; its cache lies beside it."""
    return own_digits / "out"


def test_the_report_keeps_the_contract(built: Path) -> None:
    report = json.loads((built / "report.json").read_text())
    assert report["schema_version"] == 1
    assert report["shippable"] is False
    assert set(report["targets"]) == {"ort-cpu", "openvino"}
    for target in report["targets"].values():
        names = [c["name"] for c in target["candidates"]]
        assert target["shipped"] in names
        assert {"fp32", "fp32-pruned"} <= set(names)
        assert target["parity"]["argmax_agreement"] > 0.95
        for candidate in target["candidates"]:
            assert candidate["latency_ms"]["p50"] > 0
            assert candidate["samples"] >= 100
    assert [stage["name"] for stage in report["stages"]][:2] == ["teacher", "student"]
    assert isinstance(report["details"]["notes"], list)


def test_every_refusal_names_operators_and_every_stage_is_accounted_for(built: Path) -> None:
    report = json.loads((built / "report.json").read_text())
    for name, target in report["targets"].items():
        for candidate in target["candidates"]:
            ran = candidate["kernels"]
            assert ran is None or (sum(ran["ops"].values()) > 0 and sum(ran["microseconds"].values()) > 0)
            if candidate["name"] != target["shipped"]:
                assert re.search("convolutions|Conv|linear|Gemm", candidate["verdict"].partition("; ")[2])
        rows = report["details"]["attribution"][name]
        assert {row["stage"] for row in rows} == {"teacher", *(c["name"] for c in target["candidates"])}
        assert [row["stage"] for row in rows if row["ships"]] == [target["shipped"]]


def test_an_app_can_predict(built: Path) -> None:
    test = Digits().load().test
    for target in ("ort-cpu", "openvino"):
        model = edgekd.load(built, target=target)
        one = model.predict(test.x[0, :, :, 0])
        many = model.predict(test.x[:32])
        assert one.index == many[0].index
        assert one.label == str(one.index)
        assert sum(one.scores) == pytest.approx(1)


def test_verify_passes_and_a_flipped_byte_does_not(built: Path, tmp_path: Path) -> None:
    assert cli.run(["verify", str(built)]) == 0
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(built, broken)
    file = broken / "ort-cpu" / "model.onnx"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert cli.run(["verify", str(broken)]) == 5


def test_the_same_build_again_is_done_at_once(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*QUICK, "--out", str(built), "--cache", str(built.parent / "elsewhere")]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_another_bundle_in_the_way_is_refused(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*QUICK, "--out", str(built), "--set", "seed=1"]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_candidates_are_kept_beside_the_bundle(built: Path) -> None:
    kept = built.with_name("out.candidates")
    assert (kept / "ort-cpu" / "fp32.onnx").is_file()
    assert (kept / "openvino" / "fp32.xml").is_file()
    assert (kept / "openvino" / "fp32.bin").is_file()


def test_a_folder_of_other_files_is_no_place_for_candidates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "out.candidates" / "people.csv"
    mine.parent.mkdir()
    mine.write_text("mine")
    line = [*QUICK, "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--keep-candidates"]
    assert cli.run(line) == 2
    assert "out.candidates: holds other files; found 'people.csv'" in capsys.readouterr().err
    assert mine.read_text() == "mine" and not (tmp_path / "cache" / "artifacts").exists()


def test_an_unchanged_build_can_still_keep_its_candidates(built: Path) -> None:
    import shutil

    kept = built.with_name("out.candidates")
    shutil.rmtree(kept)
    (kept / "ort-cpu").mkdir(parents=True)
    (kept / "ort-cpu" / "stale.onnx").write_bytes(b"")
    line = [*QUICK, "--out", str(built), "--cache", str(built.parent / "cache"), "--keep-candidates"]
    assert cli.run(line) == 0
    assert (kept / "ort-cpu" / "fp32.onnx").is_file() and not (kept / "ort-cpu" / "stale.onnx").exists()


def test_an_empty_folder_may_be_the_output(built: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert cli.run([*QUICK, "--out", str(tmp_path / "out"), "--cache", str(built.parent / "cache")]) == 0
    assert "not to be shipped" in (tmp_path / "out" / "README.md").read_text()


def test_losses_on_layers_go_through_every_step(built: Path, tmp_path: Path) -> None:
    hint = '{kind="hint",student_layers=["features.0"],teacher_layers=["features.0"],final_weight=0.0}'
    relation = '{kind="relational",weight=0.01}'
    losses = f'losses=[{{kind="kl"}},{hint},{relation}]'
    line = ["build", "digits", "--quick", "--target", "ort-cpu", *SMALL, "--set", losses]
    assert cli.run([*line, "--out", str(tmp_path / "out"), "--cache", str(built.parent / "cache")]) == 0
    history = json.loads((tmp_path / "out" / "report.json").read_text())["details"]["history"]
    assert set(history["student"][0]["losses"]) == {"kl", "hint", "relational"}
    assert set(history["channel_prune"][0]["losses"]) == {"kl", "hint", "relational"}
    assert set(history["int8_qat (int8)"][0]["losses"]) == {"kl", "relational"}, "a graph has no layers, but an output"


def document(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    """What ``--json`` prints: one document on stdout."""
    capsys.readouterr()
    assert cli.run([*args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_is_one_document(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = document(capsys, *QUICK, "--out", str(built))
    assert report == json.loads((built / "report.json").read_text())
    assert {row["name"] for row in document(capsys, "targets")} >= {"ort-cpu", "openvino", "ort-cpu-vnni"}
    assert document(capsys, "doctor")["host"]["cores"] >= 1
    ops = document(capsys, "inspect", str(built))["models"][0]["ops"]
    assert {row["op"] for row in ops} >= {"Conv"}
    assert document(capsys, "bench", str(built), "--seconds", "0.05")
    assert all(check for check in document(capsys, "verify", str(built)))


def test_a_dry_run_and_a_plan_train_nothing(built: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cache = str(built.parent / "cache")
    tree = document(capsys, *QUICK, "--dry-run", "--out", str(tmp_path / "never"), "--cache", cache)
    assert not (tmp_path / "never").exists()
    steps = {row["name"]: row for row in tree["steps"]}
    assert all(row["cached"] for row in tree["steps"])
    assert steps["student"]["seconds"] is None, "a build with --quick is a rehearsal itself, and is not timed"
    assert steps["student"]["targets"] == ["ort-cpu", "openvino"]
    fresh = document(capsys, "plan", "digits", "--quick", *SMALL, "--cache", str(tmp_path / "fresh"))
    assert not any(row["cached"] for row in fresh["steps"])
    outputs = {row["name"]: row["outputs"] for row in fresh["steps"] if "outputs" in row}
    assert list(outputs) == ["teacher"] and "samples at 40 bytes (float32 of 10)" in outputs["teacher"]


def test_report_is_rendered_again(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.html"
    assert cli.run(["report", str(built), "--out", str(out)]) == 0
    assert out.read_text() == (built / "report.html").read_text()


def test_a_page_that_is_asked_for_in_the_bundle_stands_beside_it(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "mine"
    shutil.copytree(built, bundle)
    for folder in (".", "..", str(bundle)):
        monkeypatch.chdir(bundle if folder != ".." else next(bundle.glob("*/")))
        assert cli.run(["report", folder]) == 0
        (tmp_path / "mine.report.html").unlink()
    assert cli.run(["verify", str(bundle)]) == 0
    monkeypatch.chdir(tmp_path)
    assert cli.run(["report", "mine"]) == 0 and Path("mine.report.html").is_file()


def test_init_writes_a_recipe_that_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["init"]) == 0
    assert (tmp_path / "edgekd.toml").read_text().count("#") > 20
    assert cli.run(["init", "mine.toml"]) == 0
    assert 'name = "mine"' in (tmp_path / "mine.toml").read_text()
    assert cli.run(["plan", "--target", "ort-cpu", "--cache", str(tmp_path / "c")]) == 0


def test_the_files_say_what_they_are(built: Path) -> None:
    import onnx

    model = onnx.load(built / "ort-cpu" / "model.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["edgekd_labels"]) == [str(i) for i in range(10)]
    assert [op["op"] for op in json.loads(metadata["edgekd_preprocess"])] == ["scale", "layout"]
    xml = (built / "openvino" / "openvino_model.xml").read_text()
    assert "edgekd_labels" in xml and "conversion_parameters" not in xml


def test_two_builds_of_the_same_inputs_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    assert (
        cli.run([*QUICK, "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--keep-candidates"]) == 0
    )
    for one in sorted(built.with_name("out.candidates").rglob("*.*")):
        other = tmp_path / "out.candidates" / one.relative_to(built.with_name("out.candidates"))
        assert one.read_bytes() == other.read_bytes(), one.name


def test_threads_share_a_model(built: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    x = Digits().load().test.x
    for target in ("ort-cpu", "openvino"):
        model = edgekd.load(built, target=target)
        wanted = [p.scores for p in model.predict(x[:40])]
        with ThreadPoolExecutor(4) as pool:
            found = [p.scores for p in pool.map(model.predict, [x[i % 40] for i in range(120)])]
        assert all(found[i] == pytest.approx(wanted[i % 40], abs=1e-4) for i in range(120))
