"""What tells two networks of users apart: tensors, flags, settings, code and graph, as a hash for the keys.

A state_dict does not tell everything: parameters may be frozen, buffers left out, tensors kept as plain attributes,
functions handed over, layers hooked. All that an object holds is followed here, and the code of its classes.
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import random
import types
import warnings
import weakref
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set, ValuesView
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.parameter import is_lazy

from edgekd.base import plugins
from edgekd.base.errors import FactoryError
from edgekd.build import imports
from edgekd.build.store import canonical
from edgekd.learn import nets
from edgekd.learn.checkpoint import add_tensors
from edgekd.learn.quiet import quiet

PLAIN = (
    *(type(None), bool, int, float, complex, str, bytes, np.dtype, Path),
    *(torch.dtype, torch.device, torch.Size, torch.finfo, torch.iinfo),
)
RANDOM = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, torch.Generator)
BUILT_IN = (types.BuiltinFunctionType, types.MethodWrapperType)
DESCRIPTORS = (
    *(types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType),
    *(types.GetSetDescriptorType, types.MemberDescriptorType),
)
NO_ANSWERS = ("_thread", "_contextvars", "pybind11_builtins")  # locks, and what functions of C++ are bound to
DEEPEST = 20  # objects that are made of objects that are made of ...: an end for those that make new ones each time
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
# Of a module: its flag is set by whoever runs it; hooks on the state say nothing of the answers.
_NOT_SAID = {
    *("training", "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks"),
    *("_load_state_dict_post_hooks", "_non_persistent_buffers_set", "_is_full_backward_hook"),
}


def fingerprint(module: nn.Module, example: Sequence[Tensor] | None = None, *, plain: bool = True) -> str:
    """SHA-256 (hex) over a network as it stands. An object in it of which nothing can be read is told as a warning.

    Args:
        example: model inputs; with them the exported graph counts too, where there is one (a teacher need not have it).
        plain: also numbers and texts that are kept as attributes.

    Whether the whole network is in training mode counts for nothing, as every step sets that; parts that differ from
    the whole are told.

    Raises:
        FactoryError: it is nested more deeply than Python can follow.
    """
    digest = hashlib.sha256()
    try:
        _Reader(digest, plain).read(module)
    except RecursionError as err:
        hint = "put what stands one inside the other in a row: nn.Sequential, nn.ModuleList"
        raise FactoryError("modules are nested too deeply", where="the network", hint=hint) from err
    whole = getattr(module, "training", False)  # frozen TorchScript has no such flag
    odd = [name for name, part in module.named_modules() if getattr(part, "training", whole) != whole]
    digest.update(repr(sorted(odd)).encode())
    if example is not None:
        _add_graph(digest, module, tuple(example))
    return digest.hexdigest()


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """What a factory gives if torch's, numpy's and Python's own random numbers begin with a seed; they go on after."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            np.random.seed(seed)  # the global one: it is what a user's factory draws from
            random.seed(seed)
            return make()
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)


def of_factory(make: Callable[[], nn.Module], seed: int, example: Sequence[Tensor], where: str) -> str:
    """The fingerprint of what a factory gives, which is made twice.

    Raises:
        FactoryError: it gives another network each time: what was trained could not be built again. Or the very same:
            what is trained would change under those that are built from it.
    """
    one, other = seeded(make, seed), seeded(make, seed)
    known = {id(tensor) for tensor in (*one.parameters(), *one.buffers())}
    shared = [n for n, t in (*other.named_parameters(), *other.named_buffers()) if id(t) in known]
    if shared:
        hint = "make it anew in each call; a network that stands already goes in as an object, or as a checkpoint"
        raise FactoryError("the factory gives the same network again", where=where, found=shared[0], hint=hint)
    if fingerprint(one) == fingerprint(other):
        return fingerprint(one, example)
    bare = [fingerprint(net, example, plain=False) for net in (one, other)]
    if bare[0] == bare[1]:  # a time, a number of its own: no tensor differs, and nothing in the graph
        return bare[0]
    raise FactoryError(
        "the factory gives another network each time, so that what is trained can't be built again",
        where=where,
        found=f"{_first_difference(one, other)} differs between two calls",
        hint="draw from torch's, numpy's or Python's own random numbers, which are seeded, or from a generator with "
        "a fixed seed",
    )


def _first_difference(one: nn.Module, other: nn.Module) -> str:
    tensors = [{**dict(net.named_parameters()), **dict(net.named_buffers())} for net in (one, other)]
    for name, value in tensors[0].items():
        if name not in tensors[1] or _hash_of(value) != _hash_of(tensors[1][name]):
            return repr(name)
    parts = [dict(net.named_modules()) for net in (one, other)]
    for name, part in parts[0].items():
        if name not in parts[1]:
            return repr(name)
        for key, value in vars(part).items():
            if not key.startswith("_") and _hash_of(value) != _hash_of(vars(parts[1][name]).get(key)):
                return repr(f"{name}.{key}" if name else key)
    return "something inside"


def _hash_of(value: object) -> str:
    digest = hashlib.sha256()
    _Reader(digest).read(value)
    return digest.hexdigest()


class _Reader:
    """Follows what an object holds into a hash; what was met before is told by its number, so that it ends."""

    def __init__(self, digest: hashlib._Hash, plain: bool = True) -> None:
        self.digest, self.plain = digest, plain
        self.met: dict[int, tuple[int, object]] = {}
        self.depth = 0  # of objects read as pickle sees them
        self.brought: dict[str, str] = {}

    def say(self, *words: object) -> None:
        self.digest.update(repr(words).encode())

    def read(self, value: object) -> None:
        """Add a value of any kind."""
        if isinstance(value, PLAIN):
            return self.say(type(value).__name__, str(value)) if self.plain else None
        if isinstance(value, np.generic):
            return self.say(type(value).__name__, value.dtype.str, value.tobytes()) if self.plain else None
        if id(value) in self.met:
            return self.say("met", self.met[id(value)][0])
        self.met[id(value)] = len(self.met), value
        if isinstance(value, Tensor):
            self.say("tensor", value.requires_grad, type(value).__name__)
            if hasattr(value, "__tensor_flatten__"):  # made of others, as torchao's are
                names, about = value.__tensor_flatten__()
                return self.read([about, *(getattr(value, name) for name in names)])
            add_tensors(self.digest, {"": _dense(value)})
        elif isinstance(value, np.ndarray):
            self.say("array", value.dtype.str, value.shape)
            self.read(value.tolist()) if value.dtype.hasobject else self.digest.update(value.tobytes())
            self._held(value)  # of a masked one the mask
        elif isinstance(value, Mapping):
            self.say("mapping", len(value))
            for key, inner in list(value.items()):
                self.read(key)
                self.read(inner)
            self.read(value.default_factory if isinstance(value, defaultdict) else None)
            self._held(value)
        elif isinstance(value, list | tuple | ValuesView):
            self.say(type(value).__name__, len(value))
            for inner in value:
                self.read(inner)
            self._held(value)
        elif isinstance(value, Set):
            self.say("set", sorted(self._apart(inner) for inner in value))
            self._held(value)
        elif isinstance(value, torch.jit.ScriptModule | torch.jit.ScriptFunction):
            self.say("script", str(getattr(value, "inlined_graph", "")))
            if isinstance(value, torch.jit.ScriptModule):
                self.read({**value.state_dict(), **dict(value.named_buffers())})
        else:
            self._object(value)

    def _object(self, value: object) -> None:
        if isinstance(value, functools.partial):
            self.read([value.func, value.args, value.keywords])
        elif isinstance(value, types.MethodType):
            self.read([value.__func__, value.__self__])
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.ModuleType):
            self.say("module", value.__name__)
        elif isinstance(value, BUILT_IN):
            self.say("built in", getattr(value, "__module__", ""), value.__name__)
            owner = value.__self__
            self.read(None if isinstance(owner, types.ModuleType) else owner)  # what a bound one is bound to
        elif isinstance(value, DESCRIPTORS):
            self.say("of a class", value.__objclass__.__module__, value.__qualname__)
        elif isinstance(value, types.CodeType):
            self.say("code", imports.code(value))
        elif isinstance(value, weakref.ReferenceType):
            self.read(value())
        else:
            self._class(type(value))
            self._instance(value)

    def _instance(self, value: object) -> None:
        """An object by how ``copy`` would make it again, where its class says that; else by what it holds."""
        if isinstance(value, RANDOM) and not self.plain:
            return  # its numbers
        copyable = not isinstance(value, nn.Module) and _says_how(type(value))
        reduction = self._made_of(value) if copyable else None
        if isinstance(reduction, list):
            return self._deeper(reduction)
        if self._held(value) or reduction is not None:
            return self.say(reduction)
        if isinstance(reduction := self._made_of(value), list):
            return self._deeper(reduction)
        cls = type(value)
        if reduction is None and cls.__module__ not in NO_ANSWERS:
            message = f"of {cls.__module__}.{cls.__qualname__}, which a network holds, nothing can be read: "
            warnings.warn(
                f"{message}a network that differs in it alone is taken for this one", UserWarning, stacklevel=2
            )

    def _made_of(self, value: object) -> list[object] | str | None:
        """A function, its arguments, the state and the items after it; or a global's name; None: it can't be said."""
        if self.depth >= DEEPEST:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "deprecated: pickling of ..."
                reduction: list[object] | str = plugins.call_user(functools.partial(_reduced, value), "network")
                return reduction
        except FactoryError:
            return None

    def _deeper(self, reduction: list[object]) -> None:
        self.depth += 1
        self.read(reduction)
        self.depth -= 1

    def _held(self, value: object) -> bool:
        """Add an object's attributes, those in ``__slots__`` too; whether it has any."""
        held: dict[str, Any] = {}
        for cls in [cls for cls in type(value).__mro__ if "__slots__" in vars(cls)]:
            for name, slot in vars(cls).items():
                with suppress(AttributeError):  # not set
                    held |= {name: slot.__get__(value)} if isinstance(slot, types.MemberDescriptorType) else {}
        held |= getattr(value, "__dict__", {})
        for key, inner in held.items():
            if key in _HOOKS:
                self.read(list(inner.values()))  # their numbers are counted over the whole process
            elif key not in _NOT_SAID:
                self.say(key)
                self.read(inner)
        return bool(held)

    def _apart(self, value: object) -> str:
        """The hash of one of a set, which has no order: what it brings is no other's to refer to."""
        reader = _Reader(hashlib.sha256(), self.plain)
        reader.met, reader.depth = dict(self.met), self.depth
        reader.read(value)
        return reader.digest.hexdigest()

    def _class(self, cls: type) -> None:
        """A class by its name, and by all that its module brings; one of a notebook by what its functions hold."""
        self.say("class", cls.__module__, cls.__qualname__)
        for base in cls.__mro__:
            home = imports.module_of(base)
            if home == "__main__" and id(base) not in self.met:
                self.met[id(base)] = len(self.met), base
                for name, inner in vars(base).items():
                    if isinstance(inner, types.FunctionType | staticmethod | classmethod | property) or not (
                        name.startswith("__") or isinstance(inner, types.GetSetDescriptorType)
                    ):
                        self.say(name)
                        self.read(getattr(inner, "__func__", getattr(inner, "fget", inner)))
            elif home != "__main__":
                self._module(home)

    def _function(self, function: types.FunctionType) -> None:
        self.say("function", function.__module__, function.__qualname__, imports.code(function.__code__))
        self.read([function.__defaults__, function.__kwdefaults__])
        self.read([_cell(cell) for cell in function.__closure__ or ()])
        if function.__module__ != "__main__":
            return self._module(function.__module__)
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:  # of a notebook: what is typed into another cell
                self.say(name)
                used = function.__globals__[name]
                self._module(used.__name__) if isinstance(used, types.ModuleType) else self.read(used)

    def _module(self, name: str) -> None:
        """What a module brings: the source of users' own, the version of an installed one. torch is in every key."""
        if name and name.partition(".")[0] not in ("torch", "edgekd"):
            if name not in self.brought:
                hashes = imports.closure([name]).hashes()
                self.brought[name] = hashlib.sha256(canonical(hashes)).hexdigest()
            self.say(self.brought[name])


def _says_how(cls: type) -> bool:
    """Whether a class, or ``copyreg``, says by itself how its objects are copied."""
    names = ("__reduce_ex__", "__reduce__", "__getstate__")
    return cls in copyreg.dispatch_table or any(getattr(cls, name) is not getattr(object, name) for name in names)


def _reduced(value: object) -> list[object] | str:
    reducer = copyreg.dispatch_table.get(type(value))
    reduction = reducer(value) if reducer else value.__reduce_ex__(2)
    if isinstance(reduction, str):
        return reduction
    return [*reduction[:3], *(list(items) for items in reduction[3:5] if items is not None)]


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _names(code: types.CodeType) -> set[str]:
    inner = [_names(const) for const in code.co_consts if isinstance(const, types.CodeType)]
    return set(code.co_names).union(*inner)


def _dense(value: Tensor) -> Tensor:
    """The tensor in a form whose bytes can be read."""
    if is_lazy(value) or value.is_meta or isinstance(value, FakeTensor):
        return torch.zeros(0, dtype=value.dtype)
    value = value.detach()
    if value.is_quantized:
        return value.dequantize()
    return value.to_dense() if value.layout != torch.strided else value.resolve_conj().resolve_neg()


def _add_graph(digest: hashlib._Hash, module: nn.Module, example: tuple[Tensor, ...]) -> None:
    """The exported graph and its constants; a module that can't be exported has none.

    A copy is exported: what a forward pass keeps or makes in the user's network would stay there without numbers.
    """
    with suppress(FactoryError):
        module = nets.copied(module, "export")
    try:
        with quiet(), nets.evaluating(module):
            exported = plugins.call_user(torch.export.export, "export", module, example)
    except FactoryError:
        return
    digest.update(str(exported.graph).encode())
    add_tensors(digest, exported.constants)
