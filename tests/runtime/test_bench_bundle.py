"""``edgekd bench``: a bundle's figures, two bundles in turns, and the forms of other programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest

import edgekd
from edgekd import cli
from edgekd.base.errors import DeviceError, ResourceError, UsageError
from edgekd.document.bench import DeviceResult
from edgekd.runtime import bundle as bundles
from edgekd.runtime import compare, exports, local, remote
from edgekd.runtime.bench import BenchResult
from edgekd.runtime.bundle import Bundle, Variant
from edgekd.runtime.jobs import BenchJob
from edgekd.runtime.runners import LocalRunner
from edgekd.tasks import Heads

NET = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 3, {side}, {side}] x) => (float[N, 3] logits)
{{
  p = GlobalAveragePool(x)
  logits = Flatten(p)
}}
"""


def make(
    folder: Path,
    *,
    side: int = 8,
    targets: tuple[str, ...] = ("ort-cpu",),
    backend: str = "ort",
    options: dict[str, Any] | None = None,
) -> Path:
    """A bundle of a net that averages a picture."""
    data = onnx.parser.parse_model(NET.format(side=side)).SerializeToString()
    golden = {"x": np.zeros((2, 3, side, side), np.float32)}, {"logits": np.zeros((2, 3), np.float32)}
    variants = [
        Variant(name, backend, options or {}, {"model.onnx": data}, (), "float32", False, 1, 1e-3, golden=golden)
        for name in targets
    ]
    shape, heads = [side, side, 3], Heads({"logits": 3})
    task = {"kind": "classification"}
    about = Bundle("net", task, "0" * 64, "abc", heads, [{"op": "layout"}], shape, True, variants, sample_dtype="uint8")
    bundles.write(folder, about, {})
    return folder


def test_a_bundle_that_nobody_can_remember_does_not_stand(tmp_path: Path) -> None:
    # A full disk between the two would leave a bundle that the next run takes for a stranger's.
    def full(digest: str) -> None:
        raise ResourceError(f"the disk is full: {digest}")

    about = bundles.read(make(tmp_path / "net"))
    with pytest.raises(ResourceError, match=r"full: [0-9a-f]{64}$"):
        bundles.write(tmp_path / "again", about, {}, remember=full)
    assert not (tmp_path / "again").exists()


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("bench") / "net")


@pytest.fixture(scope="module")
def found(net: Path) -> DeviceResult:
    settings = local.Settings(seconds=0.1, batch=4, streams=2, profile=True)
    return edgekd.bench(net, settings=settings)


def test_every_figure_is_there_and_fits_the_others(found: DeviceResult, net: Path) -> None:
    row = found["variants"]["ort-cpu"]
    assert "skipped" not in row
    assert found["device"] == "local" and row["batch"] == 4 and row["streams"] == 2
    assert 0 < row["latency_ms"]["min"] <= row["latency_ms"]["p50"] <= row["latency_ms"]["p99"]
    bound = row["bounds_ms"]["p90"]
    assert bound is not None and bound >= row["latency_ms"]["p90"], "the bound of so few samples lies above"
    assert row["throughput"] > 4 * 1e3 / row["latency_ms"]["max"]
    cold = row["cold"]
    assert cold["start_ms"] > cold["first_ms"] and cold["open_ms"] > 0
    assert cold["peak_memory_bytes"] is not None and cold["peak_memory_bytes"] > 10_000_000
    assert cold["model_memory_bytes"] is not None and cold["model_memory_bytes"] >= 0
    assert row["size_bytes"] == (net / "ort-cpu" / "model.onnx").stat().st_size
    assert {kernel["op"] for kernel in row["kernels"]} >= {"GlobalAveragePool"}
    assert row["stable"] is (row["note"] is None)
    assert json.loads(json.dumps(found))


@pytest.mark.parametrize("form", exports.FORMS)
def test_other_programs_read_it(found: DeviceResult, form: str) -> None:
    text = exports.FORMS[form]([found, {**found, "device": "pi"}])
    row = found["variants"]["ort-cpu"]
    assert "skipped" not in row
    p50 = row["latency_ms"]["p50"]
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["device"] for row in rows] == ["local", "pi"]
        assert float(rows[0]["p50_ms"]) == p50
    elif form == "mlperf":
        assert f"50.00 percentile latency (ns)   : {round(p50 * 1e6)}" in text and "Result is : VALID" in text
    else:
        assert f"Median:        {p50:.2f} ms" in text and "FPS" in text


def test_a_bundle_against_itself_and_against_a_larger_one(net: Path, tmp_path: Path) -> None:
    settings = local.Settings(seconds=0.2)
    same = compare.compare(net, make(tmp_path / "same"), settings=settings)
    assert same["ci95"][0] <= same["ratio"] <= same["ci95"][1] and 0.5 < same["ratio"] < 2
    assert same["a"]["target"] == same["b"]["target"] == "ort-cpu"
    with pytest.raises(UsageError, match="the two take other inputs"):
        compare.compare(net, make(tmp_path / "large", side=16), settings=settings)
    with pytest.raises(UsageError, match="nothing to compare with"):
        compare.compare(net, make(tmp_path / "other", backend="reference"), settings=settings)
    with pytest.raises(UsageError, match="no such variant"):
        compare.compare(net, net, target="openvino")


def test_bundles_may_be_compiled_for_other_lengths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, run = list[BenchJob](), LocalRunner.bench

    def noted(runner: LocalRunner, job: BenchJob) -> BenchResult:
        jobs.append(job)
        return run(runner, job)

    monkeypatch.setattr(LocalRunner, "bench", noted)
    settings, options = local.Settings(seconds=0.05), {"threads": 1, "lengths": [8]}
    one = make(tmp_path / "one", backend="openvino", options=options)
    other = make(tmp_path / "other", backend="openvino", options={"threads": 1})
    assert compare.compare(one, other, settings=settings)["ratio"] > 0
    assert (jobs[0].options, jobs[0].options_of) == ({"threads": 1}, {"A": {"lengths": [8]}, "B": {}})
    with pytest.raises(UsageError, match="nothing to compare with"):
        compare.compare(one, make(tmp_path / "two", backend="openvino", options={"threads": 2}), settings=settings)


def test_the_command_line(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", str(net), "--seconds", "0.05", "--profile"]) == 0
    printed = capsys.readouterr().out
    assert "cold start" in printed and "preprocessing is not in it" in printed and "GlobalAveragePool" in printed
    assert cli.run(["bench", str(net), "--compare", str(make(tmp_path / "b")), "--seconds", "0.05"]) == 0
    assert "times as long as B (95 % interval" in capsys.readouterr().out
    assert cli.run(["bench", str(net), "--export", "csv", "--seconds", "0.05"]) == 0
    assert capsys.readouterr().out.startswith("device,variant,")
    page = tmp_path / "page.html"
    for more in (["--export", "csv"], ["--html", str(page)], ["--profile"], ["--streams", "2"]):
        assert cli.run(["bench", str(net), "--compare", str(net), *more]) == 2
    assert not page.exists()
    line = ["bench", str(net), "--device", "local", "--device", "local", "--seconds", "0.05", "--html", str(page)]
    assert cli.run(line) == 0
    assert page.read_text().count("<td>local</td>") == 4, "two variants measured, two hosts told"


def test_what_was_measured_before_a_cut_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices.toml").write_text('[board]\nkind = "local"\n')
    monkeypatch.setenv("EDGEKD_DEVICES", "devices.toml")
    net, real, asked = make(tmp_path / "two", targets=("a", "b")), remote.Remote.bench, list[str]()

    def cut(self: remote.Remote, job: BenchJob) -> BenchResult:
        asked.append(job.where)
        if asked == ["a", "b"]:
            raise DeviceError("the connection was cut")
        return real(self, job)

    monkeypatch.setattr(remote.Remote, "bench", cut)
    with pytest.raises(DeviceError):
        edgekd.bench(net, seconds=0.05, device="board")
    found = edgekd.bench(net, seconds=0.05, device="board")
    assert asked == ["a", "b", "b"] and set(found["variants"]) == {"a", "b"}
    assert found["host"] is not None and found["host"]["cores"] >= 1 and "host" not in found["variants"]["a"]
    edgekd.bench(net, seconds=0.05, device="board")
    assert asked == ["a", "b", "b", "a", "b"], "what was whole is measured anew"
