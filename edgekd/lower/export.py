"""A torch module becomes an onnx_ir model, through ``torch.export``: dynamic batch, named inputs and outputs."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from onnxscript import FLOAT, ir, opset20
from torch import nn
from torch.export import ExportedProgram

from edgekd.base import plugins
from edgekd.base.errors import ExportError
from edgekd.learn import computed_weights, nets
from edgekd.learn.exporting import rewritten
from edgekd.learn.quiet import quiet
from edgekd.learn.student import COUNT_SO, NUMPY_SO, Student
from edgekd.lower._decomposed import traced_once
from edgekd.lower._operator_table import one_table


def _rrelu(
    self: FLOAT, noise: FLOAT, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, *_: object
) -> tuple[FLOAT, FLOAT]:
    """A randomised leaky ReLU, which in evaluation has the middle of its slopes."""
    return opset20.LeakyRelu(self, alpha=(lower + upper) / 2), noise


def _einsum(equation: str, tensors: Sequence[FLOAT], path: object = None) -> FLOAT:
    """Without "...": ONNX Runtime refuses it where it stands for more axes of one tensor than of another."""
    return opset20.Einsum(*tensors, equation=spelled(equation, [len(tensor.shape or ()) for tensor in tensors]))


def spelled(equation: str, ranks: Sequence[int]) -> str:
    """An equation of ``torch.einsum`` with a letter for every axis.

    Args:
        equation: as torch takes it: ``...id,...jd->...ij``; a result that is not said is said.
        ranks: how many axes each tensor has.
    """
    inputs, arrow, result = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    counts = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    free = "".join(letter for letter in string.ascii_letters if letter not in inputs)[: max(counts)]
    if not arrow:
        once = sorted(letter for letter in set(inputs) - {",", "."} if inputs.count(letter) == 1)
        result = "".join(["...", *once])
    spelled_terms = [t.replace("...", free[len(free) - n :]) for t, n in zip(terms, counts, strict=True)]
    return f"{','.join(spelled_terms)}->{result.replace('...', free)}"


NUMBER_SO = (
    "an argument that a file holds as a number must not follow from the batch: groups=x.shape[0] of a convolution with "
    "kernels of each sample's own; functional.unfold and a matrix product compute the same"
)
HINTS = {"numpy": NUMPY_SO, "data-dependent": COUNT_SO, "Unsupported attribute type": NUMBER_SO}

# What the exporter has no words for, or other words than the runtimes have.
TRANSLATIONS: dict[Callable[..., object], Callable[..., object]] = {
    torch.ops.aten.rrelu_with_noise_functional.default: _rrelu,
    torch.ops.aten.einsum.default: _einsum,
}


def export(student: Student, opset: int) -> ir.Model:
    """Export a module in evaluation mode.

    Args:
        student: a float student, or a finished int8 one.
        opset: the ONNX operator set, 17..23.

    Raises:
        ExportError: what can't be exported, with its module path and operator where the exporter names them.
    """
    try:
        with quiet(), rewritten(), _rows_first(student.module), one_table(), traced_once():
            try:
                program = _onnx(student, student.module, opset)
            except torch.onnx.errors.OnnxExporterError as err:
                program = _onnx(student, _otherwise(student, err), opset)
            if program is not None and _fixed(student, program.model) is not None:
                with suppress(torch._dynamo.exc.TorchDynamoException):
                    program = _onnx(student, student.exported(), opset)
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError, TypeError, AttributeError) as err:
        why = reason(err)
        hint = next((so for words, so in HINTS.items() if words in why), None)
        raise ExportError(f"can't be exported: {why}", where=_place(err) or plugins.users_line(err), hint=hint) from err
    if program is None:
        raise ExportError("can't be exported: the exporter gave nothing")
    _check_free(student, program.model)
    return program.model


def _onnx(student: Student, network: nn.Module | ExportedProgram, opset: int) -> torch.onnx.ONNXProgram | None:
    return torch.onnx.export(
        network,
        student.example(),
        dynamo=True,
        opset_version=opset,
        dynamic_shapes=student.dynamic_shapes(),
        verbose=False,
        input_names=[spec.name for spec in student.inputs],
        output_names=[spec.name for spec in student.outputs],
        custom_translation_table=TRANSLATIONS,
    )


def _otherwise(student: Student, err: torch.onnx.errors.OnnxExporterError) -> nn.Module | ExportedProgram:
    """The network in a form that can be exported, where as it stands it can't.

    Raises:
        OnnxExporterError: there is none.
    """
    if "Cannot view a tensor" in reason(err):
        return _with_copies(student)
    if computed_weights.has_computed(student.module):  # such as the matrix exponential of an orthogonal one
        return computed_weights.plain(nets.twin(student.module).eval())
    raise err


def _with_copies(student: Student) -> ExportedProgram:
    """The network with each view of a copy in rows.

    A fused attention gives its heads where a ``contiguous()`` behind it finds nothing to do, and is not written down.
    The operators that it is exported as give them in another order in memory, which a view can't read.
    """
    program = student.exported()
    for node in list(program.graph.nodes):
        if node.target in (torch.ops.aten.view.default, torch.ops.aten.reshape.default):
            with program.graph.inserting_before(node):
                rows = {"memory_format": torch.contiguous_format}
                copied = program.graph.call_function(torch.ops.aten.clone.default, (node.args[0],), rows)
            copied.meta = dict(node.args[0].meta)
            node.update_arg(0, copied)
    program.graph_module.recompile()
    return program


def _fixed(student: Student, model: ir.Model) -> tuple[str, str, int] | None:
    """A size that an app chooses and that the exporter fixed, to which it falls back in silence: input, axis, size."""
    for spec, value in zip(student.inputs, model.graph.inputs, strict=True):
        for i, (size, exported_size) in enumerate(zip(spec.shape, value.shape or (), strict=False)):
            if size is None and isinstance(exported_size, int):
                return spec.name, "length" if i else "batch", exported_size
    return None


def _check_free(student: Student, model: ir.Model) -> None:
    """Raise where a size is fixed that an app chooses."""
    if (fixed := _fixed(student, model)) is not None:
        name, axis, size = fixed
        raise ExportError(f"the export fixes the {axis} of {name}", found=str(size), allowed="any", hint=COUNT_SO)


@contextmanager
def _rows_first(module: nn.Module) -> Iterator[None]:
    """Weights in rows while the block runs.

    Convolutions that train channels last give tensors of that layout, and the exporter spells a pooling of those as
    Reshape and Gather, which no runtime fuses.
    """
    tensors = (*module.parameters(), *module.buffers())
    # Of one input channel both layouts count as contiguous, and its strides still say channels last.
    before = [(tensor, tensor.data) for tensor in tensors if tensor.dim() == 4]
    for tensor, data in before:
        tensor.data = data.clone(memory_format=torch.contiguous_format)
    try:
        yield
    finally:
        for tensor, data in before:
            tensor.data = data


def reason(err: BaseException) -> str:
    """The innermost cause of an exporter's error, in one line."""
    while err.__cause__ is not None:
        err = err.__cause__
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(err).__name__


def _place(err: BaseException) -> str | None:
    """The module path that the exporter put into its message, where it did."""
    text = ""
    at: BaseException | None = err
    while at is not None:
        text += f"\n{at}"
        at = at.__cause__ or at.__context__
    match = re.search(r"L__self___?([\w.]+)|nn_module_stack.*?'([\w.]+)'", text)
    return next((group for group in match.groups() if group), None) if match else None
