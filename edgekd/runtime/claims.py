"""What a manifest says that a variant's own files, once they are open, can tell: held against them.

A stranger who reverses the labels of a bundle, or exchanges its preprocessing, has two more places to change: an
exported file names both (``record.metadata``), and so do the raw samples of ``decisions``. What no file tells (where a
variant was checked, its numerics, its name) is as true as who wrote it, which is what a signature is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from edgekd.base import reader
from edgekd.base.errors import IntegrityError
from edgekd.base.preprocess import VOCABULARY
from edgekd.runtime.backend import Port, Session
from edgekd.runtime.contents import Bundle, Variant
from edgekd.runtime.tensor_pb import fields

PREFIX = "edgekd_"
_METADATA, _KEY, _VALUE = 14, 1, 2  # of onnx.proto3: ModelProto.metadata_props, and of one of them
_INFO, _INFO_END = b"<rt_info>", b"</rt_info>"


def hold_files(bundle: Bundle, variant: Variant, files: Mapping[str, bytes]) -> None:
    """Hold what a variant's files say of their labels, preprocessing, samples and task against the manifest.

    A file that says nothing (of a user's own backend, or in ONNX Runtime's format for phones) is no witness.

    Args:
        files: by name, as ``Bundle.files_of`` gives them: 10 us for an ONNX file, since no tensor is looked at.

    Raises:
        IntegrityError: another thing than the manifest says.
    """
    wanted = _wanted(bundle)
    for name, data in files.items():
        where = f"{bundle.folder}: {variant.target}/{name}"
        metadata = _of_onnx(data, where) if name.endswith(".onnx") else _of_ir(data) if name.endswith(".xml") else {}
        for key in wanted.keys() & metadata.keys():
            claim = metadata[key] if key == "edgekd_task" else reader.parse(metadata[key].encode(), f"{where}: {key}")
            if claim != wanted[key]:
                raise IntegrityError("says otherwise than the manifest", where=f"{where}: {key}", found=claim)


def hold_ports(bundle: Bundle, variant: Variant, session: Session) -> None:
    """Hold what goes in and out of a variant against its graphs: names, types and sizes, where both name a size.

    Raises:
        IntegrityError: another input or output than the manifest says, or outputs that are no scores of the heads.
    """
    where = f"{bundle.folder}: {variant.target}: graphs"
    heads = [port.name for port in session.outputs]
    if sorted(heads) != sorted(bundle.heads):
        raise IntegrityError("outputs that the manifest does not name", where=where, found=heads, allowed=bundle.heads)
    for graph in variant.graphs:
        if sorted(graph.outputs) != sorted(heads):
            raise IntegrityError("other outputs than the model has", where=where, found=graph.outputs, allowed=heads)
        named = {port.name: port for port in session.inputs}
        if sorted(name for name, _, _ in graph.inputs) != sorted(named):
            names = [name for name, _, _ in graph.inputs]
            raise IntegrityError("other inputs than the model has", where=where, found=names, allowed=list(named))
        for name, shape, dtype in graph.inputs:
            if dtype != named[name].dtype or not _fits(shape, named[name]):
                port, allowed = f"{dtype} {tuple(shape)}", f"{named[name].dtype} {named[name].shape}"
                raise IntegrityError("another input than the model has", where=where, found=port, allowed=allowed)


def _fits(shape: Any, port: Port) -> bool:
    pairs = zip(shape, port.shape, strict=False)
    return len(shape) == len(port.shape) and all(None in pair or pair[0] == pair[1] for pair in pairs)


def _wanted(bundle: Bundle) -> dict[str, Any]:
    """What ``record.metadata`` writes, read."""
    by_head = {name: list(bundle.labels[where]) for name, where in bundle.heads.name_columns.items()}
    stored = {"vocabulary": VOCABULARY}  # where an op has one: there it is the file's name
    return {
        "edgekd_labels": by_head if len(by_head) > 1 else list(bundle.labels),
        "edgekd_preprocess": [{key: stored.get(key, value) for key, value in op.items()} for op in bundle.preprocess],
        "edgekd_sample_shape": list(bundle.sample_shape),
        "edgekd_task": bundle.task["kind"],
    }


def _of_onnx(data: bytes, where: str) -> dict[str, str]:
    """The entries of ``metadata_props`` that edgekd wrote."""
    metadata = {}
    for number, entry in fields(memoryview(data), where, "ONNX model", fixed=True):
        if number == _METADATA and not isinstance(entry, int):
            pair = {key: bytes(text) for key, text in fields(entry, where, fixed=True) if not isinstance(text, int)}
            name, value = (pair.get(key, b"").decode("utf-8", "replace") for key in (_KEY, _VALUE))
            metadata[name] = value
    return metadata


def _of_ir(xml: bytes) -> dict[str, str]:
    """The entries of the network's ``rt_info``, which OpenVINO writes last; ``look_ir`` has seen the whole."""
    start = xml.rfind(_INFO)
    end = xml.find(_INFO_END, start) + len(_INFO_END)
    try:
        info = ElementTree.fromstring(xml[start:end]) if start >= 0 else None
    except ElementTree.ParseError:  # not the network's own, such as a text that only looks like it
        return {}
    return {} if info is None else {e.tag: e.get("value", "") for e in info.iterfind("model_info/*")}
