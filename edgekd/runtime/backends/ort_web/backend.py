"""onnxruntime-web: ONNX Runtime's WebAssembly and WebGPU builds, as a page runs them, here in Node (Chromium's engine).

Node and the packages are the user's: ``npm install onnxruntime-web`` in a folder, and that folder in ``modules`` or in
``EDGEKD_NODE_MODULES``; for WebGPU also ``webgpu``, which is Chromium's Dawn for Node. A process of Node serves a
session over its pipes and times the runs itself, so that the pipe is in no figure.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np

from edgekd.base import reader
from edgekd.base.errors import ExportError, IntegrityError, ResourceError, UnavailableError, UsageError
from edgekd.document import reply
from edgekd.runtime.backends._base import Array, Port, check_inputs, listed
from edgekd.runtime.backends.ort_web import PACKAGE

FILE, FOLDER = "model.onnx", "EDGEKD_NODE_MODULES"
TABLE, MOST = dict[str, object], 16_000_000  # what Node answers, and the most bytes of it without the tensors
CHUNK = 1 << 24  # bytes of a tensor that are read at once: room is made for what comes, not for what is announced
GPU_PACKAGE = "webgpu"
Answer = TypeVar("Answer")
_TYPES = ("float32", "float16", "int64", "int32", "uint8", "int8")
_NO_GPU = "no GPU adapter"
_DRIVERS = "a driver for Vulkan, Metal or Direct3D 12 (VK_ICD_FILENAMES names SwiftShader's, where there is no GPU)"
_DAMAGED = ("protobuf parsing failed", "ModelProto does not have a graph", "No graph was found")

# A frame is its length in four bytes, a line of JSON of that length, and the bytes of the tensors that it names.
_PROGRAM = r"""
import { readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
const [folder, threads, provider, fallback] = process.argv.slice(1);
const take = (count) => {
  const found = Buffer.alloc(count);
  for (let at = 0; at < count; ) {
    const read = readSync(0, found, at, count - at);
    if (read === 0) process.exit(0);
    at += read;
  }
  return found;
};
const give = (told, parts = []) => {
  const text = Buffer.from(JSON.stringify(told)), size = Buffer.alloc(4);
  size.writeUInt32LE(text.length);
  for (const part of [size, text, ...parts]) for (let at = 0; at < part.length; ) at += writeSync(1, part, at);
};
const asked = () => JSON.parse(take(take(4).readUInt32LE()).toString());
const arrays = { float32: Float32Array, float16: Uint16Array, int64: BigInt64Array, int32: Int32Array,
                 uint8: Uint8Array, int8: Int8Array };
const require = createRequire(folder + "/");
const openGpu = async () => {
  const { create, globals } = await import(pathToFileURL(require.resolve("webgpu")));
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, "navigator", { value: { gpu: create([]) }, configurable: true });
  // Dawn takes no views of shared memory, and all of this WebAssembly's is.
  const write = GPUQueue.prototype.writeBuffer;
  GPUQueue.prototype.writeBuffer = function (to, at, data, ...rest) {
    return write.call(this, to, at, data.buffer instanceof SharedArrayBuffer ? data.slice() : data, ...rest);
  };
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error("no GPU adapter");
};
let session;
try {
  const model = new Uint8Array(take(asked().bytes));  // first: who writes it must find a reader, whatever fails next
  if (provider === "webgpu") await openGpu();
  const ort = require(provider === "webgpu" ? "onnxruntime-web/webgpu" : "onnxruntime-web");
  ort.env.wasm.numThreads = Number(threads);
  ort.env.logLevel = "error";
  const strict = provider === "webgpu" && !Number(fallback);
  const extra = { session: { disable_cpu_ep_fallback: strict ? "1" : "0" } };
  const options = { executionProviders: [provider], extra };
  session = await ort.InferenceSession.create(model, options);
  const ports = (told) => told.map(({ name, type, shape }) => ({ name, type, shape }));
  give({ inputs: ports(session.inputMetadata), outputs: ports(session.outputMetadata) });
  for (;;) {
    const { tensors } = asked(), feeds = {};
    for (const { name, type, dims, bytes } of tensors) {
      const data = new Uint8Array(take(bytes));
      feeds[name] = new ort.Tensor(type, new arrays[type](data.buffer), dims);
    }
    try {
      const started = process.hrtime.bigint();
      const found = await session.run(feeds);
      const ns = Number(process.hrtime.bigint() - started), parts = [], outputs = [];
      for (const [name, { type, dims, data }] of Object.entries(found)) {
        parts.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
        outputs.push({ name, type, dims, bytes: data.byteLength });
      }
      give({ ns, outputs }, parts);
    } catch (error) {
      give({ error: String(error.message ?? error) });
    }
  }
} catch (error) {
  give({ error: String(error.message ?? error) });
}
"""


@dataclass(frozen=True)
class OrtWeb:
    """ONNX Runtime in WebAssembly, or on WebGPU.

    Args:
        provider: ``wasm`` or ``webgpu``.
        fallback: on WebGPU, let what the GPU can't run fall to WebAssembly; else it is an error.
        threads: 1..64, of WebAssembly; a page needs two headers of its server for more than one.
        modules: the folder that holds ``node_modules``; else that of ``EDGEKD_NODE_MODULES``. Never the current
            one, which may be a stranger's; no bundle names it.
    """

    provider: str = "wasm"
    fallback: bool = False
    threads: int = 1
    modules: str = ""

    def __post_init__(self) -> None:
        if self.provider not in ("wasm", "webgpu"):
            raise ValueError("provider: wasm or webgpu")
        if not 1 <= self.threads <= 64:
            raise ValueError("threads: 1..64")

    @property
    def _folder(self) -> Path | None:
        named = self.modules or os.environ.get(FOLDER, "")
        return Path(named).resolve() if named else None

    def _package(self, name: str = PACKAGE) -> Path:
        return (self._folder or Path("/nowhere")) / "node_modules" / name / "package.json"

    def check(self) -> None:
        if shutil.which("node") is None:
            raise UnavailableError("this machine lacks Node", where="options.provider", hint="install nodejs")
        for name in (PACKAGE, GPU_PACKAGE) if self.provider == "webgpu" else (PACKAGE,):
            if self._folder is None or not self._package(name).is_file():
                hint = f"npm install {name}, and its folder in {FOLDER}"
                folder = f"{FOLDER} is not set" if self._folder is None else str(self._folder)
                raise UnavailableError(f"this machine lacks {name}", where="options.modules", found=folder, hint=hint)

    def version(self) -> str:
        return f"onnxruntime_web {json.loads(self._package().read_text(encoding='utf-8'))['version']}"

    def lower(self, onnx: bytes) -> dict[str, bytes]:
        return {FILE: onnx}

    def open(self, files: Mapping[str, bytes], batch: int | None = None) -> OrtWebSession:
        """One session takes any batch: ``batch`` changes nothing."""
        self.check()
        return OrtWebSession(self, next(iter(files.values())))

    def start(self) -> subprocess.Popen[bytes]:
        """A process of Node that waits for a model."""
        # Node's optimizing compiler takes a minute for the WebGPU build, all of it before the first run.
        flags = ["--liftoff-only"] if self.provider == "webgpu" else []
        given = [str(self._folder), str(self.threads), self.provider, str(int(self.fallback))]
        line = ["node", *flags, "--input-type=module", "--eval", _PROGRAM, *given]
        return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


class OrtWebSession:
    """A model in a process of Node. It ends with the session."""

    def __init__(self, backend: OrtWeb, model: bytes) -> None:
        self._backend, self._model, self._lock = backend, model, threading.Lock()
        self._process = backend.start()
        answer = self._exchange({"bytes": len(model)}, [model])
        if "error" in answer:
            message = _first(_of(answer, reply.Wrong)["error"])
            if any(words in message for words in _DAMAGED):
                raise IntegrityError("no ONNX model", where=FILE)
            if message == _NO_GPU:
                raise UnavailableError("WebGPU finds no GPU here", where="options.provider", hint=_DRIVERS)
            raise ExportError(f"onnxruntime-web can't run the model: {message}", where=FILE)
        opened = _of(answer, reply.Opened)
        self.inputs = listed(map(_port, opened["inputs"]), "inputs")
        self.outputs = listed(map(_port, opened["outputs"]), "outputs")

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        return self._run(arrays)[0]

    def timed(self, arrays: Mapping[str, Array]) -> int:
        """Nanoseconds of a run, tensors made and results in JavaScript's hands, by Node's clock."""
        return self._run(arrays)[1]

    def fork(self) -> OrtWebSession:
        """A process of its own: WebAssembly has no second session on one model's memory."""
        return OrtWebSession(self._backend, self._model)

    def __del__(self) -> None:
        process = getattr(self, "_process", None)
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):  # of what was written last, to a process that ended before it read it
                    pipe.close()
            process.kill()
            process.wait()

    def _run(self, arrays: Mapping[str, Array]) -> tuple[dict[str, Array], int]:
        check_inputs(self.inputs, arrays)
        parts = [np.ascontiguousarray(array) for array in arrays.values()]
        tensors = [
            {"name": name, "type": str(part.dtype), "dims": part.shape, "bytes": part.nbytes}
            for name, part in zip(arrays, parts, strict=True)
        ]
        with self._lock:
            answer = self._exchange({"tensors": tensors}, [part.tobytes() for part in parts])
            if "error" in answer:
                message = _first(_of(answer, reply.Wrong)["error"])
                raise UsageError(f"the model does not run on these inputs: {message}", where="run")
            ran = _of(answer, reply.Ran)
            outputs = {t["name"]: self._take(t) for t in ran["outputs"]}
        return outputs, ran["ns"]

    def _take(self, tensor: reply.Tensor) -> Array:
        if math.prod(tensor["dims"]) * np.dtype(tensor["type"]).itemsize != tensor["bytes"]:
            size, allowed = tensor["bytes"], f"{tensor['dims']} of {tensor['type']}"
            raise IntegrityError("Node says what is no answer", where=tensor["name"], found=size, allowed=allowed)
        return np.frombuffer(self._read(tensor["bytes"]), tensor["type"]).reshape(tensor["dims"])

    def _exchange(self, request: Mapping[str, Any], parts: list[bytes]) -> dict[str, object]:
        text, pipe = json.dumps(request).encode(), cast(BinaryIO, self._process.stdin)
        try:
            pipe.write(struct.pack("<I", len(text)) + text + b"".join(parts))
            pipe.flush()
        except BrokenPipeError as err:
            raise ResourceError("Node ended", where=FILE) from err
        count = struct.unpack("<I", self._read(4))[0]
        if count > MOST:
            raise ResourceError("Node says too much", where=FILE, found=count, allowed=f"at most {MOST:,} bytes")
        return reader.read(bytes(self._read(count)), TABLE, "Node", most=MOST)

    def _read(self, count: int) -> bytearray:
        data = bytearray()
        while len(data) < count:
            piece = cast(BinaryIO, self._process.stdout).read(min(count - len(data), CHUNK))
            if not piece:
                raise ResourceError("Node ended, as it does when memory is out", where=FILE)
            data += piece
        return data


def _of(answer: dict[str, object], shape: type[Answer]) -> Answer:
    """An answer of a shape.

    Raises:
        IntegrityError: it is another one: the model has got hold of Node, or it is another Node than that is known.
    """
    return reader.check(answer, shape, "Node")


def _first(message: object) -> str:
    """The first line of an error's text."""
    return next(iter(str(message).splitlines()), "it says nothing")


def _port(port: reply.Port) -> Port:
    if port["type"] not in _TYPES:
        raise ExportError("no array of this type", where=port["name"], found=port["type"], allowed=_TYPES)
    return Port(port["name"], tuple(s if isinstance(s, int) and s >= 0 else None for s in port["shape"]), port["type"])
