"""A whole build on digits, from the command line to a prediction."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgekd
from edgekd import cli
from edgekd.learn.data.digits import Digits

QUICK = ["build", "digits", "--quick", "--target", "ort-cpu", "--target", "openvino"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quick bundle for both runtimes."""
    folder = tmp_path_factory.mktemp("build")
    code = cli.run([*QUICK, "--out", str(folder / "out"), "--cache", str(folder / "cache"), "--keep-candidates"])
    assert code == 0
    return folder / "out"


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
