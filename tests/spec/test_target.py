"""Targets: the built-in ones, and what a table may hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.base.errors import TargetError
from edgekd.spec import target


@pytest.mark.parametrize("name", target.names())
def test_every_builtin_target_is_sound(name: str) -> None:
    loaded_target = target.load(name)
    assert loaded_target.name == name and loaded_target.description
    assert loaded_target.dense.name == "fp32"
    assert loaded_target.quantized or loaded_target.half
    assert ("avx512_vnni" in loaded_target.isa) == name.endswith("-vnni")


@pytest.mark.parametrize("name", target.names())
def test_where_any_x86_may_run_a_file_its_int8_weights_do_not_saturate(name: str) -> None:
    loaded_target = target.load(name)
    anywhere = loaded_target.options.get("device", "CPU") == "CPU" and "provider" not in loaded_target.options
    if (anywhere or loaded_target.options.get("provider") == "CPUExecutionProvider") and not loaded_target.isa:
        assert loaded_target.quantized is not None and loaded_target.quantized.weight_bits == 7


def test_a_file_says_what_is_rounded_before_a_sum_whatever_the_runtime_leaves_out() -> None:
    for name in target.names():
        for numerics in target.load(name).numerics:
            assert numerics.written.residual == "quantized"
            assert numerics.written.model_copy(update={"residual": numerics.residual}) == numerics


def test_chains_are_fused_where_one_kernel_computes_an_activation_behind_a_layer(tmp_path: Path) -> None:
    fused = {name for name in target.names() if any(one.chains == "fused" for one in target.load(name).numerics)}
    assert fused == {"openvino", "openvino-vnni"}
    text = 'name = "t"\nbackend = "ort"\n[[numerics]]\nname = "fp32"\nchains = "fuse"\n'
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(TargetError, match=r"t\.toml: numerics\[0\]\.chains"):
        target.load(str(tmp_path / "t.toml"))


def test_gates_and_norms_are_quantized_where_a_target_says_so(tmp_path: Path) -> None:
    for name in ("ort-cpu", "ort-cpu-vnni", "openvino", "openvino-vnni"):
        scheme = target.load(name).quantized
        assert scheme is not None and {"gate", "norm"} <= {*scheme.ops}
    text = 'name = "t"\nbackend = "ort"\n[[numerics]]\nname = "fp32"\n[[numerics]]\nname = "i"\nops = ["gates"]\n'
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(TargetError, match="gate"):
        target.load(str(tmp_path / "t.toml"))


def test_true_is_no_number_of_a_target_either(tmp_path: Path) -> None:
    text = 'name = "t"\nbackend = "ort"\nshapes = { batch = true }\n[[numerics]]\nname = "fp32"\n'
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(TargetError, match=r"t\.toml: shapes\.batch: true or false"):
        target.load(str(tmp_path / "t.toml"))


def test_targets_that_share_a_training_judge_its_epochs_by_one_file() -> None:
    """Else the epoch that is kept would be another one by which target came first, under one key."""
    judges: dict[str, set[str]] = {}
    for name in target.names():
        for scheme in target.load(name).numerics:
            judged = scheme.judged.model_dump(mode="json", exclude={"tolerance"})
            judges.setdefault(repr(scheme.trained), set()).add(repr(judged))
    assert all(len(files) == 1 for files in judges.values())
    assert any(one.judged != one for one in target.load("openvino").numerics)
