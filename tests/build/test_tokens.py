"""A student that reads by fewer tokens than the data has, and its table in their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgekd.base import plugins, preprocess
from edgekd.base.wordpiece import NEEDED, Vocabulary
from edgekd.build import tokens
from edgekd.compress._base import Context
from edgekd.learn import predictions
from edgekd.learn.student import Student, TensorSpec

WORDS = ["rare", "ab", "cd", "seldom", "ef", "##gh"]
LETTERS = "abcdefgh"
WHOLE = Vocabulary([NEEDED[1], WORDS[0], *NEEDED[2:], NEEDED[0], *WORDS[1:], *LETTERS, *(f"##{c}" for c in LETTERS)])
OPS = ({"op": "wordpiece", "vocabulary": WHOLE, "length": 10, "lower": True},)
TEXTS = np.array(["ab cd efgh", "ab ab", "cd a"], dtype=object)


def student_of() -> Student:
    torch.manual_seed(0)
    table = {"kind": "bert", "width": 16, "layers": 1, "heads": 2, "positions": 16}
    module = plugins.build("models", table, "m").build((len(WHOLE), 2), 3).eval()
    return Student(module, preprocess.specs(OPS, TEXTS[0]), (TensorSpec("logits", (None, 3)),), ())


def test_texts_of_the_tokens_that_stay_are_answered_as_before() -> None:
    change: Any = plugins.build("compress", {"kind": "vocabulary"}, "test")
    ops, order = tokens.of_student([change], OPS, TEXTS)
    assert sorted(order) == list(range(len(WHOLE)))
    assert {"rare", "seldom"}.isdisjoint(ops[-1]["vocabulary"]) and {"ab", "##gh"} < set(ops[-1]["vocabulary"])
    student = student_of()
    whole = predictions.tensors(preprocess.apply(OPS, TEXTS))
    with torch.no_grad():
        before = student.module(*whole)
        tokens.reordered(student, whole, order)
        student = Student(student.module, preprocess.specs(ops, TEXTS[0]), student.outputs, ())
        fewer = predictions.tensors(preprocess.apply(ops, TEXTS))
        assert not torch.equal(fewer[0], whole[0])
        assert torch.equal(student.module(*fewer), before), "the dense student, which reads by the new numbers"
        context = Context(None, 1, [])
        change.requires(student, context)
        after = change.apply(student, context)
        change.ensures(student, after)
        assert torch.equal(after.module.eval()(*fewer), before)
        assert {path: rows["kept"] for path, rows in after.lineage[-1]["groups"].items()} == {
            "module.bert.embeddings.word_embeddings": len(ops[-1]["vocabulary"]),
            "module.bert.embeddings.position_embeddings": 10,
        }


def test_without_such_a_pass_all_stays() -> None:
    other: Any = plugins.build("compress", {"kind": "factorize_embedding"}, "test")
    assert tokens.of_student([other], OPS, TEXTS) == (OPS, ())
