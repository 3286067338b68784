"""Programs that are not ours, a function each: an ONNX file and named inputs in, (version, named outputs) out.

Each imports what it needs by itself; one that is not installed is a row with the reason.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from edgekd.runtime.bundle import Bundle

Arrays = dict[str, np.ndarray]
Found = tuple[str, Arrays]
PROGRAMS = Path(__file__).parent / "outside"
KINDS = {"float32": "float32", "int64": "int64"}


def onnxruntime_python(file: Path, inputs: Arrays) -> Found:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return onnxruntime.__version__, dict(zip(names, session.run(None, inputs), strict=True))


def openvino_python(file: Path, inputs: Arrays) -> Found:
    import openvino

    model = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = model(inputs)
    return openvino.__version__, {out.get_any_name(): np.array(found[out]) for out in model.outputs}


def onnx_reference(file: Path, inputs: Arrays) -> Found:
    import onnx
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.load(file))
    return onnx.__version__, dict(zip(evaluator.output_names, evaluator.run(None, inputs), strict=True))


def opencv(file: Path, inputs: Arrays) -> Found:
    import cv2

    net = cv2.dnn.readNetFromONNX(str(file))
    (name, x), *others = inputs.items()
    if others:
        raise ValueError("one input alone")
    rows = []
    for sample in x:  # its importer fixes the batch
        net.setInput(sample[None], name)
        rows.append(net.forward())
    return cv2.__version__, {_outputs(file)[0]: np.concatenate(rows)}


def mlflow(file: Path, inputs: Arrays) -> Found:
    import mlflow.onnx
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        mlflow.onnx.save_model(
            onnx.load(file), f"{folder}/model", onnx_execution_providers=["CPUExecutionProvider"], pip_requirements=[]
        )
        answer = mlflow.pyfunc.load_model(f"{folder}/model").predict(inputs)
    return mlflow.__version__, {name: np.array(value) for name, value in answer.items()}


def tract(file: Path, inputs: Arrays) -> Found:
    import tract

    found: dict[str, list[np.ndarray]] = {name: [] for name in _outputs(file)}
    model = tract.onnx().load(str(file))
    for i, (_, x) in enumerate(inputs.items()):
        model.set_input_fact(i, f"1,{','.join(map(str, x.shape[1:]))},{'f32' if x.dtype == np.float32 else 'i64'}")
    runnable = model.into_model().into_runnable()
    for i in range(len(next(iter(inputs.values())))):
        outputs = runnable.run([x[i : i + 1] for x in inputs.values()])
        for name, output in zip(found, outputs, strict=True):
            found[name].append(output.to_numpy())
    return importlib.metadata.version("tract"), {name: np.concatenate(rows) for name, rows in found.items()}


def ncnn(file: Path, inputs: Arrays) -> Found:
    """By its own converter, pnnx, which fixes the shape."""
    import ncnn
    import pnnx

    (x,), (name,) = inputs.values(), _outputs(file)
    shape = ",".join(map(str, (1, *x.shape[1:])))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "model.onnx")
        copy.write_bytes(file.read_bytes())
        converter = Path(str(pnnx.__file__)).with_name("pnnx")
        _said([str(converter), str(copy), f"inputshape=[{shape}]", "fp16=0"], cwd=folder)
        net = ncnn.Net()
        # What it would compute in where the CPU can, and 3e-3 away from the golden outputs.
        for half in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "bf16_packed"):
            setattr(net.opt, f"use_{half}", False)
        if net.load_param(f"{folder}/model.ncnn.param") or net.load_model(f"{folder}/model.ncnn.bin"):
            raise ValueError("ncnn does not have every layer of the file")

        def one(sample: np.ndarray) -> np.ndarray:
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(sample).clone())
            return np.array(extractor.extract("out0")[1])  # a copy: the extractor's memory must end before the net's

        rows = [one(sample) for sample in x]
    return importlib.metadata.version("ncnn"), {name: np.stack(rows)}


def node(file: Path, inputs: Arrays) -> Found:
    return _script("node.mjs", inputs, str(file))


def chromium(file: Path, inputs: Arrays) -> Found:
    bundle = file.parents[1]
    with served(bundle) as address:
        return _script("chromium.mjs", inputs, address, file.relative_to(bundle).as_posix())


def c_package(file: Path, inputs: Arrays) -> Found:
    """ONNX Runtime's C API by ctypes: its model-package functions name the variants; its session runs the file."""
    import onnxruntime

    return onnxruntime.__version__, _CApi(Path(onnxruntime.__file__).parent).run(file, inputs)


ALL: dict[str, tuple[str, Callable[[Path, Arrays], Found]]] = {
    "ONNX Runtime": ("Python", onnxruntime_python),
    "ONNX Runtime's C API, model-package functions": ("C", c_package),
    "OpenVINO": ("Python", openvino_python),
    "onnx ReferenceEvaluator": ("Python", onnx_reference),
    "OpenCV DNN": ("C++", opencv),
    "mlflow's onnx flavour": ("Python", mlflow),
    "tract": ("Rust", tract),
    "ncnn": ("C++", ncnn),
    "onnxruntime-node": ("JavaScript", node),
    "onnxruntime-web in Chromium": ("JavaScript, WebAssembly", chromium),
}


def transformers_js(read: Bundle, file: Path, text: str) -> tuple[str, dict[str, float]]:
    """A file of a bundle of a student of texts, laid out as transformers.js wants it: its version, each label's share.

    The file is the bundle's own; the words are written down once more, as the tokenizers library does.
    """
    from tokenizers import BertWordPieceTokenizer

    (words,) = read.preprocess
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "student")
        (place / "onnx").mkdir(parents=True)
        (place / "onnx" / "model.onnx").symlink_to(file.resolve())
        tokenizer = BertWordPieceTokenizer(str(file.parents[1] / "vocab.txt"), lowercase=words["lower"])
        tokenizer.enable_truncation(words["length"])
        tokenizer.save(str(place / "tokenizer.json"))
        (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
        config = {"model_type": "distilbert", "architectures": ["DistilBertForSequenceClassification"]}
        labels = {"id2label": dict(enumerate(read.labels))}
        (place / "config.json").write_text(json.dumps(config | labels))
        version, shares = json.loads(_said(["node", str(PROGRAMS / "transformers.mjs"), folder, text]))
    return version, shares


def _outputs(file: Path) -> list[str]:
    import onnx

    return [output.name for output in onnx.load(file).graph.output]


def _said(line: list[str], **more: Any) -> str:
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False, **more)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip().splitlines()[-1][:300])
    return done.stdout


def _script(name: str, inputs: Arrays, *arguments: str) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        told = {
            k: {"type": KINDS[str(x.dtype)], "dims": x.shape, "data": x.ravel().tolist()} for k, x in inputs.items()
        }
        path = Path(folder, "inputs.json")
        path.write_text(json.dumps(told))
        document = json.loads(_said(["node", str(PROGRAMS / name), *arguments, str(path)]))
    arrays = {k: np.array(v["data"], np.float32).reshape(v["dims"]) for k, v in document["outputs"].items()}
    return document["version"], arrays


@contextmanager
def served(bundle: Path) -> Iterator[str]:
    """A static server of a bundle as it is; onnxruntime-web's files stand elsewhere and appear in the page's ort/."""
    runtime = Path(os.environ["NODE_FOLDER"], "node_modules", "onnxruntime-web", "dist")

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            found = super().translate_path(path)
            start = str(bundle / "examples" / "web" / "ort")
            return str(runtime / Path(found).name) if found.startswith(start) else found

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    Handler.extensions_map = {**Handler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(bundle)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


class _CApi:
    """As much of onnxruntime_c_api.h as a session needs: functions by their place in OrtApi, which never changes."""

    STATUS, ENV, SESSION, RUN, OPTIONS, MEMORY, TENSOR, DATA, INFO, COUNT, SHAPE = (
        2,
        3,
        7,
        9,
        10,
        69,
        49,
        51,
        65,
        61,
        62,
    )
    PACKAGES, CONTEXT, VARIANTS, VERSION = 427, 2, 8, 31  # OrtModelPackageApi is experimental: of this version alone

    def __init__(self, folder: Path) -> None:
        class Base(ctypes.Structure):
            _fields_ = [
                ("api", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)),
                ("version", ctypes.CFUNCTYPE(ctypes.c_char_p)),
            ]

        library = ctypes.CDLL(str(next((folder / "capi").glob("libonnxruntime.so*"))))
        library.OrtGetApiBase.restype = ctypes.POINTER(Base)
        base = library.OrtGetApiBase().contents
        if int(base.version().split(b".")[1]) != self.VERSION:
            raise RuntimeError(f"made for 1.{self.VERSION}, this is {base.version().decode()}")
        self._table = ctypes.cast(base.api(self.VERSION), ctypes.POINTER(ctypes.c_void_p))

    def _call(self, place: int, *arguments: Any, table: Any = None) -> None:
        """One function that returns a status; one that is not null is an error."""
        given = [type(a) if isinstance(a, ctypes._SimpleCData) else ctypes.c_void_p for a in arguments]
        pointers = [ctypes.c_char_p(a) if isinstance(a, bytes) else a for a in arguments]
        plain = [
            ctypes.cast(a, ctypes.c_void_p) if isinstance(a, ctypes.c_char_p | ctypes.Array) else a for a in pointers
        ]
        status = ctypes.CFUNCTYPE(ctypes.c_void_p, *given)((table or self._table)[place])(*plain)
        if status:
            say = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(self._table[self.STATUS])
            raise RuntimeError(str(say(status)))

    def variants(self, bundle: Path) -> list[str]:
        """What the package at a folder holds, as ONNX Runtime's own parser reads it."""
        api = ctypes.CFUNCTYPE(ctypes.c_void_p)(self._table[self.PACKAGES])()
        table = ctypes.cast(api, ctypes.POINTER(ctypes.c_void_p))
        context, names, count = ctypes.c_void_p(), ctypes.POINTER(ctypes.c_char_p)(), ctypes.c_size_t()
        self._call(self.CONTEXT, str(bundle).encode(), ctypes.byref(context), table=table)
        more = ctypes.byref(names), ctypes.byref(count)
        self._call(self.VARIANTS, context, b"student", *more, table=table)
        return [names[i].decode() for i in range(count.value)]

    def run(self, file: Path, inputs: Arrays) -> Arrays:
        if file.parent.name not in self.variants(file.parents[1]):
            raise RuntimeError("the package names no such variant")
        env, options, session, memory = (ctypes.c_void_p() for _ in range(4))
        self._call(self.ENV, ctypes.c_int(3), b"outside", ctypes.byref(env))
        self._call(self.OPTIONS, ctypes.byref(options))
        self._call(self.SESSION, env, str(file).encode(), options, ctypes.byref(session))
        self._call(self.MEMORY, ctypes.c_int(0), ctypes.c_int(0), ctypes.byref(memory))
        values = (ctypes.c_void_p * len(inputs))()
        for i, x in enumerate(inputs.values()):
            shape, value = (ctypes.c_int64 * x.ndim)(*x.shape), ctypes.c_void_p()
            kind = ctypes.c_int(1 if x.dtype == np.float32 else 7)
            data, size = ctypes.c_void_p(x.ctypes.data), ctypes.c_size_t(x.nbytes)
            self._call(self.TENSOR, memory, data, size, shape, ctypes.c_size_t(x.ndim), kind, ctypes.byref(value))
            values[i] = value
        names = (ctypes.c_char_p * len(inputs))(*(name.encode() for name in inputs))
        heads = _outputs(file)
        asked, outputs = (ctypes.c_char_p * len(heads))(*(h.encode() for h in heads)), (ctypes.c_void_p * len(heads))()
        sizes = ctypes.c_size_t(len(inputs)), ctypes.c_size_t(len(heads))
        self._call(self.RUN, session, ctypes.c_void_p(), names, values, sizes[0], asked, sizes[1], outputs)
        return {head: self._array(ctypes.c_void_p(output)) for head, output in zip(heads, outputs, strict=True)}

    def _array(self, value: ctypes.c_void_p) -> np.ndarray:
        info, count, data = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_void_p()
        self._call(self.INFO, value, ctypes.byref(info))
        self._call(self.COUNT, info, ctypes.byref(count))
        shape = (ctypes.c_int64 * count.value)()
        self._call(self.SHAPE, info, shape, count)
        self._call(self.DATA, value, ctypes.byref(data))
        size = int(np.prod(list(shape)))
        flat = np.ctypeslib.as_array(ctypes.cast(data, ctypes.POINTER(ctypes.c_float)), (size,))
        return flat.reshape(list(shape)).copy()
