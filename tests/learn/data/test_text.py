"""The source of texts: files, labels, vocabularies, and what it refuses."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekd.base import plugins
from edgekd.base.errors import DataError, RecipeError
from edgekd.base.wordpiece import NEEDED
from edgekd.learn import predictions, taps, train
from edgekd.learn.data._lazy import Lazy
from edgekd.learn.data.arrow import Arrow
from edgekd.learn.data.made_text import MadeText
from edgekd.learn.data.text import Text
from edgekd.learn.feed import Feed
from edgekd.learn.objective import Objective, make_terms
from edgekd.learn.teacher import wrap
from edgekd.spec.recipe import Augment, Teacher
from edgekd.tasks import Task
from edgekd.tasks.embedding import Embedding
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression
from edgekd.tasks.tagging import Tagging

ROWS = [(f"{'fine' if i % 2 else 'poor'} film of number {i}", str(i % 2)) for i in range(30)]


def save(path: Path, rows: list[tuple[str, str]] = ROWS, header: str = "sentence\tlabel") -> Path:
    text = "\n".join([header, *("\t".join(row) for row in rows)]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_a_folder_with_a_prefix_and_one_file_that_is_carved(tmp_path: Path) -> None:
    for name, rows in (("train.tsv.gz", ROWS), ("dev.tsv", ROWS[:8]), ("test.tsv.gz", ROWS[:6])):
        save(tmp_path / f"x_{name}", rows)
    whole = Text(str(tmp_path), prefix="x_", vocab=100).load()
    assert [len(split) for split in whole.splits.values()] == [30, 8, 6]
    assert whole.train.x[3] == "fine film of number 3" and whole.train.y is not None and whole.train.y[3] == 1
    assert whole.preprocess[0]["vocabulary"][: len(NEEDED)] == NEEDED
    (tmp_path / "x_dev.tsv").unlink()
    assert [len(split) for split in Text(str(tmp_path), prefix="x_", vocab=100).load().splits.values()] == [27, 3, 6]
    alone = Text(str(save(tmp_path / "one.tsv")), vocab=100, validation=5, test=0.2).load()
    assert [len(split) for split in alone.splits.values()] == [19, 5, 6]


def test_the_fingerprint_follows_every_file_and_not_the_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save(tmp_path / name / "train.tsv"), save(tmp_path / name / "test.tsv")
    a, b = Text(str(tmp_path / "a")), Text(str(tmp_path / "b"))
    assert a.fingerprint() == b.fingerprint() != Text(str(tmp_path / "a"), lower=False).fingerprint()
    save(tmp_path / "b" / "test.tsv", ROWS[:9])
    assert a.fingerprint() != b.fingerprint()
    (tmp_path / "vocab.txt").write_text("\n".join([*NEEDED, "film"]))
    text = Text(str(tmp_path / "a"), tokenizer=str(tmp_path))
    before = text.fingerprint()
    assert before != a.fingerprint()
    (tmp_path / "vocab.txt").write_text("\n".join([*NEEDED, "poor"]))
    assert text.fingerprint() != before


def test_labels_may_be_names_and_classes_may_have_them(tmp_path: Path) -> None:
    named = [(text, ("good", "bad")[i % 2]) for i, (text, _) in enumerate(ROWS)]
    found = Text(str(save(tmp_path / "n.tsv", named)), vocab=100).load()
    assert found.classes == ("bad", "good") and found.train.y is not None
    first = int(np.flatnonzero(np.asarray(found.train.x) == ROWS[0][0])[0])
    assert found.train.y[first] == 1
    numbered = Text(str(save(tmp_path / "i.tsv")), classes=("poor", "fine"), vocab=100).load()
    assert numbered.classes == ("poor", "fine")
    nothing = Text(str(tmp_path / "i.tsv"), label="", classes=("a", "b"), vocab=100).load()
    assert nothing.train.y is None


@pytest.mark.parametrize(
    ("rows", "fields", "message"),
    [
        ([*ROWS, (" ", "1")], {}, r"t\.tsv, line 32: an empty text"),
        ([*ROWS, ("a", "2")], {"classes": ("x", "y")}, r"t\.tsv, line 32: a label that is no class; found '2'"),
        ([*ROWS, ("a", "pos")], {"classes": ("0", "1")}, "found 'pos'"),
        ([*ROWS, ("a", "")], {}, r"t\.tsv, line 32: no label"),
        ([*ROWS, ("a", "20000000")], {}, r"t\.tsv, line 32: labels that leave out 2; found '20000000'"),
        ([*ROWS, ("a", "1" * 5000)], {}, r"t\.tsv, line 32: labels that leave out 2"),
        ([*ROWS, ("sentence", "label")], {}, r"t\.tsv, line 32: the header once more"),
        ([*ROWS, ("a", "b", "c")], {}, "line 32: another number of columns"),
        (ROWS, {"sentence": "sentense"}, r"line 1, data\.sentence: no such column.*did you mean 'sentence'"),
        (ROWS, {"label": "y"}, r"data\.label: no such column"),
        (ROWS, {"label": ""}, "class names are needed"),
        ([("a", "1")] * 30, {"label": "label"}, "one class only"),
        ([(chr(0x4E00 + i), str(i % 2)) for i in range(60)], {}, r"data\.vocab: too small for the characters alone"),
        (ROWS, {"validation": 27}, "leaves an empty split"),
        (ROWS, {"tokenizer": "nowhere"}, r"data\.tokenizer: no such folder"),
    ],
)
def test_says_file_and_line(tmp_path: Path, rows: Any, fields: dict[str, Any], message: str) -> None:
    for lazy in (False, True):
        with pytest.raises(DataError, match=message):
            Text(str(save(tmp_path / "t.tsv", rows)), lazy=lazy, **{"vocab": 100, **fields}).load()


def test_texts_that_stay_in_their_file(tmp_path: Path) -> None:
    rows = [f"{i}\tüber {'fine' if i % 2 else 'poor'} film {'🎬' * (i % 3)} {i}\t{i % 2}\tw{i // 4}" for i in range(40)]
    text = "\r\n".join(["key\tsentence\tlabel\twriter", *rows, ""])
    (tmp_path / "t.tsv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    table: dict[str, Any] = {
        "path": str(tmp_path / "t.tsv"),
        "vocab": 100,
        "groups": "writer",
        "id": "key",
        "limit": 36,
    }
    here, there = Text(**table).load(), Text(**table, lazy=True).load()
    assert here.preprocess == there.preprocess and here.notes == there.notes and here.classes == there.classes
    for mine, theirs in zip(here.splits.values(), there.splits.values(), strict=True):
        assert isinstance(theirs.x, Lazy) and theirs.x.dtype == object and mine.names == theirs.names
        assert list(mine.x) == list(theirs.x) == np.asarray(theirs.x).tolist() and str(mine.x[0]).startswith("über")
        assert mine.y is not None and theirs.y is not None and mine.y.tolist() == theirs.y.tolist()
    feeds = [Feed(data, data.preprocess, Augment(views=1), 0) for data in (here, there)]
    read, later = (feed.plain("train", np.array([3, 1, 2])) for feed in feeds)
    assert all(np.array_equal(read[name], later[name]) for name in read)
    (tmp_path / "t.tsv").write_bytes(text.encode().replace(b"fine", b"good"))
    with pytest.raises(DataError, match=r"t\.tsv, line \d+: the file has changed since the build began"):
        np.asarray(there.train.x)
    save(tmp_path / "p.tsv.gz")
    with pytest.raises(
        DataError, match=r"data\.lazy: packed, so that no text can be found in it.*a plain \.tsv or \.csv"
    ):
        Text(str(tmp_path / "p.tsv.gz"), lazy=True).load()


def test_quoted_texts_of_csv(tmp_path: Path) -> None:
    texts = [f'a {"fine" if i % 2 else "poor"} film, "no. {i}"\nof all' for i in range(30)]
    for name, pack in (("train.csv", bytes), ("test.csv.gz", gzip.compress)):
        rows = ["sentence, label", *(f'"{text.replace(chr(34), 2 * chr(34))}",{i % 2}' for i, text in enumerate(texts))]
        (tmp_path / name).write_bytes(pack("\r\n".join(rows).encode()))
    data = Text(str(tmp_path), vocab=100, validation=4).load()
    assert list(data.test.x) == texts and data.test.y is not None and data.test.y.tolist() == [i % 2 for i in range(30)]
    assert data.test.names is not None and data.test.names[2] == "test/2" and len(data.train) == 26
    with pytest.raises(DataError, match=r"data\.lazy: packed, so that no text can be found in it; found 'test.csv.gz'"):
        Text(str(tmp_path), lazy=True).load()
    train = Text(str(tmp_path / "train.csv"), vocab=100, lazy=True).load().train.x
    assert isinstance(train, Lazy) and {*train} <= {*texts} and list(train) == np.asarray(train).tolist()
    (tmp_path / "train.csv").write_text("sentence,label\na film, and more,1\n")
    with pytest.raises(DataError, match=r"train\.csv, line 2: another number of columns than the header; found 3"):
        Text(str(tmp_path)).load()


def test_quoted_pairs_that_stay_in_their_file(tmp_path: Path) -> None:
    rows = [f'"first, {i}","second ""{i}""\n of {i % 7} ",{i % 5 / 4}' for i in range(40)]
    (tmp_path / "t.csv").write_text("\n\n".join(["a,b,score", *rows]))
    table: dict[str, Any] = {"path": str(tmp_path / "t.csv"), "sentence": "a", "pair": "b", "label": "score"}
    here, there = (Text(**table, vocab=100, lazy=lazy).load(Embedding(4)) for lazy in (False, True))
    assert here.preprocess == there.preprocess and here.notes == there.notes
    for mine, theirs in zip(here.splits.values(), there.splits.values(), strict=True):
        assert isinstance(theirs.x, Lazy) and list(mine.x) == list(theirs.x) == np.asarray(theirs.x).tolist()
        assert mine.y is not None and theirs.y is not None and mine.y.tolist() == theirs.y.tolist()
    assert str(here.train.x[1]).endswith(f"of {int(str(here.train.x[0]).split()[1]) % 7}")
    (tmp_path / "t.csv").write_text("\n".join(["a,b,score", *rows]))
    with pytest.raises(DataError, match=r"t\.csv, line \d+: the file has changed since the build began"):
        np.asarray(there.train.x)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_column_says_the_split(tmp_path: Path, lazy: bool) -> None:
    parts = ("train", "Train", "dev", "test")
    lines = [f"{'fine' if i % 2 else 'poor'} film {i}\t{i // 4 % 2}\t{parts[i % 4]}" for i in range(40)]
    (tmp_path / "d.tsv").write_text("\n".join(["sentence\tlabel\tpart", *lines]))
    data = Text(str(tmp_path / "d.tsv"), split="part", vocab=100, lazy=lazy, limit=16).load()
    assert [len(split) for split in data.splits.values()] == [16, 10, 10]
    assert [str(text).split()[-1] for text in data.test.x] == [str(i) for i in range(3, 40, 4)]
    assert data.test.y is not None and data.test.y.tolist() == [i // 4 % 2 for i in range(3, 40, 4)]
    assert data.validation.names is not None and data.validation.names[1] == "validation/1"
    (tmp_path / "d.tsv").write_text("\n".join(["sentence\tlabel\tpart", *lines, "a film\t1\trest"]))
    with pytest.raises(DataError, match=r"d\.tsv, line 42: part: no split; found 'rest'; allowed: dev, test, testing"):
        Text(str(tmp_path / "d.tsv"), split="part").load()
    (tmp_path / "train.tsv").write_bytes((tmp_path / "d.tsv").read_bytes())
    with pytest.raises(DataError, match="a split twice: by file, and by column"):
        Text(str(tmp_path), split="part").load()


def test_tags_are_held_in_memory_and_that_is_told(tmp_path: Path) -> None:
    rows = [(f"word{i % 7} here {i}", "B-a O O") for i in range(30)]
    note = "texts whose words have tags are held in memory, whatever data.lazy says"
    path = str(save(tmp_path / "t.tsv", rows))
    assert note in Text(path, vocab=100, lazy=True).load(Tagging()).notes
    assert note not in Text(path, vocab=100).load(Tagging()).notes


def test_files_that_are_none(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "no.tsv", "no such file or folder"), (tmp_path, "no training file")):
        with pytest.raises(DataError, match=message):
            Text(str(path)).load()
    (tmp_path / "two.tsv").write_text("sentence\tlabel\tlabel\na\t0\t1\n")
    with pytest.raises(DataError, match=r"line 1, data\.label: two columns of this name"):
        Text(str(tmp_path / "two.tsv")).load()
    (tmp_path / "two.tsv").unlink()
    save(tmp_path / "x_train.tsv")
    with pytest.raises(DataError, match=r"data\.prefix.*did you mean 'x_train\.tsv'"):
        Text(str(tmp_path)).load()
    for name, data, why in (
        ("train.tsv.gz", b"no gzip", "can't be read"),
        ("train.tsv", b"sentence\tlabel\n\xff\xfe\t1\n", "not UTF-8"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"{name}.*: {why}"):
            Text(str(tmp_path)).load()
        if name == "train.tsv.gz":
            (tmp_path / name).unlink()
    save(tmp_path / "train.tsv.gz")
    with pytest.raises(DataError, match="two files for one split"):
        Text(str(tmp_path)).load()


def test_hidden_states_are_compared_where_tokens_are() -> None:
    """Layers of both networks by their own paths, wrapped as a teacher is; what stands at padding changes no loss."""
    data = MadeText(words=20, train=8, validation=4, test=4).load()
    feed = Feed(data, data.preprocess, Augment(views=1), 0)
    table = {"kind": "bert", "width": 16, "layers": 2, "heads": 2}
    torch.manual_seed(0)
    student, made = (plugins.build("models", table, "m").build(feed.sample_shape, 2).eval() for _ in range(2))
    teacher = wrap(made, Teacher(model=table))
    path = "bert.encoder.layer.1"
    taps.check(teacher, [path], "losses[0].teacher_layers")
    terms = make_terms([{"kind": "hidden_states", "student_layers": [path], "teacher_layers": [path]}])
    x = predictions.tensors(feed.plain("train", np.arange(8)))
    mask = train._mask(feed, x)
    assert mask is not None and 0 < int(mask.sum()) < mask.numel()
    found = []
    for padded in (x, tuple(torch.nn.functional.pad(part, (0, 5)) for part in x)):
        objective = Objective(terms, student, teacher, (padded, padded))
        with objective.watching():
            logits = student(*padded)
            found.append(float(objective(logits, None, None, 0.5, padded, train._mask(feed, padded))[0].detach()))
    assert found[0] > 0.01 and found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_student_has_a_model_or_is_made_of_the_teacher() -> None:
    from edgekd.spec import recipe

    base: dict[str, Any] = {
        "name": "x",
        "data": {"source": "digits"},
        "teacher": {"model": {"kind": "convnet"}},
        "losses": [{"kind": "kl"}],
    }
    passes = [{"kind": "channel_prune"}]
    assert recipe.parse({**base, "student": {"from_teacher": passes}}, "r").student.model is None
    for student in ({}, {"model": {"kind": "convnet"}, "from_teacher": passes}):
        with pytest.raises(RecipeError, match="either model or from_teacher"):
            recipe.parse({**base, "student": student}, "r")
    assert recipe.parse({**base, "student": {"from_teacher": [], "epochs": 0}}, "r").student.epochs == 0


def test_attention_matrices_can_be_transferred() -> None:
    net = {"kind": "bert", "width": 16, "layers": 2, "heads": 2, "positions": 16, "dropout": 0.0}
    student, teacher = (plugins.build("models", {**net, "heads": h}, "m").build((50, 2), 3).eval() for h in (2, 4))
    path = "bert.encoder.layer.1.attention.self:1"
    taps.check(student, [path], "here")
    loss = {"kind": "attention_transfer", "power": 1, "student_layers": [path], "teacher_layers": [path]}
    x = torch.randint(5, 50, (3, 9)), torch.ones(3, 9, dtype=torch.int64)
    objective = Objective(make_terms([loss]), student, teacher, (x, x))
    with objective.watching():
        student(*x)
        _, parts = objective(torch.zeros(3, 3), None, None, 0.0, x)
        assert objective._seen[1][path].shape == (3, 4, 9, 9) and objective._seen[0][path].shape == (3, 2, 9, 9)
    assert 0 < float(parts["attention_transfer"].detach()) < 4
    with pytest.raises(RecipeError, match="no tensor of number 7"), taps.tapped(student, ["bert.encoder.layer.0:7"]):
        student(*x)


def test_a_split_with_an_ending_that_is_not_read_is_told(tmp_path: Path) -> None:
    save(tmp_path / "x_train.tsv"), save(tmp_path / "x_old.tsv")
    for name in ("x_val.txt", "x_Test.tsv.bz2", "x_words.json", "val.csv"):
        (tmp_path / name).write_bytes(b"")
    notes = Text(str(tmp_path), prefix="x_", vocab=100).load().notes
    assert "left out, as no split is called so: x_old.tsv" in notes
    unread = ".tsv and .tsv.gz and .csv and .csv.gz and .jsonl are read: x_Test.tsv.bz2, x_val.txt"
    assert f"left out, as only files of {unread}" in notes


@pytest.mark.parametrize("task", [MultiLabel(), Regression()])
def test_made_texts_have_words_of_every_label_that_applies(task: Task) -> None:
    """The share of a sentence that is of a label's words tells whether it applies, or how much of it there is."""
    made = MadeText(classes=3, train=400, validation=40, test=40).load(task)
    assert made.train.y is not None and made.train.y.shape == (400, 3)
    words = [[sum(f"class{c}word" in word for word in text.split()) for c in range(3)] for text in made.train.x]
    shares = np.array(words) / np.array([len(text.split()) for text in made.train.x])[:, None]
    for c in range(3):
        assert np.corrcoef(shares[:, c], made.train.y[:, c])[0, 1] > 0.3


@pytest.mark.parametrize("name", ["d.tsv", "d.csv", "d.tsv.gz", "d.csv.gz"])
@pytest.mark.parametrize("lazy", [False, True])
def test_texts_that_are_no_utf_8_are_told_to_be_saved_as_such(tmp_path: Path, name: str, lazy: bool) -> None:
    mark = "\t" if ".tsv" in name else ","
    lines = f"sentence{mark}label\nfine{mark}1\ncaf\xe9{mark}0\n".encode("latin-1")
    (tmp_path / name).write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    with pytest.raises(DataError, match=rf"{name}, line 3: not UTF-8; found b'\\xe9'; .*Latin-1.*save it as UTF-8"):
        Text(str(tmp_path / name), vocab=100, lazy=lazy and not name.endswith(".gz")).load()


@pytest.mark.parametrize("name", ["d.ndjson", "d.json", "D.Parquet"])
def test_files_of_another_form_are_told_what_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"text": "a b", "label": 1}\n')
    with pytest.raises(DataError, match=rf"no file of lines; found '{name}'; allowed: .*\.csv, .*\.tsv"):
        Text(str(tmp_path / name)).load()
    if name == "d.ndjson":
        with pytest.raises(
            DataError, match=r"no file of such samples; found 'd.ndjson'; allowed: \*\.arrow or \*\.parquet"
        ):
            Arrow(str(tmp_path / name), x="text").load()


def test_texts_of_json_lines(tmp_path: Path) -> None:
    lines = [json.dumps({" sentence": text, "label": int(label), "meta": {"of": [1]}}) for text, label in ROWS]
    (tmp_path / "d.jsonl").write_text("\n\n".join(lines))
    data = Text(str(tmp_path / "d.jsonl"), vocab=100).load()
    assert len(data.train) == 24 and data.classes == ("0", "1") and {*data.train.x} < {text for text, _ in ROWS}
    with pytest.raises(DataError, match=r"data\.lazy: of JSON, so that no text can be found"):
        Text(str(tmp_path / "d.jsonl"), lazy=True).load()
    (tmp_path / "d.jsonl").write_text("\n".join([*lines, '{"sentence": ["a", "b"], "label": 1}']))
    with pytest.raises(DataError, match=r"d\.jsonl, line 31: sentence: no value of a table; found 'list'"):
        Text(str(tmp_path / "d.jsonl")).load()
    (tmp_path / "d.jsonl").write_text("\n".join([*lines, '{"sentence": "no label"}']))
    with pytest.raises(DataError, match=r"d\.jsonl, line 31: no label"):
        Text(str(tmp_path / "d.jsonl")).load()


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.jsonl"])
def test_a_word_that_stands_for_nothing_is_no_class_unless_it_is_named(tmp_path: Path, name: str) -> None:
    rows = [*ROWS, ("fine or poor", "NaN"), ("poor or fine", "NaN"), ("fine", "NaN")]
    if name == "d.jsonl":
        lines = [json.dumps({"sentence": text, "label": label}) for text, label in rows]
    else:
        lines = [("," if name == "d.csv" else "\t").join(row) for row in (("sentence", "label"), *rows)]
    (tmp_path / name).write_text("\n".join(lines))
    with pytest.raises(DataError, match=rf"{name}, line \d+: no label; found 'NaN'; leave .*data\.classes"):
        Text(str(tmp_path / name), vocab=100).load()
    assert Text(str(tmp_path / name), vocab=100, classes=("0", "1", "NaN")).load().classes[2] == "NaN"
