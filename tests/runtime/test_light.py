"""What an app needs: the runtime part alone, without torch, onnx, pydantic, click or rich; and no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import _small
import numpy as np
import pytest

from edgekd import cli
from edgekd.build import run as running
from edgekd.learn.data.digits import Digits

ROOT = Path(__file__).parent.parent.parent
SMALL = (
    "teacher.model.width=48",
    "teacher.epochs=8",
    "student.model.width=32",
    "student.epochs=16",
    "student.lr=8e-3",
    "budget.prefer='size'",
    "compress=[{kind='int8_qat',epochs=2}]",
    "budget.max_drop=1.0",
)
CHILD = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in {"torch", "onnx", "onnx_ir", "onnxscript", "torchao", "transformers", "pydantic", "click", "rich",
                   "sklearn", "accelerate", "safetensors", "jinja2", "PIL", "scipy"}:
            raise ImportError(f"{name} is not for apps")
sys.meta_path.insert(0, Block())
sent = []
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        sent.append((event, str(args)))
sys.addaudithook(watch)
import json, numpy as np, edgekd
bundle, target, data = sys.argv[1:]
x, y = (np.load(data)[key] for key in "xy")
model = edgekd.load(bundle, target=target)
says = [p.index for p in model.predict(x)]
checks = edgekd.verify(bundle)
timed = edgekd.bench(bundle, target=target, seconds=0.05)
print(json.dumps({"accuracy": float(np.mean(says == y)), "checks": len(checks), "sent": sent}))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A digits bundle that was really trained, only smaller."""
    folder = tmp_path_factory.mktemp("light")
    settings = _small.line_of(SMALL)
    line = ["build", "digits", "--target", "ort-cpu", "--target", "openvino", *settings]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "SECONDS", 0.1)  # of timing: no latency is looked at
        assert cli.run([*line, "--out", str(folder / "out"), "--cache", str(folder / "cache")]) == 0
    return folder / "out"


@pytest.mark.parametrize("target", ["ort-cpu", "openvino"])
def test_load_predict_verify_bench_without_torch_and_silently(bundle: Path, target: str, tmp_path: Path) -> None:
    test = Digits().load().test
    assert test.y is not None
    np.savez(tmp_path / "test.npz", x=test.x[:, :, :, 0], y=test.y)
    line = [sys.executable, "-c", CHILD, str(bundle), target, str(tmp_path / "test.npz")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, capture_output=True, text=True, env=env, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout.splitlines()[-1])
    assert document["accuracy"] > 0.9
    assert document["checks"] >= 2
    assert document["sent"] == []


def test_the_small_build_keeps_the_promises_that_do_not_need_time(bundle: Path) -> None:
    report = json.loads((bundle / "report.json").read_text())
    teacher = report["stages"][0]
    for target in report["targets"].values():
        int8 = next(c for c in target["candidates"] if c["name"] == "int8")
        assert target["parity"]["argmax_agreement"] >= 0.995
        assert target["parity"]["samples"] == 1797
        assert int8["size_bytes"] * 3 < teacher["size_bytes"]
    text = "".join(p.read_text(errors="ignore") for p in bundle.rglob("*") if p.suffix in (".json", ".html", ".toml"))
    assert str(Path.home()) + "/" not in text.replace("/root/reports", "") or Path.home() == Path("/")
    assert "/tmp/" not in text, "an absolute path entered the bundle"


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_without_a_network_nothing_changes(bundle: Path) -> None:
    alone = ["unshare", "-rn", sys.executable, "-m", "edgekd"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        subprocess.run(["unshare", "-rn", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system gives no network namespaces")
    for command in (["verify", str(bundle)], ["bench", str(bundle), "--seconds", "0.05"]):
        done = subprocess.run([*alone, *command], capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 0, done.stderr


def test_the_commands_of_a_device_need_no_more_than_click_and_rich(bundle: Path) -> None:
    block = CHILD.partition("sent = []")[0].replace('"click", "rich",', "")
    for line in (["verify", str(bundle)], ["bench", str(bundle), "--target", "ort-cpu", "--seconds", "0.05"]):
        program = f"{block}\nfrom edgekd import cli\nsys.exit(cli.run({line!r}))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
