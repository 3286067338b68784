"""One unchanged bundle in programs that are not ours, and its own examples: who reads it, and do they agree?

    pip install opencv-python-headless tract mlflow-skinny pandas; pip install --no-deps ncnn pnnx
    npm install onnxruntime-node onnxruntime-web playwright-core @huggingface/transformers      # in some FOLDER
    python benchmarks/outside.py --node FOLDER [--ort FOLDER] [--chromium PROGRAM] [--pictures FOLDER]

Two bundles of the digits recipe, one that ships int8 and one that ships fp32; golden inputs and outputs are theirs.
Agreement: equal classes, and for fp32 a difference of at most 1e-3. ``--ort`` holds ONNX Runtime's headers and
library, for the C++ example. The page of the int8 bundle is opened in Chromium, drawn on, and photographed; so are
the pages of students of pictures, of texts and of sounds (``--quick`` bundles), which are given one of each.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import _common
import _outside
import numpy as np

import edgekd
from edgekd.base.scores import softmax
from edgekd.runtime import bundle as bundles

MOST = 1e-3
PAGES = ("cifar10-cnn", "bert-distilbert", "keyword-spotting")  # pictures, texts, sounds
TARGETS = ("ort-cpu", "openvino")
REFUSED = (ImportError, RuntimeError, ValueError, OSError, TypeError, KeyError, AttributeError, StopIteration)


def made(folder: Path, name: str, recipe: str = "digits", *more: str) -> Path:
    """A bundle of a recipe; the name ``fp32`` leaves its quantization out."""
    out = folder / name
    changed: dict[str, Any] = {"compress": []} if name == "fp32" else {}
    line = [sys.executable, "-m", "edgekd", "build", recipe, "--out", str(out), "--overwrite", *more]
    line += [part for target in TARGETS for part in ("--target", target)]
    line += [part for key, value in changed.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    edgekd.verify(out)
    return out


def row(
    name: str, language: str, version: str, got: dict[str, np.ndarray], wanted: dict[str, np.ndarray]
) -> dict[str, Any]:
    """How far some outputs are from the golden ones."""
    equal = all((got[k].reshape(v.shape).argmax(1) == v.argmax(1)).all() for k, v in wanted.items())
    apart = max(float(np.abs(got[k].reshape(v.shape) - v).max()) for k, v in wanted.items())
    return {"program": name, "language": language, "version": version, "equal_classes": equal, "largest": apart}


def onnx_file(read: bundles.Bundle, bundle: Path) -> tuple[bundles.Variant, Path]:
    """The first variant that ONNX Runtime opens, and its file."""
    variant = next(v for v in read.variants if v.backend == "ort")
    return variant, bundle / variant.target / next(iter(variant.files))


def programs(bundle: Path) -> list[dict[str, Any]]:
    """Every program on the first ONNX file of a bundle; one that can't is a row with its reason."""
    read = bundles.read(bundle)
    variant, file = onnx_file(read, bundle)
    inputs, wanted = read.golden_of(variant)
    rows = []
    for name, (language, ask) in _outside.ALL.items():
        try:
            version, got = ask(file, inputs)
            rows.append(row(name, language, version, got, wanted))
        except REFUSED as err:
            said = f"{type(err).__name__}: {err}".splitlines()[0][:300]
            rows.append({"program": name, "language": language, "refused": said})
        print(rows[-1], flush=True)
    return rows


def transformers_js(bundle: Path) -> dict[str, Any]:
    """transformers.js on the sample of a bundle of a student of texts."""
    sample, answer = (bundle / "examples" / name for name in ("sample.txt", "answer.json"))
    ((_, wanted),) = json.loads(answer.read_text()).items()
    read = bundles.read(bundle)
    version, shares = _outside.transformers_js(read, onnx_file(read, bundle)[1], sample.read_text())
    got = np.array([shares[label] for label in read.labels])
    found = {"program": "transformers.js", "language": "JavaScript", "version": version}
    found |= {"equal_classes": read.labels[int(got.argmax())] == wanted["label"]}
    return found | {"largest": float(np.abs(got - softmax(np.array(wanted["scores"]))).max())}


def benchmark_app(bundle: Path) -> dict[str, Any]:
    """OpenVINO's own benchmark on the IR of a bundle."""
    read = bundles.read(bundle)
    variant = next(v for v in read.variants if v.backend == "openvino")
    shape = next(iter(read.golden_of(variant)[0].values())).shape
    file = bundle / variant.target / next(iter(variant.files))
    sizes = ",".join(map(str, (1, *shape[1:])))
    line = [str(Path(sys.executable).with_name("benchmark_app")), "-m", str(file), "-d", "CPU"]
    line += [
        "-shape",
        f"input[{sizes}]",
        "-hint",
        "none",
        "-nthreads",
        "1",
        "-nstreams",
        "1",
        "-t",
        "2",
        "-api",
        "sync",
    ]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    told = [text.split("]")[-1].strip() for text in done.stdout.splitlines() if "Median" in text]
    return {"program": "benchmark_app", "language": "Python", "exit": done.returncode, "said": told}


def phones(bundle: Path) -> dict[str, Any]:
    """What ONNX Runtime's own mobile usability tool says of the ONNX file of a bundle."""
    _, file = onnx_file(bundles.read(bundle), bundle)
    tool = "onnxruntime.tools.check_onnx_model_mobile_usability"
    line = [sys.executable, "-m", tool, "--log_level", "info", str(file)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    said = [text.split("INFO:")[-1].strip() for text in (done.stdout + done.stderr).splitlines()]
    return {"exit": done.returncode, "said": [text for text in said if text.startswith("Model should perform well")]}


def examples(bundle: Path, folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """The bundle's own programs on its own sample, against its own answer."""
    place, wanted = bundle / "examples", json.loads((bundle / "examples" / "answer.json").read_text())
    build = folder / "build"
    spec = importlib.util.find_spec("openvino")
    wheel = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
    flags = [f"-DOpenVINO_DIR={wheel / 'cmake'}"] + ([f"-DORT={given.ort}"] if given.ort else [])
    subprocess.run(["cmake", "-S", place / "cpp", "-B", build, *flags], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build], check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(place, folder / "copy" / "examples")
    for target in TARGETS:
        shutil.copytree(bundle / target, folder / "copy" / target)
    (folder / "copy" / "examples" / "node" / "node_modules").symlink_to(given.node.resolve() / "node_modules")
    lines: dict[str, list[str | Path]] = {
        "python/predict.py": [sys.executable, place / "python" / "predict.py"],
        "python/predict_openvino.py": [sys.executable, place / "python" / "predict_openvino.py"],
        "cpp/predict_openvino.cpp": [build / "predict_openvino", bundle],
        "node/predict.mjs": ["node", folder / "copy" / "examples" / "node" / "predict.mjs"],
    }
    if given.ort:
        lines["cpp/predict_ort.cpp"] = [build / "predict_ort", bundle]
    rows = []
    for name, line in lines.items():
        # The C++ program alone: Node brings an ONNX Runtime of its own.
        more = {"LD_LIBRARY_PATH": f"{given.ort}/lib"} if name == "cpp/predict_ort.cpp" else {}
        command = list(map(str, line))
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **more})
        document = json.loads(done.stdout)
        apart = max(float(np.abs(np.subtract(document[h]["scores"], wanted[h]["scores"])).max()) for h in wanted)
        rows.append({"example": name, "equal": all(document[h]["label"] == wanted[h]["label"] for h in wanted)})
        rows[-1]["largest"] = apart
        print(rows[-1], flush=True)
    return rows


def page(bundle: Path, pictures: Path) -> list[dict[str, Any]]:
    """The page of a bundle in Chromium."""
    pictures.mkdir(parents=True, exist_ok=True)
    with _outside.served(bundle) as address:
        line = ["node", str(_outside.PROGRAMS / "page.mjs"), address, str(pictures)]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
    document: list[dict[str, Any]] = json.loads(done.stdout)
    ((head, wanted),) = json.loads((bundle / "examples" / "answer.json").read_text()).items()
    for told in document:
        told["answer_is_the_bundles"] = told["answer"][head]["label"] == wanted["label"]
        told["largest"] = float(np.abs(np.subtract(told["answer"][head]["scores"], wanted["scores"])).max())
        del told["answer"]
        print(told, flush=True)
    return document


def main() -> None:
    """Build, ask, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node", type=Path, required=True)
    parser.add_argument("--ort", type=Path)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    parser.add_argument("--pictures", type=Path, default=Path(tempfile.gettempdir()) / "edgekd-page")
    given = parser.parse_args()
    os.environ |= {"NODE_FOLDER": str(given.node.resolve()), "CHROMIUM": given.chromium}
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made_of = {kind: made(folder, kind) for kind in ("fp32", "int8")}  # first: a program may change the environment
        for kind, bundle in made_of.items():
            rows = programs(bundle)
            agree = [r for r in rows if r.get("equal_classes") and (kind == "int8" or r["largest"] <= MOST)]
            languages = sorted({language for r in agree for language in r["language"].split(", ")})
            table[kind] = {"programs": rows, "agree": len(agree), "languages": languages, "app": benchmark_app(bundle)}
            table[kind]["phones"] = phones(bundle)
            print(kind, len(agree), languages, table[kind]["app"], flush=True)
        table["examples"] = examples(bundle, folder, given)
        table["page"] = page(bundle, given.pictures)
        edgekd.verify(bundle)  # unchanged
        others = {recipe: made(folder, recipe, recipe, "--quick") for recipe in PAGES}
        for recipe, bundle in others.items():
            table["page"] += page(bundle, given.pictures / recipe)
        table["text"] = transformers_js(others["bert-distilbert"])
        print(table["text"], flush=True)
    _common.write("outside", table)


if __name__ == "__main__":
    main()
