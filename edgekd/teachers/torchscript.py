"""A network in a TorchScript archive, as ``torch.jit.save`` writes it."""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edgekd.base import limits, plugins
from edgekd.base.errors import DataError, IntegrityError
from edgekd.base.preprocess import Spec
from edgekd.learn.data import file_size
from edgekd.learn.quiet import quiet
from edgekd.teachers._base import file_of

# What a program of the archive may call that reaches beyond its tensors; and whose operators compute, and no more.
REACHING = frozenset(("from_file", "save", "rpc_async", "rpc_sync", "rpc_remote"))
KNOWN = frozenset(("aten", "prim", "quantized", "prepacked", "mkldnn_prepacked", "onednn", "sparse"))
_CALL = re.compile(r"\b(?:torch|ops\.(\w+))\.(\w+)\s*\(")


@dataclass(frozen=True)
class Torchscript:
    """A TorchScript archive, run by torch; inputs go in by order.

    An archive holds a program. It is looked at before it is opened: one that reads or writes files, calls other
    machines, or needs operators that torch does not bring, is refused.

    Attributes:
        path: the file.
        allow_code: open it whatever it calls.
    """

    path: str
    allow_code: bool = False

    def network(self, inputs: Sequence[Spec], where: str) -> nn.Module:
        """See ``NetworkKind``."""
        file = file_of(self.path, where)
        place = f"{where}.path: {file.name}"
        file_size(file, place, "bytes")
        if not self.allow_code:
            check(file, place)
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch would rather have another format
            module: nn.Module = plugins.call_user(torch.jit.load, place, str(file), map_location="cpu")
        return module


def check(file: Path, where: str) -> None:
    """Raise IntegrityError where an archive's programs reach beyond their tensors, DataError where it is none."""
    for name, text in _programs(file, where):
        for namespace, function in _CALL.findall(text):
            if function in REACHING or (namespace and namespace not in KNOWN):
                hint = "allow_code = true opens it all the same, where you know who wrote it"
                call = f"{namespace or 'torch'}.{function}, in {name}"
                raise IntegrityError("a program that reaches beyond its tensors", where=where, found=call, hint=hint)


def _programs(file: Path, where: str) -> Iterator[tuple[str, str]]:
    """The name and text of each program in an archive."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if "/code/" in info.filename]
            programs = [info for info in members if info.filename.endswith(".py")]
            if not programs:
                raise DataError("not a TorchScript archive", where=where, allowed="what torch.jit.save writes")
            total = sum(info.file_size for info in programs)
            limits.check("file_bytes", total, "programs larger than likely are meant", where)
            for info in programs:
                yield info.filename, archive.read(info).decode("utf-8", "replace")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as err:
        raise DataError(f"not a TorchScript archive ({err})", where=where) from err
