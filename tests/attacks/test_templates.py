"""Whatever is written into a program, a page or a card: names are data in each language, and come back as they were."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2.meta
import numpy as np
import pytest
from markdown_it import MarkdownIt

from edgekd import report
from edgekd.base import preprocess
from edgekd.base.image_ops import CHOICES
from edgekd.base.printable import printable
from edgekd.cli import console
from edgekd.publish import examples
from edgekd.publish.examples import About, literals
from edgekd.publish.examples.unicode_tables import Tables
from edgekd.report import devices
from edgekd.report.markdown import code, escaped
from edgekd.tasks import CLASSES
from edgekd.tasks.multi_label import MultiLabel
from edgekd.tasks.regression import Regression

ROOT = Path(examples.__file__).parents[1]
HOSTILE = (
    'a": __import__("os").system("touch pwned"), "b',
    "a'); require('fs').writeFileSync('pwned', ''); ('",
    '"); std::remove("x"); ("',
    "a\nimport os; os.mkdir('pwned')\n",
    'a"""\nopen("pwned", "w")\n"""',
    "*/ process.exit() /*",
    "--></title></script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "${process.exit()} `x` {{ 7 * 7 }} {% raw %} #{1}",
    "a\\",
    "??/ ??= %:define",
    "a\0b",
    "\x1b]0;t\x07\x9b31m\x7f",
    "\u2028import\u2029\u202eesrever\u2066",
    "\ufeff\u0308\u200d",
    "__proto__",
    "constructor",
    "%s %d {} {0} $x $(x)",
    "[x](javascript:alert(1)) ![y](//evil) <javascript:x> | b |",
    "# h\r\n- l\r\n> q\r\n```sh\r\nrm -rf ~\r\n```\n\n    code",
    "ß 中文 العربية 👩‍👩‍👧 é",
    "1. one",
    "---",
    "",
    " ",
)
EVERYTHING = "\n".join(HOSTILE)
IMAGE: list[dict[str, Any]] = [
    {"op": "crop", "height": 4, "width": 4},
    {"op": "resize", "height": 5, "width": 5},
    {"op": "letterbox", "height": 5, "width": 6, "interpolation": "bicubic", "value": 9, "position": "top_left"},
    {"op": "bgr"},
    {"op": "edges"},
]
NORMALISE = {"op": "normalise", "mean": [0.5], "std": [0.5]}
SCALED: list[dict[str, Any]] = [{"op": "scale", "divide": 16.0}, NORMALISE, {"op": "layout"}]
PARTS = [{"op": "parts", "names": ["a", "b"], "sizes": [9, 0], "shapes": [[], [2, 1]]}]
TABLE = [
    {
        "op": "table",
        "columns": [
            {"name": "a", "values": ["b", "c"], "other": True},
            {"name": "d", "mean": 0.5, "std": 2.0, "missing": True},
        ],
    }
]
COLUMN = {"name", "mean", "std", "missing", "values", "other"}
COLUMNS = [{"op": "columns", "names": ["a", "b"], "sizes": [9, 9], "widths": [1, 2]}]
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a")
TEXT = [{"op": "wordpiece", "vocabulary": WORDS, "length": 8, "lower": True}]
CASES: dict[str, tuple[list[dict[str, Any]], tuple[int, ...], str, dict[str, Any]]] = {
    "ink": (SCALED, (8, 8, 1), "uint8", {}),
    "picture": ([*IMAGE, {"op": "grey"}, *SCALED], (8, 8, 3), "uint8", {"gpu": True}),
    "sound": ([{"op": "scale", "divide": 32768.0}], (50,), "int16", {"rate": 8000}),
    "numbers": ([], (7,), "float32", {"task": Regression()}),
    "labels": ([], (7,), "float32", {"task": MultiLabel()}),
    "columns": (COLUMNS, (3,), "int64", {}),
    "parts": (PARTS, (3,), "float32", {}),
    "table": (TABLE, (2,), "float32", {}),
    "text": (TEXT, (), "float32", {}),
}
STRUCTURE = {
    "dtype",
    "op",
    "ort",
    "web",
    "openvino",
    "threads",
    "config",
    "vocabulary",
} | COLUMN  # read by name, never written
OPENVINO = {"HINT": "f32", "THREADS": 1}


def put(value: Any, text: str, name: str = "") -> Any:
    """A value with a text wherever a stranger fills one in: found by itself, whatever fields there are."""
    if name in ("dtype", "op", "vocabulary", *CHOICES):
        return value
    if isinstance(value, str):
        return text + value if name in ("names", "labels", "files") else text
    if isinstance(value, Mapping):
        return {k if k in STRUCTURE or k in OPS else text + k: put(v, text, k if k in STRUCTURE | OPS else name)
                for k, v in value.items()}  # fmt: skip
    if isinstance(value, list | tuple):
        return type(value)(put(inner, text, name) for inner in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: put(getattr(value, f.name), text, f.name) for f in fields(value)})
    return value


OPS = {key for table in (preprocess.ARGUMENTS, preprocess.OPTIONAL) for keys in table.values() for key in keys}


def told(case: str, text: str) -> About:
    ops, shape, dtype, more = CASES[case]
    like: Any = "a" if case == "text" else np.zeros(shape, dtype)
    settings = {"ort": {"threads": 1, "config": {"k": "v"}}, "openvino": OPENVINO}
    task, more = more.get("task", CLASSES), {key: value for key, value in more.items() if key != "task"}
    tasks = {"head": task, "other": task}
    known = {"labels": {"head": ["cat", *HOSTILE], "other": ["x"]}, "tasks": tasks, "settings": settings, **more}
    files = {"ort": "m.onnx", "web": "w.onnx", "openvino": "m.xml"}
    plain = About(case, ops, shape, dtype, preprocess.specs(ops, like), files=files, **known)
    return put(plain, text)


def made(about: About) -> dict[str, str]:
    sample: Any = "a" if about.kind == "text" else np.zeros(about.shape, about.dtype)
    return {name.removeprefix("examples/"): data.decode() for name, data in examples.make(about, sample, {}).items()}


@pytest.fixture(autouse=True)
def _no_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Unicode says of a million characters takes seconds, and is nobody's text."""
    monkeypatch.setattr(examples.unicode_tables, "of", lambda *_: Tables(((1, 2, "drop"),), ((65, "a\u0301"),)))


def texts(value: Any) -> Iterator[str]:
    """Every text of a value that a program must know."""
    if isinstance(value, str):
        yield str(value)
    elif isinstance(value, Mapping):
        yield from (text for pair in value.items() for part in pair for text in texts(part))
    elif isinstance(value, list | tuple):
        yield from (text for inner in value for text in texts(inner))


@pytest.mark.parametrize("name", examples.templates())
def test_a_template_is_told_nothing_else(name: str) -> None:
    source = ROOT / "examples" / f"{name}{examples.SUFFIX}"
    environment = jinja2.Environment()
    environment.filters |= literals.FILTERS
    known = jinja2.meta.find_undeclared_variables(environment.parse(source.read_text()))
    assert known <= {"about", "last", "count", "tables", "namespace", "at"}, "a test must know of it"
    assert "| safe" not in source.read_text()


@pytest.mark.parametrize(
    "line",
    [
        "{{ about.name }}",
        "{{ about.name ~ 'x' }}",
        "{{ about.files.values() | join(', ') }}",
        '{{ "%s" % about.name }}',
        '{{ "{}".format(about.name) }}',
        "{% for head in about.labels %}{{ head }}{% endfor %}",
        "{% for head, labels in about.labels.items() %}{{ labels[0] }}{% endfor %}",
        "{{ about.inputs[0].name }}",
        "{{ about.columns[0][0] }}",
        "{{ last.names | join }}",
    ],
)
def test_a_text_without_a_filter_is_an_error(line: str) -> None:
    """Whatever field a template will write one day, and however it is put together."""
    about = literals.foreign(told("columns", EVERYTHING))
    with pytest.raises(TypeError, match="without a filter"):
        jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(line).render(about=about, last=about.ops[-1])


@pytest.mark.parametrize("text", [EVERYTHING, *HOSTILE])
def test_literals_of_every_language_give_the_text_back(text: str) -> None:
    foreign = literals.Foreign(text)
    assert ast.literal_eval(literals.literal(foreign)) == json.loads(literals.literal(foreign)) == text
    assert ast.literal_eval(literals.FILTERS["python"](foreign)) == text
    assert of_cpp(literals.cpp(foreign)) == [text]
    assert '"' not in literals.comment(foreign) and literals.comment(foreign).isprintable()
    assert not re.search(r"[<>\"']", literals.page(foreign))
    for made in (literals.literal(foreign), literals.cpp(foreign), literals.comment(foreign), literals.page(foreign)):
        assert printable(made) == made and type(made) is str


@pytest.mark.parametrize("case", CASES)
def test_python_knows_what_was_told(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    about = told(case, EVERYTHING)
    for name, source in made(about).items():
        if not name.endswith(".py"):
            continue
        tree = ast.parse(source)
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not any("system" in call or "import" in call or call == "open" for call in calls)
        held = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        if name == "python/student.py":
            module: dict[str, Any] = {"__file__": str(tmp_path / "a" / "b" / "c" / "student.py"), "__name__": "student"}
            exec(compile(source, name, "exec"), module)
            assert module["LABELS"] == about.labels
            if case in ("columns", "parts"):
                assert list(module["preprocess"](np.zeros(3, about.dtype))) == about.ops[-1]["names"]
        elif name == "python/table.py":
            told_columns: dict[str, Any] = {}
            exec(compile(source, name, "exec"), told_columns)
            assert told_columns["COLUMNS"] == about.ops[-1]["columns"]
        else:
            runtime = "openvino" if "openvino" in name else "ort"
            settings = about.settings["openvino"] if runtime == "openvino" else about.settings["ort"]["config"]
            assert held >= {about.files[runtime], *texts(settings)}
    assert not list(tmp_path.iterdir())


def test_javascript_knows_what_was_told(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    lines: list[str] = []
    wanted: dict[str, list[Any]] = {}
    for case in CASES:
        about = told(case, EVERYTHING)
        for name, source in made(about).items():
            place = tmp_path / case / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(source)
            if name.endswith(".mjs") and not name.startswith("js/"):
                lines.append(f"compiled({json.dumps(str(place))});")
        heads = about.labels
        scores = {head: [-1] * (len(labels) - 1) + [1] for head, labels in about.labels.items()}
        said = {head: examples.said(about, head, np.array(numbers, np.float32)) for head, numbers in scores.items()}
        inputs = about.ops[-1]["names"] if case in ("columns", "parts") else None
        wanted[case] = [about.name, about.files["web"], heads, said, inputs]
        ask = "Object.keys(s.preprocess([0, 1, 2]))" if inputs else "null"
        if case == "table":
            ask, wanted[case][-1] = "(await import('./table/js/table.mjs')).COLUMNS", about.ops[-1]["columns"]
        lines.append(f"{{ const s = await import('./{case}/js/student.mjs');")
        lines.append(f"const scores = JSON.parse({json.dumps(json.dumps(scores))});")
        lines.append(f"found.{case} = [s.NAME, s.MODEL, s.HEADS, s.told(scores), {ask}]; }}")
        assert json.loads((tmp_path / case / "node" / "package.json").read_text())["name"] == f"{EVERYTHING}-example"
    start = ["import fs from 'node:fs'; import vm from 'node:vm'; const found = {};",
             "const compiled = (file) => new vm.SourceTextModule(fs.readFileSync(file, 'utf8'));"]  # fmt: skip
    (tmp_path / "all.mjs").write_text("\n".join([*start, *lines, "console.log(JSON.stringify(found));"]))
    command = ["node", "--experimental-vm-modules", "--no-warnings", "all.mjs"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == wanted
    assert not (tmp_path / "pwned").exists()


def of_cpp(source: str) -> list[str]:
    """The string literals of C++ that the compiler counts, as it reads them."""
    found = re.findall(r'"((?:[^"\\\n]|\\.)*)"s', source)
    octal = (re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), text.encode()) for text in found)
    return [text.decode() for text in octal]


@pytest.mark.parametrize("case", CASES)
def test_cpp_holds_what_was_told(case: str) -> None:
    about = told(case, EVERYTHING)
    files = {name: of_cpp(source) for name, source in made(about).items() if name.startswith("cpp/")}
    if about.labels:
        assert set(texts(about.labels)) <= set(files["cpp/student.h"])
    if case in ("columns", "parts"):
        assert set(about.ops[-1]["names"]) <= set(files["cpp/student.h"])
    if case == "table":
        assert {*texts([[*c.values()] for c in about.ops[-1]["columns"]])} <= set(files["cpp/table.h"])
    assert {about.files["ort"], about.name, *about.labels} <= set(files["cpp/predict_ort.cpp"])
    assert {about.files["openvino"], *texts(about.settings["openvino"])} <= set(files["cpp/predict_openvino.cpp"])


STUBS = {
    "onnxruntime_cxx_api.h": """
        #pragma once
        #include <string>
        #include <vector>
        enum { ORT_LOGGING_LEVEL_WARNING, OrtArenaAllocator, OrtMemTypeDefault };
        namespace Ort {
        struct Env { Env(int, const char*) {} };
        struct SessionOptions { void SetIntraOpNumThreads(int) {} void AddConfigEntry(const char*, const char*) {} };
        struct MemoryInfo { static MemoryInfo CreateCpu(int, int) { return {}; } };
        struct Info { size_t GetElementCount() const { return 2; } };
        struct Value {
          template <class N>
          static Value CreateTensor(const MemoryInfo&, N*, size_t, const int64_t*, size_t) { return {}; }
          template <class N> const N* GetTensorData() const { static const N two[] = {0, 1}; return two; }
          Info GetTensorTypeAndShapeInfo() const { return {}; }
        };
        struct RunOptions { RunOptions(std::nullptr_t) {} };
        struct Session {
          Session(Env&, const char*, SessionOptions&) {}
          std::vector<Value> Run(RunOptions, const char**, Value*, size_t, const char**, size_t n) {
            return std::vector<Value>(n);
          }
        };
        }""",
}  # fmt: skip


def test_a_cpp_program_says_what_was_told(tmp_path: Path) -> None:
    """With a runtime that is a stub: it answers the second label of every head."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    about = replace(told("columns", "'\"\\\n*/\0?\x7f"), labels={f"{text}h": ["x", text] for text in HOSTILE})
    for name, source in {**made(about), **STUBS}.items():
        place = tmp_path / "examples" / ("cpp" if name in STUBS else "") / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(source)
    (tmp_path / "examples" / "sample.bin").write_bytes(np.zeros(3, np.int64).tobytes())
    line = ["g++", "-std=c++17", "-Wall", "-Werror", "-I.", "predict_ort.cpp", "-o", "predict"]
    done = subprocess.run(line, cwd=tmp_path / "examples" / "cpp", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out = subprocess.run([tmp_path / "examples" / "cpp" / "predict", tmp_path], capture_output=True, check=True).stdout
    says_and_does_nothing(out.decode(), {head: labels[1] for head, labels in about.labels.items()})


def says_and_does_nothing(out: str, wanted: Mapping[str, str]) -> None:
    """A line of JSON with the label of each head, in which a terminal finds nothing to do."""
    assert {head: answer["label"] for head, answer in json.loads(out).items()} == wanted
    assert printable(out, keep="\n") == out and out.count("\n") == 1


def test_a_python_program_says_what_was_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = {f"{text}h": ["x", text] for text in HOSTILE}
    module: dict[str, Any] = {"__file__": str(tmp_path / "a" / "b" / "c" / "student.py"), "__name__": "student"}
    exec(made(replace(told("ink", ""), labels=labels))["python/student.py"], module)
    module["tell"]({head: np.array([[0.0, 1.0]]) for head in labels})
    says_and_does_nothing(capsys.readouterr().out, {head: both[1] for head, both in labels.items()})
    module["LABELS"] = {"h": ["x", "ß 中文"]}
    module["tell"]({"h": np.array([[0.0, 1.0]])})
    assert "ß 中文" in capsys.readouterr().out


def test_a_node_program_says_what_was_told(tmp_path: Path) -> None:
    """With a runtime that is a stub: it answers the second label of every head."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    labels = {f"{text}h": ["x", text] for text in HOSTILE}
    heads = f"JSON.parse({json.dumps(json.dumps(list(labels)))}).map((head) => [head, {{ data: [0, 1] }}])"
    stub = f"""export default {{ Tensor: class {{}}, InferenceSession: {{ create: async () => ({{
        run: async () => Object.fromEntries({heads}) }}) }} }};"""
    files = made(replace(told("ink", ""), labels=labels))
    files |= {"node/node_modules/onnxruntime-node/index.mjs": stub}
    files |= {"node/node_modules/onnxruntime-node/package.json": '{"main": "index.mjs"}'}
    for name, source in files.items():
        place = tmp_path / "examples" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(source)
    (tmp_path / "examples" / "sample.bin").write_bytes(bytes(64))
    line = ["node", str(tmp_path / "examples" / "node" / "predict.mjs")]
    out = subprocess.run(line, capture_output=True, check=True).stdout.decode()
    says_and_does_nothing(out, {head: both[1] for head, both in labels.items()})


class Shape(HTMLParser):
    """What a page is made of: its tags with their attributes' names; and what it says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.said: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))
        links = [value or "" for name, value in attrs if name in ("href", "src", "action")]
        assert not any("javascript:" in link.lower() or "//evil" in link for link in links)

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment",))


@pytest.mark.parametrize("case", [case for case in CASES if case != "text"])
def test_the_web_page_is_the_same_page(case: str) -> None:
    found, plain = (Shape(made(told(case, like))["web/index.html"]) for like in (EVERYTHING, "plain"))
    assert found.tags == plain.tags and printable(EVERYTHING) in "".join(found.said)


DOCUMENT = json.loads((Path(__file__).parents[1] / "golden" / "report.json").read_text())


HOST = {**DOCUMENT["host"], "governor": "g", "celsius": 1.0}
LATENCY = dict.fromkeys(("p50", "p90", "p99"), 1.0)
COLD = {"start_ms": 1, "open_ms": 1, "first_ms": 1, "peak_memory_bytes": 1}
MEASURED = {"runtime": "r", "numerics": "n", "latency_ms": LATENCY, "throughput": 1.0, "size_bytes": 1, "cold": COLD}
VARIANTS = {"a": {**MEASURED, "stable": False, "note": "n", "batch": 1, "samples": 1}, "b": {"skipped": "why"}}
BENCH = [{"device": "d", "bundle": "b", "variants": VARIANTS, "host": HOST}]


def noted(value: Any, text: str, name: str = "") -> Any:
    """A document whose every text ends with another one, keys of open tables too; a name stays one name."""
    if isinstance(value, Mapping):
        return {key: noted(inner, text, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [noted(inner, text, name) for inner in value]
    return value + text if isinstance(value, str) and value not in ("teacher", "student", "accuracy") else value


def card(text: str) -> str:
    document = noted(DOCUMENT, text)
    document["details"].setdefault("notes", []).append(f"a note {text}")
    recipe = document["details"].setdefault("recipe", {})
    recipe["description"] = text
    for role in ("teacher", "student"):
        recipe[role] = {"model": {"kind": text, text + "key": [text]}}
    recipe |= {"losses": [{"kind": text}], "compress": [{"kind": text}], "data": {"source": text, "path": text}}
    labels = {f"{text}head": [text, "b"]}
    return report.readme(document, "picture", text, labels, ["python/predict.py", "cpp/CMakeLists.txt"])


def outline(page: str) -> list[tuple[str, ...]]:
    """What a card is made of, without what it says."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page.split("---\n", 2)[2])
    found = []
    for token in tokens:
        inner = [
            child.type for child in token.children or () if child.type not in ("text", "text_special", "code_inline")
        ]
        found.append((token.type, token.tag, *inner))
        assert not {"html_inline", "link_open", "image", "html_block"} & {token.type, *inner}
    return found


@pytest.mark.parametrize("text", [EVERYTHING, *HOSTILE[:-2]])
def test_the_card_is_the_same_card(text: str) -> None:
    page = card(text)
    assert outline(page) == outline(card("two words"))
    assert all(char == "\n" or printable(char) == char for char in page)
    head = dict(line.split(": ", 1) for line in page.split("---\n", 2)[1].splitlines())
    assert json.loads(head["model-index"])[0]["name"] == DOCUMENT["name"] + text
    assert "](" not in page and "<script" not in page


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_what_was_told(text: str) -> None:
    render = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    (_, inline, _) = render.parse(escaped(text) or "x")
    assert {child.type for child in inline.children or ()} <= {"text", "text_special"}
    shown = "".join(child.content for child in inline.children or ())
    assert shown == (printable(re.sub(r"\s+", " ", text).strip()) or "x")
    (_, inline, _) = render.parse(code(text) or "x")
    assert {child.type for child in inline.children or ()} <= {"text", "text_special", "code_inline"}


@pytest.mark.parametrize("text", [EVERYTHING, HOSTILE[6], HOSTILE[17]])
def test_a_report_has_no_other_tags(text: str) -> None:
    for page, document in ((lambda document: report.html(document, {}), DOCUMENT), (devices.html, BENCH)):
        known = {tag for like in ("plain", "; a, b (c). d\n") for tag in Shape(page(noted(document, like))).tags}
        assert set(Shape(page(noted(document, text))).tags) <= known


@pytest.mark.parametrize("path", sorted((ROOT / "report").glob("*.html")), ids=lambda path: path.name)
def test_values_stand_where_html_escapes_them(path: Path) -> None:
    """In text and in quoted attributes; not in scripts, styles, handlers or links."""
    source = path.read_text()
    assert not re.search(r"\|\s*safe\b|autoescape", source)
    source = re.sub(r"\{%.*?%\}", "", re.sub(r"\{\{.*?\}\}", "VALUE", source, flags=re.S), flags=re.S)
    page = Marked(source)
    assert page.found or "VALUE" not in source


class Marked(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found = 0
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.inside = tag
        assert "value" not in tag.lower()
        for name, value in attrs:
            assert "value" not in name or name == "value"
            if "VALUE" in (value or ""):
                self.found += 1
                assert not name.startswith("on") and name not in ("href", "src", "srcdoc", "action", "formaction")
                assert f'{name}="' in (self.get_starttag_text() or "")

    def handle_data(self, data: str) -> None:
        if "VALUE" in data:
            self.found += 1
            assert self.inside not in ("script", "style")


def test_the_console_shows_markup_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.show("[red]a[/red] :smile:")
    assert "[red]a[/red] :smile:" in capsys.readouterr().out
