"""Heads and units of transformers, and whole blocks: what is missed least goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from edgekd.base import plugins, preprocess
from edgekd.base.errors import ExportError, RecipeError
from edgekd.compress import drop_blocks
from edgekd.compress._base import Context
from edgekd.learn.frozen import PooledBody
from edgekd.learn.student import SplitHeads, Student, TensorSpec
from edgekd.lower.lower import to_onnx
from edgekd.runtime import backend as backends


def images(**table: Any) -> Student:
    torch.manual_seed(0)
    module = plugins.build("models", {"kind": "resnet", "depth": 14, "width": 4, **table}, "m").build((3, 8, 8), 5)
    with torch.no_grad():
        module.train()(torch.randn(32, 3, 8, 8))
    spec = TensorSpec("input", (None, 3, 8, 8))
    return Student(module.eval(), (spec,), (TensorSpec("logits", (None, 5)),), ({"kind": "student"},))


def texts(distilbert: bool = False) -> Student:
    torch.manual_seed(0)
    table: dict[str, Any] = {"kind": "bert", "width": 32, "layers": 3, "heads": 4, "inner": 48, "positions": 12}
    if distilbert:
        config = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 12}
        table = {"kind": "transformers", "name": "DistilBertForSequenceClassification", "config": config}
    specs = preprocess.specs([{"op": "wordpiece", "vocabulary": range(50), "length": 12}], np.array("text"))
    module = plugins.build("models", table, "m").build((50, 2), 3).eval()
    with torch.no_grad():  # the library's start is so small that nothing matters
        for parameter in module.parameters():
            parameter.mul_(4.0)
    return Student(module, specs, (TensorSpec("logits", (None, 3)),), ({"kind": "student"},))


def told(student: Student, **more: Any) -> Context:
    return Context(None, 8, [student.example(4, seed=seed) for seed in range(2)], **more)


def build(kind: str, **keys: Any) -> Any:
    return plugins.build("compress", {"kind": kind, **keys}, "compress[0]")


@pytest.mark.parametrize("distilbert", [False, True])
@pytest.mark.parametrize("criterion", ["magnitude", "taylor", "teacher"])
def test_a_head_and_units_that_say_nothing_go_and_nothing_changes(criterion: str, distilbert: bool) -> None:
    student = texts(distilbert)
    layers: Any = student.module.get_submodule("module." + ("distilbert.transformer" if distilbert else "bert.encoder"))
    silent = [3, 0] if distilbert else [3, 0, 1]
    for layer, head in zip(layers.layer, silent, strict=True):
        attention, units = (layer.attention, layer.ffn.lin2) if distilbert else (layer.attention, layer.output.dense)
        inner = slice(8 * head, 8 * head + 8)
        reads = attention if distilbert else attention.self
        names = ("q_lin", "k_lin", "v_lin") if distilbert else ("query", "key", "value")
        with torch.no_grad():
            (attention.out_lin if distilbert else attention.output.dense).weight[:, inner] = 0.0
            units.weight[:, 8:16] = 0.0
            for name in names:
                getattr(reads, name).weight[inner] = 0.0
            (layer.ffn.lin1 if distilbert else layer.intermediate.dense).weight[8:16] = 0.0
    change = build("width_prune", heads=0.25, feed_forward=1 / 6, criterion=criterion)
    after = change.apply(student, told(student))
    change.ensures(student, after)
    assert [sorted({0, 1, 2, 3} - set(kept)) for kept in after.lineage[-1]["heads"]] == [[head] for head in silent]
    assert all(not set(range(8, 16)) & set(kept) for kept in after.lineage[-1]["feed_forward"])
    x = student.example(3, seed=9, length=7)
    with torch.no_grad():
        assert torch.allclose(student.module(*x), after.module.eval()(*x), atol=1e-5)


def test_a_narrow_distilbert_runs_at_another_length_and_global_takes_from_where_it_is_missed_least() -> None:
    student = texts(distilbert=True)
    after = build("width_prune", scope="global", criterion="taylor").apply(student, told(student))
    heads, units = after.lineage[-1]["heads"], after.lineage[-1]["feed_forward"]
    assert sum(map(len, heads)) == 4 and all(heads) and all(len(kept) % 8 == 0 and kept for kept in units)
    session = backends.make("ort", {}, "t").open({"model.onnx": to_onnx(after, opset=20, metadata={})}, batch=2)
    x = student.example(2, length=5)
    got = session.run({spec.name: array.numpy() for spec, array in zip(student.inputs, x, strict=True)})["logits"]
    assert np.allclose(got, after.module(*x).detach().numpy(), atol=1e-4)
    with pytest.raises(ExportError, match="allowed: BertModel, DistilBertModel"):
        build("width_prune").requires(images(), told(student))
    with pytest.raises(RecipeError, match="above 0"):
        build("width_prune", heads=0.0, feed_forward=0.0)


@pytest.mark.parametrize("distilbert", [False, True])
def test_an_encoder_is_narrowed_in_whatever_network_it_stands(distilbert: bool) -> None:
    whole = texts(distilbert)
    encoder = whole.module.get_submodule("module.distilbert" if distilbert else "module.bert")
    module = PooledBody(encoder, whole.example(2), 3, "mean").eval()
    student = Student(module, whole.inputs, whole.outputs, whole.lineage)
    after = build("width_prune", heads=0.5, feed_forward=1 / 3).apply(student, told(student))
    stack = "body.transformer.layer" if distilbert else "body.encoder.layer"
    assert {path.rpartition(".")[0] for path in after.lineage[-1]["groups"]} == {stack}
    linear = after.module.get_submodule(f"{stack}.1.{'ffn.lin1' if distilbert else 'intermediate.dense'}")
    assert linear.out_features == 32
    assert after.module(*student.example(2)).shape == (2, 3)


def test_the_blocks_of_nets() -> None:
    """Where the shape changes there is none; the layers of a transformer all are."""
    assert drop_blocks.blocks(images()) == ["blocks.0", "blocks.1", "blocks.3", "blocks.5"]
    assert drop_blocks.blocks(texts()) == [f"bert.encoder.layer.{i}" for i in range(3)]
    one = images()
    outputs = (TensorSpec("a", (None, 3)), TensorSpec("b", (None, 2)))
    two = Student(SplitHeads(one.module, [3, 2]), one.inputs, outputs, one.lineage)
    assert drop_blocks.blocks(two) == drop_blocks.blocks(one)


@pytest.mark.parametrize("net", [images, texts])
def test_blocks_that_do_nothing_go_first_and_the_loss_of_the_others_is_exact(net: Any) -> None:
    student = net()
    idle = drop_blocks.blocks(student)[1]
    block = student.module.get_submodule(idle if net is images else f"module.{idle}")
    with torch.no_grad():
        if net is images:
            block.conv2[1].weight.zero_(), block.conv2[1].bias.zero_()
        else:
            block.output.LayerNorm.weight.mul_(1e-3)
    teacher = [student.module(*student.example(4, seed=seed)).detach() for seed in range(2)]
    here = told(student, teacher=teacher, loss=lambda s, t, y: (s - t).square().sum(1).mean())
    change = build("drop_blocks", count=1)
    after = change.apply(student, here)
    change.ensures(student, after)
    lost = after.lineage[-1]["lost"]
    gone = after.lineage[-1]["blocks"][0]
    assert gone == min(lost, key=lost.__getitem__)
    with torch.no_grad():
        wanted = [
            float((after.module.eval()(*x) - t).square().sum(1).mean())
            for x, t in zip(here.calibration, teacher, strict=True)
        ]
    assert lost[gone] == pytest.approx(sum(wanted) / 2, abs=1e-6)
    if net is images:
        assert gone == idle and lost[gone] == 0.0


def test_blocks_go_until_the_latency_is_met_and_those_that_cost_most_first() -> None:
    student = images()

    def clock(students: Sequence[Student]) -> list[float]:
        return [float(sum(p.numel() for p in s.module.get_submodule("blocks").parameters())) for s in students]

    after = build("drop_blocks", latency=0.7).apply(student, Context(None, 8, told(student).calibration, clock=clock))
    times = after.lineage[-1]["latency_ms"]
    assert [times["dense"], times["pruned"]] == clock([student, after])
    assert times["pruned"] <= 0.7 * times["dense"] and "blocks.5" in after.lineage[-1]["blocks"]
    with pytest.raises(ExportError, match=r"drop_blocks\.latency: can't be made so fast"):
        build("drop_blocks", latency=0.1).apply(student, Context(None, 8, told(student).calibration, clock=clock))
    with pytest.raises(ExportError, match="too few blocks"):
        build("drop_blocks", count=5).requires(student, told(student))
    assert len(build("drop_blocks", ratio=0.99).apply(texts(), told(texts())).lineage[-1]["blocks"]) == 2, "one stays"
    with pytest.raises(ExportError, match="too few blocks"):
        build("drop_blocks", count=3).requires(texts(), told(texts()))
    with pytest.raises(RecipeError, match="one of ratio, count and latency"):
        build("drop_blocks", count=1, ratio=0.5)


def test_a_narrowed_bert_is_told_that_it_comes_too_late_for_distilbert() -> None:
    student = texts()
    narrow = build("width_prune", heads=0.5, feed_forward=0.5).apply(student, told(student))
    with pytest.raises(ExportError, match=r"layer 0: a layer that was made narrower.*comes before width_prune"):
        build("distilbert").requires(narrow, told(narrow))
