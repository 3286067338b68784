"""Tags: their order, what is refused, and the words and spans of a text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekd.base.errors import DataError
from edgekd.base.wordpiece import NEEDED, Vocabulary
from edgekd.tasks import IGNORED, Heads, Shown, Span, Tags
from edgekd.tasks.tagging import Tagging

TAGS = ("O", "B-who", "I-who", "B-what", "I-what")
VOCABULARY = Vocabulary([*NEEDED, "play", "blue", "##s", "by", "ann", "lee"])
OPS = ({"op": "wordpiece", "vocabulary": VOCABULARY, "length": 9, "lower": True},)


def at(split: str, i: int) -> str:
    return f"{split}: sample {i}"


def numbered(*tags: str, names: Any = None) -> Any:
    return Tagging().numbered({"train": np.array(tags, object)}, names, at, "data")


def test_tags_have_one_order_and_both_kinds() -> None:
    numbering = numbered("O B-who I-who", "B-what O B-what")
    assert numbering.names == ("O", "B-what", "I-what", "B-who", "I-who")
    assert numbering.labels["train"].tolist() == [[0, 3, 4], [1, 0, 1]]
    numbering = numbered("B-who", names=["B-who", "O", "I-what"])
    assert numbering.names == TAGS and numbering.labels["train"].tolist() == [[1]]
    rows = {"train": np.array([[0, 1, 2, IGNORED, -1]])}
    numbers = Tagging().numbered(rows, ("B-what", "I-what", "O"), at, "data")
    assert numbers.names == ("O", "B-what", "I-what") and numbers.labels["train"].tolist() == [[1, 2, 0, IGNORED, -1]]


WRONG = [
    (("O B-who", "O I-who"), None, "train: sample 1, word 1: an I- that continues nothing; found 'I-who'"),
    (("B-what I-who",), None, "train: sample 0, word 1: an I- that continues nothing"),
    (("O", "O who"), None, "train: sample 1: no tag of the BIO scheme; found 'who'"),
    (("O O",), None, "tags without a span"),
    (("B-who",), ["O", "B-what"], "train: sample 0: a tag that nobody named; found 'B-who'"),
    (("B-who",), ["O", "what"], "data: no tag of the BIO scheme; found 'what'"),
]


@pytest.mark.parametrize(("tags", "names", "message"), WRONG)
def test_what_is_no_tag_is_told_by_sample(tags: tuple[str, ...], names: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        numbered(*tags, names=names)


def test_other_labels_are_refused() -> None:
    with pytest.raises(DataError, match="test: sample 0: a tag that no training sample has; found 'B-what'"):
        labels = {"train": np.array(["B-who"], object), "test": np.array(["B-what"], object)}
        Tagging().numbered(labels, None, at, "data")
    with pytest.raises(DataError, match="not the tags of a sample; found 3"):
        Tagging().numbered({"train": np.array([3], object)}, None, at, "data")
    with pytest.raises(DataError, match="train: sample 1: no number of a tag; found 5"):
        Tagging().numbered({"train": np.array([[0, 1], [0, 5]])}, TAGS, at, "data")
    with pytest.raises(DataError, match="tags that are numbers need names"):
        Tagging().numbered({"train": np.array([[0, 1]])}, None, at, "data")
    with pytest.raises(DataError, match="a tag for each word or token is needed"):
        Tagging().shape(5, ())


def scores(*best: int) -> np.ndarray:
    """(9, 5): of each token the tag that is sure; -1 where there is no token."""
    rows = np.zeros((9, 5), np.float32)
    for place, tag in enumerate(best):
        rows[place] = 0 if tag < 0 else -4
        rows[place, max(tag, 0)] = 0 if tag < 0 else 4
    return rows


def test_spans_know_their_words_and_characters() -> None:
    #     [CLS] play blue ##s by ann lee [SEP]
    x = scores(4, 0, 3, 1, 0, 1, 2, 4)
    task, text = Tagging(), "play  blues by Ann Lee"
    decided = task.decode_shown(task.shares(x[None])[0], TAGS, Shown(text, OPS))
    assert isinstance(decided, Tags) and decided.tags == ("O", "B-what", "O", "B-who", "I-who")
    assert [(s.label, s.words, s.characters, s.text) for s in decided.spans] == [
        ("what", (1, 2), (6, 11), "blues"),
        ("who", (3, 5), (15, 22), "Ann Lee"),
    ]
    assert all(isinstance(span, Span) and 0.99 < span.score < 1 for span in decided.spans)
    assert task.in_words(task.record(decided)) == "what (words 1 to 1), who (words 3 to 4)"
    assert task.labels(task.record(decided)) == ["O", "B-what", "B-who", "I-who"]


def test_words_that_are_cut_off_have_no_tag_and_an_i_alone_begins_a_span() -> None:
    task, text = Tagging(), "ann \u200b lee " + "play " * 9
    decided = task.decode_shown(task.shares(scores(0, 2, 2, 0, 0, 0, 0, 0, 1)[None])[0], TAGS, Shown(text, OPS))
    assert decided.tags == ("I-who", "O", "I-who", "O", "O", "O", "O", "O")
    assert [span.words for span in decided.spans] == [(0, 1), (2, 3)]
    alone = task.decode(task.shares(scores(2, 2)[None])[0], TAGS)
    assert alone.tags == ("I-who", "I-who") and [span.words for span in alone.spans] == [(0, 2)]


def test_heads_of_tags_beside_a_class() -> None:
    heads = Heads({"slots": (9, 5), "intent": 3}, {"slots": Tagging()})
    x = np.concatenate([scores(1, 2).reshape(1, -1), [[0, 5, 1]]], axis=1)
    assert heads.answers(x).tolist() == [[1, 2, *[IGNORED] * 7, 1]]
    assert heads.same(x, x) == [True] and heads.only("slots").dense


def test_tags_that_are_added_and_another_order_are_told() -> None:
    assert numbered("O B-who I-who", names=["O", "B-who", "I-who"]).notes == numbered("O B-who I-who").notes == ()
    (note,) = numbered("O B-who", names=["O", "B-who"]).notes
    assert note.startswith("networks answer for 3 tags, O, B-who, I-who: I-who added") and "order" not in note
    (note,) = numbered("O B-who").notes
    assert "I-who added" in note
    rows = {"train": np.array([[0, 1, 2]])}
    (note,) = Tagging().numbered(rows, ("B-what", "I-what", "O"), at, "data").notes
    assert "not in the order that was given" in note and "added" not in note
