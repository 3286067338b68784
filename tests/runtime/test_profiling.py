"""What a runtime runs of a model file: small nets, in the child that strangers' files are opened in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgekd.base import backend_facts
from edgekd.base.errors import IntegrityError, UnavailableError, UsageError
from edgekd.document.kernel import Kernel
from edgekd.document.kernel_costs import Profiled
from edgekd.runtime import backend as backends
from edgekd.runtime import profiling
from edgekd.runtime.profiling import Request

HEAD = '<ir_version: 10, opset_import: ["" : 20]>\n'
CONV = """
    {weight} = DequantizeLinear<axis = 0>(w, ws)
    q = QuantizeLinear({input}, s, z)
    d = DequantizeLinear(q, s, z)
    c = Conv<pads = [1, 1, 1, 1]>(d, {weight})
    r = Relu(c)
    rq = QuantizeLinear(r, s, z)
    rd = DequantizeLinear(rq, s, z)
    g = Sigmoid(rd)
    y = GlobalAveragePool(g)
"""


def quantized(name: str = "x", size: int | str = 8) -> bytes:
    """A convolution in int8 between a float input and a float sigmoid."""
    body = CONV.format(weight="wd", input=name)
    net = onnx.parser.parse_model(
        f"{HEAD}g (float[n,16,{size},{size}] {name}) => (float[n,16,1,1] y)\n"
        f"<float s = {{0.05}}, uint8 z = {{0}}> {{ {body} }}"
    )
    rng = np.random.default_rng(0)
    weight = rng.integers(-60, 60, (16, 16, 3, 3)).astype(np.int8)
    net.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    net.graph.initializer.append(numpy_helper.from_array(np.full(16, 0.01, np.float32), "ws"))
    return bytes(net.SerializeToString())


def text() -> bytes:
    """Ids of a vocabulary of 40 with positions up to 20: longer texts do not run."""
    net = onnx.parser.parse_model(
        f"{HEAD}g (int64[n,t] input_ids, int64[n,t] token_type_ids) => (float[n,t,4] y)\n"
        "<int64 zero = {0}, int64 one = {1}> { "
        "s = Shape(input_ids) l = Gather(s, one) p = Range(zero, l, one) a = Gather(table, input_ids) "
        "b = Gather(positions, p) k = Gather(kinds, token_type_ids) ab = Add(a, b) y = Add(ab, k) }"
    )
    for name, rows in (("table", 40), ("positions", 20), ("kinds", 1)):
        net.graph.initializer.append(numpy_helper.from_array(np.ones((rows, 4), np.float32), name))
    return bytes(net.SerializeToString())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ours.onnx``, ``theirs.onnx`` (the input has another name), ``other.onnx``, and ``ours.xml`` of OpenVINO."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "ours.onnx").write_bytes(quantized())
    (folder / "theirs.onnx").write_bytes(quantized("input"))
    (folder / "other.onnx").write_bytes(quantized(size=9))
    (folder / "text.onnx").write_bytes(text())
    (folder / "notes.txt").write_text("no model")
    xml, weights = backends.make("openvino", {}, "test").lower(quantized()).values()
    (folder / "ours.xml").write_bytes(xml)
    (folder / "ours.bin").write_bytes(weights)
    (folder / "lone.xml").write_bytes(xml)
    return folder


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rounds are enough to tell what runs; the child is another process, so the profile is made here."""
    monkeypatch.setattr(profiling, "MOST_ROUNDS", profiling.LEAST_ROUNDS)
    monkeypatch.setattr(profiling, "MIN_SECONDS", 0.01)


def here(**how: object) -> Profiled:
    return profiling.profile_here(**{key: str(v) if isinstance(v, Path) else v for key, v in how.items()})  # type: ignore[arg-type]


def test_one_backend_opens_lone_files_of_a_suffix() -> None:
    suffixes = [facts.lone for facts in backend_facts.every().values() if facts.lone]
    assert sorted(suffixes) == sorted(backend_facts.of_lone_files()) == [".onnx", ".xml"]


@pytest.mark.parametrize(("name", "conv"), [("ours.onnx", "QLinearConv"), ("ours.xml", "Convolution")])
def test_types_shapes_and_conversions_of_each_kernel(files: Path, name: str, conv: str) -> None:
    profiled = here(path=files / name)
    (file,) = profiled["files"]
    assert profiled["inputs"] == {"x": [1, 16, 8, 8]} and profiled["threads"] == 1
    kernels = {kernel["op"]: kernel for kernel in file["kernels"]}
    assert (kernels[conv]["reads"], kernels[conv]["precision"]) == ("int8", "int8")
    assert 16 in kernels[conv]["shape"] and len(kernels[conv]["shape"]) == 4
    assert any(kernel["precision"] == "float32 to int8" for kernel in kernels.values()), "the input is quantized"
    assert file["p50_ms"] > 0 and sum(kernel["microseconds"] or 0.0 for kernel in kernels.values()) > 0
    assert file["bytes"] > 16 * 16 * 9 and profiled["ratio"] is None


def test_two_files_in_turns_whose_inputs_have_other_names(files: Path) -> None:
    profiled = here(path=files / "ours.onnx", beside=files / "theirs.onnx", batch=3, threads=2)
    assert [Path(file["file"]).name for file in profiled["files"]] == ["ours.onnx", "theirs.onnx"]
    assert profiled["inputs"] == {"x": [3, 16, 8, 8]} and profiled["threads"] == 2
    ops = [[kernel["op"] for kernel in file["kernels"]] for file in profiled["files"]]
    assert ops[0] == ops[1], "the same net"
    assert profiled["ratio"] is not None and profiled["ci95"] is not None
    assert profiled["ci95"][0] <= profiled["ratio"] <= profiled["ci95"][1]


def test_onnx_beside_an_ir_runs_on_openvino(files: Path) -> None:
    profiled = here(path=files / "ours.xml", beside=files / "ours.onnx")
    assert profiled["backend"] == "openvino"
    assert any(kernel["op"] == "Convolution" for kernel in profiled["files"][1]["kernels"])


def test_a_free_length_is_the_first_that_runs_or_as_asked(files: Path) -> None:
    assert here(path=files / "text.onnx")["inputs"]["input_ids"] == [1, 16]
    assert here(path=files / "text.onnx", length=7, batch=2)["inputs"]["token_type_ids"] == [2, 7]
    with pytest.raises(UsageError, match=r"text\.onnx: does not run on inputs that are made up: .*--length N"):
        here(path=files / "text.onnx", length=21)


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"path": "nowhere.onnx"}, UsageError, "no such bundle or model file"),
        ({"path": "notes.txt"}, UsageError, r"found 'notes.txt'; allowed: \.onnx, \.xml, or a bundle's folder"),
        ({"path": "lone.xml"}, UsageError, "no weights beside it; allowed: lone.bin"),
        ({"path": "ours.onnx", "beside": "ours.xml"}, UsageError, "a file of another runtime"),
        ({"path": "ours.onnx", "beside": "other.onnx"}, UsageError, "takes other inputs than the first file"),
        ({"path": "ours.onnx", "beside": "text.onnx"}, UsageError, "takes other inputs than the first file"),
    ],
    ids=str,
)
def test_what_can_t_be_profiled(files: Path, how: dict[str, str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        here(**{key: files / name for key, name in how.items()})


def test_a_fixed_batch_is_kept_and_another_refused(tmp_path: Path) -> None:
    (tmp_path / "four.onnx").write_bytes(_fixed(4))
    assert here(path=tmp_path / "four.onnx")["inputs"] == {"x": [4, 16, 8, 8]}
    with pytest.raises(UsageError, match=r"--batch: input 'x' of .*: the model takes a fixed number.*found 2.*4"):
        here(path=tmp_path / "four.onnx", batch=2)


def _fixed(batch: int) -> bytes:
    net = onnx.load_from_string(quantized())
    net.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    return bytes(net.SerializeToString())


def test_the_child_answers_the_same_and_has_limits(files: Path) -> None:
    profiled = profiling.profile(Request(str(files / "ours.onnx")))
    assert {kernel["op"] for kernel in profiled["files"][0]["kernels"]} >= {"QLinearConv", "Sigmoid"}
    with pytest.raises(IntegrityError, match=r"took longer than 0\.1 s"):
        profiling.profile(Request(str(files / "ours.onnx")), max_seconds=0.1)


def test_a_runtime_that_does_not_tell(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "kernels", lambda backend, files, inputs: None)
    with pytest.raises(UnavailableError, match="does not tell what it runs; found 'ort'"):
        here(path=files / "ours.onnx")


def test_medians_over_rounds_keep_kernels_of_one_name_apart() -> None:
    def around(*microseconds: float) -> list[Kernel]:
        return [Kernel("Transpose", "Transpose", "int8", us) for us in microseconds]

    rounds = [around(1.0, 9.0), around(2.0, 8.0), around(50.0, 7.0)]
    assert [kernel.microseconds for kernel in profiling.medians(rounds)] == [2.0, 8.0]
    assert [kernel.microseconds for kernel in profiling.medians([around(4.0, 6.0), around(2.0)])] == [3.0, 6.0]
