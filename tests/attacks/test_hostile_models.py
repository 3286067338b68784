"""A stranger's model in the runtimes: whatever it does to them, who asked lives on and is told what it was."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import pytest

import edgekd
from edgekd import cli
from edgekd.base import child
from edgekd.base.child_limits import Limits
from edgekd.base.errors import EdgekdError, IntegrityError, ResourceError, TargetError, UnavailableError
from edgekd.runtime import bundle as bundles
from edgekd.runtime import look, look_ir, profiling
from edgekd.runtime.contents import Bundle, Variant
from edgekd.runtime.local import Settings
from edgekd.runtime.profiling import Request
from edgekd.tasks import Heads

ROOT = Path(__file__).parents[2]
X = np.eye(2, dtype=np.float32)
LOOP = """
    t = Constant<value = bool {1}>()
    k = Constant<value = int64 {4611686018427387904}>()
    z = MatMul(input, w)
    y = Loop<body = b (int64 i, bool c, float[n,m] a) => (bool d, float[p,m] e) { d = Equal(i, i) e = %s }>(%s, t, z)
    s = ReduceSum<keepdims = 0>(y)
    logits = Add(z, s)
"""
MODELS = {
    "good": "logits = MatMul(input, w)",
    "constant rounds": LOOP % ("Identity(a)", "k"),
    "for ever": LOOP % ("Identity(a)", '""'),
    "doubles": LOOP % ("Concat<axis = 0>(a, a)", '""'),
    "huge": """
        k = Constant<value = int64[2] {3000000000, 3000000000}>()
        y = ConstantOfShape(k)
        s = ReduceSum<keepdims = 0>(y)
        z = MatMul(input, w)
        logits = Add(z, s)
    """,
}
FUNCTIONS = """
<ir_version: 10, opset_import: ["" : 20, "f" : 1]>
g (float[n,2] input) => (float[n,3] logits)
<float[2,3] w = {1, 2, 3, 4, 5, 6}>
{ z = MatMul(input, w) logits = f.f0(z) }
"""


def model(body: str) -> bytes:
    head = '<ir_version: 10, opset_import: ["" : 20]>\ng (float[n,2] input) => (float[n,3] logits)\n'
    made = onnx.parser.parse_model(f"{head}<float[2,3] w = {{1, 2, 3, 4, 5, 6}}>\n{{ {body} }}")
    return made.SerializeToString()


def functions(count: int, calls: int = 1) -> bytes:
    """Each calls the next; the last does nothing."""
    made = onnx.parser.parse_model(FUNCTIONS)
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in (("", 20), ("f", 1))]
    for i in range(count):
        last = i == count - 1
        names = ["x", *(f"x{j}" for j in range(calls - 1)), "y"]
        nodes = [
            onnx.helper.make_node("Identity" if last else f"f{i + 1}", [a], [b], domain="" if last else "f")
            for a, b in itertools.pairwise(names)
        ]
        made.functions.append(onnx.helper.make_function("f", f"f{i}", ["x"], ["y"], nodes, opsets))
    return made.SerializeToString()


def bundle(folder: Path, files: dict[str, bytes], backend: str = "ort") -> Path:
    golden = {"input": X}, {"logits": X @ np.arange(1, 7, dtype=np.float32).reshape(2, 3)}
    one = Variant("one", backend, {}, files, (), "float32", False, 1, 1e-3, golden=golden)
    about = Bundle(
        "net",
        {"kind": "classification"},
        "0" * 64,
        "abc",
        Heads({"logits": 3}),
        [],
        [2],
        True,
        [one],
        sample_dtype="float32",
    )
    bundles.write(folder / "b", about, {})
    return folder / "b"


def ir(body: str) -> dict[str, bytes]:
    """What OpenVINO makes of a model."""
    from edgekd.runtime.backends.openvino.backend import Openvino

    return Openvino().lower(model(body))


# what the look refuses


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: model(MODELS["constant rounds"]), "a loop of too many rounds; found 4611686018427387904"),
        (lambda: functions(26, calls=2), "too many nodes"),
        (lambda: functions(3000), "functions that call functions, too deep"),
    ],
    ids=["a loop of 2^62 rounds", "2^25 nodes of 26 functions", "3,000 functions"],
)
def test_onnx_that_no_runtime_sees(made: Callable[[], bytes], said: str, tmp_path: Path) -> None:
    data = made()
    for door in (edgekd.load, edgekd.verify):
        started = time.monotonic()
        with pytest.raises(IntegrityError, match=said):
            door(bundle(tmp_path / door.__name__, {"model.onnx": data}))
        assert time.monotonic() - started < 5


def test_rounds_of_loops_in_loops_are_multiplied() -> None:
    def loops(*rounds: int) -> bytes:
        nodes = [onnx.helper.make_node("Identity", ["a"], ["e"]), onnx.helper.make_node("Identity", ["c"], ["d"])]
        floats, flag, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.BOOL, onnx.TensorProto.INT64
        info = onnx.helper.make_tensor_value_info
        for i, count in enumerate(rounds):
            body = onnx.helper.make_graph(
                nodes, "b", [info("i", whole, []), info("c", flag, []), info("a", floats, [1])],
                [info("d", flag, []), info("e", floats, [1])])  # fmt: skip
            held = onnx.helper.make_tensor(f"k{i}", whole, [], [count])  # in int64_data, not raw
            nodes = [
                onnx.helper.make_node("Constant", [], [f"k{i}"], value=held),
                onnx.helper.make_node("Loop", [f"k{i}", "", "a"], ["e"], body=body),
                onnx.helper.make_node("Identity", ["c"], ["d"]),
            ]
        graph = onnx.helper.make_graph(nodes, "g", [info("a", floats, [1])], [info("e", floats, [1])])
        return onnx.helper.make_model(graph).SerializeToString()

    look.check(loops(1000, 1000), "m")
    with pytest.raises(IntegrityError, match="rounds; found 1001000"):
        look.check(loops(1000, 1001), "m")


NET = '<net name="n" version="11"><layers>{}</layers><edges>{}</edges></net>'
CONST = '<layer id="0" type="Const"><data element_type="{}" shape="{}" offset="{}" size="{}"/></layer>'
AGAIN = '<data element_type="i64" shape="" offset="0" size="8"/></layer>'
LOOPS = '<layer id="1" type="Loop"/>'
EDGE = '<edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>'
LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
IRS = {
    "billion laughs": f'<!DOCTYPE net [<!ENTITY a0 "ha">{LAUGHS}]><net name="&a9;"/>',
    "a declaration": '<!DOCTYPE net SYSTEM "file:///etc/passwd"><net/>',
    "elements in elements": "<net>" + "<layers>" * 2_000_000,
    "too many layers": "<net><layers>" + "<layer/>" * 200_001,
    "a constant outside": NET.format(CONST.format("f32", "4", 0, 24), ""),
    "a constant before": NET.format(CONST.format("f32", "1", -4, 4), ""),
    "a huge constant": NET.format(CONST.format("f32", "1000000,1000000", 0, 4), ""),
    "a constant in capitals": NET.format(CONST.replace("Const", "CONST").format("f32", "1", 0, 4), ""),
    "a constant by its other name": NET.format(CONST.replace("Const", "Constant").format("f32", "1", 0, 4), ""),
    "a constant in the text": NET.format(CONST.replace("/>", ' value="abcd"/>').format("f32", "1", 0, 4), ""),
    "a constant anywhere": NET.format(CONST.replace("/>", ' ptr="140737488355328"/>').format("f32", "1", 0, 4), ""),
    "a constant nowhere": NET.format('<layer id="0" type="Const"><data element_type="f32" shape="0"/></layer>', ""),
    "a place that is read otherwise": NET.format(CONST.format("f32", "1", "1_0", 4), ""),
    "a constant of texts": NET.format(CONST.format("string", "1000000,1000000", 0, 4), ""),
    "a constant of a type that is none": NET.format(CONST.format("dynamic", "1000000,1000000", 0, 4), ""),
    "a type by its older name": NET.format(CONST.format("I64", "", 8, 8) + LOOPS, EDGE),
    "a constant of two numbers": NET.format(CONST.format("i64", "", 8, 8).replace("</layer>", AGAIN) + LOOPS, EDGE),
    "a loop in small letters": NET.format(CONST.format("i64", "", 8, 8) + LOOPS.replace("Loop", "loop"), EDGE),
    "a loop for ever": NET.format(CONST.format("i64", "", 8, 8) + LOOPS, EDGE),
    "a loop of so many 32 bits": NET.format(CONST.format("i32", "", 12, 4) + LOOPS, EDGE),
    "a port in another spelling": NET.format(
        CONST.format("i64", "", 8, 8) + LOOPS, EDGE.replace('port="0"', 'port="00"')
    ),
    "a layer that is read otherwise": NET.format("", EDGE.replace('"1"', '"1x"')),
    "edges first": f"<net><edges>{EDGE}</edges><layers>{CONST.format('i64', '', 8, 8)}{LOOPS}</layers></net>",
    "layers twice": f"<net><layers>{CONST.format('i64', '', 8, 8)}{LOOPS}</layers><layers/><edges>{EDGE}</edges></net>",
    "a body without edges": NET.format(
        CONST.format("i64", "", 8, 8) + LOOPS.replace("/>", "><body><layers/></body></layer>"), EDGE
    ),
    "another root": "<html/>",
    "no XML": "\0",
    "an encoding that is none": '<?xml version="1.0" encoding="x-none"?><net/>',
    "the end is missing": "<net>",
}


@pytest.mark.parametrize("name", IRS)
def test_an_ir_that_no_runtime_sees(name: str) -> None:
    with pytest.raises(IntegrityError, match=r"^m\.xml: "):
        look_ir.check(IRS[name].encode(), bytes(8) + (2**62).to_bytes(8, "little"), "m.xml")


@pytest.mark.parametrize(("rounds", "refused"), [(100, False), (101, True)])
def test_loops_in_loops_of_an_ir(rounds: int, refused: bool) -> None:
    """Of as many rounds each, three of them: a million in all."""
    text = ""
    for _ in range(3):
        layers = CONST.format("i64", "", 0, 8) + f'<layer id="1" type="Loop"><body>{text}</body></layer>'
        text = f"<layers>{layers}</layers><edges>{EDGE}</edges>"
    found = f"<net>{text}</net>".encode()
    if refused:
        with pytest.raises(IntegrityError, match=f"too many rounds; found {rounds**3}"):
            look_ir.check(found, rounds.to_bytes(8, "little"), "m.xml")
    else:
        look_ir.check(found, rounds.to_bytes(8, "little"), "m.xml")


def test_an_ir_of_a_network_is_let_through() -> None:
    good = NET.format(CONST.format("i64", "", 0, 8) + CONST.format("u4", "3", 0, 2) + LOOPS, EDGE)
    for kind in ("f8e4m3", "boolean", "nf4"):
        good = good.replace("</layers>", CONST.format(kind, "2, 4", 0, 8) + "</layers>")
    look_ir.check(good.encode(), (1000).to_bytes(8, "little"), "m.xml")
    files = ir(MODELS["good"])
    look_ir.check(files["openvino_model.xml"], files["openvino_model.bin"], "m.xml")


# what the child's limits end


@pytest.mark.parametrize(
    ("name", "backend", "said"),
    [
        ("for ever", "ort", r"one: .*: took longer than 1.2 s, and was ended; --max-memory-gb and --max-sec"),
        ("doubles", "ort", r"one: golden inputs on ort: took more memory than 0.2 GB"),
        ("doubles", "openvino", r"one: golden inputs on openvino: took more memory than 0.2 GB"),
        ("huge", "ort", r"ConstantOfShape|bad_alloc|memory"),
    ],
)
def test_a_model_that_takes_all_there_is(name: str, backend: str, said: str, tmp_path: Path) -> None:
    seconds = 1.2 if name == "for ever" else 20.0
    started = time.monotonic()
    with pytest.raises(IntegrityError, match=said):
        edgekd.verify(
            bundle(tmp_path, {"model.onnx": model(MODELS[name])}, backend), max_memory_gb=0.2, max_seconds=seconds
        )
    assert time.monotonic() - started < seconds + 1


def test_an_ir_whose_loop_never_ends(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"one: .*: took longer than 1.8 s"):
        edgekd.verify(bundle(tmp_path, ir(MODELS["for ever"]), "openvino"), max_seconds=1.8)


def test_bench_ends_it_too(tmp_path: Path) -> None:
    made = bundle(tmp_path, {"model.onnx": model(MODELS["for ever"])})
    with pytest.raises(IntegrityError, match=r"^one: .*: took longer than 1.2 s"):
        edgekd.bench(made, settings=Settings(0.1, max_seconds=1.2))


def test_inspecting_kernels_looks_first_and_ends_it_too(tmp_path: Path) -> None:
    for name, said in (("constant rounds", "a loop of too many rounds"), ("for ever", "took longer than 1.2 s")):
        (tmp_path / "lone.onnx").write_bytes(model(MODELS[name]))
        made = bundle(tmp_path / name.replace(" ", "-"), {"model.onnx": model(MODELS[name])})
        for request in (Request(str(tmp_path / "lone.onnx")), Request(str(made), target="one")):
            with pytest.raises(IntegrityError, match=re.escape(said)):
                profiling.profile(request, max_seconds=1.2)
        good = tmp_path / "good.onnx"
        good.write_bytes(model(MODELS["good"]))
        with pytest.raises(IntegrityError, match=re.escape(said)):
            profiling.profile(Request(str(good), beside=str(tmp_path / "lone.onnx")), max_seconds=1.2)


def test_a_crash_of_the_runtime_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 functions, had nobody looked: ONNX Runtime 1.31's stack ends."""
    (tmp_path / "loose.py").write_text(
        "import sys\nfrom edgekd.base import confined\nfrom edgekd.runtime import look, replay\n"
        "look.check = lambda data, where: None\nsys.exit(confined.serve(replay.checked))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    request = {"folder": str(bundle(tmp_path, {"model.onnx": functions(3000)}))}
    with pytest.raises(IntegrityError, match=r"^B: one: opening it on ort: the runtime crashed: .*\(SIG\w+\)"):
        child.ask("loose", request, Limits(2e9, 30, 30, 60), "B")


# what a child says that something has got hold of


class Told(Protocol):
    """Runs a line of Python as a child's job and says what came back."""

    def __call__(self, program: str, limits: Limits = ...) -> Any: ...


QUICK = Limits(0.1e9, 10, 10, 20)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """``told(program, limits)``: what a child that runs it answers; nothing stays of it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)

    def run(program: str, limits: Limits = QUICK) -> Any:
        head = "import os, signal, subprocess, sys, tempfile, time\nfrom edgekd.base import confined\n"
        (tmp_path / "mad.py").write_text(head + textwrap.dedent(program))
        return child.ask("mad", {"pid": os.getpid()}, limits, "B")

    yield run
    assert not list((tmp_path / "tmp").iterdir())
    assert not _left(tmp_path / "pid")


def _left(file: Path) -> bool:
    """Whether the process whose number a child wrote down still runs."""
    if not file.exists():
        return False
    status = Path("/proc", file.read_text(), "status")
    for _ in range(100):
        if not status.exists() or "State:\tZ" in status.read_text():
            return False
        time.sleep(0.01)
    return True


SAID = "confined.begin(); out = confined._channel; "
MAD: dict[str, tuple[str, str]] = {
    "answers without end": (SAID + "[out.write(b'x' * 100_000) for _ in iter(int, 1)]", "said what is no answer"),
    "says without end": (SAID + "[out.write(b'{\"alive\": true}\\n') for _ in iter(int, 1)]", "said what is no answer"),
    "no JSON": (SAID + "out.write(b'\\x1b[2Jhi\\n')", r"no answer, and was ended; found '\\+x1b\[2Jhi'"),
    "deep JSON": (SAID + "out.write(b'[' * 100_000 + b'\\n')", "said what is no answer"),
    "a number of 5,000 digits": (SAID + "out.write(b'1' * 5_000 + b'\\n')", "said what is no answer"),
    "no table": (SAID + "out.write(b'[1]\\n')", "said what is no answer"),
    "no words": (SAID + "out.write(b'{\"at\": 1}\\n')", "said what is no answer"),
    "another error": (SAID + 'out.write(b\'{"error": {"kind": "SystemExit", "message": "x"}}\\n\')', "^x$"),
    "no error": (SAID + 'out.write(b\'{"error": {"kind": 5, "message": "x"}}\\n\')', "said what is no answer"),
    "an error that is none": (SAID + "out.write(b'{\"error\": [[], 1]}\\n')", "said what is no answer"),
    "a half answer": (SAID + "out.write(b'{\"answer\": 1')", "it ended with 0"),
    "no word": ("sys.exit(3)", "it ended with 3"),
    "a traceback": ("print('\\x1bzap', file=sys.stderr); sys.exit(9)", r"it ended with 9: \\x1bzap"),
    "SIGSEGV": ("confined.begin(); confined.at('it'); os.kill(os.getpid(), 11)", r"^B: it: the runtime .*\(SIGSEGV\)"),
    "abort": ("print('bad', file=sys.stderr, flush=True); os.abort()", r"Aborted \(SIGABRT\): bad"),
    "closes and stays": ("confined.begin(); confined.done(); os.close(1); time.sleep(60)", "it ended with 0"),
}


@pytest.mark.parametrize("name", MAD)
def test_a_child_that_went_mad(name: str, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "GRACE", 0.3)
    with pytest.raises(IntegrityError, match=MAD[name][1]):
        told(MAD[name][0])


def test_a_child_that_says_nothing_and_ignores_sigterm(told: Told) -> None:
    program = "signal.signal(signal.SIGTERM, signal.SIG_IGN); tempfile.mkdtemp(); confined.begin(); time.sleep(60)"
    with pytest.raises(IntegrityError, match=r"^B: took longer than 0.4 s"):
        told(program, Limits(0.1e9, 60, 0.4, 60))


def test_a_child_that_prints_without_end(told: Told) -> None:
    program = "confined.begin(); confined.at('printing')\nwhile True: print('x' * 100_000)"
    with pytest.raises(IntegrityError, match=r"^B: printing: took longer than 0.5 s"):
        told(program, Limits(0.1e9, 0.5, 0.5, 60))


def test_a_child_that_counts_for_ever(told: Told) -> None:
    with pytest.raises(IntegrityError, match=r"^B: counting: took more than 0.3 s of CPU time, and was ended"):
        told("confined.begin(); confined.at('counting')\nwhile True: pass", Limits(0.1e9, 30, 30, 0.3))


def test_a_child_that_was_killed_from_outside(told: Told) -> None:
    with pytest.raises(ResourceError, match="killed from outside, as the system does where memory is out"):
        told("os.kill(os.getpid(), 9)")


def test_an_answer_counts_though_its_child_hangs_or_crashes_at_the_end(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "GRACE", 0.3)
    for end in ("time.sleep(60)", "os.abort()"):
        assert told(f"confined.begin(); confined._say({{'answer': [1]}}); {end}") == [1]


GRANDCHILD = """
    def work(pid):
        child = subprocess.Popen([sys.executable, "-c", {program!r}])
        open(os.path.join(os.path.dirname(__file__), "pid"), "w").write(str(child.pid))
        {then}
        return "done"
    sys.exit(confined.serve(work))
"""


def test_a_grandchild_is_not_left_behind(told: Told) -> None:
    assert told(GRANDCHILD.format(program="import time; time.sleep(60)", then="")) == "done"


def test_the_memory_of_a_grandchild_counts(told: Told) -> None:
    hungry = "held = bytearray(200_000_000); import time; time.sleep(60)"
    with pytest.raises(IntegrityError, match=r"took more memory than 0.1 GB"):
        told(GRANDCHILD.format(program=hungry, then="child.wait()"))


def test_errors_come_back_as_what_they_were(told: Told) -> None:
    head = "from edgekd.base.errors import *\ndef fail(pid): raise {}\nsys.exit(confined.serve(fail))"
    for raised, kind in (
        ("TargetError('what')", TargetError),
        ("type('Own', (TargetError,), {})('what')", TargetError),
    ):
        with pytest.raises(EdgekdError, match=r"^what$") as caught:
            told(head.format(raised))
        assert type(caught.value) is kind
    with pytest.raises(TargetError) as caught:
        told(head.format("TargetError('what', where='w\\x1b', found='f', allowed=['g'], hint='h')"))
    err = caught.value
    assert (err.message, err.where, err.found, err.allowed, err.hint) == ("what", "w\x1b", "f", ["g"], "h")
    with pytest.raises(IntegrityError, match="more memory than there is"):
        told(head.format("MemoryError"))


# who asks


def test_who_verifies_imports_no_runtime(tmp_path: Path) -> None:
    made = bundle(tmp_path, {"model.onnx": model(MODELS["good"])})
    code = (
        "import sys; from edgekd import cli; code = cli.run(['verify', sys.argv[1]]);"
        "print(code, sorted({'numpy', 'onnxruntime', 'openvino', 'torch', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code, str(made)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_a_program_that_would_start_itself_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no Python takes no ``-m``, and asks again: its environment says that it was asked."""
    monkeypatch.setenv("EDGEKD_CHILD", "{}")
    with pytest.raises(UnavailableError, match="needs a Python that can start another one"):
        edgekd.verify("anywhere")


def test_an_allowed_plugin_runs_in_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the current folder, which is last on the path there, too; it writes down whose process it is in."""
    made = bundle(tmp_path, {"model.onnx": model(MODELS["good"])}, "mine:Own")
    (tmp_path / "mine.py").write_text(
        "import os, dataclasses\nfrom edgekd.runtime.backends.ort import backend as ort\n"
        "open('pid', 'w').write(str(os.getpid()))\n@dataclasses.dataclass(frozen=True)\nclass Own(ort.Ort): pass\n"
    )
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    assert cli.run(["verify", str(made)]) == 4
    assert cli.run(["verify", str(made), "--allow-plugin", "mine:Own"]) == 0
    assert (tmp_path / "pid").read_text() != str(os.getpid())


def test_models_changed_at_random(digits: Path, tmp_path: Path) -> None:
    """The first pieces of ``benchmarks/hostile_models.py``."""
    script, state = ROOT / "benchmarks" / "_hostile.py", tmp_path / "state"
    subprocess.run([sys.executable, script, digits / "out", state, "0", "24"], check=True, timeout=120)
    rows = [row for row in map(json.loads, state.read_text().splitlines()) if "begun" not in row]
    assert [row["number"] for row in rows] == list(range(24))
    assert {row["outcome"] for row in rows} <= {"refused", "verified", "other answers", "time", "memory"}
    assert sum(row["outcome"] == "refused" for row in rows) > 10
