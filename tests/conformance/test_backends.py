"""The laws of every backend; a new folder in runtime/backends/ is found by itself."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest

from edgekd.base import backend_facts, plugins
from edgekd.base.errors import EdgekdError, ExportError, IntegrityError, TargetError, UnavailableError, UsageError
from edgekd.runtime import allowed
from edgekd.runtime import backend as backends

KINDS = plugins.kinds("backends")
NOT_ONLY = {"onnx", "reference"}  # a package of builds, too, and a word

LINEAR = """
<ir_version: 10, opset_import: ["" : 20]>
student (float[N, 3] x) => (float[N, 2] scores)
<float[3, 2] w = {1, 0.5, -2, 0.25, 3, -1}, float[2] b = {0.5, -0.5}>
{ scores = Gemm(x, w, b) }
"""
TWO = """
<ir_version: 10, opset_import: ["" : 20]>
pair (float[N, 2] left, int64[N, 1] right) => (float[N, 2] sum, int64[N, 1] twice)
<int64 two = {2}>
{
  wide = Cast <to = 1> (right)
  sum = Add(left, wide)
  twice = Mul(right, two)
}
"""
FIXED = """
<ir_version: 10, opset_import: ["" : 20]>
fixed (float[2, 3] x) => (float[2, 3] y)
{ y = Relu(x) }
"""
UNKNOWN_OP = """
<ir_version: 10, opset_import: ["" : 20, "acme" : 1]>
unknown (float[N, 3] x) => (float[N, 3] y)
{ y = acme.Frobnicate(x) }
"""


def model(text: str) -> bytes:
    return onnx.parser.parse_model(text).SerializeToString()


def session(kind: str, text: str = LINEAR, batch: int | None = None) -> backends.Session:
    backend = backends.make(kind, {}, "test.toml: options")
    return backend.open(backend.lower(model(text)), batch)


def samples(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)


def linear(x: np.ndarray) -> np.ndarray:
    return x @ np.array([[1, 0.5], [-2, 0.25], [3, -1]], np.float32) + np.array([0.5, -0.5], np.float32)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    try:
        backends.make(request.param, {}, "test").check()
    except UnavailableError as err:  # onnxruntime-web without Node and its package
        pytest.skip(str(err))
    return str(request.param)


def test_is_a_frozen_dataclass(kind: str) -> None:
    backend = backends.make(kind, {}, "test")
    assert dataclasses.is_dataclass(backend)
    with pytest.raises(dataclasses.FrozenInstanceError):
        backend.anything = 1


def test_tells_its_version(kind: str) -> None:
    name, _, number = backends.make(kind, {}, "test").version().partition(" ")
    assert name.isidentifier()
    assert number[0].isdigit()


def test_unknown_option_is_told(kind: str) -> None:
    with pytest.raises(TargetError, match=r"test\.toml: options\.thraeds: unknown key"):
        backends.make(kind, {"thraeds": 1}, "test.toml: options")


def test_lower_is_pure(kind: str) -> None:
    backend = backends.make(kind, {}, "test")
    files = backend.lower(model(LINEAR))
    backend.lower(model(TWO))
    assert files == backend.lower(model(LINEAR))
    assert all(isinstance(data, bytes) and "/" not in name for name, data in files.items())


def test_ports_are_those_of_the_model(kind: str) -> None:
    opened = session(kind, TWO)
    assert [(p.name, p.shape, p.dtype) for p in opened.inputs] == [
        ("left", (None, 2), "float32"),
        ("right", (None, 1), "int64"),
    ]
    assert [(p.name, p.shape, p.dtype) for p in opened.outputs] == [
        ("sum", (None, 2), "float32"),
        ("twice", (None, 1), "int64"),
    ]


@pytest.mark.parametrize("opened_for", [None, 1, 4])
def test_any_batch_gives_the_same_as_numpy(kind: str, opened_for: int | None) -> None:
    opened = session(kind, batch=opened_for)
    for count in (1, 4, 2, 150, 1, 3):
        x = samples(count, seed=count)
        np.testing.assert_allclose(opened.run({"x": x})["scores"].astype(np.float32), linear(x), rtol=1e-5, atol=1e-5)


def test_many_inputs_and_outputs(kind: str) -> None:
    opened = session(kind, TWO)
    for count in (1, 70):
        left = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
        right = np.arange(count, dtype=np.int64).reshape(count, 1)
        got = opened.run({"right": right, "left": left})
        np.testing.assert_array_equal(got["sum"], left + right)
        np.testing.assert_array_equal(got["twice"], right * 2)
        assert (got["sum"].dtype, got["twice"].dtype) == (np.dtype(np.float32), np.dtype(np.int64))


def test_fixed_batch(kind: str) -> None:
    opened = session(kind, FIXED)
    x = samples(2)
    assert opened.inputs[0].shape == (2, 3)
    np.testing.assert_array_equal(opened.run({"x": x})["y"], np.maximum(x, 0))
    with pytest.raises(UsageError, match="wrong shape"):
        opened.run({"x": samples(3)})


def test_results_are_the_callers_own(kind: str) -> None:
    opened = session(kind)
    x = samples(2)
    x.flags.writeable = False
    first = opened.run({"x": x})["scores"]
    kept = first.copy()
    second = opened.run({"x": samples(2, seed=1)})["scores"]
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)
    first[:] = 0  # the caller may write
    np.testing.assert_array_equal(opened.run({"x": x})["scores"], kept)


def test_arrays_that_are_not_contiguous(kind: str) -> None:
    x = np.asfortranarray(samples(8))[::2]
    np.testing.assert_allclose(
        session(kind).run({"x": x})["scores"].astype(np.float32), linear(x), rtol=1e-5, atol=1e-5
    )


def test_forks_run_at_the_same_time(kind: str) -> None:
    opened = session(kind)

    def work(seed: int) -> bool:
        mine = opened.fork()
        batches = [samples(1 + (seed + i) % 3, seed=100 * seed + i) for i in range(20)]
        return all(np.allclose(mine.run({"x": x})["scores"], linear(x), atol=1e-5) for x in batches)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "input 'x': missing"),
        ({"y": samples(1)}, "unknown input; found 'y'; allowed: x"),
        ({"x": samples(1), "z": samples(1)}, "unknown input; found 'z'"),
        ({"x": samples(1).tolist()}, "not an array; found 'list'"),
        ({"x": samples(1).astype(np.float64)}, "wrong dtype; found 'float64'; allowed: float32"),
        ({"x": samples(1).astype(">f4")}, "wrong dtype"),
        ({"x": samples(1)[0]}, r"wrong shape; found \(3,\); allowed: \(N, 3\)"),
        ({"x": samples(1)[:, :2]}, r"wrong shape; found \(1, 2\)"),
        ({"x": samples(0)}, r"wrong shape; found \(0, 3\)"),
    ],
)
@pytest.mark.parametrize("warm", [False, True])
def test_wrong_inputs_are_told(kind: str, warm: bool, arrays: dict[str, np.ndarray], message: str) -> None:
    opened = session(kind)
    if warm:
        opened.run({"x": samples(1)})
    with pytest.raises(UsageError, match=message):
        opened.run(arrays)
    x = samples(1)  # and the session is as good as before
    np.testing.assert_allclose(opened.run({"x": x})["scores"].astype(np.float32), linear(x), rtol=1e-5, atol=1e-5)


def test_inputs_of_unequal_batch_are_told(kind: str) -> None:
    arrays: dict[str, np.ndarray] = {"left": np.zeros((2, 2), np.float32), "right": np.zeros((3, 1), np.int64)}
    with pytest.raises(UsageError):
        session(kind, TWO).run(arrays)


def test_a_damaged_file_is_told(kind: str) -> None:
    backend = backends.make(kind, {}, "test")
    for name, data in (files := backend.lower(model(LINEAR))).items():
        for broken in (data[: len(data) // 2], b"not a model"):
            with pytest.raises(IntegrityError):
                backend.open({**files, name: broken})


def test_an_unknown_op_is_named(kind: str) -> None:
    backend = backends.make(kind, {}, "test")
    with pytest.raises(ExportError, match="Frobnicate"):
        backend.open(backend.lower(model(UNKNOWN_OP)))


def test_every_error_is_ours(kind: str) -> None:
    with pytest.raises(EdgekdError):
        session(kind).run({"x": None})  # type: ignore[dict-item]


def test_states_its_facts_and_they_are_true(kind: str) -> None:
    facts, backend = backend_facts.of(kind), backends.make(kind, {}, "test")
    assert backend.version().partition(" ")[0] == facts.runtime
    assert all(name.endswith(facts.suffixes) for name in backend.lower(model(LINEAR)))
    assert facts.npm or any(plugins.version(name) for name in facts.distributions)
    assert facts.npm or set(facts.modules) & set(sys.modules)
    assert set(facts.passes) <= set(plugins.kinds("passes"))
    fields = {field.name for field in dataclasses.fields(backend)}  # type: ignore[arg-type]
    assert set(facts.options) <= fields, "a bundle may set what there is"


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_bundle_may_set_holds_the_defaults_and_no_path(kind: str) -> None:
    rules = backend_facts.of(kind).options
    assert all(not rule.takes("./x") for rule in flat(rules))
    try:
        backend = backends.make(kind, {}, "test")
    except UnavailableError as err:
        pytest.skip(str(err))
    names = [field.name for field in dataclasses.fields(backend) if field.name in rules]  # type: ignore[arg-type]
    defaults = {name: getattr(backend, name) for name in names}
    allowed.check(kind, defaults, "test")


def flat(rules: Mapping[str, backend_facts.Rule]) -> Iterator[Any]:
    for rule in rules.values():
        if isinstance(rule, Mapping):
            yield from flat(rule)
        else:
            yield rule


def test_the_facts_are_known_without_any_runtime() -> None:
    """And without a module of the user's, whose facts are safe defaults."""
    code = f"""
import sys
sys.modules.update(dict.fromkeys({sorted({name for f in backend_facts.every().values() for name in f.modules})!r}))
from edgekd.base import backend_facts
assert sorted(backend_facts.every()) == {KINDS!r}
assert backend_facts.of("nosuchpkg.mod:Mine") == backend_facts.Facts()
assert "numpy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_who_opens_a_programs_file_best() -> None:
    assert backend_facts.openers("ort") == ["ort", "ort_web", "ort_mobile"]
    assert backend_facts.openers("web") == ["ort_web", "ort"]
    assert backend_facts.openers("openvino") == ["openvino"]


NAMED_BECAUSE = {
    "cli/starting/recipe.py": "of targets, of which a first recipe names what this machine can run",
    "base/watch.py": "of libraries that users' own code opens files with",
    "publish/app_files.py": "of the kinds of programs, which are a list of their own",
    "publish/examples/__init__.py": "of the kinds of programs",
    "report/commands.py": "ONNX Runtime is proposed where targets differ",
    "teachers/onnx.py": "of the two runtimes that a teacher's file is asked by",
    "runtime/manifest.py": "ONNX Runtime's model packages say ort, and it opens the most portable file",
}


def test_no_kind_of_a_backend_stands_outside_its_folder() -> None:
    root = Path(backend_facts.__file__).parents[1]
    named = {}
    for path in sorted(root.rglob("*.py")):
        constants = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        texts = {text for text in constants if isinstance(text, str)}
        if found := texts & {*KINDS, *backend_facts.distributions()} - NOT_ONLY:
            named[path.relative_to(root).as_posix()] = found
    assert {name for name in named if not name.startswith("runtime/backends/")} == {*NAMED_BECAUSE}, named
