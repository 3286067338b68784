"""What every compression pass keeps, found by its file."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from edgekd.base import plugins, preprocess
from edgekd.base.errors import ExportError, FactoryError
from edgekd.compress._base import Context
from edgekd.learn import taps
from edgekd.learn.student import SplitHeads, Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends
from edgekd.spec import target

# They need the layers of a transformer.
OF_STACKS: dict[str, dict[str, Any]] = {
    "keep_layers": {"layers": "bert.encoder.layer"},
    "distilbert": {},
    "width_prune": {},
    "vocabulary": {},
    "factorize_embedding": {"rank": 4},
}
KINDS = [kind for kind in plugins.kinds("compress") if kind not in OF_STACKS]
SHAPE = (3, 16, 16)
FAMILIES: list[dict[str, Any]] = [
    {"kind": "convnet", "width": 32},
    {"kind": "resnet", "depth": 8, "width": 16},
    {"kind": "mobilenet"},
]


def student_of(table: dict[str, Any]) -> Student:
    torch.manual_seed(0)
    module = plugins.build("models", table, "m").build(SHAPE, 5)
    with torch.no_grad():
        module.train()(torch.randn(32, *SHAPE))
    spec = TensorSpec("input", (None, *SHAPE))
    return Student(module.eval(), (spec,), (TensorSpec("logits", (None, 5)),), ({"kind": "student"},))


def text_student(tokens: int = 50, **keys: Any) -> Student:
    """Its table has 50 rows, whatever the texts that it reads are made of."""
    torch.manual_seed(0)
    table = {"kind": "bert", "width": 16, "layers": 4, "heads": 2, "positions": 12, **keys}
    specs = preprocess.specs([{"op": "wordpiece", "vocabulary": range(tokens), "length": 12}], np.array("text"))
    module = plugins.build("models", table, "m").build((50, 2), 3).eval()
    return Student(module, specs, (TensorSpec("logits", (None, 3)),), ({"kind": "teacher"},))


def context() -> Context:
    generator = torch.Generator().manual_seed(0)
    return Context(
        target.load("ort-cpu").quantized, 8, [(torch.randn(8, *SHAPE, generator=generator),) for _ in range(2)]
    )


@pytest.mark.parametrize("table", FAMILIES, ids=lambda t: t["kind"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_life_of_a_pass(kind: str, table: dict[str, Any]) -> None:
    change, before = plugins.build("compress", {"kind": kind}, "test"), student_of(table)
    the_whole_life(change, before, context(), torch.randn(4, *SHAPE))


@pytest.mark.parametrize("kind", OF_STACKS)
def test_the_whole_life_of_a_pass_over_transformers(kind: str) -> None:
    before = text_student(tokens=40 if kind == "vocabulary" else 50, layers=2)
    change = plugins.build("compress", {"kind": kind, **OF_STACKS[kind]}, "test")
    the_whole_life(change, before, of_texts(before), *before.example(4, seed=1, length=12))


def test_layers_that_are_one_are_one_in_int8_and_take_texts_of_another_length() -> None:
    two = text_student(width=64, layers=2)
    shared = text_student(width=64, layers=2, shared=True)
    made = {kind: plugins.build("compress", {"kind": kind}, "test") for kind in ("int8_qat", "int8_ptq")}
    apart = made["int8_ptq"].finish(made["int8_ptq"].apply(two, of_texts(two)))
    size = len(to_onnx(apart, opset=20, metadata={}))
    for change in made.values():
        file = the_whole_life(change, shared, of_texts(shared), *shared.example(4, seed=3, length=5))
        assert len(file) < 0.7 * size


def of_texts(student: Student) -> Context:
    """Two batches of texts of one length."""
    return Context(context().numerics, 8, [student.example(8, seed=s, length=12) for s in range(2)])


def the_whole_life(change: Any, before: Student, here: Context, *x: torch.Tensor) -> bytes:
    """Apply, train, replay, finish, export and run; the file."""
    state = {name: value.clone() for name, value in before.module.state_dict().items()}
    change.requires(before, here)
    after = change.apply(before, here)
    change.ensures(before, after)
    assert all(torch.equal(state[n], v) for n, v in before.module.state_dict().items()), "apply changed its input"
    assert after.lineage[:-1] == before.lineage
    record = json.loads(json.dumps(after.lineage[-1]))  # plain data: it survives JSON

    change.begin_epoch(after, 0, 2)
    after.module.train()
    after.module(*x).square().mean().backward()
    change.begin_epoch(after, 1, 2)
    after.module.eval()

    replayed = change.replay(before, record)
    replayed.module.load_state_dict(after.module.state_dict())
    with torch.no_grad():
        assert torch.equal(replayed.module.eval()(*x), after.module.eval()(*x)), "replay gives another network"

    finished = change.finish(replayed)
    data = to_onnx(finished, opset=20, metadata={})
    session = backends.make("ort", {}, "test").open({"model.onnx": data}, batch=4)
    got = session.run({spec.name: array.numpy() for spec, array in zip(before.inputs, x, strict=True)})["logits"]
    with torch.no_grad():
        wanted = after.module(*x).numpy()
    spread = float(np.ptp(wanted))
    assert np.abs(got - wanted).max() <= (0.05 if change.quantizes else 1e-4) * spread
    return data


def test_pruning_keeps_the_channel_multiple() -> None:
    change, before = plugins.build("compress", {"kind": "channel_prune", "ratio": 0.4}, "test"), student_of(FAMILIES[0])
    after = change.apply(before, context())
    widths = [m.out_channels for m in after.module.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(width % 8 == 0 for width in widths) and max(widths) < 32


def test_a_layer_that_makes_the_scores_of_several_heads_is_one_layer() -> None:
    one = student_of(FAMILIES[0])
    outputs = (TensorSpec("a", (None, 3)), TensorSpec("b", (None, 2)))
    two = Student(SplitHeads(one.module, [3, 2]), one.inputs, outputs, one.lineage)
    change = plugins.build("compress", {"kind": "channel_prune"}, "test")
    assert change.apply(two, context()).params == change.apply(one, context()).params


def test_layers_are_left_out_of_a_student_with_several_heads() -> None:
    one = student_of({"kind": "convnet", "width": 16, "depth": 4, "strides": [1, 1, 1, 1]})
    outputs = (TensorSpec("a", (None, 3)), TensorSpec("b", (None, 2)))
    two = Student(SplitHeads(one.module, [3, 2]), one.inputs, outputs, one.lineage)
    change = plugins.build("compress", {"kind": "keep_layers", "layers": "features", "keep": [0, 2]}, "test")
    change.ensures(two, change.apply(two, context()))


def test_layers_that_do_not_fit_together_are_a_mistake_that_is_told() -> None:
    before = student_of({"kind": "convnet", "width": 16, "depth": 4, "strides": [1, 1, 1, 1]})
    change = plugins.build("compress", {"kind": "keep_layers", "layers": "features", "keep": [1, 2]}, "test")
    with pytest.raises(FactoryError, match="the network after keep_layers"):
        change.ensures(before, change.apply(before, context()))


def test_int8_weights_fit_in_seven_bits() -> None:
    import onnx
    from onnx import numpy_helper

    change, before = plugins.build("compress", {"kind": "int8_qat"}, "test"), student_of(FAMILIES[1])
    data = to_onnx(change.finish(change.apply(before, context())), opset=20, metadata={})
    weights = [numpy_helper.to_array(i) for i in onnx.load_from_string(data).graph.initializer]
    int8 = [w for w in weights if w.dtype == np.int8 and w.ndim > 1]
    assert len(int8) == 10
    assert all(np.abs(w.astype(int)).max() <= 63 for w in int8)


class Twice(torch.nn.Module):
    """One convolution used twice, with a BatchNorm of its own each time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.one, self.two = torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.3), torch.nn.BatchNorm2d(3)
        self.head = torch.nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.one(self.conv(x)))
        x = torch.relu(self.two(self.conv(x)))
        return self.head(x.mean((2, 3)))


def test_a_convolution_used_twice_and_another_epsilon_are_folded_rightly() -> None:
    torch.manual_seed(0)
    module = Twice()
    with torch.no_grad():
        module.train()(torch.randn(64, *SHAPE))
        module.get_buffer("one.running_var").mul_(1e-3)
    spec = TensorSpec("input", (None, *SHAPE))
    before = Student(module.eval(), (spec,), (TensorSpec("logits", (None, 5)),), ({"kind": "student"},))
    change = plugins.build("compress", {"kind": "int8_qat"}, "test")
    calibration = [(torch.randn(16, *SHAPE),) for _ in range(4)]
    after = change.apply(before, Context(target.load("ort-cpu").quantized, 1, calibration))
    data = to_onnx(change.finish(after), opset=20, metadata={})
    got = backends.make("ort", {}, "t").open({"model.onnx": data}, batch=16).run({"input": calibration[0][0].numpy()})
    with torch.no_grad():
        wanted = before.module(*calibration[0]).numpy()
    assert np.abs(got["logits"] - wanted).max() <= 0.08 * np.ptp(wanted)


def test_a_distilbert_begins_where_the_bert_stood() -> None:
    """Embeddings and copied layers are the BERT's own; the one that was left out makes the difference."""
    before = text_student()
    after = plugins.build("compress", {"kind": "distilbert", "keep": [0, 1]}, "t").apply(before, context())
    paths = ("bert.encoder.layer.1", "distilbert.transformer.layer.1")
    ids, mask = before.example(3, length=9)
    mask[1, 4:] = 0
    with taps.tapped(before.module, paths[:1]) as theirs, taps.tapped(after.module, paths[1:]) as ours:
        before.module(ids, mask), after.module.eval()(ids, mask)
    here = mask.bool()
    assert torch.allclose(theirs[paths[0]][here], ours[paths[1]][here], atol=1e-5)
    with pytest.raises(ExportError, match=r"layers \[4\] of 4"):
        plugins.build("compress", {"kind": "distilbert", "keep": [4]}, "t").requires(before, context())
    with pytest.raises(ExportError, match=r"did you mean 'bert\.encoder\.layer'"):
        plugins.build("compress", {"kind": "keep_layers", "layers": "bert.encoder.layers"}, "t").requires(
            before, context()
        )
    with pytest.raises(ExportError, match="BertForSequenceClassification"):
        plugins.build("compress", {"kind": "distilbert"}, "t").requires(student_of(FAMILIES[0]), context())
