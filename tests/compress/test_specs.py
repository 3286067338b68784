"""The formats of a scheme: what its numerics say, and no more."""

from __future__ import annotations

import pytest
import torch

from edgekd.base import target_files
from edgekd.compress._specs import Ranging, Specs
from edgekd.spec import target
from edgekd.spec.target import Numerics

QUANTIZED = {name: found for name in target_files.names() if (found := target.load(name).quantized) is not None}


@pytest.mark.parametrize("name", sorted(QUANTIZED))
def test_weights_are_symmetric_of_as_many_bits_as_said(name: str) -> None:
    numerics = QUANTIZED[name]
    specs, most = Specs.of(numerics, Ranging()), 2 ** (numerics.weight_bits - 1) - 1
    for spec in (specs.weight, specs.narrow):
        assert (spec.dtype, spec.quant_min, spec.quant_max) == (torch.int8, -most, most)
    assert (specs.weight.qscheme == torch.per_channel_symmetric) == numerics.per_channel
    assert specs.narrow.qscheme == torch.per_tensor_symmetric
    assert (specs.activation is None) == (numerics.activations == "float32")


def changed(**changes: object) -> Numerics:
    return QUANTIZED["ort-cpu"].model_copy(update=changes)


def test_activations_have_the_sign_and_the_symmetry_that_is_asked() -> None:
    unsigned = Specs.of(changed(activations="uint8", activation_symmetric=False), Ranging()).activation
    signed = Specs.of(changed(activations="int8", activation_symmetric=True), Ranging()).activation
    assert unsigned is not None and signed is not None
    assert (unsigned.dtype, unsigned.quant_min, unsigned.quant_max) == (torch.uint8, 0, 255)
    assert (signed.dtype, signed.quant_min, signed.quant_max) == (torch.int8, -128, 127)
    assert unsigned.qscheme == torch.per_tensor_affine and signed.qscheme == torch.per_tensor_symmetric


def test_the_inputs_of_a_network_may_be_symmetric_alone() -> None:
    both = Specs.of(changed(activations="uint8", activation_symmetric=False, input_symmetric=True), Ranging())
    assert both.input is not None and both.activation is not None
    assert both.input.qscheme == torch.per_tensor_symmetric and both.activation.qscheme == torch.per_tensor_affine


def test_rows_of_a_table_have_the_type_of_activations() -> None:
    tables = {kind: Specs.of(changed(activations=kind), Ranging()).table.dtype for kind in ("uint8", "int8", "float32")}
    assert tables == {"uint8": torch.uint8, "int8": torch.int8, "float32": torch.int8}
