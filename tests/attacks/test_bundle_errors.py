"""Whatever a bundle says is its own fault (exit code 5), and an error of another process comes back whole."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekd.base.errors import (
    KINDS,
    DeviceError,
    EdgekdError,
    ExportError,
    FactoryError,
    IntegrityError,
    TargetError,
    UnavailableError,
    UsageError,
    from_dict,
    in_bundle,
    in_python,
)
from edgekd.runtime import bench, local, opening
from edgekd.runtime import bundle as bundles
from edgekd.runtime.backend import make
from edgekd.runtime.contents import Bundle, Checked, Variant
from edgekd.runtime.jobs import BenchJob
from edgekd.runtime.model import load
from edgekd.runtime.opening import open_variant
from edgekd.tasks import Heads

FOUND = st.one_of(st.none(), st.text(), st.integers(), st.booleans(), st.floats(), st.lists(st.integers()), st.binary())
ALLOWED = st.one_of(st.none(), st.text(), st.lists(st.text(), max_size=4))


@given(st.sampled_from(sorted(KINDS)), st.text(), st.one_of(st.none(), st.text()), FOUND, ALLOWED)
@settings(max_examples=50)
def test_an_error_comes_back_whole(kind: str, message: str, where: str | None, found: Any, allowed: Any) -> None:
    made = KINDS[kind](message, where=where, found=found, allowed=allowed, hint=where)
    back = from_dict(json.loads(json.dumps(made.as_dict())))
    assert (type(back), str(back), back.exit_code) == (type(made), str(made), made.exit_code)
    assert (back.message, back.where, back.allowed, back.hint) == (made.message, made.where, made.allowed, made.hint)
    assert str(from_dict(json.loads(json.dumps(back.as_dict())))) == str(made)
    again = pickle.loads(pickle.dumps(made))
    assert str(again) == str(made)


@pytest.mark.parametrize(
    "kind", ["difflib", "re", "KINDS", "Shown", "in_python", "Any", "BaseException", "", "edgekd.base.errors.GateError"]
)
def test_no_name_but_an_errors_is_looked_up(kind: str) -> None:
    made = from_dict({"kind": kind, "message": "x", "where": "w"}, DeviceError)
    assert type(made) is DeviceError and str(made) == "w: x"
    assert type(from_dict({"kind": kind, "message": "x"})) is EdgekdError


def test_what_is_shown_is_short_and_what_can_not_be_written_is_spelled() -> None:
    edgekd_error = EdgekdError("x \udcff", where="w\udcff", found="\udcff" * 500, allowed=["\udcff"])
    assert len(str(from_dict(edgekd_error.as_dict()))) < 400
    json.dumps(edgekd_error.as_dict(), ensure_ascii=False).encode()
    assert "too long to be shown" in str(EdgekdError("x", found=10**5000))


def test_the_fields_speak_of_arguments_too() -> None:
    with pytest.raises(UsageError) as caught, in_python():
        raise UsageError("give --out", where="--out", allowed=["--quick"], hint="--overwrite", found="--target")
    err = caught.value
    assert (err.message, err.where, err.allowed, err.hint) == ("give out", "out", ["quick=True"], "overwrite=True")
    assert "out: give out; found 'targets'; allowed: quick=True" in str(err)


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if issubclass(kind, UsageError)])
def test_usage_is_integrity_in_a_bundle(kind: type[UsageError]) -> None:
    with pytest.raises(IntegrityError) as caught, in_bundle():
        raise kind("x", where="w", found=5, allowed=["a"], hint="h")
    assert (caught.value.where, caught.value.found, caught.value.allowed, caught.value.hint) == ("w", 5, ["a"], "h")
    for other in set(KINDS.values()) - {kind for kind in KINDS.values() if issubclass(kind, UsageError)}:
        with pytest.raises(EdgekdError) as told_, in_bundle():
            raise other("x")
        assert type(told_.value) is other


def model(text: str) -> bytes:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {text}').SerializeToString()


GOOD = "g (float[n,2] input) => (float[n,3] logits) <float[2,3] w = {1, 2, 3, 4, 5, 6}> { logits = MatMul(input, w) }"
X, Y = {"input": np.ones((2, 2), np.float32)}, {"logits": np.array([[5, 7, 9]] * 2, np.float32)}


def stranger(folder: Path, files: Any = None, golden: Any = (X, Y), **own: Any) -> Bundle:
    files = files or {"model.onnx": model(GOOD)}
    table = {"options": {}, "isa": (), "numerics": "float32", "quantized": False, "batch": 1, "tolerance": 1e-3}
    variant = Variant("ort-cpu", "ort", files=files, golden=golden, **{**table, **own})
    bundle = Bundle(
        "net", {"kind": "classification"}, "0" * 64, list("abc"), Heads({"logits": 3}), [], [2], True, [variant]
    )
    bundles.write(folder, replace(bundle, sample_dtype="float32"), {})
    return bundles.read(folder)


def opened(bundle: Bundle) -> None:
    variant = bundle.variants[0]
    found = open_variant(bundle, variant)
    opening.hold(bundle, found)


def test_the_good_one_opens(tmp_path: Path) -> None:
    opened(stranger(tmp_path / "net"))


MODELS = {
    "an operator that is none": "g (float[n,2] input) => (float[n,3] logits) { logits = Nonsense(input) }",
    "of a domain that is none": "g (float[n,2] input) => (float[n,3] logits) { logits = evil.corp.Nonsense(input) }",
    "another input": GOOD.replace("input", "other"),
    "another shape": GOOD.replace("[n,2]", "[n,2,2]"),
    "another type": "g (int64[n,3] input) => (float[n,3] logits) { logits = Cast<to=1>(input) }",
    "a text": "g (string[n,3] input) => (string[n,3] logits) { logits = Identity(input) }",
    "one number": "g (float[n,2] input) => (float logits) { logits = ReduceSum<keepdims=0>(input) }",
    "it fails when it runs": """g (float[n,2] input) => (float[n,3] logits) <int64[1] s = {7}>
        { logits = Reshape(input, s) }""",
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_can_not_be_run(name: str, tmp_path: Path) -> None:
    try:
        data = model(MODELS[name])
    except onnx.parser.ParseError:
        pytest.fail("the test's own model")
    with pytest.raises(
        (IntegrityError, UnavailableError)
    ) as caught:  # 4: it answers otherwise than where it was checked
        opened(stranger(tmp_path / "net", {"model.onnx": data}))
    assert type(caught.value) is IntegrityError or "does not answer here" in str(caught.value)


ELSEWHERE = Checked("onnxruntime 99.0", "x86_64", ())


def test_a_runtime_refuses_what_was_checked_on_another(tmp_path: Path) -> None:
    """An older one may lack an operator: that is no fault of the bundle's."""
    data = {"model.onnx": model(MODELS["an operator that is none"])}
    with pytest.raises(UnavailableError, match=r"ort-cpu: onnxruntime .*: refuses what others open: .*Nonsense.*99\.0"):
        opened(stranger(tmp_path / "net", data, checked=[ELSEWHERE]))
    here = replace(ELSEWHERE, runtime=make("ort", {}, "t").version())
    with pytest.raises(IntegrityError, match="Nonsense"):
        opened(stranger(tmp_path / "here", data, checked=[ELSEWHERE, here]))


def test_load_goes_on_to_what_the_runtime_does_not_refuse(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"isa": (), "numerics": "float32", "quantized": False, "batch": 1, "tolerance": 1e-3}
    newer, older = (
        Variant(name, "ort", {}, {"model.onnx": model(text)}, golden=(X, Y), checked=[ELSEWHERE], **facts)
        for name, text in (("newer", MODELS["an operator that is none"]), ("older", GOOD))
    )
    bundle = Bundle(
        "net", {"kind": "classification"}, "0" * 64, list("abc"), Heads({"logits": 3}), [], [2], True, [newer, older]
    )
    bundles.write(tmp_path / "net", replace(bundle, sample_dtype="float32"), {})
    assert load(tmp_path / "net").target == "older"
    with pytest.raises(UnavailableError, match="refuses what others open"):
        load(tmp_path / "net", target="newer")


GOLDEN: dict[str, tuple[Any, Any]] = {
    "no batch": ({"input": np.float32(1)}, Y),
    "outputs of one axis": (X, {"logits": np.ones(2, np.float32)}),
    "no samples": ({"input": np.ones((0, 2), np.float32)}, {"logits": np.ones((0, 3), np.float32)}),
    "unequal numbers": (X, {"logits": np.ones((3, 3), np.float32)}),
    "whole numbers": (X, {"logits": np.ones((2, 3), np.int64)}),
    "bools": (X, {"logits": np.ones((2, 3), np.bool_)}),
    "another width": ({"input": np.ones((2, 5), np.float32)}, Y),
    "another type": ({"input": np.ones((2, 2), np.int64)}, Y),
    "another name": ({"evil": np.ones((2, 2), np.float32)}, Y),
    "one input more": ({**X, "more": np.ones((2, 2), np.float32)}, Y),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_samples_that_do_not_fit(name: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        opened(stranger(tmp_path / "net", golden=tuple(map(arrays, GOLDEN[name]))))


def arrays(found: Any) -> Any:
    return {name: np.asarray(array) for name, array in found.items()}


@pytest.mark.parametrize("threads", [0, -1, 1025, "2", 1.5, True])
def test_threads_are_the_callers(threads: Any, tmp_path: Path) -> None:
    bundle = stranger(tmp_path / "net")
    with pytest.raises(UsageError, match="threads"):
        open_variant(bundle, bundle.variants[0], threads)


@pytest.mark.parametrize("kind", [ExportError, TargetError, UsageError, FactoryError])
def test_bench_says_so_too(kind: type[EdgekdError], tmp_path: Path) -> None:
    class Runner:
        def bench(self, job: BenchJob) -> Any:
            raise kind("x", where="model.onnx")

    bundle = stranger(tmp_path / "net")
    for how, wanted in ((local.Settings(), IntegrityError), (local.Settings(batch=7), kind)):
        with pytest.raises(EdgekdError) as caught:
            local._one(bundle, bundle.variants[0], how, Runner())  # type: ignore[arg-type]
        assert type(caught.value) is wanted


def raising(err: Exception) -> Callable[..., Any]:
    def raise_it(*args: Any, **kwargs: Any) -> Any:
        raise err

    return raise_it


NO_TEXT = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


def test_a_runtime_whose_message_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.InferenceSession", raising(NO_TEXT))
    with pytest.raises(IntegrityError, match="is no text"):
        opened(stranger(tmp_path / "net"))


def test_a_config_entry_that_is_too_long() -> None:
    with pytest.raises(UsageError, match=r"options\.config\.x: no config entry; found 'Config value is longer"):
        bench.bench_in_process(
            BenchJob("ort", {"a": {"m": model(GOOD)}}, "a", X, options={"config": {"x": "y" * 9000}})
        )
