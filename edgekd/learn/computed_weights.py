"""Weights that a network computes from other parameters: weight norm, spectral norm, parametrizations, masks."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.utils import parametrize

LIBRARY = "torch.nn.utils"


def plain(module: nn.Module) -> nn.Module:
    """The network, in place, whose weights are parameters, of the values that it computes in the mode it is in."""
    for owner in list(module.modules()):
        if parametrize.is_parametrized(owner):
            _unparametrized(owner)
        for hook in list(owner._forward_pre_hooks.values()):
            _baked(owner, hook)
    return module


def has_computed(module: nn.Module) -> bool:
    """Whether some weight is computed by a parametrization."""
    return any(parametrize.is_parametrized(owner) for owner in module.modules())


def _unparametrized(owner: nn.Module) -> None:
    """Without parametrizations. Torch's own way changes the class, which copies of the module share."""
    parts: Any = owner.parametrizations
    weights = {name: getattr(owner, name).detach().clone() for name in parts}
    asks = {name: any(p.requires_grad for p in parts[name].parameters()) for name in parts}
    owner.__class__ = parametrize.type_before_parametrizations(owner)
    del owner._modules["parametrizations"]
    for name, weight in weights.items():
        owner.register_parameter(name, nn.Parameter(weight, requires_grad=asks[name]))


def _baked(owner: nn.Module, hook: object) -> None:
    """Take off a hook of torch's own that computes a weight (weight_norm, spectral_norm, masks), with all of it:
    spectral_norm reads and writes state dicts by hooks, too, which ask for the weight that is gone.
    """
    name = getattr(hook, "name", None) or getattr(hook, "_tensor_name", None)
    inner = [key for key in (f"{name}_g", f"{name}_v", f"{name}_orig") if key in owner._parameters]
    if not isinstance(name, str) or not inner or not _is_torchs(hook):
        return
    weight = getattr(owner, name).detach().clone()
    asks = any(parameter.requires_grad for key in inner if (parameter := owner._parameters[key]) is not None)
    key = next(k for k, registered in owner._forward_pre_hooks.items() if registered is hook)
    del owner._forward_pre_hooks[key]
    for hooks in (owner._state_dict_hooks, owner._load_state_dict_pre_hooks):
        for key in [k for k, one in hooks.items() if getattr(getattr(one, "hook", one), "fn", None) is hook]:
            del hooks[key]
    for old in (*inner, f"{name}_u", f"{name}_v", f"{name}_mask"):
        owner._parameters.pop(old, None)
        owner._buffers.pop(old, None)
    owner.__dict__.pop(name, None)
    owner.register_parameter(name, nn.Parameter(weight, requires_grad=asks))


def _is_torchs(hook: object) -> bool:
    return type(hook).__module__.startswith(LIBRARY)
