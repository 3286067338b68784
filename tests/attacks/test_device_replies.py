"""What a device answers: whatever it is, an error of edgekd that names the device, in time, and of no great size."""

from __future__ import annotations

import json
import resource
import runpy
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekd.base import host
from edgekd.base.errors import DeviceError, EdgekdError, IntegrityError, ResourceError, UsageError
from edgekd.runtime import bench, cold, left, remote
from edgekd.runtime.conditions import Conditions
from edgekd.runtime.devices._base import ended
from edgekd.runtime.jobs import BenchJob

AGENT = Path(__file__).with_name("_hostile_agent.py")
_HOSTILE, _ODD = (runpy.run_path(str(Path(__file__).with_name(name))) for name in (AGENT.name, "_odd.py"))

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")

Steps = list[dict[str, Any]]
JOB = BenchJob(
    "ort",
    {"this": {"model.onnx": b"model"}},
    "this",
    {"x": np.zeros((1, 3), np.float32)},
    min_samples=2,
    min_seconds=0.0,
)
RESULT = {
    "samples": {"this": [1000, 1100, 1200]},
    "runtime": "onnxruntime 1.31.1",
    "host": {**host.facts(), "isa": ["avx2"], "versions": {"numpy": "2.4"}},
    "conditions": asdict(Conditions(0.1, 0.0, (40.0, 41.0), (2000.0, 2100.0), None, 1.0)),
    "note": None,
    "rate": None,
    "kernels": [{"name": "a", "op": "Conv", "precision": "float32", "microseconds": 1.0, "layers": ["a"]}],
    "parts": {"compute": 0.1},
}
COLD = {"start_ms": 1, "open_ms": 1, "first_ms": 1, "second_ms": 1, "peak_memory_bytes": 1, "model_memory_bytes": 1}
MADE = {"json": {"code": 0, "stderr": "", "made": ["result.json"]}}


@dataclass(frozen=True)
class Hostile:
    """A device whose agent does what a script says."""

    script: Path
    longest: int = 60
    python: str = "python3"
    name: str = "hostile"

    def command(self) -> list[str]:
        return [sys.executable, "-I", "-S", str(AGENT), str(self.script)]

    def why(self, code: int, stderr: str) -> EdgekdError:
        return ended(self, code, stderr)


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Benches on a device that answers by a script; how long it took is looked at, too."""
    monkeypatch.setattr(remote, "PATIENCE", 0.5)
    monkeypatch.setattr(remote, "runtime_zip", lambda: b"zip")

    def run(longest: int = 60, **script: Steps) -> Any:
        (tmp_path / "script.json").write_text(json.dumps(script))
        started = time.monotonic()
        try:
            with remote.Remote(Hostile(tmp_path / "script.json", longest)) as there:
                return there.bench(JOB)
        finally:
            assert time.monotonic() - started < 10

    return run


def raw(*texts: str) -> dict[str, Steps]:
    return {text[:40]: [{"raw": text}] for text in texts}


def plain(*answers: Any) -> dict[str, Steps]:
    return {json.dumps(answer)[:60]: [{"json": answer}] for answer in answers}


HELLO, RAN = _HOSTILE["HELLO"], MADE["json"]
ODD: dict[str, dict[str, Steps]] = {
    "hello": {
        **raw("", "{", "nul", "[" * 100_000, '{"a":' * 50_000, '{"numpy": 1, "numpy": 1}', "\udcff", '{"free": NaN}'),
        **raw('{"free": 1e999}', '{"free": ' + "9" * 5000 + "}", '"\\ud800"', "\ufeff{}"),
        **plain(None, 5, "hello", [], {}, [HELLO], {"have": "x"}, {"bytes": 5}, {"code": 0}),
        **plain(*({key: value for key, value in HELLO.items() if key != gone} for gone in ("python", "numpy", "free"))),
        **plain(*({**HELLO, "python": value} for value in (None, "3.11", [3], [3, "11", 7], [3, 11, -1], {"a": 3}))),
        **plain(*({**HELLO, "free": value} for value in (None, "much", -1, 1.5, True, 10**40))),
        **plain({**HELLO, "numpy": "yes"}, {**HELLO, "numpy": None}),
    },
    "put": plain({}, {"have": None}, {"have": ["x"]}, {"alive": False}, {"alive": "yes"}, {"bytes": "5"}, RAN),
    "run": plain(
        *({key: value for key, value in RAN.items() if key != gone} for gone in RAN),
        *({**RAN, "code": value} for value in ("0", None, 1.5, [0], True)),
        *({**RAN, "stderr": value} for value in (None, 5, ["x"])),
        *(
            {**RAN, "made": value}
            for value in (None, "result.json", [1], [None], [["result.json"]], {"result.json": 1})
        ),
        {**RAN, "bytes": 5},
    ),
    "get": plain(*({"bytes": value} for value in (None, "5", -1, 1.5, True, 8 * 10**9, [5])), {}, {"have": 5}),
    "error": plain(
        {"error": "x"},
        *({"error": "x", "kind": kind} for kind in (None, 5, ["DeviceError"], {"a": 1})),
        *({"error": error, "kind": "DeviceError"} for error in (None, 5, ["x"], {"a": 1})),
    ),
}


@pytest.mark.parametrize(("op", "name"), [(op, name) for op, odd in ODD.items() for name in odd])
def test_an_odd_answer_is_an_error_of_the_device(ask: Any, op: str, name: str) -> None:
    script = {
        "run": [MADE],
        "get": [{"files": {"result.json": json.dumps(RESULT)}}],
        "put" if op == "error" else op: ODD[op][name],
    }
    with pytest.raises(DeviceError, match="hostile"):
        ask(**script)


@pytest.mark.parametrize(
    "kind", ["difflib", "re", "os.system", "KINDS", "in_python", "Any", "__builtins__", "Exception", ""]
)
def test_a_kind_of_error_is_one_of_edgekds_or_the_devices(ask: Any, kind: str) -> None:
    with pytest.raises(DeviceError, match="hostile: it is broken"):
        ask(put=[{"json": {"error": "it is broken", "kind": kind}}])


@pytest.mark.parametrize("kind", [ResourceError, IntegrityError, EdgekdError, UsageError])
def test_an_error_keeps_its_kind(ask: Any, kind: type[EdgekdError]) -> None:
    with pytest.raises(EdgekdError, match="hostile: full") as caught:
        ask(put=[{"json": {"error": "full", "kind": kind.__name__}}])
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ({"hello": [{"flood": 1 << 22}]}, "a line that does not end"),
        ({"run": [{"flood": 1 << 22}]}, "a line that does not end"),
        ({"run": [{"bytes": 10**6, "sent": 1000}]}, "too many bytes"),
        ({"run": [MADE], "get": [{"bytes": 8 * 10**9}]}, "too many bytes"),
        ({"run": [MADE], "get": [{"bytes": 1000, "sent": 10}]}, "says nothing any more"),
        ({"run": [{"deaf": True}]}, "says nothing any more"),
        ({"run": [{"stderr": 1 << 23}, {"json": {"error": "x", "kind": "y"}}]}, "hostile: x"),
    ],
    ids=str,
)
def test_too_much_or_nothing_at_all(ask: Any, script: dict[str, Steps], said: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DeviceError, match=said):
        ask(**script)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "kB of memory"


@pytest.mark.parametrize("op", ["put", "run", "get"])
def test_signs_of_life_for_ever_end(ask: Any, op: str) -> None:
    with pytest.raises(DeviceError, match="did not end in time"):
        ask(longest=1, **{"run": [MADE], op: [{"alive": True}]})


def test_a_device_that_reads_nothing_is_not_waited_for(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "runtime_zip", lambda: bytes(1 << 20))
    with pytest.raises(DeviceError, match=r"(takes|says) nothing any more"):
        ask(put=[{"deaf": True}])


def test_what_a_run_made_elsewhere_is_not_fetched(ask: Any, tmp_path: Path) -> None:
    made = ["../../evil", "/etc/passwd", "job.json", "result.json"]
    found = ask(run=[{"json": {**RAN, "made": made}}], get=[{"files": {"result.json": json.dumps(RESULT)}}])
    assert found.samples["this"].tolist() == [1000, 1100, 1200] and found.host == RESULT["host"]


def read(folder: Path, name: str, value: Any) -> Any:
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
    if name == bench.RESULT:
        return bench.read_result(folder, JOB, DeviceError, "hostile")
    if name == cold.RESULT:
        return cold.read(folder, DeviceError, "hostile")
    left.check_outcome(folder, 0, "", "hostile", DeviceError)
    return None


@pytest.mark.parametrize(("name", "good"), [("result.json", RESULT), ("cold.json", COLD)])
def test_results_that_are_off(tmp_path: Path, name: str, good: Any) -> None:
    assert read(tmp_path, name, good)
    refused = 0
    for _, _, odd in _ODD["variants"](good, _ODD["FEW"]):
        try:
            read(tmp_path, name, odd)
        except DeviceError as err:
            assert f"hostile: {name}" in str(err)
            refused += 1
    assert refused > 30
    for text in ("", "{", "null", "[]", "5", "[" * 100_000, '{"samples": NaN}'):
        with pytest.raises(DeviceError, match=name):
            read(tmp_path, name, text)


@pytest.mark.parametrize(
    "samples",
    [{}, {"this": []}, {"that": [1, 2]}, {"this": [1, 2], "more": [1, 2]}, {"this": [1]}, {"this": [0, 1]},
     {"this": [1, 2**63]}, {"this": [1, 1.5]}, {"this": [[1, 2]]}, {"this": {"0": 1}}],
    ids=str,
)  # fmt: skip
def test_samples_that_are_none(tmp_path: Path, samples: Any) -> None:
    with pytest.raises(DeviceError, match="samples"):
        read(tmp_path, "result.json", {**RESULT, "samples": samples})


FAILURE = IntegrityError("x", where="w", found="f", allowed=["a"], hint="h").as_dict()


def test_errors_that_are_off(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        read(tmp_path, "error.json", FAILURE)
    for _, _, odd in _ODD["variants"](FAILURE):
        with pytest.raises(EdgekdError) as caught:
            read(tmp_path, "error.json", odd)
        assert str(caught.value)
    for kind in ("difflib", "Exception", "KINDS", "Shown"):
        with pytest.raises(DeviceError, match="w: x"):
            read(tmp_path, "error.json", {**FAILURE, "kind": kind})
    for text in ("", "null", "[]", "{}", '"x"', "[" * 100_000):
        with pytest.raises(DeviceError, match=r"error\.json"):
            read(tmp_path, "error.json", text)
