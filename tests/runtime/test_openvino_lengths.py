"""Texts on models that OpenVINO compiled for a few lengths: the answers of any length, from fewer kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from edgekd.base import backend_facts
from edgekd.base.errors import UsageError
from edgekd.runtime.backends.openvino.backend import Openvino, OpenvinoSession, _Compiled

ROWS, WIDTH, LENGTHS = 20, 4, (8, 4)
# Each token's sum with the mean of all tokens, and that mean: what is masked does not count.
MODEL = """<ir_version: 10, opset_import: ["" : 20]>
g (int64[n,l] input_ids, int64[n,l] MASK) => (float[n,l,4] tokens, float[n,4] mean)
<float[20,4] table, int64[1] last = {2}, int64[1] places = {1}>
{
    rows = Gather (table, input_ids)
    known = Cast <to = 1> (MASK)
    wide = Unsqueeze (known, last)
    kept = Mul (rows, wide)
    total = ReduceSum <keepdims = 1> (kept, places)
    count = ReduceSum <keepdims = 1> (wide, places)
    middle = Div (total, count)
    mean = Squeeze (middle, places)
    tokens = Add (rows, middle)
}"""


def files(mask: str = "attention_mask") -> dict[str, bytes]:
    model = onnx.parser.parse_model(MODEL.replace("MASK", mask).replace("<float[20,4] table, ", "<"))
    table = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(table, "table"))
    return Openvino().lower(model.SerializeToString())


def texts(size: int, batch: int = 1, mask: str = "attention_mask") -> dict[str, Any]:
    rng = np.random.default_rng(size)
    known = np.ones((batch, size), np.int64)
    known[:, size - size // 3 :] = 0
    return {"input_ids": rng.integers(0, ROWS, (batch, size)), mask: known}


def rule() -> backend_facts.Several:
    found = backend_facts.of("openvino").options["lengths"]
    assert isinstance(found, backend_facts.Several)
    return found


@pytest.fixture(scope="module")
def free() -> OpenvinoSession:
    return Openvino().open(files())


@pytest.fixture(scope="module")
def fixed() -> OpenvinoSession:
    return Openvino(lengths=LENGTHS).open(files())


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [1, 3, 4, 5, 8, 9, 4, 2])
def test_it_answers_as_without(free: OpenvinoSession, fixed: OpenvinoSession, size: int, batch: int) -> None:
    """Each as long as its text; one longer than all of them, and other batches too."""
    x = texts(size, batch)
    wanted, got = free.run(x), fixed.run(x)
    assert {name: array.shape for name, array in got.items()} == {"tokens": (batch, size, 4), "mean": (batch, 4)}
    for name, array in wanted.items():
        assert np.allclose(got[name], array, atol=1e-5)


def test_a_text_runs_on_the_next_length(fixed: OpenvinoSession, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []

    def noted(length: int, run: Any) -> Any:
        def noting(arrays: dict[str, Any]) -> Any:
            ran.append(length)
            return run(arrays)

        return noting

    for length, request in fixed._fixed.items():
        monkeypatch.setattr(request, "run", noted(length, request.run))
    for size in (1, 4, 5, 8, 9):
        fixed.run(texts(size))
    assert ran == [4, 4, 8, 8]


def test_a_profile_compiles_the_one_length_that_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []
    compile_for = _Compiled._compile

    def noted(model: _Compiled, batch: int, length: int = 0) -> Any:
        compiled.append(length)
        return compile_for(model, batch, length)

    monkeypatch.setattr(_Compiled, "_compile", noted)
    for size, wanted in ((3, [0, 4]), (5, [0, 8]), (9, [0])):
        compiled.clear()
        assert Openvino(lengths=LENGTHS).kernels(files(), texts(size)) and compiled == wanted


def test_what_a_caller_got_stays_as_it_is(fixed: OpenvinoSession) -> None:
    first = fixed.run(texts(3))["tokens"]
    before = first.copy()
    fixed.run(texts(4))
    np.testing.assert_array_equal(first, before)


def test_a_network_without_a_mask_has_one_model_for_all() -> None:
    session = Openvino(lengths=LENGTHS).open(files("weights"))
    assert session._fixed == {}
    assert session.run(texts(3, mask="weights"))["tokens"].shape == (1, 3, 4)


def test_threads_share_what_is_compiled(fixed: OpenvinoSession) -> None:
    other = fixed.fork()
    np.testing.assert_array_equal(other.run(texts(3))["mean"], fixed.run(texts(3))["mean"])
    assert other._compiled is fixed._compiled


def test_inputs_that_disagree_are_told(fixed: OpenvinoSession) -> None:
    with pytest.raises(UsageError, match="length"):
        fixed.run({"input_ids": texts(3)["input_ids"], "attention_mask": texts(4)["attention_mask"]})


@pytest.mark.parametrize("lengths", [(0,), (16_385,), tuple(range(1, 10))])
def test_lengths_have_limits(lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="lengths"):
        Openvino(lengths=lengths)
    assert not rule().takes(list(lengths))


def test_a_bundle_may_ask_for_them() -> None:
    assert rule().takes([8, 16]) and not rule().takes(["8"]) and not rule().takes(8)
    assert str(rule()).startswith("at most 8")
