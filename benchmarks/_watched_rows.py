"""What ``no_network.py`` watches: commands, backends, a bundle's own programs, a device's side, and controls."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekd.runtime import bundle as bundles

KINDS = ("watched", "controls", "imported_first")
TARGETS = ("ort-cpu", "openvino", "ort-mobile", "ort-web")
ON, OFF = {"ORT_DISABLE_TELEMETRY": "0"}, "import os; os.environ['ORT_DISABLE_TELEMETRY'] = '1'\n"
# Each ends with a sleep of so many seconds, in the process that did the work and with all that it opened.
COMMAND = """
import sys, time
from edgekd import cli
code = cli.run(sys.argv[2:])
time.sleep(float(sys.argv[1]))
sys.exit(code)
"""
PROGRAM = """
import runpy, sys, time
seconds, sys.argv, sys.path[0] = float(sys.argv[1]), sys.argv[2:], sys.argv[2].rpartition("/")[0]
kept = runpy.run_path(sys.argv[0], run_name="__main__")
time.sleep(seconds)
"""
LOAD = """
import sys, time
import numpy as np, edgekd
model = edgekd.load(sys.argv[2], target=sys.argv[3])
model.predict(np.zeros((8, 8), np.uint8))
time.sleep(float(sys.argv[1]))
"""
REPLAY = """
import sys, time
from edgekd.runtime import replay
replay.checked(sys.argv[2])
time.sleep(float(sys.argv[1]))
"""
MEASURE = """
import sys, time
from pathlib import Path
from edgekd.runtime import bench, bundle as bundles, cold, local
bundle = bundles.read(Path(sys.argv[2]))
variant = next(variant for variant in bundle.variants if variant.target == sys.argv[3])
job = local.job_of(bundle, variant, local.Settings(0.1, profile=True))
bench.bench_in_process(job)
cold.measure(job, time.monotonic_ns())
time.sleep(float(sys.argv[1]))
"""
REFERENCE = """
import sys, time
from pathlib import Path
from edgekd.runtime import bundle as bundles
from edgekd.runtime import backend as backends
bundle = bundles.read(Path(sys.argv[2]))
variant = next(variant for variant in bundle.variants if variant.target == "ort-cpu")
backends.make("reference", {}, "here").open(bundle.files_of(variant)).run(bundle.golden_of(variant)[0])
time.sleep(float(sys.argv[1]))
"""
# A device's Python is lent this, by a .pth file: what measured there lives on.
LINGER = """
import atexit, os, sys, time
if "edgekd.runtime.bench" in sys.orig_argv:
    atexit.register(time.sleep, float(os.environ["LINGER"]))
"""


@dataclass(frozen=True)
class Row:
    """A command to watch.

    Attributes:
        line: ``{made}`` in it, and in ``env``, is the row's folder for what the user names.
        kind: ``watched`` must be clean; of the ``controls`` each must be seen; of what an app may do that
            ``imported_first`` onnxruntime it is told what helps.
        own: folders that the user named, beside ``made``.
        held: seconds for which nobody reads its stdout; see ``_watched.watch``.
    """

    what: str
    line: Sequence[str]
    kind: str = "watched"
    env: Mapping[str, str] = field(default_factory=dict)
    own: tuple[Path, ...] = ()
    held: float | None = None


@dataclass(frozen=True)
class Place:
    """Where the rows' bundle is, and for how long each lives on.

    Attributes:
        node: a folder with node_modules. ort: one with ONNX Runtime's headers and library.
    """

    work: Path
    seconds: float
    node: Path | None
    ort: Path | None

    @property
    def bundle(self) -> Path:
        """Of every target that this machine can build for."""
        return self.work / "build" / "made" / "out"

    def build(self) -> Row:
        """The build that makes it, itself a row."""
        targets = [part for name in TARGETS if name != "ort-web" or self.node for part in ("--target", name)]
        return self._command("build", "digits", "--quick", *targets, "--out", "{made}/out")

    def rows(self) -> tuple[list[Row], dict[str, str]]:
        """All others; and what can't be measured here, with the reason. What asks on purpose has no network."""
        rows = [*self._commands(), *self._backends(), *self._device(), *self._imported_first()]
        programs, missing = self._programs()
        missing |= {"other backends (ort-cuda, ort-tensorrt, ort-webgpu, OpenVINO on GPUs)": "not on this machine"}
        made = [*rows, *programs]
        alone = [row if row.kind == "watched" else replace(row, line=["unshare", "-rn", *row.line]) for row in made]
        return alone, missing

    def _python(self, what: str, text: str, *arguments: Any, kind: str = "watched", **env: str) -> Row:
        line = [sys.executable, "-c", text, str(self.seconds), *map(str, arguments)]
        return Row(what, line, kind, {**env, **self._modules})

    def _command(self, *arguments: str, what: str = "", **env: str) -> Row:
        env = {"EDGEKD_CACHE": "{made}/cache", **env}
        return self._python(f"edgekd {what or arguments[0]}", COMMAND, *arguments, **env)

    @property
    def _modules(self) -> dict[str, str]:
        return {} if self.node is None else {"EDGEKD_NODE_MODULES": str(self.node.resolve())}

    def _commands(self) -> list[Row]:
        bundle, key = str(self.bundle), self._signed()
        tune = ("tune", "digits", "--quick", "--trials", "2", "--max-drop", "0.9", "--target", "ort-cpu")
        compare = ("bench", bundle, "--compare", bundle, "--seconds", "0.1", "--target", "ort-cpu")
        signs = self._command("sign", str(self.work / "signed"), "--key", str(key), "--overwrite")
        return [
            self._command("verify", bundle),
            self._command("bench", bundle, "--seconds", "0.1", "--profile"),
            self._command(*compare, what="bench --compare"),
            self._command("targets"),
            self._command("doctor"),
            self._command("inspect", bundle),
            self._command("plan", "digits", "--quick", "--target", "ort-cpu"),
            self._command("init", "{made}/recipe.toml"),
            self._command("cache"),
            self._command("report", bundle, "--out", "{made}/page.html"),
            self._command(*tune, "--out", "{made}/out"),
            replace(signs, own=(self.work / "signed",)),
            self._command("verify", str(self.work / "verified"), "--key", f"{key}.pub", what="verify --key"),
        ]  # fmt: skip

    def _backends(self) -> list[Row]:
        rows = [self._python("the onnx reference", REFERENCE, self.bundle)]
        for name in sorted(variant.target for variant in bundles.read(self.bundle).variants):
            rows.append(self._python(f"load, {name}", LOAD, self.bundle, name))
            rows.append(self._python(f"the child of bench, {name}", MEASURE, self.bundle, name))
        rows.append(self._python("the child of verify", REPLAY, self.bundle))
        return [*rows, self._python("load, telemetry on", LOAD, self.bundle, "ort-cpu", kind="controls", **ON)]

    def _device(self) -> list[Row]:
        """The agent and what it starts, in a Python that has numpy and the runtimes alone."""
        python = self.work / "device" / "bin" / "python"
        if not python.exists():
            venv.create(self.work / "device", symlinks=True)
            packages = next((self.work / "device").glob("lib/*/site-packages"))
            for entry in Path(np.__file__).parents[1].iterdir():
                if entry.name.startswith(("numpy", "onnxruntime", "openvino")):
                    (packages / entry.name).symlink_to(entry)
            (packages / "linger.py").write_text(LINGER)
            (packages / "linger.pth").write_text("import linger\n")
            (self.work / "devices.toml").write_text(f'[board]\nkind = "local"\npython = "{python}"\n')
        line = ("bench", str(self.bundle), "--device", "board", "--devices", str(self.work / "devices.toml"))
        env, quick = {"LINGER": str(self.seconds)}, ("--seconds", "0.1", "--target")
        rows = [self._command(*line, *quick, name, what=f"bench --device, {name}", **env) for name in TARGETS[:3]]
        on = self._command(*line, *quick, "ort-cpu", what="bench --device, telemetry on", **env, **ON)
        return [*rows, replace(on, kind="controls")]

    def _imported_first(self) -> list[Row]:
        """An app that imported onnxruntime before edgekd did."""
        first = "import onnxruntime\n"
        ways = {
            "nothing": first,
            "the variable, before": OFF + first,
            "the variable, after": first + OFF,
            "disable_telemetry_events()": f"{first}onnxruntime.disable_telemetry_events()\n",
            "import edgekd, before": f"import edgekd\n{first}",
            "edgekd.load, before": LOAD.rpartition("time.sleep")[0] + first,
        }
        return [
            self._python(what, text + LOAD, self.bundle, "ort-cpu", kind="imported_first")
            for what, text in ways.items()
        ]

    def _programs(self) -> tuple[list[Row], dict[str, str]]:
        """What is in a bundle's ``examples/``, as it is."""
        examples, missing = self.bundle / "examples", {}
        rows = [
            self._python("examples/python/predict.py", PROGRAM, examples / "python" / "predict.py"),
            self._python("examples/python/predict_openvino.py", PROGRAM, examples / "python" / "predict_openvino.py"),
        ]
        if self.node is None:
            missing["examples/node/predict.mjs, load of ort-web"] = "--node was not given"
        else:
            link = self.work / "node_modules"
            if not link.is_symlink():
                link.symlink_to(self.node.resolve() / "node_modules")
            stay = f"data:text/javascript,setTimeout(() => 0, {1000 * self.seconds})"
            line = ["node", "--import", stay, str(examples / "node" / "predict.mjs")]
            rows.append(Row("examples/node/predict.mjs", line))
            rows.append(Row("examples/node/predict.mjs, telemetry on", line, "controls", ON))
        for name in ("predict_openvino", "predict_ort"):
            if name == "predict_ort" and self.ort is None:
                missing["examples/cpp/predict_ort.cpp"] = "--ort was not given"
                continue
            line = ["stdbuf", "-o0", str(self._compiled() / name), str(self.bundle)]
            env = {"LD_LIBRARY_PATH": f"{self.ort}/lib"} if name == "predict_ort" else {}
            rows.append(Row(f"examples/cpp/{name}.cpp", line, env=env, held=self.seconds))
            if env:
                rows.append(
                    Row(f"examples/cpp/{name}.cpp, telemetry on", line, "controls", env | ON, held=self.seconds)
                )
        return rows, missing

    def _compiled(self) -> Path:
        """The C++ programs."""
        folder = self.work / "cpp"
        if not folder.is_dir():
            spec = importlib.util.find_spec("openvino")
            wheel = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
            flags = [f"-DOpenVINO_DIR={wheel / 'cmake'}", *([f"-DORT={self.ort.resolve()}"] if self.ort else [])]
            line = ["cmake", "-S", str(self.bundle / "examples" / "cpp"), "-B", str(folder), *flags]
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["cmake", "--build", str(folder)], check=True, stdout=subprocess.DEVNULL)
        return folder

    def _signed(self) -> Path:
        """A key, beside it its public half; and two copies of the bundle, to be signed and to be verified."""
        key = self.work / "key"
        if not (self.work / "verified").is_dir():
            curve = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
            subprocess.run(curve, check=True)
            public = ["openssl", "ec", "-in", str(key), "-pubout", "-out", f"{key}.pub"]
            subprocess.run(public, check=True, capture_output=True)
            for name in ("signed", "verified.new"):
                shutil.rmtree(self.work / name, ignore_errors=True)
                shutil.copytree(self.bundle, self.work / name)
            line = [sys.executable, "-m", "edgekd", "sign", str(self.work / "verified.new"), "--key", str(key)]
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
            os.rename(self.work / "verified.new", self.work / "verified")
        return key
