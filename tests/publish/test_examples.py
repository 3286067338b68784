"""The programs of a bundle's ``examples/``: they show a network bit for bit what it saw in training."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekd
from edgekd.base import preprocess, table_rows
from edgekd.base.errors import IntegrityError, UsageError
from edgekd.base.wordpiece import Vocabulary
from edgekd.learn.data import _clips
from edgekd.publish import examples
from edgekd.publish.examples import About
from edgekd.report.readme import _programs
from edgekd.tasks import CLASSES, Certainty, ClassDistance, Heads, Task
from edgekd.tasks.anomaly import Anomaly
from edgekd.tasks.anomaly_map import AnomalyMap
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression
from edgekd.tasks.segmentation import Segmentation
from edgekd.tasks.tagging import Tagging

LABELS = {"logits": ["no", 'say "yes"', "ß\\"]}
FILES = {"ort": "ort-cpu/model.onnx", "web": "ort-cpu/model.onnx", "openvino": "openvino/openvino_model.xml"}
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "quiet",
    "film",
    "##s",
    "fil",
    "##ming",
    "ole",
    "!",
    ",",
    "中",
    "good",
]
COLOUR: list[dict[str, Any]] = [
    {"op": "resize", "height": 13, "width": 9},
    {"op": "crop", "height": 9, "width": 8},
    {"op": "edges"},
    {"op": "scale", "divide": 255.0},
    {"op": "normalise", "mean": [0.491, 0.482, 0.447], "std": [0.247, 0.243, 0.262]},
    {"op": "layout"},
]
# Every filter, up and down, by rows first and by columns first; padded as bytes and as floats.
BYTES: list[dict[str, Any]] = [
    {"op": "resize", "height": 23, "width": 29, "interpolation": "bicubic"},
    {"op": "letterbox", "height": 20, "width": 12, "interpolation": "bilinear", "value": [1, 114, 255]},
    {"op": "pad", "multiple": 7, "position": "top_left"},
    {"op": "bgr"},
    {"op": "crop", "height": 18, "width": 11, "top": 3},
    {"op": "resize", "height": 5, "width": 19, "interpolation": "lanczos"},
    {"op": "resize", "height": 9, "width": 6, "interpolation": "box"},
    {"op": "layout"},
]
FLOATS: list[dict[str, Any]] = [
    {"op": "pad", "aspect": [1, 1], "value": 0.1},
    *({"op": "resize", "height": h, "width": w, "interpolation": name}
      for name, h, w in (("bilinear", 5, 20), ("box", 17, 9), ("lanczos", 8, 21), ("bicubic", 12, 5))),
    {"op": "letterbox", "height": 7, "width": 9},
    {"op": "bgr"},
    {"op": "layout"},
]  # fmt: skip
# Means and deviations that no float32 is.
TABLE: list[dict[str, Any]] = [
    {"name": "mass, kg", "mean": 0.1, "std": 0.7, "missing": True},
    {"name": "k\u0131nd", "values": ['say "a"', "b", "2.0"], "other": True},
    {"name": "size", "mean": -1e3, "std": 3e-5, "missing": False},
    {"name": "day", "values": ["mon", "tue"], "other": False},
]
# Numbers that no float32 is, one of them between two; whole ones beyond its 24 bits.
WHOLE: list[dict[str, Any]] = [
    {"op": "normalise", "mean": [1 + 2**-24, 0.1, 7.0], "std": [0.3, 9.81, 1.0]},
    {"op": "scale", "divide": 9.81},
]
LARGE = np.array([[[1, 2**24 + 1, -(2**31) + 3], [123_456_789, 2**40 + 12_345, 2**25 + 3]]])
CASES: dict[str, tuple[list[dict[str, Any]], tuple[int, ...], str]] = {
    "picture": (COLOUR, (17, 20, 3), "uint8"),
    "grey": ([{"op": "grey"}, {"op": "scale", "divide": 7.0}, {"op": "layout"}], (6, 5, 3), "uint8"),
    "odd": ([{"op": "scale", "divide": 9.81}, {"op": "layout"}], (9, 5, 3), "uint8"),
    "ink": ([{"op": "scale", "divide": 16.0}, {"op": "layout"}], (8, 8, 1), "uint8"),
    "resized": (BYTES, (31, 17, 3), "uint8"),
    "resized floats": (FLOATS, (13, 11, 3), "float32"),
    "sound": ([{"op": "scale", "divide": 32768.0}, {"op": "normalise", "mean": 0.1, "std": 0.3}], (50,), "int16"),
    "numbers": ([{"op": "normalise", "mean": [1.5, 0.1], "std": [0.3, 7.0]}], (3, 2), "float32"),
    "whole": (WHOLE, (2, 3), "int64"),
    "plain": ([], (7,), "float32"),
    "columns": ([{"op": "columns", "names": ["user", "seen"], "sizes": [9, 40], "widths": [1, 4]}], (5,), "int64"),
    "parts": ([{"op": "parts", "names": ["image", "item"], "sizes": [0, 40], "shapes": [[2, 3], []]}], (7,), "float32"),
    "table": ([{"op": "table", "columns": TABLE}], (4,), "float32"),
    "text": ([{"op": "wordpiece", "vocabulary": WORDS, "length": 16, "lower": True}], (), "float32"),
}


def about(name: str, **changes: Any) -> About:
    ops, shape, dtype = CASES[name]
    if name == "text":
        ops = [{**ops[0], "vocabulary": Vocabulary.of(WORDS)}]
    like: Any = "a" if name == "text" else np.zeros(shape, dtype)
    told = {"labels": LABELS, "files": FILES, **changes}
    told["tasks"] = {head: changes.get("task", CLASSES) for head in told["labels"]}
    told.pop("task", None)
    return About(name=name, ops=ops, shape=shape, dtype=dtype, inputs=preprocess.specs(ops, like), **told)


def written(folder: Path, name: str, **changes: Any) -> tuple[Path, dict[str, np.ndarray]]:
    """The examples in a folder, and what the network is to see of their sample."""
    told = about(name, **changes)
    if name == "text":
        samples: Any = np.array(["A[SEP]quiet [UNK] Olé! zzz[MASK] films"], dtype=object)
        (folder / "vocab.txt").write_bytes(Vocabulary.of(WORDS).written())
    else:
        samples = LARGE if name == "whole" else examples.synthetic(told, np.random.default_rng(0), 1)
    for path, data in examples.make(told, samples[0], {"logits": {"label": "no", "scores": [1.0, 0.5, 0.0]}}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder / "examples", preprocess.apply(told.ops, samples)


def said(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def held(found: Mapping[str, Any], wanted: Mapping[str, np.ndarray]) -> None:
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        numbers, shape = found[name]
        assert list(array.shape) == shape
        np.testing.assert_array_equal(np.array(numbers, array.dtype).reshape(array.shape), array)


@pytest.mark.parametrize("name", CASES)
def test_python_sees_the_same(tmp_path: Path, name: str) -> None:
    folder, wanted = written(tmp_path, name)
    show = "import json, student as s; x = s.preprocess(s.read())\n"
    show += "print(json.dumps({k: [v.ravel().tolist(), v.shape] for k, v in x.items()}))"
    held(json.loads(said([sys.executable, "-c", show], folder / "python")), wanted)


@pytest.mark.parametrize("name", CASES)
def test_javascript_sees_the_same(tmp_path: Path, name: str) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    folder, wanted = written(tmp_path, name)
    if name == "text":
        vocabulary = "vocabularyOf(await readFile('../../vocab.txt', 'utf8'))"
        ask = f"preprocess(await readFile('../sample.txt', 'utf8'), {vocabulary})"
        more = "import { vocabularyOf } from './wordpiece.mjs';"
    else:
        raw = "new Raw(new Uint8Array(await readFile('../sample.bin')).buffer)"
        ask, more = (
            f"preprocess({f'Array.from({raw}, Number)' if CASES[name][2] == 'int64' else raw})",
            "import { Raw } from './student.mjs';",
        )
    lines = [
        "import { readFile } from 'node:fs/promises';",
        "import { preprocess, told } from './student.mjs';",
        more,
        f"const x = Object.entries({ask}).map(([k, [data, shape]]) => [k, [Array.from(data, Number), shape]]);",
        "console.log(JSON.stringify([Object.fromEntries(x), told({ logits: [0, 2, 1] })]));",
    ]
    (folder / "js" / "show.mjs").write_text("\n".join(lines))
    found, answer = json.loads(said(["node", "show.mjs"], folder / "js"))
    held(found, wanted)
    assert answer == {"logits": {"label": 'say "yes"', "scores": [0, 2, 1]}}


@pytest.mark.parametrize("name", CASES)
def test_cpp_sees_the_same(tmp_path: Path, name: str) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    folder, wanted = written(tmp_path, name)
    show = """
        #include "student.h"
        int main() {
          std::cout << std::setprecision(17) << "[{";
          const auto inputs = student::preprocess(student::read(std::string("../") + student::SAMPLE)VOCABULARY);
          for (size_t k = 0; k < inputs.size(); ++k) {
            std::cout << (k ? ", " : "") << std::quoted(inputs[k].name) << ": [[";
            for (size_t i = 0; i < inputs[k].data.size(); ++i) std::cout << (i ? ", " : "") << inputs[k].data[i];
            std::cout << "], [";
            for (size_t i = 0; i < inputs[k].shape.size(); ++i) std::cout << (i ? ", " : "") << inputs[k].shape[i];
            std::cout << "]]";
          }
          std::cout << "}, ";
          const float scores[] = {0, 2, 1};
          student::tell("logits", scores, 3, true, true);
          std::cout << "]";
        }"""
    vocabulary = ', wordpiece::Vocabulary("../../vocab.txt")' if name == "text" else ""
    (folder / "cpp" / "show.cpp").write_text(show.replace("VOCABULARY", vocabulary))
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    said(["g++", *flags, "show.cpp", "-o", "show"], folder / "cpp")
    found, answer = json.loads(said(["./show"], folder / "cpp"))
    held(found, wanted)
    assert answer == {"logits": {"label": 'say "yes"', "scores": [0, 2, 1]}}


def test_a_bundle_gets_what_its_files_are_for(tmp_path: Path) -> None:
    names = {p.relative_to(tmp_path).as_posix() for p in written(tmp_path, "ink")[0].rglob("*") if p.is_file()}
    others = {"js/wordpiece.mjs", "cpp/wordpiece.h", "web/sound.mjs", "js/resample.mjs", "cpp/resample.h"}
    others |= {"python/table.py", "js/table.mjs", "cpp/table.h"}
    assert names == {f"examples/{name}" for name in {*examples.templates()} - others} | {
        "examples/sample.bin",
        "examples/answer.json",
    }
    only = examples.make(about("ink", files={"openvino": FILES["openvino"]}), np.zeros((8, 8, 1), np.uint8), {})
    assert not [name for name in only if "ort" in name or "/web/" in name or "/node/" in name]
    assert {"examples/python/predict_openvino.py", "examples/cpp/predict_openvino.cpp"} <= set(only)


def test_every_language_reads_rows_of_a_table_alike(tmp_path: Path) -> None:
    """To the last bit: many rows with gaps, values that are none of the listed ones, and rows that are refused."""
    folder, _ = written(tmp_path, "table")
    columns = about("table").ops[-1]["columns"]
    rows = table_rows.synthetic(columns, np.random.default_rng(1), 300)
    rows[:, 2] *= np.logspace(-30, 25, 300, dtype=np.float32)
    wanted = table_rows.encoded(rows, columns).ravel().view(np.uint32).tolist()
    (tmp_path / "rows.bin").write_bytes(rows.astype("<f4").tobytes())
    show = "import table, numpy as np; rows = np.fromfile('../../rows.bin', '<f4').reshape(-1, 4)\n"
    show += "print(table.encoded(rows).ravel().view(np.uint32).tolist())\n"
    refused = "\ntry: table.encoded(np.float32([[0, 4, 0, 0]]))\nexcept ValueError as error: print(error)"
    lines = said([sys.executable, "-c", show + refused], folder / "python").splitlines()
    assert json.loads(lines[0]) == wanted and "0 to 3, or NaN" in lines[1]
    if shutil.which("node"):
        by_name = {"mass, kg": None, "k\u0131nd": 2, "size": " -3.5 ", "day": "sun"}
        script = [
            "import { readFileSync } from 'node:fs'; import { encoded, rowOf, valuesOf } from './table.mjs';",
            "const rows = new Float32Array(new Uint8Array(readFileSync('../../rows.bin')).buffer), bits = [];",
            "for (let i = 0; i < rows.length; i += 4)",
            "  bits.push(...new Uint32Array(encoded(rows.slice(i, i + 4)).buffer));",
            f"const row = rowOf({json.dumps(by_name)}), failed = [];",
            f"const but = (values) => rowOf({{ ...{json.dumps(by_name)}, ...values }});",
            "for (const ask of [() => but({ sise: 1 }), () => but({ size: 'a' }), () => encoded([0, 4, 0, 0])])",
            "  try { ask(); } catch (error) { failed.push(error.message); }",
            "console.log(JSON.stringify([bits, Array.from(row, String), valuesOf(row), failed]));",
        ]
        (folder / "js" / "show.mjs").write_text("\n".join(script))
        bits, row, values, failed = json.loads(said(["node", "show.mjs"], folder / "js"))
        assert bits == wanted and row == ["NaN", "2", "-3.5", "2"]
        assert values == {"mass, kg": None, "k\u0131nd": "2.0", "size": -3.5, "day": "?"}
        assert failed == ["no such column: sise", "size: no number of 32 bits", "no value of k\u0131nd: 4"]
    if shutil.which("g++"):
        script = [
            '#include "table.h"\n#include <cstdint>\n#include <cstring>\n#include <fstream>\n#include <iostream>',
            'int main() { std::ifstream file("../../rows.bin", std::ios::binary); std::vector<float> row(4);',
            "while (file.read(reinterpret_cast<char*>(row.data()), 16)) for (const float x : table::encoded(row)) {",
            'uint32_t bits; std::memcpy(&bits, &x, 4); std::cout << bits << " "; }',
            'std::cout << table::place(table::COLUMNS[3], "tue") << table::place(table::COLUMNS[3], "sun");',
            "try { table::encoded({0, 4, 0, 0}); } catch (const std::runtime_error&) { std::cout << 7; } }",
        ]
        (folder / "cpp" / "show.cpp").write_text("\n".join(script))
        said(["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-O2", "show.cpp", "-o", "show"], folder / "cpp")
        *bits, rest = said(["./show"], folder / "cpp").split()
        assert [*map(int, bits)] == wanted and rest == "127"


# What may stand in a cell, as JSON: of the same row, in every column.
CELLS = (
    *("null", "true", "false", "3", "3.0", "0.5", "-0", "1e-5", "-2.5e-7", "1e39", "1e400", "1234567890123456", "[1]"),
    *(
        '"3"',
        '"3.0"',
        '" 3.0\\u001f"',
        '"\\ufeff3"',
        '"0x10"',
        '"1_0"',
        '"1."',
        '"+.5e1"',
        '"1e39"',
        '"Infinity"',
        '"NA"',
        '"#N/A"',
        '"Null"',
    ),
    *('"True"', '"1e-05"', '"0.00001"', '"other"', '""', '{"a": 1}'),
)
CELL_COLUMNS: list[dict[str, Any]] = [
    {"name": "x", "mean": 0.0, "std": 1.0, "missing": True},
    {"name": "one", "values": ["3.0", "True", "1e-05", "1234567890123456", "0"], "other": True},
    {"name": "two", "values": ["Null", "3", "False", "0.00001", "0.5", "-2.5e-07"], "other": True},
]


def test_a_page_reads_cells_of_a_table_as_predict_does(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    ops = [{"op": "table", "columns": CELL_COLUMNS}]
    place = write(
        tmp_path,
        replace(about("table"), ops=ops, inputs=preprocess.specs(ops, np.zeros(3, np.float32)), shape=(3,)),
        np.zeros(3, np.float32),
    )
    plain = {"x": 0, "one": 0, "two": 0}
    rows = [{**plain, name: cell} for cell in map(json.loads, CELLS) for name in plain]
    rows += [{"x": 0, "one": 0}, {**plain, "y": 1}]

    def read(row: dict[str, Any]) -> list[str] | None:
        try:
            return [*map(str, np.asarray(table_rows.raw_rows(row, CELL_COLUMNS), np.float64).tolist())]  # type: ignore[arg-type]
        except UsageError:
            return None

    texts = [json.dumps({**plain, name: None}).replace("null", cell) for cell in CELLS for name in plain]
    texts += [json.dumps(row) for row in rows[-2:]]
    lines = [
        f"import {{ rowOf }} from './table.mjs';\nconst texts = {json.dumps(texts)};",
        "const read = (text) => { try { return Array.from(rowOf(JSON.parse(text))); } catch { return null; } };",
        "const shown = (x) => (Number.isNaN(x) ? null : x);",
        "console.log(JSON.stringify(texts.map((text) => read(text)?.map(shown) ?? null)));",
    ]
    (place / "js" / "show.mjs").write_text("\n".join(lines))
    for text, row, numbers in zip(texts, rows, json.loads(said(["node", "show.mjs"], place / "js")), strict=True):
        as_python = numbers and [str(math.nan if x is None else float(x)) for x in numbers]
        assert as_python == read(row), text


@pytest.mark.parametrize("name", ["picture", "resized floats", "columns", "parts", "table", "text"])
def test_javascript_refuses_what_is_not_one_sample(tmp_path: Path, name: str) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    folder, _ = written(tmp_path, name)
    count = int(np.prod(CASES[name][1]))
    samples = "[' \\n', '']" if name == "text" else f"[{count - 1}, {count + 1}].map((n) => new Array(n).fill(0))"
    lines = [
        f"import {{ preprocess }} from './student.mjs';\nfor (const sample of {samples})",
        "  try { preprocess(sample, new Map()); } catch (error) { console.log(error.message); }",
    ]
    (folder / "js" / "show.mjs").write_text("\n".join(lines))
    messages = said(["node", "show.mjs"], folder / "js").splitlines()
    assert len(messages) == 2
    assert all("no text" in line if name == "text" else "not one sample" in line for line in messages)


def test_javascript_answers_with_more_labels_than_a_function_takes_arguments(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    count = 150_000  # V8 hands over some 125,000
    names = [str(i) for i in range(count)]
    tasks: dict[str, Task] = {"item": CLASSES, "sure": CLASSES, "tags": MultiLabel()}
    certainties = {"sure": Certainty("margin", 1.0, 0.5), "tags": Certainty("margin", 1.0, 0.5)}
    asked = replace(about("plain", labels=dict.fromkeys(tasks, names)), tasks=tasks, certainties=certainties)
    place = write(tmp_path, asked, np.zeros(7, np.float32))
    lines = [
        "import { told } from './student.mjs';",
        f"const scores = new Float32Array({count}).fill(-1); scores[{count - 7}] = 2;",
        "const { item, sure, tags } = told({ item: scores, sure: scores, tags: scores });",
        "console.log(JSON.stringify([item.label, sure.label, sure.sure, tags.labels, tags.sure]));",
    ]
    in_node(place, "\n".join(lines), [names[-7], names[-7], True, [names[-7]], True])


def test_programs_name_the_packages_that_they_import(tmp_path: Path) -> None:
    for name, more in (("text", " edgekd"), ("resized", " edgekd"), ("picture", "")):
        (tmp_path / name).mkdir()
        folder, _ = written(tmp_path / name, name)
        for program, runtime in (("predict", "onnxruntime"), ("predict_openvino", "openvino")):
            source = (folder / "python" / f"{program}.py").read_text()
            assert f"    pip install numpy{more} {runtime}\n" in source
        assert ("edgekd" in (folder / "python" / "student.py").read_text()) == bool(more)
        (_, line), *_ = _programs(["python/predict.py"], about(name).packages)
        assert f"`pip install numpy{more} onnxruntime`" in line


def test_the_cpp_program_opens_a_path_of_the_system(tmp_path: Path) -> None:
    """Windows' ONNX Runtime takes wide characters; and its compiler is told what the letters of labels are."""
    folder, _ = written(tmp_path, "picture")
    source = (folder / "cpp" / "predict_ort.cpp").read_text()
    assert "const std::filesystem::path model = " in source and "session(env, model.c_str(), options)" in source
    assert "add_compile_options(/utf-8)" in (folder / "cpp" / "CMakeLists.txt").read_text()


@pytest.mark.parametrize("length", [30, 50, 81])
def test_a_page_hears_a_sound_as_the_training_did(tmp_path: Path, length: int) -> None:
    """Two channels of ``length`` samples: mixed down, the middle of a longer one, zeros behind a shorter one."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    folder, _ = written(tmp_path, "sound", rate=8000)
    clip = np.random.default_rng(0).integers(-(2**15), 2**15, length).astype(np.int16)
    channels = [(clip / 32768).tolist(), (clip / 32768).tolist()]
    lines = [
        "import { heard } from './sound.mjs';",
        f"const channels = {json.dumps(channels)};",
        "const sound = { length: channels[0].length, numberOfChannels: 2, getChannelData: (i) => channels[i] };",
        "globalThis.OfflineAudioContext = class { async decodeAudioData() { return sound; } };",
        "console.log(JSON.stringify(await heard(null, 8000, 50)));",
    ]
    (folder / "web" / "show.mjs").write_text("\n".join(lines))
    wanted = np.zeros(50, np.int16)
    _clips.put(clip, wanted, "here")
    assert json.loads(said(["node", "show.mjs"], folder / "web")) == wanted.tolist()
    assert "Record 0.00625 s" in (folder / "web" / "index.html").read_text()


@pytest.mark.parametrize("name", ["ink", "picture"])
@pytest.mark.parametrize("task", [Segmentation(), AnomalyMap(threshold=0.5)])
def test_a_page_that_marks_pixels_is_shown_pictures_grey_ones_too(tmp_path: Path, name: str, task: Task) -> None:
    folder, _ = written(tmp_path, name, task=task, shapes={"logits": (3, 9, 8)})
    page, app = ((folder / "web" / file).read_text() for file in ("index.html", "app.mjs"))
    assert "Choose a picture" in page and not (folder / "web" / "ink.mjs").exists()
    assert "function paint(" in app and ("const grey" in app) == (name == "ink")
    if shutil.which("node"):
        said(["node", "--check", "app.mjs"], folder / "web")


class Whole(MultiLabel):
    """A user's own task may tell whole numbers."""

    @property
    def constants(self) -> dict[str, float | list[float]]:
        return {"cut": 0}


# What some task's programs say of some scores, each a float32 exactly; a threshold of 0.75 is the logit 1.0986.
TOLD = [
    (Regression(), [1.5, -2.0], {"values": [1.5, -2.0]}),
    (MultiLabel(), [1.0, 0.0, -1.0], {"labels": ["a", "b"], "scores": [1.0, 0.0, -1.0]}),
    (Whole(), [1.0, 0.0, -1.0], {"labels": ["a", "b"], "scores": [1.0, 0.0, -1.0]}),
    (MultiLabel(threshold=0.75), [1.0, 0.0, 1.125], {"labels": ["c"], "scores": [1.0, 0.0, 1.125]}),
    (MultiLabel(), [-1.0, -1.0, -2.0], {"labels": [], "scores": [-1.0, -1.0, -2.0]}),
    (Anomaly(), [1.5], {"is_anomaly": None, "score": 1.5}),
    (Anomaly(threshold=1.5), [1.5], {"is_anomaly": True, "score": 1.5}),
    (Anomaly(threshold=1.5000001), [1.5], {"is_anomaly": False, "score": 1.5}),
    (AnomalyMap(), [0.5, 1.5], {"is_anomaly": None, "score": 1.5, "pixels": {}, "classes": []}),
    (
        AnomalyMap(threshold=-0.1),  # which float32 has a little below
        [0.5, float(np.float32(-0.1)), -1.5],
        {"is_anomaly": True, "score": 0.5, "pixels": {"normal": 1, "anomaly": 2}, "classes": [1, 1, 0]},
    ),
    (
        AnomalyMap(threshold=2.0),
        [0.5, 1.5],
        {"is_anomaly": False, "score": 1.5, "pixels": {"normal": 2}, "classes": [0, 0]},
    ),
    (
        Segmentation(),  # three classes of two pixels; of equals the first
        [0.0, 1.0, 2.0, 1.0, -1.0, 0.5],
        {"pixels": {"a": 1, "b": 1}, "classes": [1, 0]},
    ),
    (MultiLabel(threshold=(0.25, 0.5, 0.75)), [-1.0, -0.25, 1.5], {"labels": ["a", "c"], "scores": [-1.0, -0.25, 1.5]}),
]
# When an answer is sure: of classes 2, 1 and -1 at temperature 2 the best has 0.547, a logarithm of -0.604; the energy
# is 3.208. Of labels the one nearest to its threshold counts.
# Coordinates of 2, 1 and -1 are 1.5 and 1: 0.5 x 2.25 + 0.25 x 1 less the square to (1, 1), 0.25, is 1.125.
NEAR = ClassDistance((1.0, 0.5, 0.0), ((1.0, 1.0, 0.0), (0.0, 0.0, -1.0)), ((1.0, 1.0), (-2.0, 0.5)), (0.5, 0.25))
SURE: list[tuple[Task, Certainty, list[float], bool]] = [
    (CLASSES, Certainty("probability", 2.0, -0.61), [2.0, 1.0, -1.0], True),
    (CLASSES, Certainty("probability", 2.0, -0.6), [2.0, 1.0, -1.0], False),
    (CLASSES, Certainty("energy", 2.0, 3.2), [-1.0, 1.0, 2.0], True),
    (CLASSES, Certainty("energy", 2.0, 3.21), [-1.0, 1.0, 2.0], False),
    (CLASSES, Certainty("margin", 2.0, 1.0), [2.0, 1.0, -1.0], True),
    (CLASSES, Certainty("margin", 2.0, 1.25), [2.0, 1.0, -1.0], False),
    (CLASSES, Certainty("margin", 2.0, None), [2.0, 1.0, -1.0], False),
    (CLASSES, Certainty("distance", 2.0, 1.12, NEAR), [2.0, 1.0, -1.0], True),
    (CLASSES, Certainty("distance", 2.0, 1.13, NEAR), [2.0, 1.0, -1.0], False),
    (CLASSES, Certainty("distance", 2.0, None, NEAR), [2.0, 1.0, -1.0], False),
    (MultiLabel(threshold=(0.25, 0.5, 0.75)), Certainty("margin", 1.0, 0.09), [-1.0, -0.25, 1.5], True),
    (MultiLabel(), Certainty("margin", 1.0, 0.5), [-1.0, -0.25, 1.5], False),
    (MultiLabel(), Certainty("margin", 1.0, None), [-1.0, -0.25, 1.5], False),
]


def of_one_kind() -> dict[str, list[tuple[Task, list[float], Any]]]:
    """``TOLD`` by task and by the kinds of its constants: of those the lines of a program are the same."""
    groups: dict[str, list[tuple[Task, list[float], Any]]] = {}
    for task, scores, answer in TOLD:
        constants = sorted((name, type(value).__name__) for name, value in task.constants.items())
        groups.setdefault(f"{type(task).__name__} {constants}", []).append((task, scores, answer))
    return groups


@pytest.mark.parametrize("cases", of_one_kind().values(), ids=of_one_kind())
def test_every_language_says_what_the_task_does(tmp_path: Path, cases: list[tuple[Task, list[float], Any]]) -> None:
    """Beside a head of classes, whose answer is as before; cases of one kind in one program."""
    heads = {f"head{i}": case for i, case in enumerate(cases)}
    says(
        tmp_path,
        {**{head: task for head, (task, _, _) in heads.items()}, "other": CLASSES},
        {**{head: scores for head, (_, scores, _) in heads.items()}, "other": [0.5, 2.0]},
        {**{head: answer for head, (_, _, answer) in heads.items()}, "other": {"label": "b", "scores": [0.5, 2.0]}},
        {},
    )


def test_every_language_knows_when_it_is_sure(tmp_path: Path) -> None:
    """All in one program, each a head of its own."""
    answers, cases = {}, {f"head{i}": case for i, case in enumerate(SURE)}
    for name, (task, certainty, scores, sure) in cases.items():
        (decoded,) = Heads({name: 3}, {name: task}, {name: certainty}).decode(
            name, np.array([scores], np.float32), "abc"
        )
        assert decoded.sure is sure, certainty
        one = {"label": decoded.label} if task is CLASSES else {"labels": list(decoded.labels)}
        answers[name] = {**one, "sure": sure, "scores": scores}
    tasks = {name: case[0] for name, case in cases.items()}
    certainties = {name: case[1] for name, case in cases.items()}
    says(tmp_path, tasks, {name: case[2] for name, case in cases.items()}, answers, certainties)


TAGS = ["O", "B-film", "I-film", "B-mood", "I-mood"]
# White space of all kinds, a line end of two characters, a word that is none, and more words than are read.
TEXT = "A\u3000quiet\r\n\u0007 \u0007 [UNK]Olé! 😀 zzz films  quiet" + "\tfilms" * 4


def test_every_language_finds_the_spans_of_a_text(tmp_path: Path) -> None:
    """Four heads of spans beside one of classes, and as the task itself decodes; the last words lie behind what is
    read."""
    spans = [f"tags{seed}" for seed in range(4)]
    asked = about("text", labels={**dict.fromkeys(spans, TAGS), "mood": ["a", "b"]}, task=Tagging())
    asked = replace(asked, tasks={**dict.fromkeys(spans, Tagging()), "mood": CLASSES})
    tokens = preprocess.apply(asked.ops, np.array([TEXT], dtype=object))["input_ids"].shape[1]
    drawn = np.random.default_rng(0).integers(0, 8, (len(spans), tokens, len(TAGS))) / 8  # equal numbers among them
    scores = {**dict(zip(spans, drawn.astype(np.float32), strict=True)), "mood": np.array([0.5, 2.0], np.float32)}
    wanted = {head: examples.said(asked, head, part, TEXT) for head, part in scores.items()}
    (tmp_path / "vocab.txt").write_bytes(Vocabulary.of(WORDS).written())
    place = write(tmp_path, asked, TEXT)
    shapes = {head: [*part.shape] for head, part in scores.items()}
    lists = {head: part.ravel().tolist() for head, part in scores.items()}
    show = f"import student, numpy as np; shapes, lists = {shapes!r}, {lists!r}; sample = student.read()\n"
    show += "student.tell({h: np.float32([s]).reshape(1, *shapes[h]) for h, s in lists.items()}, sample)"
    assert json.loads(said([sys.executable, "-c", show], place / "python")) == wanted
    vocabulary = "vocabularyOf(await readFile('../../vocab.txt', 'utf8'))"
    lines = [
        "import { readFile } from 'node:fs/promises';\nimport { told } from './student.mjs';",
        f"import {{ vocabularyOf }} from './wordpiece.mjs';\nconst scores = {json.dumps(lists)};",
        f"console.log(JSON.stringify(told(scores, await readFile('../sample.txt', 'utf8'), {vocabulary})));",
    ]
    in_node(place, "\n".join(lines), wanted)
    more = ', student::read("../sample.txt"), wordpiece::Vocabulary("../../vocab.txt")'
    in_cpp(place, lists, wanted, more)


def says(
    tmp_path: Path,
    tasks: Mapping[str, Any],
    told: dict[str, list[float]],
    wanted: Mapping[str, Any],
    certainties: Mapping[str, Certainty],
) -> None:
    """Every program prints these answers of the heads."""
    labels = {head: list("abc"[: len(scores)]) for head, scores in told.items()}  # of six numbers three, too
    both = replace(about("plain", labels=labels), tasks=tasks, certainties=certainties)
    place = write(tmp_path, both, np.zeros(both.shape, both.dtype))
    assert wanted == {head: examples.said(both, head, np.array(told[head], np.float32)) for head in told}
    show = f"import student, numpy as np; student.tell({{h: np.float32([s]) for h, s in {told!r}.items()}})"
    assert json.loads(said([sys.executable, "-c", show], place / "python")) == wanted
    lines = [
        "import { told } from './student.mjs';",
        f"const numbers = Object.entries({json.dumps(told)}).map(([h, s]) => [h, Float32Array.from(s)]);",
        "const scores = Object.fromEntries(numbers);",
        "console.log(JSON.stringify(told(scores)));",
    ]
    in_node(place, "\n".join(lines), wanted)
    in_cpp(place, told, wanted, "")


def write(folder: Path, asked: About, sample: Any) -> Path:
    for name, source in examples.make(asked, sample, {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(source)
    return folder / "examples"


def in_node(place: Path, source: str, wanted: object) -> None:
    if shutil.which("node"):
        (place / "js" / "show.mjs").write_text(source + "\n")
        assert json.loads(said(["node", "show.mjs"], place / "js")) == wanted


def in_cpp(place: Path, told: Mapping[str, list[float]], wanted: Mapping[str, Any], more: str) -> None:
    """``more``: what ``tell`` is told beside the numbers."""
    if compiler := shutil.which("g++"):
        numbers = "; ".join(f"const float {h}[] = {{{', '.join(f'{v}f' for v in s)}}}" for h, s in told.items())
        first, last = next(iter(told)), list(told)[-1]
        ends = {h: f"{json.dumps(h == first)}, {json.dumps(h == last)}" for h in told}
        tell = " ".join(f'student::tell("{h}", {h}, {len(s)}, {ends[h]}{more});' for h, s in told.items())
        (place / "cpp" / "show.cpp").write_text(f'#include "student.h"\nint main() {{ {numbers}; {tell} }}\n')
        subprocess.run([compiler, "-std=c++17", "-O0", "show.cpp", "-o", "show"], cwd=place / "cpp", check=True)
        assert json.loads(said(["./show"], place / "cpp")) == wanted


@pytest.fixture(scope="module")
def net(own_digits: Path) -> Path:
    return own_digits / "out"


def agrees(printed: str, net: Path, target: str) -> None:
    """A program answers as the variant that it opens; ``answer.json`` is of the most portable one, and here as clear.

    What ships is the clock's choice: int8 on one CPU and fp32 on another, whose scores differ by more than rounding.
    """
    printed_answer = json.loads(printed)["logits"]
    written_answer = json.loads((net / "examples" / "answer.json").read_text())["logits"]
    sample = np.frombuffer((net / "examples" / "sample.bin").read_bytes(), np.uint8).reshape(8, 8, 1)
    model = edgekd.load(net, target=target)
    pixels = sample.transpose(2, 0, 1)[None].astype(np.float32) / 16
    scores = model.run({model.inputs[0].name: pixels})["logits"][0]
    assert printed_answer["label"] == written_answer["label"] == model.predict(sample).label
    np.testing.assert_allclose(printed_answer["scores"], scores, atol=1e-3)


@pytest.mark.parametrize(("program", "target"), [("predict.py", "ort-cpu"), ("predict_openvino.py", "openvino")])
def test_the_python_programs_answer_as_the_bundle_does(net: Path, program: str, target: str) -> None:
    agrees(said([sys.executable, program], net / "examples" / "python"), net, target)


def test_the_cpp_program_for_openvino_builds_and_answers(net: Path, tmp_path: Path) -> None:
    if shutil.which("cmake") is None or shutil.which("g++") is None:
        pytest.skip("cmake or g++ is not installed")
    wheel = Path(importlib.util.find_spec("openvino").submodule_search_locations[0]) / "cmake"  # type: ignore[union-attr,index]
    said(["cmake", "-B", str(tmp_path), f"-DOpenVINO_DIR={wheel}"], net / "examples" / "cpp")
    said(["cmake", "--build", str(tmp_path)], tmp_path)
    agrees(said([str(tmp_path / "predict_openvino"), str(net)], tmp_path), net, "openvino")


def test_the_card_has_what_a_hub_reads_and_figures_of_the_report(net: Path) -> None:
    _, head, body = (net / "README.md").read_text().split("---\n", 2)
    told = dict(line.split(": ", 1) for line in head.splitlines())
    table = {key: json.loads(value) for key, value in told.items()}
    assert table["pipeline_tag"] == "image-classification"
    report = json.loads((net / "report.json").read_text())
    results = table["model-index"][0]["results"]
    assert [r["metrics"][0]["name"] for r in results] == ["accuracy (ort-cpu)", "accuracy (openvino)"]
    shipped = report["targets"]["ort-cpu"]["shipped"]
    wanted = next(c for c in report["targets"]["ort-cpu"]["candidates"] if c["name"] == shipped)["value_test"]
    assert results[0]["metrics"][0]["value"] == wanted
    for words in ("not to be shipped", "edgekd.load", "| C++ |", "| Node |", "| a web page |", "## Limits"):
        assert words in body
    assert str(net.parent) not in body


def test_what_was_built_beside_the_examples_is_told(net: Path) -> None:
    for name in ("node/node_modules/a", "web/ort/b", "cpp/build/c"):
        (net / "examples" / name).parent.mkdir(parents=True)
        (net / "examples" / name).symlink_to("/nowhere")
    with pytest.raises(IntegrityError, match=r"does not list; found 'examples/cpp/build/c'; .*--ignore-unlisted"):
        edgekd.verify(net)
    assert any("3 files" in check["check"] for check in edgekd.verify(net, ignore_unlisted=True))
    for name in ("node/node_modules", "web/ort", "cpp/build"):
        shutil.rmtree(net / "examples" / name)
    (net / "examples" / "web" / "more.mjs").write_text("")
    with pytest.raises(IntegrityError, match=r"does not list; found 'examples/web/more\.mjs'"):
        edgekd.verify(net)
    (net / "examples" / "web" / "more.mjs").unlink()
