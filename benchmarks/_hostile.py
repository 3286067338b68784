"""The pieces of ``hostile_models.py``: models changed at random, and a warm process that opens each in a fork.

    python benchmarks/_hostile.py BUNDLE STATE FROM TO

A fork in place of a fresh Python, since that takes 0.1 s where Python with both runtimes takes 0.8; all else is
``edgekd.verify``: limits, words and the end of the child. One line of JSON a piece goes to STATE.
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.defs
from onnx import helper, numpy_helper

from edgekd.base import child_limits, confined, pipes
from edgekd.base.child_limits import Limits
from edgekd.base.errors import EdgekdError, IntegrityError
from edgekd.runtime import bundle as bundles
from edgekd.runtime import replay
from edgekd.runtime.backends.openvino import backend as openvino
from edgekd.runtime.backends.ort import backend as ort
from edgekd.runtime.contents import Bundle, Variant
from edgekd.runtime.verify import verify
from edgekd.tasks import Heads

LIMITS = Limits(memory=1e9, seconds=4.0, silence=4.0, cpu=8.0)
WHOLES = (
    -(2**63),
    -(2**31),
    -1000,
    -1,
    0,
    1,
    2,
    7,
    255,
    3000,
    65_536,
    10**6,
    2**31 - 1,
    2**31,
    2**40,
    2**62,
    2**63 - 1,
)
OPS = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
NAMES, WARM = ("ort", "openvino"), (ort, openvino)  # imported, so that a fork has them
PARTS = (r'"(-?\d+)"', r'type="([A-Za-z]+)"', r"<dim>(-?\d+)</dim>", r"(<edge [^>]*/>)", r"(<layer .*?</layer>)")
LOOPS = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[n,1,8,8] input) => (float[n,10] logits)
<float[64,10] w = {%s}, int64[2] flat = {-1, 64}, int64 rounds = {3}, int64[1] one = {1}>
{
    t = Constant<value = bool {1}>()
    x = Reshape(input, flat)
    z = MatMul(x, w)
    y = Loop<body = b (int64 i, bool c, float[p,q] a) => (bool d, float[r,s] e)
        { d = Identity(c) twice = Add(a, a) e = Relu(twice) }>(rounds, t, z)
    both = Concat<axis = 0>(one, one)
    v = Tile(y, both)
    f = ReduceMax(v, one)
    u = If(t)<then_branch = p () => (float[l,m] h) { h = Identity(v) }, else_branch = o () => (float[l,m] k)
        { k = Neg(v) }>
    logits = Sub(u, f)
}
"""


def loops(x: np.ndarray) -> tuple[bytes, np.ndarray]:
    """A net with a loop, a branch and a tensor whose size is a number of its own; and what it answers."""
    weights = np.random.default_rng(0).standard_normal((64, 10)).astype(np.float32)
    text = LOOPS % ", ".join(map(str, weights.reshape(-1)))
    rounds = 8 * np.maximum(x.reshape(len(x), 64) @ weights, 0)
    return onnx.parser.parse_model(text).SerializeToString(), rounds - rounds.max(1, keepdims=True)


def cut(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, doubled, left out."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        made = made or bytearray(1)
        at = rng.randrange(len(made))
        kind = rng.randrange(4)
        if kind < 2:
            made[at] = rng.randrange(256) if kind else made[at] ^ 1 << rng.randrange(8)
        else:
            size = rng.choice((1, 4, 50, 1000))
            made[at : at + size] = made[at : at + size] * 2 if kind == 2 else b""
    return bytes(made)


def onnx_changed(data: bytes, rng: random.Random) -> bytes:
    """A valid protobuf of another network."""
    model = onnx.ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(
            (_a_node, _an_edge, _an_attribute, _a_tensor, _a_number, _a_number, _a_shape, _a_version, _grow, _grow)
        )(model, rng)
    return bytes(model.SerializeToString())


def _a_node(model: Any, rng: random.Random) -> None:
    nodes = model.graph.node
    node = rng.choice(nodes)
    kind = rng.randrange(4)
    if kind < 2:
        node.op_type = rng.choice(OPS)
    elif kind == 2:
        nodes.remove(node)
    else:
        nodes.extend([node])


def _an_edge(model: Any, rng: random.Random) -> None:
    node = rng.choice(model.graph.node)
    names = [name for other in model.graph.node for name in (*other.input, *other.output)] + ["", "none"]
    side = rng.choice([side for side in (node.input, node.output) if side] or [node.input])
    if side:
        side[rng.randrange(len(side))] = rng.choice(names)
    else:
        side.append(rng.choice(names))


def _an_attribute(model: Any, rng: random.Random) -> None:
    found = [attribute for node in model.graph.node for attribute in node.attribute]
    if not found:
        return
    attribute = rng.choice(found)
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(WHOLES)
    elif rng.random() < 0.3:
        attribute.type = rng.randrange(15)
    else:
        attribute.i, attribute.f = rng.choice(WHOLES), rng.choice((0.0, -1.0, 1e38, float("nan"), float("inf")))


def _a_tensor(model: Any, rng: random.Random) -> None:
    if not model.graph.initializer:
        return
    tensor = rng.choice(model.graph.initializer)
    kind = rng.randrange(4)
    if kind == 0 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(WHOLES)
    elif kind == 1:
        tensor.data_type = rng.randrange(25)
    elif kind == 2:
        tensor.dims.append(rng.choice(WHOLES))
    else:
        tensor.raw_data = cut(tensor.raw_data or b"\0", rng)


def _a_number(model: Any, rng: random.Random) -> None:
    """Whole numbers among the constants say sizes, axes and rounds."""
    found = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT64]
    if found:
        tensor = rng.choice(found)
        count = max(1, len(tensor.raw_data) // 8)
        array = np.frombuffer(tensor.raw_data[: 8 * count].ljust(8, b"\0"), np.int64).copy()
        array[rng.randrange(count)] = rng.choice(WHOLES)
        tensor.raw_data = array.tobytes()


def _a_shape(model: Any, rng: random.Random) -> None:
    port = rng.choice([*model.graph.input, *model.graph.output])
    sizes = port.type.tensor_type.shape.dim
    if sizes and rng.random() < 0.7:
        sizes[rng.randrange(len(sizes))].dim_value = rng.choice(WHOLES)
    elif rng.random() < 0.5:
        port.type.tensor_type.elem_type = rng.randrange(20)
    else:
        sizes.add().dim_value = rng.choice(WHOLES)


def _a_version(model: Any, rng: random.Random) -> None:
    if rng.random() < 0.5:
        model.ir_version = rng.choice((0, 1, 3, 7, 12, 99, 2**40))
    else:
        model.opset_import[0].version = rng.choice((0, 1, 5, 9, 13, 17, 22, 99, 2**40))


def _grow(model: Any, rng: random.Random) -> None:
    """A tensor of any size, made while the model runs."""
    sizes = [rng.choice((1, 2, 1000, 30_000, 10**6, 2**31, 2**40)) for _ in range(rng.choice((1, 2, 3)))]
    model.graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), "grown_sizes"))
    last = next((node for node in reversed(model.graph.node) if node.output), None)
    if last is not None:
        name = last.output[0]
        last.output[0] = "grown_from"
        nodes = [("ConstantOfShape", ["grown_sizes"], "grown"), ("ReduceMax", ["grown"], "grown_max")]
        for op, reads, gives in (*nodes, ("Add", ["grown_from", "grown_max"], name)):
            model.graph.node.append(helper.make_node(op, reads, [gives]))


def ir_changed(xml: bytes, rng: random.Random) -> bytes:
    """Attributes, sizes, types and elements of an IR exchanged, doubled, left out."""
    text = xml.decode()
    for _ in range(rng.choice((1, 1, 2, 4))):
        kind = rng.randrange(5)
        pattern = (
            r'"(-?\d+)"',
            r'type="([A-Za-z]+)"',
            r"<dim>(-?\d+)</dim>",
            r"(<edge [^>]*/>)",
            r"(<layer .*?</layer>)",
        )
        found = list(re.finditer(pattern[kind], text))
        if not found:
            continue
        one, other = rng.choice(found), rng.choice(found).group(1)
        values = (*map(str, WHOLES), "", "1,2,3", "NaN") if kind in (0, 2) else ("", other, other + one.group(1))
        extra = ("Loop", "TensorIterator", "If", "Broadcast", "Tile", "NonMaxSuppression", "Range") if kind == 1 else ()
        text = text[: one.start(1)] + rng.choice((*values, *extra)) + text[one.end(1) :]
    return text.encode()


def pieces(folder: Path) -> tuple[list[tuple[str, dict[str, bytes], Any]], Any]:
    """What is changed: backend, files and golden outputs of each; and the golden inputs of all."""
    given = bundles.read(folder)
    by_backend = {variant.backend: variant for variant in given.variants}
    nets = [
        (name, claiming_nothing(given.files_of(by_backend[name])), _few(given.golden_of(by_backend[name])[1]))
        for name in NAMES
    ]
    x = _few(given.golden_of(by_backend["ort"])[0])
    looped, answers = loops(x["input"])
    return [*nets, *((name, {"model.onnx": looped}, {"logits": answers}) for name in NAMES)], x


def claiming_nothing(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Models without edgekd's metadata, as a stranger leaves it out: what doesn't fit the manifest is refused first."""
    made = dict(files)
    for name, data in files.items():
        if name.endswith(".onnx"):
            model = onnx.load_from_string(data)
            del model.metadata_props[:]
            made[name] = model.SerializeToString()
        elif name.endswith(".xml"):
            made[name] = re.sub(rb"<edgekd_\w+ [^>]*/>", b"", data)
    return made


def _few(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: array[:2] for name, array in arrays.items()}


def changed(files: Mapping[str, bytes], rng: random.Random) -> tuple[str, dict[str, bytes]]:
    """One of the files; says how."""
    made = dict(files)
    name = rng.choice([name for name in made if not name.endswith(".bin")] * 4 + list(made))
    kinds: dict[str, Callable[[bytes, random.Random], bytes]] = {".onnx": onnx_changed, ".xml": ir_changed}
    change = cut if rng.random() < 0.3 else kinds.get(Path(name).suffix, cut)
    made[name] = change(made[name], rng)
    return f"{Path(name).suffix[1:]} {'bytes' if change is cut else 'structure'}", made


class Forked:
    """What ``subprocess.Popen`` is to ``child``: this process again, which is warm."""

    def __init__(self, line: list[str], *, env: dict[str, str], **more: Any) -> None:
        ours, theirs = zip(
            *[pair[:: 1 if i else -1] for i, pair in enumerate(os.pipe() for _ in range(3))], strict=True
        )
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            self._become(theirs, env)
        os.setpgid(self.pid, self.pid)
        for handle in theirs:
            os.close(handle)
        self.stdin, self.stdout, self.stderr = (
            io.FileIO(handle, mode) for handle, mode in zip(ours, ("w", "r", "r"), strict=True)
        )

    def _become(self, pipes: tuple[int, ...], env: dict[str, str]) -> None:
        code = 70
        try:
            os.setpgid(0, 0)
            for number, handle in enumerate(pipes):
                os.dup2(handle, number)
            os.closerange(3, 256)
            os.environ.update(env)
            tempfile.tempdir = None
            code = confined.serve(replay.checked)
        finally:
            if sys.exc_info()[0]:
                traceback.print_exc()
            os._exit(code)

    def wait(self) -> int:
        """Reap it."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


def outcome(err: EdgekdError) -> str:
    """In a word."""
    said = str(err)
    for mark, word in (("longer than", "time"), ("CPU time", "CPU time"), ("more memory than", "memory")):
        if mark in said and "was ended" in said:
            return word
    if crashed := re.search(r"crashed: .*\((SIG\w+)\)", said):
        return f"crash: {crashed.group(1)}"
    if "it ended with" in said or "no answer" in said:
        return "ended without an answer"
    if not isinstance(err, IntegrityError):
        return type(err).__name__
    return "other answers" if "when it was built" in said or "output shape" in said else "refused"


def one(number: int, given: Any, folder: Path) -> dict[str, Any]:
    """Change, write with fitting hashes, verify."""
    nets, x = given
    rng = random.Random(number)
    backend, files, y = nets[number % len(nets)]
    how, files = changed(files, rng)
    variant = Variant("net", backend, {}, files, (), "int8", True, 1, 0.1, golden=(x, y))
    heads = Heads({name: array.shape[1] for name, array in y.items()})
    about = Bundle(
        "net",
        {"kind": "classification"},
        "0" * 64,
        "0123456789",
        heads,
        [],
        [8, 8, 1],
        True,
        [variant],
        sample_dtype="float32",
    )
    bundles.write(folder / "net", about, {}, overwrite=True)
    began, said = time.monotonic(), ""
    try:
        ran = any("golden inputs" in check["check"] and "ok" in check for check in verify(folder / "net"))
        found = "verified" if ran else "skipped"
    except EdgekdError as err:
        found, said = outcome(err), str(err)[:300]
    took = time.monotonic() - began
    return {"number": number, "of": f"{backend}: {how}", "outcome": found, "said": said, "seconds": round(took, 3)}


def main(bundle: Path, state: Path, first: int, last: int) -> None:
    """Pieces ``first`` to ``last``, without the last."""
    pipes.subprocess.Popen = Forked  # type: ignore[attr-defined]
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    child_limits.of = lambda *asked: LIMITS
    given = pieces(bundle)
    with tempfile.TemporaryDirectory(prefix="edgekd-hostile-") as name, state.open("a", encoding="utf-8") as lines:
        for number in range(first, last):
            lines.write(json.dumps({"begun": number}) + "\n")
            lines.flush()
            lines.write(json.dumps(one(number, given, Path(name))) + "\n")
            lines.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
