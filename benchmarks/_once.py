"""What is always the same and is made anew for every build: within one process it is made once.

The exporter's table of operators, and torchao's patterns of a convolution with its BatchNorm, were a third of a small
build. The file of a network is made once for equal weights (``files``): of a tiny cold build it was 5 of 12 s of CPU.
Run as a script it is the command, with ``traced``.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from torch.onnx._internal.exporter._registration import ONNXRegistry
from torchao.quantization.pt2e import qat_utils


@contextmanager
def traced() -> Iterator[None]:
    """The table and the patterns, once a process."""
    made: dict[tuple[Any, ...], Any] = {}
    trace = qat_utils._get_aten_graph_module_for_pattern

    def once(pattern: Any, example_inputs: Any, is_cuda: bool = False, **kwargs: Any) -> Any:
        if kwargs:
            return trace(pattern, example_inputs, is_cuda, **kwargs)
        around = tuple(cell.cell_contents for cell in pattern.fn.__closure__)  # which convolution
        key = (pattern.fn.__qualname__, around, tuple(x.shape for x in example_inputs))
        if key not in made:
            made[key] = trace(pattern, example_inputs, is_cuda)
        return copy.deepcopy(made[key])

    table = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
    with (
        mock.patch.object(qat_utils, "_get_aten_graph_module_for_pattern", once),
        mock.patch.object(ONNXRegistry, "from_torchlib", table),
    ):
        yield


@contextmanager
def files() -> Iterator[None]:
    """The ONNX file of a network, once a process: it is a function of its code and its weights."""
    from edgekd.build import exports  # noqa: PLC0415  # the tests need the other half alone
    from edgekd.lower.lower import to_onnx  # noqa: PLC0415

    made: dict[str, bytes] = {}

    def once(student: Any, **how: Any) -> bytes:
        module = student.module
        about = (getattr(module, "code", module), student.inputs, student.outputs, student.lineage, sorted(how.items()))
        key = hashlib.sha256(repr(about).encode())
        for name, tensor in module.state_dict().items():
            key.update(repr((name, tensor.dtype, tensor.shape)).encode() + tensor.numpy().tobytes())
        if key.hexdigest() not in made:
            made[key.hexdigest()] = to_onnx(student, **how)
        return made[key.hexdigest()]

    with mock.patch.object(exports, "to_onnx", once):
        yield


if __name__ == "__main__":
    from edgekd import cli
    from edgekd.cli import running

    with traced():
        sys.exit(running.started(cli.cli))
