"""An ONNX file as a teacher: its inputs and outputs, batches, inner tensors, what is refused, and a whole build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import edgekd
from edgekd.base.errors import FactoryError, IntegrityError, RecipeError
from edgekd.base.preprocess import Spec
from edgekd.build import rehearsal
from edgekd.build import request as requests
from edgekd.build.prepare import Objects, prepare
from edgekd.learn import taps
from edgekd.learn.foreign import Foreign
from edgekd.learn.teacher import PickedOutput
from edgekd.teachers.onnx import Onnx

IMAGE = (Spec("input", (None, 1, 8, 8)),)
TOKENS = (Spec("input_ids", (None, None), "int64", 50, 16), Spec("attention_mask", (None, None), "int64", 2, 16))
RNG = np.random.default_rng(0)
HIDDEN, SCORES = RNG.standard_normal((64, 5)).astype("<f4"), RNG.standard_normal((5, 4)).astype("<f4")


def write(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **constants: Any) -> str:
    """An ONNX file of these nodes; constants are arrays by name."""
    values = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return str(path)


def images(path: Path, batch: int | str = "n", kind: int = TensorProto.FLOAT, label: bool = False) -> str:
    """relu(x w) v of (N, 1, 8, 8) images, with the label first where asked."""
    first = [helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT), helper.make_node("Flatten", ["c"], ["f"])]
    nodes = [
        *first,
        helper.make_node("MatMul", ["f", "w"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["/net/relu:0"]),
        helper.make_node("MatMul", ["/net/relu:0", "v"], ["scores"]),
        *[helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0)] * label,
    ]
    outputs = [helper.make_tensor_value_info("label", TensorProto.INT64, [batch])] * label
    outputs.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 4]))
    inputs = [helper.make_tensor_value_info("x", kind, [batch, 1, 8, 8])]
    return write(path, nodes, inputs, outputs, w=HIDDEN, v=SCORES)


def texts(path: Path, length: int | str = "length", ids: str = "input_ids") -> str:
    """The mean of embedded tokens, and of their segments, as exporters of text models write it."""
    names = ("attention_mask", ids, "token_type_ids")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", length]) for name in names]
    nodes = [
        helper.make_node("Add", [ids, "token_type_ids"], ["both"]),
        helper.make_node("Mul", ["both", "attention_mask"], ["kept"]),
        helper.make_node("Gather", ["table", "kept"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axis"], ["logits"], keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])]
    table = np.concatenate([np.zeros((1, 3)), np.random.default_rng(2).standard_normal((49, 3))]).astype("<f4")
    return write(path, nodes, inputs, outputs, table=table, axis=np.array([1]))


def answered(x: np.ndarray) -> np.ndarray:
    scores: np.ndarray = np.maximum(x.reshape(len(x), 64) @ HIDDEN, 0) @ SCORES
    return scores


def some(count: int) -> torch.Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("runtime", "batch"), [("ort", "n"), ("ort", 3), ("openvino", "n")])
def test_any_number_of_samples_is_answered_in_batches(tmp_path: Path, runtime: Any, batch: int | str) -> None:
    network = Onnx(images(tmp_path / "t.onnx", batch), runtime, batch=4).network(IMAGE, "teacher.model")
    for count in (1, 4, 7):
        x = some(count)
        np.testing.assert_allclose(network(x)["scores"].numpy(), answered(x.numpy()), rtol=1e-4, atol=1e-4)


def test_its_size_is_the_files_and_its_numbers_are_the_constants(tmp_path: Path) -> None:
    network = Onnx(images(tmp_path / "t.onnx")).network(IMAGE, "teacher.model")
    assert isinstance(network, Foreign)
    assert network.size_bytes == (tmp_path / "t.onnx").stat().st_size
    assert network.params == HIDDEN.size + SCORES.size


def test_an_output_is_picked_by_name_and_scores_are_found(tmp_path: Path) -> None:
    network = Onnx(images(tmp_path / "t.onnx", label=True)).network(IMAGE, "teacher.model")
    x = some(3)
    found = PickedOutput(network)
    found.expect(4, "teacher")
    np.testing.assert_allclose(found(x).numpy(), answered(x.numpy()), rtol=1e-4)
    picked = PickedOutput(network, "scores", (2, 0))
    np.testing.assert_allclose(picked(x).numpy(), answered(x.numpy())[:, [2, 0]], rtol=1e-4)
    with pytest.raises(RecipeError, match=r"no such output; found 'score'; allowed: label, scores; did you mean"):
        PickedOutput(network, "score")(x)


@pytest.mark.parametrize("runtime", ["ort", "openvino"])
def test_inner_tensors_are_tapped_by_name(tmp_path: Path, runtime: Any) -> None:
    network = PickedOutput(Onnx(images(tmp_path / "t.onnx"), runtime, batch=2).network(IMAGE, "teacher.model"))
    x = some(3)
    with taps.tapped(network, ["/net/relu:0", ""]) as seen:
        network(x)
        whole = seen[""].numpy()
    inner = np.maximum(x.numpy().reshape(3, 64) @ HIDDEN, 0)
    np.testing.assert_allclose(seen["/net/relu:0"].numpy(), inner, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(whole, answered(x.numpy()), rtol=1e-4, atol=1e-5)
    seen.clear()
    assert list(network(x)[0]) and not seen, "nothing is kept afterwards"
    assert taps.missing(network, ["hidden", "/net/relu"]) == ["/net/relu"]
    with pytest.raises(RecipeError, match=r"no such layer; found '/net/relu'.*did you mean '/net/relu:0'"):
        taps.check(network, ["/net/relu"], "losses[0].teacher_layers")


def test_texts_get_segments_of_zeros_and_are_filled_to_a_fixed_length(tmp_path: Path) -> None:
    ids, mask = torch.tensor([[2, 7, 9, 3]]), torch.ones(1, 4, dtype=torch.int64)
    free = Onnx(texts(tmp_path / "free.onnx")).network(TOKENS, "t")
    fixed = Onnx(texts(tmp_path / "fixed.onnx", 16)).network(TOKENS, "t")
    with pytest.raises(RecipeError, match=r"another shape.*\(N, N\), up to 16 tokens.*allowed: \(N, 8\).*data\.length"):
        Onnx(texts(tmp_path / "short.onnx", 8)).network(TOKENS, "t")
    alone, filled = free(ids, mask)["logits"], fixed(ids, mask)["logits"]
    assert alone.abs().sum() > 0 and alone.shape == filled.shape
    longer = [torch.nn.functional.pad(x, (0, 12)) for x in (ids, mask)]
    assert torch.equal(free(*longer)["logits"], filled)


def test_an_input_of_a_known_name_is_given_that_and_the_others_follow_in_order(tmp_path: Path) -> None:
    """``attention_mask`` stands first in the file, and second in the data."""
    ids, mask = torch.tensor([[2, 7, 9, 3]]), torch.tensor([[1, 1, 1, 0]])
    named = Onnx(texts(tmp_path / "named.onnx")).network(TOKENS, "t")(ids, mask)["logits"]
    other = Onnx(texts(tmp_path / "other.onnx", ids="tokens")).network(TOKENS, "t")(ids, mask)["logits"]
    assert torch.equal(named, other)


def test_whole_numbers_are_whole_and_other_shapes_are_refused(tmp_path: Path) -> None:
    network = Onnx(images(tmp_path / "t.onnx", kind=TensorProto.UINT8)).network(IMAGE, "teacher.model")
    x = torch.randint(0, 255, (2, 1, 8, 8)).float()
    np.testing.assert_allclose(network(x)["scores"].numpy(), answered(x.numpy()), rtol=1e-4)
    with pytest.raises(FactoryError, match=r"takes whole numbers; found 'float32'; teacher.preprocess"):
        network(x / 255)
    with pytest.raises(RecipeError, match=r"another shape; found 'the data gives \(N, 3, 8, 8\)'.*\(N, 1, 8, 8\)"):
        Onnx(images(tmp_path / "t.onnx")).network((Spec("input", (None, 3, 8, 8)),), "teacher.model")
    with pytest.raises(RecipeError, match=r"another number of inputs; found 'x \(N, 1, 8, 8\)'"):
        Onnx(images(tmp_path / "t.onnx")).network(TOKENS, "teacher.model")


def test_a_file_is_looked_at_before_it_is_opened(tmp_path: Path) -> None:
    path = Path(images(tmp_path / "t.onnx"))
    with pytest.raises(RecipeError, match=r"teacher\.model\.path: no such file"):
        Onnx(str(tmp_path / "u.onnx")).network(IMAGE, "teacher.model")
    onnx.save(onnx.load(path), tmp_path / "apart.onnx", save_as_external_data=True, size_threshold=0)
    with pytest.raises(IntegrityError, match=r"apart\.onnx: weights in another file"):
        Onnx(str(tmp_path / "apart.onnx")).network(IMAGE, "teacher.model")
    data = path.read_bytes()
    for cut in (len(data) // 2, len(data) - 5):
        path.write_bytes(data[:cut])
        with pytest.raises(IntegrityError, match=r"t\.onnx"):
            Onnx(str(path)).network(IMAGE, "teacher.model")


def test_a_build_with_nothing_but_the_file(tmp_path: Path) -> None:
    """Its answers, an inner tensor for a loss on layers, its size in the report."""
    images(tmp_path / "t.onnx", label=True)
    recipe = {
        "name": "small",
        "data": {"source": "made", "shape": [8, 8, 1], "classes": 4, "train": 96, "validation": 48, "test": 48},
        "teacher": {"model": {"kind": "onnx", "path": str(tmp_path / "t.onnx")}, "output": "scores"},
        "student": {"model": {"kind": "convnet", "width": 8, "depth": 2}, "epochs": 1},
        "losses": [
            {"kind": "kl"},
            {"kind": "hint", "weight": 0.1, "student_layers": [""], "teacher_layers": ["/net/relu:0"]},
        ],
        "budget": {"max_drop": 1.0},
        "targets": ["ort-cpu"],
    }
    report = edgekd.build(recipe, out=tmp_path / "out", cache=tmp_path / "cache", quick=True)
    teacher, student = report["stages"][:2]
    assert (teacher["size_bytes"], teacher["params"]) == ((tmp_path / "t.onnx").stat().st_size, 276 + 64)
    assert teacher["seconds"] < 5 and student["name"] == "student"
    history = json.loads((tmp_path / "out" / "report.json").read_text())["details"]["history"]
    assert set(history["student"][0]["losses"]) == {"kl", "hint"}
    edgekd.verify(tmp_path / "out")
    made_of = {**recipe, "student": {"from_teacher": [], "epochs": 0}, "losses": [{"kind": "kl"}]}
    with pytest.raises(RecipeError, match=r"student\.from_teacher: its teacher is only asked; found 'onnx'"):
        edgekd.build(made_of, out=tmp_path / "out2", cache=tmp_path / "cache", quick=True)


def test_a_file_of_whole_numbers_teaches_from_samples_that_are(tmp_path: Path) -> None:
    """No made inputs are shown to it, in the rehearsal neither."""
    images(tmp_path / "t.onnx", kind=TensorProto.INT32)
    recipe: dict[str, Any] = {
        "name": "small",
        "data": {"source": "made", "shape": [8, 8, 1], "classes": 4, "train": 32, "validation": 16, "test": 16},
        "teacher": {"model": {"kind": "onnx", "path": str(tmp_path / "t.onnx")}, "preprocess": [{"op": "layout"}]},
        "student": {"model": {"kind": "convnet", "width": 8, "depth": 2}, "epochs": 1},
        "losses": [{"kind": "kl"}],
        "targets": ["ort-cpu"],
    }
    workspace = prepare(requests.make(recipe, cache=tmp_path / "cache", quick=True), Objects())
    assert "teacher" in rehearsal.check(workspace)
