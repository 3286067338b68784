"""What holds for one backend alone; the laws of all of them are in tests/conformance."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import threading
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from openvino import Type, save_model

from edgekd.base.errors import ExportError, FactoryError, IntegrityError, TargetError, UnavailableError, UsageError
from edgekd.runtime import backend as backends
from edgekd.runtime.backends.openvino import backend as openvino
from edgekd.runtime.backends.ort import backend as ort

ROOT = Path(openvino.__file__).parents[4]

# Dense, with nodes that OpenVINO numbers itself and bias shapes that it computes at run time.
CONV = """
<ir_version: 10, opset_import: ["" : 20], metadata_props: ["edgekd.labels": "[\\"a\\", \\"<b>\\"]", "other": "x"]>
net (float[N, 2, 4, 4] x) => (float[N, 2] scores)
<float[3, 2, 1, 1] w = {1, -1, 0.5, 2, -3, 0.25}, float[3] b = {0.5, -0.5, 1},
 float[3, 2] head = {1, 2, 3, 4, 5, 6}, float[1] s = {0.5}>
{
  c = Conv(x, w, b)
  r = Relu(c)
  m = Mul(r, s)
  p = GlobalAveragePool(m)
  f = Flatten(p)
  scores = MatMul(f, head)
}
"""
RELU = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 3] x) => (float[N, 3] y)
{ y = Relu(x) }
"""
TWO_NAMES = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 3] x) => (float[N, 3] y)
{ a = Relu(x)
  y = Identity(a) }
"""
WHERE_POSITIVE = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 3] x) => (int64[2, M] found)
{ r = Relu(x)
  found = NonZero(r) }
"""
SUM_OF_BATCH = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[N, 3] x) => (float[1, 3] y)
<int64[1] axes = {0}>
{ y = ReduceSum(x, axes) }
"""


def model(text: str) -> bytes:
    return onnx.parser.parse_model(text).SerializeToString()


def open_(kind: str, text: str, batch: int | None = None, **options: object) -> backends.Session:
    backend = backends.make(kind, options, "options")
    return backend.open(backend.lower(model(text)), batch)


def python(code: str, **env: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# make


@pytest.mark.parametrize("kind", ["ort", "openvino"])
def test_runs_with_numpy_and_its_runtime_alone(tmp_path: Path, kind: str) -> None:
    (tmp_path / "model.onnx").write_bytes(model(RELU))
    said = python(
        f"""
        import pathlib, sys
        for name in ("torch", "onnx", "onnx_ir", "torchao", "transformers", "pydantic", "click", "rich"):
            sys.modules[name] = None
        import numpy
        from edgekd.runtime import bench, parity, tensor_pb
        from edgekd.runtime import backend as backends
        backend = backends.make({kind!r}, {{}}, "t")
        session = backend.open(backend.lower(pathlib.Path({str(tmp_path / "model.onnx")!r}).read_bytes()))
        print(session.run({{"x": numpy.array([[-1, 0, 1]], "float32")}})["y"].tolist())
        """
    )
    assert said == "[[0.0, 0.0, 1.0]]\n"


@pytest.mark.parametrize(
    ("kind", "module", "pip"),
    [
        ("ort", "onnxruntime", "pip install 'edgekd[ort]'"),
        ("openvino", "openvino", "pip install 'edgekd[openvino]'"),
        ("reference", "onnx", "pip install onnx"),
    ],
)
def test_a_missing_runtime_is_told_with_the_pip_line(
    monkeypatch: pytest.MonkeyPatch, kind: str, module: str, pip: str
) -> None:
    monkeypatch.delitem(sys.modules, f"edgekd.runtime.backends.{kind}.backend", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnavailableError) as caught:
        backends.make(kind, {}, "t.toml: options")
    assert f"{module} is not installed" in str(caught.value)
    assert str(caught.value).endswith(pip)


def test_an_unknown_backend_is_told_with_the_nearest_name() -> None:
    with pytest.raises(TargetError, match="did you mean 'openvino'"):
        backends.make("openvin", {}, "t.toml")


def test_a_users_backend_that_is_not_there_is_the_users_mistake() -> None:
    with pytest.raises(FactoryError, match="nosuchpkg"):
        backends.make("nosuchpkg.mod:Mine", {}, "t.toml")


@pytest.mark.parametrize("kind", ["ort", "openvino"])
@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_threads_out_of_range(kind: str, threads: int) -> None:
    with pytest.raises(TargetError, match=r"options\.threads: 1\.\.1024; found"):
        backends.make(kind, {"threads": threads}, "options")


# ONNX Runtime


def test_ort_unknown_provider() -> None:
    with pytest.raises(UnavailableError, match="did you mean 'CPUExecutionProvider'"):
        ort.Ort(provider="CPUExecutionProvide").check()
    with pytest.raises(UnavailableError, match="no such provider"):
        open_("ort", RELU, provider="NoExecutionProvider")


def test_ort_options_reach_the_session() -> None:
    given: dict[str, Any] = {"threads": 2, "config": {"session.set_denormal_as_zero": True}}
    with ThreadPoolExecutor(1) as other:  # the setting stays with the thread, and hypothesis wants denormals
        session = other.submit(open_, "ort", RELU, **given).result()
    options = session._session.get_session_options()  # type: ignore[attr-defined]
    assert options.get_session_config_entry("session.set_denormal_as_zero") == "1"
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)


def test_ort_outputs_whose_shape_depends_on_the_data() -> None:
    session = open_("ort", WHERE_POSITIVE)
    for count in (3, 1, 0, 3):
        x = np.zeros((2, 3), np.float32)
        x.flat[:count] = 1
        np.testing.assert_array_equal(session.run({"x": x})["found"], np.array(np.nonzero(x)))


# OpenVINO


def test_openvino_import_reports_to_nobody() -> None:
    """Importing it plainly starts a thread that sends an event."""
    said = python(
        """
        import sys
        def audit(event, args):
            if event.split(".")[0] in ("socket", "urllib", "subprocess") or event == "os.fork":
                print(event, args)
        sys.addaudithook(audit)
        import threading
        from edgekd.runtime import backend as backends
        backend = backends.make("openvino", {}, "t")
        backend.check()
        print(threading.active_count(), [name for name in sys.modules if name.startswith("openvino_telemetry")])
        """
    )
    assert said == "1 []\n"


def test_openvino_lowers_to_the_same_bytes_in_every_process() -> None:
    code = f"""
    import hashlib
    import onnx.parser
    from edgekd.runtime.backends.openvino.backend import Openvino
    onnx_of = lambda text: onnx.parser.parse_model(text).SerializeToString()
    for _ in range(EARLIER):
        Openvino().lower(onnx_of({RELU!r}))
    for name, data in Openvino().lower(onnx_of({CONV!r})).items():
        print(name, hashlib.sha256(data).hexdigest())
    """
    first = python(code.replace("EARLIER", "0"), PYTHONHASHSEED="1")
    assert first == python(code.replace("EARLIER", "3"), PYTHONHASHSEED="2")
    assert [line.split()[0] for line in first.splitlines()] == [openvino.XML, openvino.BIN]


def test_openvino_ir_holds_our_keys_alone() -> None:
    xml = openvino.Openvino().lower(model(CONV))[openvino.XML]
    info = ET.fromstring(xml).find("rt_info")
    assert info is not None
    assert [(e.tag, e.get("value")) for e in info.iter() if e.attrib] == [("edgekd.labels", '["a", "<b>"]')]
    read = openvino._core().read_model(xml, openvino.Openvino().lower(model(CONV))[openvino.BIN])
    assert read.get_rt_info(["model_info", "edgekd.labels"]).astype(str) == '["a", "<b>"]'


def test_openvino_without_our_keys_has_no_rt_info() -> None:
    assert b"rt_info" not in openvino.Openvino().lower(model(RELU))[openvino.XML]


def test_openvino_ir_is_lean(tmp_path: Path) -> None:
    files = openvino.Openvino().lower(model(CONV))
    save_model(openvino._core().read_model(model(CONV)), tmp_path / "plain.xml", compress_to_fp16=False)
    assert len(files[openvino.BIN]) <= (tmp_path / "plain.bin").stat().st_size
    assert len(files[openvino.XML]) < (tmp_path / "plain.xml").stat().st_size / 2
    assert str(tmp_path.parent).encode() not in files[openvino.XML]


def test_openvino_int8_weights_stay_int8() -> None:
    """Constant folding would turn them into floats of four times the size."""
    quantized = """
    <ir_version: 10, opset_import: ["" : 20]>
    net (float[N, 64] x) => (float[N, 64] y)
    <float s = {0.5}, uint8 z = {128}, float[64] ws, int8[64, 64] w>
    { q = QuantizeLinear(x, s, z)
      d = DequantizeLinear(q, s, z)
      wd = DequantizeLinear <axis = 1> (w, ws)
      y = MatMul(d, wd) }
    """
    proto = onnx.parser.parse_model(quantized)
    rng = np.random.default_rng(0)
    arrays = {
        "s": np.float32(0.5),
        "z": np.uint8(128),
        "ws": rng.uniform(0.1, 1, 64).astype(np.float32),
        "w": rng.integers(-63, 64, (64, 64), dtype=np.int8),
    }
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items())
    del proto.graph.value_info[:]
    files = openvino.Openvino().lower(proto.SerializeToString())
    assert len(files[openvino.BIN]) < 64 * 64 + 64 * 4 + 256


def test_openvino_layers_that_share_int8_weights_all_run_in_int8() -> None:
    """Each of the three has a scale of its own, as where a BatchNorm follows each: one by one they are int8."""
    shared = """
    <ir_version: 10, opset_import: ["" : 20]>
    net (float[N, 16, 8, 8] x) => (float[N, 16, 8, 8] y)
    <float s = {0.02}, uint8 z = {0}, int8[16, 16, 3, 3] w, float s1 = {0.01}, float s2 = {0.02}, float s3 = {0.03}>
    { q1 = QuantizeLinear(x, s, z)
      d1 = DequantizeLinear(q1, s, z)
      w1 = DequantizeLinear(w, s1)
      c1 = Conv <pads = [1, 1, 1, 1]> (d1, w1)
      q2 = QuantizeLinear(c1, s, z)
      d2 = DequantizeLinear(q2, s, z)
      w2 = DequantizeLinear(w, s2)
      c2 = Conv <pads = [1, 1, 1, 1]> (d2, w2)
      q3 = QuantizeLinear(c2, s, z)
      d3 = DequantizeLinear(q3, s, z)
      w3 = DequantizeLinear(w, s3)
      y = Conv <pads = [1, 1, 1, 1]> (d3, w3) }
    """
    proto = onnx.parser.parse_model(shared)
    rng = np.random.default_rng(0)
    kept = [tensor for tensor in proto.graph.initializer if tensor.name != "w"]
    del proto.graph.initializer[:], proto.graph.value_info[:]
    weights = onnx.numpy_helper.from_array(rng.integers(-63, 64, (16, 16, 3, 3), dtype=np.int8), "w")
    proto.graph.initializer.extend([*kept, weights])
    backend = openvino.Openvino()
    files = backend.lower(proto.SerializeToString())
    ran = backend.kernels(files, {"x": rng.random((1, 16, 8, 8), dtype=np.float32)})
    assert [kernel.precision for kernel in ran if kernel.op == "Convolution"] == ["int8"] * 3
    assert len(files[openvino.BIN]) < 2 * 16 * 16 * 9, "the weights are there once"


def test_openvino_names_are_those_of_the_onnx_file() -> None:
    session = open_("openvino", TWO_NAMES)
    assert [port.name for port in (*session.inputs, *session.outputs)] == ["x", "y"]


def test_openvino_compiles_a_batch_once_and_keeps_few(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []
    original = openvino._Compiled._compile

    def counting(self: openvino._Compiled, batch: int) -> object:
        compiled.append(batch)
        return original(self, batch)

    monkeypatch.setattr(openvino._Compiled, "_compile", counting)
    session = open_("openvino", RELU, batch=2)
    others = [session.fork() for _ in range(3)]
    for count in (2, 3, 2, 3, 300, 64, 65):
        for one in (session, *others):
            x = np.random.default_rng(count).standard_normal((count, 3)).astype(np.float32)
            np.testing.assert_array_equal(one.run({"x": x})["y"], np.maximum(x, 0))
    assert compiled == [2, 3, 64]  # 300 and 65 run in pieces of 64
    for count in range(4, 30):
        session.run({"x": np.zeros((count, 3), np.float32)})
    assert len(session._compiled._others) == openvino.KEPT  # type: ignore[attr-defined]


def test_openvino_opened_for_a_large_batch_runs_in_pieces_of_it() -> None:
    session = open_("openvino", RELU, batch=100)
    x = np.random.default_rng(0).standard_normal((250, 3)).astype(np.float32)
    np.testing.assert_array_equal(session.run({"x": x})["y"], np.maximum(x, 0))
    assert not session._compiled._others  # type: ignore[attr-defined]


def test_openvino_does_not_split_what_mixes_the_batch() -> None:
    x = np.arange(300, dtype=np.float32).reshape(100, 3)
    np.testing.assert_array_equal(open_("openvino", SUM_OF_BATCH).run({"x": x})["y"], x.sum(0, keepdims=True))


def test_openvino_batches_compile_for_many_threads_once(monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_("openvino", RELU)
    compiled: list[int] = []
    original = openvino._Compiled._compile

    def noted(self: openvino._Compiled, batch: int) -> Any:
        compiled.append(batch)
        return original(self, batch)

    monkeypatch.setattr(openvino._Compiled, "_compile", noted)
    barrier = threading.Barrier(4)

    def work() -> None:
        mine = session.fork()
        barrier.wait()
        mine.run({"x": np.ones((5, 3), np.float32)})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiled == [5]


def test_openvino_device_and_properties_are_checked() -> None:
    with pytest.raises(UnavailableError, match=r"options\.device: .*found 'TPU'"):
        open_("openvino", RELU, device="TPU")
    with pytest.raises(UsageError, match="did you mean 'INFERENCE_PRECISION_HINT'"):
        open_("openvino", RELU, config={"INFERENCE_PRECISION_HIN": "f32"})


def test_layers_keep_the_name_of_the_file_in_the_ir() -> None:
    """So a profile can be read beside the ONNX file; a name that merely looks like ours is OpenVINO's own number."""
    text = CONV.replace("c = Conv", "[Conv_0] c = Conv").replace("scores = MatMul", "[MatMul_0] scores = MatMul")
    xml = openvino.Openvino().lower(model(text))[openvino.XML].decode()
    assert 'name="Conv_0"' in xml and not re.search(r'name="(MatMul|Convolution|Constant)_[1-9]', xml)
    assert 'name="Conv_0"' not in openvino.Openvino().lower(model(CONV))[openvino.XML].decode()


def test_openvino_computes_in_f32_unless_told_otherwise() -> None:
    session = open_("openvino", RELU)
    hint = session._compiled._first.get_property("INFERENCE_PRECISION_HINT")  # type: ignore[attr-defined]
    assert hint == Type.f32


def test_openvino_opens_an_onnx_file_and_refuses_a_lone_xml() -> None:
    backend = openvino.Openvino()
    assert backend.open({"model.onnx": model(RELU)}).inputs[0].name == "x"
    with pytest.raises(IntegrityError, match=r"allowed: \.xml and \.bin"):
        backend.open({openvino.XML: backend.lower(model(RELU))[openvino.XML]})
    with pytest.raises(ExportError, match=r"model\.onnx"):
        backend.lower(b"not a model")


def test_openvino_tells_its_own_time_from_what_stands_around_it() -> None:
    backend = openvino.Openvino()
    session = backend.open(backend.lower(model(CONV)))
    port = session.inputs[0]
    x = {port.name: np.zeros([2 if size is None else size for size in port.shape], port.dtype)}
    taken = [session.apart(x) for _ in range(50)]
    assert all(list(parts) == ["copy_in", "compute", "call", "copy_out"] for parts in taken)
    assert all(min(parts.values()) >= 0 for parts in taken)
    assert min(parts["compute"] for parts in taken) > 0
    many = {port.name: np.zeros([openvino.CHUNK + 1, *x[port.name].shape[1:]], port.dtype)}
    assert session.apart(many) == {}
