"""What a bundle claims and nobody held: labels, preprocessing, golden scores, graphs, what else a manifest says.

Each forgery has hashes and a digest that fit, as a stranger would make them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edgekd
from edgekd.base import limits
from edgekd.base.errors import EdgekdError, IntegrityError
from edgekd.publish import app_files
from edgekd.runtime import bundle as bundles
from edgekd.runtime import claims, decisions, local, manifest, replay, tensor_pb
from edgekd.runtime.backend import make
from edgekd.runtime.bundle import Bundle, Graph, Variant
from edgekd.runtime.model import Model
from edgekd.runtime.replay import checked  # what edgekd.verify's child does
from edgekd.tasks import Heads

NET = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[n,4] input) => (float[n,4] logits)
<float[4,4] w = {6, 0, 0, 0, 0, 6, 0, 0, 0, 0, 6, 0, 0, 0, 0, 6}>
{ logits = MatMul(input, w) }
"""
OPS = [{"op": "scale", "divide": 16.0}]
LABELS = ["ant", "bee", "cat", "dog"]
METADATA = {
    "edgekd_labels": json.dumps(LABELS),
    "edgekd_preprocess": json.dumps(OPS),
    "edgekd_sample_shape": "[4]",
    "edgekd_task": "classification",
}
GRAPH = Graph("main", "model.onnx", [("input", (None, 4), "float32")], ["logits"])
RAW = np.random.default_rng(0).integers(0, 17, (64, 4)).astype(np.uint8)
Change = Callable[[dict[str, Any]], Any]


def written(folder: Path, metadata: dict[str, str], said: bool = True, **own: Any) -> Path:
    """A bundle as a build writes it: golden inputs, raw samples (where ``said``), and a file that names its labels."""
    model = onnx.parser.parse_model(NET)
    onnx.helper.set_model_props(model, metadata)
    x = np.eye(4, dtype=np.float32)
    golden = {"input": x}, {"logits": 6 * x}
    files = {"model.onnx": model.SerializeToString()}
    facts: dict[str, Any] = {"numerics": "float32", "quantized": False, "batch": 1, "tolerance": 1e-3, **own}
    variant = Variant("ort-cpu", "ort", {}, files, (), golden=golden, graphs=[GRAPH], **facts)
    about: dict[str, Any] = {"sample_dtype": "uint8", "folder": folder, "decisions": "decisions.json" if said else ""}
    made = Bundle(
        "net", {"kind": "classification"}, "0" * 64, LABELS, Heads({"logits": 4}), OPS, [4], True, [variant], **about
    )
    session = make("ort", {}, "test").open(files)
    scores = session.run({"input": RAW.astype(np.float32) / 16})
    pages = (
        {"decisions.json": app_files._decisions(made, RAW, [(Model(made, variant, session), scores)])} if said else {}
    )
    bundles.write(folder, made, pages)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Without metadata in its file: raw samples alone are witness."""
    return written(tmp_path / "net", {})


def forged(folder: Path, change: Change) -> Path:
    """A bundle whose manifest says otherwise, hashes and digest made anew."""
    table = json.loads((folder / "manifest.json").read_text())
    about = table["additional_metadata"]["edgekd"]
    for root, _, names in os.walk(folder):
        for name in names:
            place = Path(root, name)
            if (key := place.relative_to(folder).as_posix()) not in bundles.UNLISTED:
                data = place.read_bytes()
                about["files"][key] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    about["files"] = dict(sorted(about["files"].items()))
    change(table)
    data = bundles.canonical(table)
    (folder / "manifest.json").write_bytes(data)
    (folder / "manifest.sha256").write_bytes(bundles.digest_file(data))
    return folder


def about(change: Change) -> Change:
    return lambda table: change(table["additional_metadata"]["edgekd"])


def variant(change: Change) -> Change:
    return lambda table: change(table["components"]["student"]["variants"]["ort-cpu"])


def own(change: Change) -> Change:
    return variant(lambda body: change(body["executor_info"]["edgekd"]))


def exchanged(i: int, j: int) -> Change:
    def change(table: dict[str, Any]) -> None:
        labels = table["outputs"][0]["labels"]
        labels[i], labels[j] = labels[j], labels[i]

    return about(change)


def test_the_good_one_is_verified(bundle: Path) -> None:
    checks = checked(forged(bundle, lambda table: None))
    assert checks[-1]["check"] == "ort-cpu: 4 raw samples on ort: same decisions, 4 of 4 labels seen"
    assert edgekd.load(bundle).predict(np.array([0, 16, 0, 0], np.uint8)).label == "bee"


PREPROCESS: tuple[tuple[str, Callable[[list[dict[str, Any]]], Any]], ...] = (
    *((f"divide {by}", lambda ops, by=by: ops[0].update(divide=by)) for by in (8.0, 14.0, 16.1, 18.0, 255.0, 1e-6)),
    ("normalise", lambda ops: ops.append({"op": "normalise", "mean": 0.05, "std": 0.95})),
    ("nothing", lambda ops: ops.clear()),
)


@pytest.mark.parametrize(("name", "change"), PREPROCESS, ids=[name for name, _ in PREPROCESS])
def test_another_preprocessing(name: str, change: Change, bundle: Path) -> None:
    with pytest.raises(IntegrityError, match=r"another|does not run"):
        checked(forged(bundle, about(lambda found: change(found["preprocess"]))))


@pytest.mark.parametrize(("i", "j"), [(i, j) for j in range(4) for i in range(j)])
def test_labels_of_any_two_classes_exchanged(i: int, j: int, bundle: Path) -> None:
    with pytest.raises(IntegrityError, match="another decision"):
        checked(forged(bundle, exchanged(i, j)))


def test_int8_has_the_slack_of_its_numerics_and_no_more(tmp_path: Path) -> None:
    """0.05 of the range of the scores' logarithms, as golden scores have."""
    folder = written(tmp_path / "net", {}, quantized=True, numerics="int8", tolerance=0.05)
    checked(forged(folder, about(lambda found: found["preprocess"][0].update(divide=16.2))))
    with pytest.raises(IntegrityError, match="another score"):
        checked(forged(folder, about(lambda found: found["preprocess"][0].update(divide=20.0))))


def test_decisions_as_they_were_written_before(bundle: Path) -> None:
    """The best class's score alone."""
    file = bundle / "decisions.json"
    table = json.loads(file.read_text())
    for said in table["decisions"]["ort-cpu"]:
        del said["logits"]["scores"]
    file.write_text(json.dumps(table))
    assert "4 raw samples" in checked(forged(bundle, lambda table: None))[-1]["check"]


def test_one_large_sample_may_stand_there(bundle: Path) -> None:
    """16 MB, the limit of any document, is a picture of 2000 x 2000: such a bundle was built and then refused."""
    with (bundle / "decisions.json").open("a") as file:
        file.write(" " * 17_000_000)
    assert "4 raw samples" in checked(forged(bundle, lambda table: None))[-1]["check"]
    with (bundle / "decisions.json").open("a") as file:
        file.write(" " * decisions.LARGEST)
    with pytest.raises(IntegrityError, match="large"):
        checked(forged(bundle, lambda table: None))


def test_which_samples_are_written_down(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads((bundle / "decisions.json").read_text())["decisions"]["ort-cpu"]
    assert [said["logits"]["label"] for said in found] == LABELS, "one of each class"
    assert all(len(said["logits"]["scores"]) == 4 for said in found)
    assert all(said["logits"]["score"] < 0.98 for said in found), "not the surest, which are at 0.99"
    monkeypatch.setattr(decisions, "MOST_BYTES", 9)
    small = json.loads((written(tmp_path / "small", {}) / "decisions.json").read_text())
    assert len(small["samples"]) == 2, "two of four bytes"
    monkeypatch.setattr(decisions, "MOST_BYTES", 3)
    assert len(json.loads((written(tmp_path / "one", {}) / "decisions.json").read_text())["samples"]) == 1


def test_without_raw_samples_it_says_so(tmp_path: Path) -> None:
    found = checked(written(tmp_path / "net", {}, said=False))[-1]
    assert "skipped" in found and "labels" in found["skipped"] and "raw samples" in found["check"]


@pytest.mark.parametrize("key", METADATA)
def test_a_file_that_says_otherwise_than_the_manifest(key: str, tmp_path: Path) -> None:
    right = written(tmp_path / "right", METADATA, said=False)
    assert checked(right) and edgekd.load(right)
    wrong = {"edgekd_labels": '["a"]', "edgekd_preprocess": "[]", "edgekd_sample_shape": "[5]", "edgekd_task": "x"}
    false = written(tmp_path / "false", {**METADATA, key: wrong[key]}, said=False)
    for door in (checked, edgekd.load):
        with pytest.raises(IntegrityError, match=f"{key}: says otherwise"):
            door(false)
    broken = written(tmp_path / "broken", {**METADATA, key: "["}, said=False)
    with pytest.raises(IntegrityError, match=key):
        checked(broken)


def test_an_ir_that_says_otherwise(digits: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    found = bundles.read(digits / "out")
    files = found.files_of(found.variant("openvino"))
    told = bundles.read(digits / "out")
    claims.hold_files(told, told.variant("openvino"), files)
    assert len(claims._of_ir(files["openvino_model.xml"])) == 4, openvino.__version__
    object.__setattr__(told, "labels", tuple(reversed(told.labels)))
    with pytest.raises(IntegrityError, match="edgekd_labels: says otherwise"):
        claims.hold_files(told, told.variant("openvino"), files)


CLAIMS: dict[str, Change] = {
    "a name that is none": lambda table: table.update(package_name={"a": 1}),
    "another layout": lambda table: table.update(layout=[]),
    "plan a number": about(lambda found: found.update(plan=17)),
    "shippable a text": about(lambda found: found.update(shippable="no")),
    "another task": about(lambda found: found.update(task={"kind": "detection"})),
    "keys of a task": about(lambda found: found["task"].update(threshold="yes")),
    "thresholds": about(lambda found: found.update(thresholds={"logits": 0.5})),
    "axes of another rank": about(lambda found: found["outputs"][0].update(axes=["batch", "class", "y"])),
    "axes turned": about(lambda found: found["outputs"][0].update(axes=["class", "batch"])),
    "a name a number": about(lambda found: found["outputs"][0].update(name=5)),
    "a type that is none": about(lambda found: found["sample"].update(dtype="bogus")),
    "a type of texts": about(lambda found: found["sample"].update(dtype="text")),
    "another type": about(lambda found: found["sample"].update(dtype="int16")),
    "rate true": about(lambda found: found["sample"].update(rate=False)),
    "a file outside": variant(lambda body: body["executor_info"]["ort"].update(model_file="../../evil.onnx")),
    "options of ONNX Runtime": variant(lambda body: body["executor_info"]["ort"]["session_options"].update(a="/tmp/x")),
    "another executor": variant(lambda body: body["executor_info"].update(other=5)),
    "another provider": variant(lambda body: body.update(ep="Evil")),
    "another device": variant(lambda body: body.update(device="gpu")),
    "a key more": variant(lambda body: body.update(extra={"anything": 1})),
    "quantized a text": own(lambda found: found.update(quantized="false")),
    "numerics a number": own(lambda found: found.update(numerics=8)),
    "a tolerance false": own(lambda found: found.update(tolerance=False)),
    "a graph of other outputs": own(lambda found: found["graphs"][0].update(outputs=["zzz"])),
    "a graph of other inputs": own(lambda found: found["graphs"][0]["inputs"][0].update(name="nope")),
    "a graph of another type": own(lambda found: found["graphs"][0]["inputs"][0].update(dtype="string")),
    "a graph of another size": own(lambda found: found["graphs"][0]["inputs"][0].update(shape=[None, 5])),
    "a graph of another rank": own(lambda found: found["graphs"][0]["inputs"][0].update(shape=[None])),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_what_a_manifest_claims(name: str, bundle: Path) -> None:
    with pytest.raises(IntegrityError, match=r"manifest\.json|graphs|decisions\.json"):
        checked(forged(bundle, CLAIMS[name]))


def golden(folder: Path, name: str, array: Any, file: str = "output_0.pb") -> None:
    (folder / "ort-cpu" / "test_data_set_0" / file).write_bytes(tensor_pb.write(np.asarray(array, np.float32), name))


def scores(best: float, others: float) -> Any:
    return np.where(np.eye(4) > 0, best, others)


GOLDEN: dict[str, Callable[[Path], Any]] = {
    "inf": lambda folder: golden(folder, "logits", scores(np.inf, 0)),
    "-inf": lambda folder: golden(folder, "logits", scores(6, -np.inf)),
    "NaN": lambda folder: golden(folder, "logits", scores(np.nan, 0)),
    "a range beyond float32": lambda folder: golden(folder, "logits", scores(3.4e38, -3.4e38)),
    "of another output": lambda folder: golden(folder, "echo", np.eye(4)),
    "one more": lambda folder: golden(folder, "echo", np.eye(4), "output_1.pb"),
    "one twice": lambda folder: golden(folder, "logits", scores(6, 0), "output_1.pb"),
}


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_scores_that_hold_nothing(name: str, quantized: bool, tmp_path: Path) -> None:
    folder = written(tmp_path / "net", {}, quantized=quantized)
    GOLDEN[name](folder)
    with pytest.raises(IntegrityError, match=r"golden|than when it was built"):
        checked(forged(folder, lambda table: None))
    with pytest.raises(EdgekdError, match=r"golden|than when it was built"):
        edgekd.load(folder)


def test_golden_inputs_that_fill_a_huge_batch(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of 65,536 of 200,000 numbers were 48 GiB, in the process of who loads it, or benches it."""
    monkeypatch.setattr(limits, "GOLDEN_BYTES", 1000)
    forged(bundle, own(lambda found: found.update(batch=1000)))
    for door in (edgekd.load, lambda folder: local.job_of(*one(folder), local.Settings())):
        with pytest.raises(IntegrityError, match="golden inputs larger"):
            door(bundle)


@pytest.mark.parametrize("name", ["report.json", "decisions.json", "ort-cpu/test_data_set_0/input_0.pb"])
def test_a_listed_size_is_not_believed(name: str, bundle: Path) -> None:
    """A sparse file takes no room on the disk, and was held whole before its hash was wrong."""
    forged(bundle, about(lambda found: found["files"].update({name: {"bytes": 2**40, "sha256": "0" * 64}})))
    with open(bundle / name, "ab") as file:
        file.truncate(2**40)
    with pytest.raises(IntegrityError, match=f"{name}: too large"):
        edgekd.load(bundle) if "decisions" not in name else replay.replay(*one(bundle))


def one(folder: Path) -> tuple[Bundle, Variant]:
    found = bundles.read(folder)
    return found, found.variants[0]


def test_bundles_of_the_older_format_claim_less() -> None:
    assert manifest.FORMAT == 2
    older = Path(__file__).parents[1] / "golden" / "bundle_1"
    assert [check["check"] for check in checked(older) if "skipped" in check] == ["format 1"]
