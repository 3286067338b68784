"""What a manifest asks of a runtime: nothing that opens, writes or loads a file by name, and no code."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edgekd
from edgekd.base import backend_facts
from edgekd.base.errors import IntegrityError, TargetError, UnavailableError
from edgekd.runtime import allowed, look, manifest
from edgekd.runtime import bundle as bundles
from edgekd.runtime.contents import Bundle, Variant
from edgekd.runtime.replay import checked  # what edgekd.verify's child does
from edgekd.spec import target
from edgekd.tasks import Heads

NET = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[n,2] input) => (float[n,3] logits)
<float[2,3] w = {1, 2, 3, 4, 5, 6}>
{ logits = MatMul(input, w) }
"""
FACTS = backend_facts.every()
BACKENDS = (
    "this:s",
    "os:system",
    "stranger.openvino.evil:X",
    "stranger",
    "edgekd.cli",
    "",
    "ORT",
    "ort ",
    "../ort",
    "none",
)
SESSION = (
    "session.collect_node_memory_stats_to_file",
    "session.node_partition_config_file",
    "session.moe_expert_counter_state_file",
    "session.resource_cuda_partitioning_settings",
    "session.model_external_initializers_file_folder_path",
    "session.optimized_model_external_initializers_file_name",
    "session.save_external_prepacked_constant_initializers",
    "ep.context_file_path",
    "ep.context_enable",
    "session.load_model_format",
    "session.use_ort_model_bytes_directly",
    "",
)
FILES: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("ort", {"config": {name: "pwned"}}) for name in SESSION),
    *(("ort", {"config": {"session.intra_op.allow_spinning": value}}) for value in ("2", "", 1, True, None, ["1"])),
    ("ort", {"provider_options": {"backend_path": "./evil.so"}}),
    ("ort", {"provider": "QNNExecutionProvider"}),
    ("ort", {"provider": "OpenVINOExecutionProvider"}),
    ("ort", {"provider": ["CPUExecutionProvider"]}),
    *(("ort", {"threads": value}) for value in (0, -1, 1025, 1.5, True, "1", None, [1])),
    ("ort", {"config": "session"}),
    ("ort", {"config": [["a", "b"]]}),
    ("ort", {"modules": "stranger"}),
    ("ort_cuda", {"provider_options": {"cuda_mem_limit": "1"}}),
    ("ort_cuda", {"device": "0"}),
    ("ort_cuda", {"graphs": 1}),
    ("ort_mobile", {"provider": "CUDAExecutionProvider"}),
    *(("openvino", {"device": name}) for name in ("AUTO", "MULTI:CPU", "BATCH:CPU", "HETERO:CPU", "AUTO:CPU,GPU")),
    *(("openvino", {"device": name}) for name in ("CPU\n", "cpu", "GPU.100", "GPU.", "TEMPLATE", "", 3)),
    *(
        ("openvino", {"config": {name: "pwned"}})
        for name in ("CACHE_DIR", "WEIGHTS_PATH", "LOG_LEVEL", "DUMP_EXEC_GRAPH")
    ),
    *(("openvino", {"config": {"INFERENCE_PRECISION_HINT": value}}) for value in ("f64", "F32", 32, "", None)),
    ("openvino", {"threads": 10**9}),
    ("openvino", {"extensions": ["./evil.so"]}),
    *(("ort_web", {"modules": name}) for name in ("stranger/examples/node", "/tmp/evil", ".", "")),
    ("ort_web", {"provider": "cpu"}),
    ("ort_web", {"threads": 65}),
    ("reference", {"threads": 1}),
)


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle in the current folder, which holds code; whatever runs it writes ``pwned``."""
    onnx_bytes = onnx.parser.parse_model(NET).SerializeToString()
    x = np.eye(2, dtype=np.float32)
    golden = {"input": x}, {"logits": x @ np.arange(1, 7, dtype=np.float32).reshape(2, 3)}
    variant = Variant("ort-cpu", "ort", {}, {"model.onnx": onnx_bytes}, (), "float32", False, 1, 1e-3, golden=golden)
    task, heads = {"kind": "classification"}, Heads({"logits": 3})
    about = Bundle("net", task, "0" * 64, "abc", heads, [], [2], True, [variant], sample_dtype="float32")
    bundles.write(tmp_path / "stranger", about, {})
    evil = f"open({str(tmp_path / 'pwned')!r}, 'w').close()\nclass X: pass\n"
    for name in ("stranger/openvino/evil.py", "stranger/__init__.py", "evil.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(evil)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # as ``python -m`` would
    return tmp_path / "stranger"


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what the first variant says, and the digest with it."""
    table = json.loads((folder / "manifest.json").read_text())
    body = table["components"]["student"]["variants"]["ort-cpu"]
    change(body["executor_info"]["edgekd"])
    own = body["executor_info"]["edgekd"]
    provider = own["options"].get("provider", "CPUExecutionProvider") if isinstance(own["options"], dict) else ""
    if own["backend"] == "ort":  # as who forges it well would
        body |= {"ep": provider, "device": "cpu" if provider == "CPUExecutionProvider" else "gpu"}
    else:
        del body["ep"], body["device"], body["executor_info"]["ort"]
    data = bundles.canonical(table)
    (folder / "manifest.json").write_bytes(data)
    (folder / "manifest.sha256").write_bytes(bundles.digest_file(data))


def refused(folder: Path) -> None:
    """Nobody opens it, nothing was written, nothing was imported."""
    before = {path for path in folder.parent.rglob("*") if "__pycache__" not in path.parts}
    modules = set(sys.modules)
    for door in (edgekd.load, checked, edgekd.bench):
        with pytest.raises(IntegrityError):
            door(folder)
    assert {path for path in folder.parent.rglob("*") if "__pycache__" not in path.parts} == before
    assert not {"this", "evil", "stranger"} & {name.partition(".")[0] for name in set(sys.modules) - modules}


@pytest.mark.parametrize("also", [False, True], ids=["backend", "also"])
@pytest.mark.parametrize("kind", BACKENDS)
def test_a_backend_that_edgekd_does_not_bring(kind: str, also: bool, stranger: Path) -> None:
    rewritten(stranger, lambda own: own.update(also={kind: {}}) if also else own.update(backend=kind))
    refused(stranger)


@pytest.mark.parametrize("also", [False, True], ids=["backend", "also"])
@pytest.mark.parametrize(("kind", "options"), FILES, ids=[f"{kind} {options}"[:60] for kind, options in FILES])
def test_an_option_that_is_not_for_a_bundle(kind: str, options: dict[str, Any], also: bool, stranger: Path) -> None:
    rewritten(
        stranger, lambda own: own.update({"also": {kind: options}} if also else {"backend": kind, "options": options})
    )
    refused(stranger)


def test_the_bundle_itself_opens(stranger: Path) -> None:
    (stranger / "__init__.py").unlink()
    (stranger / "openvino" / "evil.py").unlink()
    (stranger / "openvino").rmdir()
    rewritten(
        stranger, lambda own: own.update(options={"threads": 2, "config": {"session.intra_op.allow_spinning": "0"}})
    )
    assert edgekd.load(stranger).predict(np.ones(2, np.float32)).index == 2
    assert edgekd.verify(stranger)


@pytest.mark.parametrize("value", [0.051, 0.2, 1e9, float("inf"), float("nan"), -1, "1", None, [0.01]])
def test_a_tolerance_that_passes_everything(value: Any, stranger: Path) -> None:
    text = json.dumps(value)
    manifest_file = stranger / "manifest.json"
    changed = manifest_file.read_text().replace('"tolerance": 0.001', f'"tolerance": {text}').encode()
    manifest_file.write_bytes(changed)
    (stranger / "manifest.sha256").write_bytes(bundles.digest_file(changed))
    refused(stranger)


@pytest.mark.parametrize(
    "own", [{"isa": ["no_such_isa"]}, {"options": {"provider": "CUDAExecutionProvider"}}, {"backend": "plugin:X"}]
)
def test_what_nobody_could_run_is_not_verified(own: dict[str, Any], stranger: Path) -> None:
    """A provider, feature or backend that is not here: all hashes are right, and nothing was replayed."""
    shutil.rmtree(stranger / "openvino")
    (stranger / "__init__.py").unlink()
    rewritten(stranger, lambda table: table.update(own))
    with pytest.raises(UnavailableError, match="no variant can be run here"):
        edgekd.verify(stranger)


def test_every_backend_has_its_rules_and_every_target_keeps_them() -> None:
    for name in target.names():
        loaded_target = target.load(name)
        for kind, options in ((loaded_target.backend, loaded_target.options), *loaded_target.also.items()):
            allowed.check(manifest.named(kind), options, name)


def test_a_target_that_no_bundle_may_name_is_told_before_anything_trains() -> None:
    with pytest.raises(
        TargetError, match=r"mine.toml: options.config.CACHE_DIR: not for a bundle .* allowed: ENABLE_CPU"
    ):
        allowed.check("openvino", {"config": {"CACHE_DIR": "x"}}, "mine.toml", TargetError)
    allowed.check(manifest.named("mypkg.mod:Mine"), {"anything": "x"}, "mine.toml", TargetError)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((kind, "model.dat") for kind in FACTS),
        *((kind, "openvino_model.xml") for kind, facts in FACTS.items() if facts.reads == "onnx"),
        ("reference", "model.ort"),
        ("openvino", "model"),
    ],
)
def test_a_file_of_a_name_that_no_backend_gives(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where a manifest had let it pass: what the backend opens as ONNX is looked at, whatever its name."""
    outside = onnx.parser.parse_model(NET)
    outside.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    variant = Variant("one", kind, {}, {name: outside.SerializeToString()}, (), "float32", False, 1, 1e-3)
    about = Bundle("net", {"kind": "classification"}, "0" * 64, "abc", Heads({"logits": 3}), [], [2], True, [variant])
    about = replace(about, sample_dtype="float32")
    bundles.write(tmp_path / "b", about, {})
    with pytest.raises(IntegrityError, match=f"not a file that {kind} opens; found '{name}'"):
        bundles.read(tmp_path / "b")
    with pytest.raises(IntegrityError, match="files: not a file that"):
        bundles.write(tmp_path / "b2", replace(about, variants=[replace(variant, backend="a:B", also={kind: {}})]), {})
        bundles.read(tmp_path / "b2")
    monkeypatch.setattr(allowed, "check_files", lambda kind, names, where: None)
    if FACTS[kind].reads == "onnx":
        read = bundles.read(tmp_path / "b")
        with pytest.raises(IntegrityError, match="weights in another file"):
            read.files_of(read.variants[0])


def test_onnx_runtimes_own_format_under_another_name() -> None:
    """It goes by these bytes, and not by the name: nobody would have looked at it."""
    data = b"\x12\x08\x00\x00ORTM\x00\x00"  # a text of 8 bytes to who reads protobuf
    with pytest.raises(IntegrityError, match="own format under another name"):
        look.check(data, "model.onnx")
