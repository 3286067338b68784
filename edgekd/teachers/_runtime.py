"""An ONNX file as a network: run by ONNX Runtime or OpenVINO, called with torch tensors."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import onnx
import torch
from torch import Tensor

from edgekd.base.arrays import AnyArray
from edgekd.base.errors import EdgekdError, FactoryError, RecipeError, UsageError
from edgekd.base.preprocess import Spec
from edgekd.learn.foreign import Foreign
from edgekd.runtime.backend import Backend, Port, Session, describe

SEGMENTS = "token_type_ids"  # of texts in one piece all zeros: a file may want them, and no data brings them


class RuntimeNetwork(Foreign):
    """A file that a runtime opens.

    Args:
        data: an ONNX file that ``runtime.look`` has looked at.
        backend: who runs it.
        inputs: what it is called with, in order.
        batch: samples of a run; a file of one batch size alone is fed that.
        where: its ``model`` table in the recipe, for errors.

    Raises:
        RecipeError: the file takes other inputs, or gives nothing that is numbers.
    """

    def __init__(self, data: bytes, backend: Backend, inputs: Sequence[Spec], batch: int, where: str) -> None:
        super().__init__()
        self._data, self._backend, self._where = data, backend, where
        self._session = self._opened(data, batch)
        self._ports = _paired(self._session.inputs, inputs, where)
        fixed = next((port.shape[0] for port, _ in self._ports if port.shape and port.shape[0] is not None), None)
        self._batch, self._fills = fixed or batch, fixed is not None
        self._with: dict[tuple[str, ...], Session] = {}
        self._tapped: tuple[Session, dict[str, Tensor], tuple[str, ...]] | None = None

    @property
    def params(self) -> int:
        """How many numbers its constants hold."""
        return sum(math.prod(tensor.dims) for tensor in self._model.graph.initializer)

    @property
    def size_bytes(self) -> int:
        """Of its file."""
        return len(self._data)

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Every output by name, on the device of the inputs.

        Raises:
            FactoryError: the file does not run on such inputs.
        """
        values = [x.detach().cpu().numpy() for x in inputs]
        arrays = {
            port.name: _as_port(np.zeros_like(values[0]) if i is None else values[i], port, self._where)
            for port, i in self._ports
        }
        session, filled, names = self._tapped or (self._session, {}, ())
        try:
            outputs = self._run(session, arrays, len(inputs[0]))
        except UsageError as err:
            raise FactoryError(f"its file does not run on such inputs: {err}", where=self._where) from err
        tensors = {name: torch.from_numpy(array).to(inputs[0].device) for name, array in outputs.items()}
        filled |= {name: tensors[name] for name in names}
        names_of_file = {port.name for port in self._session.outputs}
        return {name: tensor for name, tensor in tensors.items() if name in names_of_file}

    def layers(self) -> Sequence[str]:
        """What every node gives, by the names in the file."""
        return [name for node in self._model.graph.node for name in node.output if name]

    @contextmanager
    def tapped(self, names: Sequence[str], filled: dict[str, Tensor]) -> Iterator[None]:
        """See ``Foreign``: the file with these tensors among its outputs, opened once."""
        self._tapped = (self._session_with(tuple(sorted(names))), filled, tuple(names))
        try:
            yield
        finally:
            self._tapped = None

    def _run(self, session: Session, arrays: Mapping[str, AnyArray], count: int) -> dict[str, AnyArray]:
        """Every output for ``count`` samples, in runs of a batch; a file of one batch size gets the last one filled."""
        parts = []
        for start in range(0, count, self._batch):
            part = {name: array[start : start + self._batch] for name, array in arrays.items()}
            size = min(self._batch, count - start)
            if self._fills and size < self._batch:
                part = {name: array[np.arange(self._batch) % size] for name, array in part.items()}
            parts.append({name: array[:size] for name, array in session.run(part).items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _session_with(self, names: tuple[str, ...]) -> Session:
        if names not in self._with:
            model = onnx.ModelProto()
            model.CopyFrom(self._model)
            there = {output.name for output in model.graph.output}
            model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in there)
            self._with[names] = self._opened(model.SerializeToString(), self._batch)
        return self._with[names]

    def _opened(self, data: bytes, batch: int) -> Session:
        try:
            return self._backend.open(self._backend.lower(data), batch)
        except EdgekdError as err:
            err.put_in(self._where)
            raise

    @functools.cached_property
    def _model(self) -> onnx.ModelProto:
        return onnx.load_model_from_string(self._data)


def _paired(ports: Sequence[Port], inputs: Sequence[Spec], where: str) -> list[tuple[Port, int | None]]:
    """Which of the model's inputs each of a file's is given: by its name, the others in their order; None: all zeros.

    Raises:
        RecipeError: the file takes more or fewer, or of another shape.
    """
    names = [spec.name for spec in inputs]
    given = [port for port in ports if not (port.name == SEGMENTS and SEGMENTS not in names and len(ports) > 1)]
    places = {port.name: names.index(port.name) for port in given if port.name in names}
    if len(places) < len(given):
        if len(given) != len(inputs):
            takes = ", ".join(f"{port.name} {describe(port.shape)}" for port in ports)
            raise RecipeError("takes another number of inputs", where=where, found=takes, allowed=", ".join(names))
        nameless = [port.name for port in given if port.name not in places]
        left = [place for place in range(len(inputs)) if place not in places.values()]
        places |= dict(zip(nameless, left, strict=True))
    for port in given:
        check_shape(port, inputs[places[port.name]], where)
    return [(port, places.get(port.name)) for port in ports]


def check_shape(port: Port, spec: Spec, where: str) -> None:
    """A file's input takes what the data gives: as many axes, and their sizes where both are fixed."""
    sizes = list(zip(port.shape[1:], spec.shape[1:], strict=False))
    fits = len(port.shape) == len(spec.shape) and all(a in (None, b) or b is None for a, b in sizes)
    too_long = spec.longest is not None and any(a is not None and a < spec.longest for a, b in sizes if b is None)
    if fits and not too_long:
        return
    hint = "teacher.preprocess says how its inputs are made"
    if np.dtype(port.dtype).kind in "iub" and spec.dtype == "float32":
        hint = "teacher.preprocess = [] gives it the samples as they are"
    elif len(port.shape) == len(spec.shape) == 4 and port.shape[3] == spec.shape[1]:
        hint = "teacher.preprocess without the op layout leaves channels last"
    given = f"{describe(spec.shape)}, up to {spec.longest} tokens" if spec.longest else describe(spec.shape)
    raise RecipeError(
        "takes inputs of another shape",
        where=f"{where}: {port.name}",
        found=f"the data gives {given}",
        allowed=describe(port.shape),
        hint="data.length shortens texts" if too_long and fits else hint,
    )


def _as_port(array: AnyArray, port: Port, where: str) -> AnyArray:
    """An input in the type that a file takes; sequences shorter than the one length that it reads end in zeros.

    Raises:
        FactoryError: numbers that are not whole, for an input that is.
    """
    wanted = np.dtype(port.dtype)
    if wanted.kind in "iub" and array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        hint = "teacher.preprocess = [] gives it the samples as they are"
        raise FactoryError("takes whole numbers", where=f"{where}: {port.name}", found=str(array.dtype), hint=hint)
    if array.ndim == 2 and len(port.shape) == 2 and port.shape[1] is not None and array.dtype.kind in "iu":
        array = np.pad(array, ((0, 0), (0, max(0, port.shape[1] - array.shape[1]))))
    return array.astype(wanted, copy=False)
