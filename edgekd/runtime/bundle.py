"""The bundle: write and read. A folder that is a valid ONNX Runtime model package 1.0.

::

    manifest.json                 components.student.variants.<target>; SHA-256 and size of every file; see ``manifest``
    manifest.sha256               its digest, as sha256sum writes it
    model.sig                     where it is signed: of every other file; see ``signature``
    <target>/model.onnx           or openvino_model.xml and .bin
    <target>/target.json          the exact target
    <target>/test_data_set_0/     golden input_0.pb ... and output_0.pb ...
    decisions.json                raw samples, and what each variant decides about them
    recipe.json                   the exact recipe
    vocab.txt                     the tokens of a preprocessing that reads text
    examples/                     programs in several languages, a raw sample, and the answer to it
    report.json, report.html, samples.json, README.md, sbom.json

Paths are relative POSIX, never leave the bundle, and there are no symbolic links.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekd.base import limits, preprocess, reader, units
from edgekd.base.disk import replace_folder
from edgekd.base.door import open_inside
from edgekd.base.errors import DataError, IntegrityError, OutputError, RecipeError, UsageError
from edgekd.document import samples as samples_json
from edgekd.document.report import Report, contradictions
from edgekd.document.samples import Samples
from edgekd.runtime import manifest, signature, tensor_pb
from edgekd.runtime.backend import PLUGIN
from edgekd.runtime.contents import Bundle, Checked, Graph, Variant
from edgekd.runtime.manifest import portable_first
from edgekd.runtime.steady import steadily

__all__ = ["Bundle", "Checked", "Graph", "Variant", "portable_first", "pretty", "read", "write"]

MANIFEST, DIGEST, MAX_MANIFEST = signature.MANIFEST, "manifest.sha256", signature.MAX_MANIFEST
REPORT, SAMPLES = "report.json", "samples.json"
UNLISTED = frozenset({MANIFEST, DIGEST, signature.SIGNATURE})  # what the manifest can't list


def write(
    folder: Path,
    bundle: Bundle,
    pages: Mapping[str, bytes],
    *,
    overwrite: bool = False,
    remember: Callable[[str], None] = lambda digest: None,
) -> str:
    """Write a bundle in one rename: it is whole or it is not there, and an earlier one stays until the new one stands.

    Args:
        pages: report.json, report.html, samples.json, README.md, as they are.
        remember: is told the digest before the bundle stands: whoever keeps it afterwards may find the disk full, and
            not know the bundle again.

    Returns:
        The manifest's digest (SHA-256), which every other file hangs on.

    Raises:
        OutputError: ``folder`` holds something else (without ``overwrite``) or can't be written; or could not be read.
        ResourceError: the disk is full; nothing is left behind.
    """
    files = {**_contents(bundle), **pages}
    hashes = {name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()}
    files[MANIFEST] = canonical(manifest.table(bundle, preprocess.stored(bundle.preprocess)[0], hashes))
    if (size := len(files[MANIFEST])) > MAX_MANIFEST:
        allowed, where = f"at most {units.size(MAX_MANIFEST)} of names and preprocessing", str(folder / MANIFEST)
        raise OutputError("a manifest that is too large", where=where, found=units.size(size), allowed=allowed)
    files[DIGEST] = digest_file(files[MANIFEST])
    digest = hashlib.sha256(files[MANIFEST]).hexdigest()
    remember(digest)
    replace_folder(folder, files, lambda: overwrite or _replaceable(folder, bundle))
    return digest


def _replaceable(folder: Path, bundle: Bundle) -> bool:
    """An empty folder, or the bundle of the same plan."""
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        return True
    try:
        return read(folder).plan == bundle.plan
    except IntegrityError:
        return False


def read(
    folder: Path,
    plugins: Sequence[str] = (),
    trust: signature.Trust | None = None,
    ignore_unlisted: bool = False,
) -> Bundle:
    """Read and check a manifest; a vocabulary is read with it, the other files are checked when they are read.

    Args:
        plugins: backends and tasks of the user's own that may be opened, each ``"package.module:Class"``. A bundle
            names the class alone, and brings no code.
        trust: who must have signed it; None: anybody, or nobody.
        ignore_unlisted: with ``trust``: files that were not signed may lie there.

    Raises:
        UsageError: there is no such folder. UnavailableError: signatures can't be checked here.
        IntegrityError: whatever is not as ``write`` writes it: version, keys, types, paths; or not signed as asked.
    """
    return steadily(folder, lambda: _read(folder, plugins, trust, ignore_unlisted))


def _read(folder: Path, plugins: Sequence[str], trust: signature.Trust | None, ignore_unlisted: bool) -> Bundle:
    where = str(folder / MANIFEST)
    if not folder.exists() and not folder.is_symlink():
        raise UsageError("no such bundle", where=str(folder))
    if folder.is_symlink():
        hint = f"give the folder itself: {folder.resolve()}"
        raise IntegrityError("a symbolic link", where=str(folder), hint=hint)
    if not folder.is_dir():
        of = next((f"give {up}" for up in folder.parents[:2] if (up / MANIFEST).is_file()), "unpack an archive first")
        raise UsageError("a file, and a bundle is a folder", where=str(folder), hint=of)
    if not (folder / MANIFEST).exists() and (folder.parent / MANIFEST).is_file():
        raise UsageError("a folder of a bundle, and not the whole", where=str(folder), hint=f"give {folder.parent}")
    data = open_inside(folder, MANIFEST, MAX_MANIFEST)
    table = reader.parse(data, where)
    digest = hashlib.sha256(data).hexdigest()
    if trust is not None and signature.check(folder, trust, ignore_unlisted) != digest:
        raise IntegrityError("changed while its signature was checked", where=where)
    classes = {PLUGIN + plugin.rpartition(":")[2]: plugin for plugin in plugins}
    bundle = manifest.parse(table, folder, where, classes)
    if bundle.format > 1:
        _check_digest(folder / DIGEST, digest_file(data))
    variants = [_allowed(variant, classes) for variant in bundle.variants]
    try:
        ops = preprocess.resolved(bundle.preprocess, lambda name: bundle.file(name, limits.VOCABULARY))
        _check_room(ops, bundle, where)
        preprocess.check_sample(ops, bundle.sample_shape, bundle.sample_dtype)
        return replace(bundle, preprocess=ops, digest=digest, variants=variants, report=_report(bundle))
    except RecipeError as err:
        raise IntegrityError(f"not a preprocessing: {err}", where=where) from err
    except DataError as err:
        raise IntegrityError(f"a preprocessing that does not take its own samples: {err}", where=where) from err


def _check_room(ops: preprocess.Ops, bundle: Bundle, where: str) -> None:
    """Raise IntegrityError where a sample, or a batch of them, would take more room than any that was built."""
    one, batch = preprocess.largest(ops, bundle.sample_shape), max(variant.batch for variant in bundle.variants)
    if one > limits.NUMBERS or one * batch > limits.BATCH_NUMBERS:
        needed = f"{one:,} numbers, {batch} samples at once"
        allowed = f"{limits.NUMBERS:,} of a sample, {limits.BATCH_NUMBERS:,} of a batch"
        raise IntegrityError("samples larger than any that is built", where=where, found=needed, allowed=allowed)


def canonical(table: Mapping[str, object]) -> bytes:
    """A manifest's bytes: JSON in UTF-8, two spaces a level, keys in the order of ``manifest.table``."""
    return (json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def digest_file(manifest_json: bytes) -> bytes:
    """``manifest.sha256`` of a manifest.json, as ``sha256sum -c`` reads it."""
    return f"{hashlib.sha256(manifest_json).hexdigest()}  {MANIFEST}\n".encode()


def _check_digest(path: Path, wanted: bytes) -> None:
    """Raise IntegrityError where the digest beside a manifest is not that of the manifest."""
    if open_inside(path.parent, path.name, len(wanted)) != wanted:
        raise IntegrityError("is not the digest of the manifest beside it", where=str(path))


def _allowed(variant: Variant, classes: Mapping[str, str]) -> Variant:
    """The variant with each of the user's own backends by its module, where that was named."""
    also = {classes.get(kind, kind): options for kind, options in variant.also.items()}
    return replace(variant, backend=classes.get(variant.backend, variant.backend), also=also)


def pretty(value: object) -> bytes:
    """JSON that a person reads, with one spelling for each value."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _contents(bundle: Bundle) -> dict[str, bytes]:
    files: dict[str, bytes] = {"recipe.json": pretty(bundle.recipe), **preprocess.stored(bundle.preprocess)[1]}
    for variant in bundle.variants:
        base = variant.target
        files |= {f"{base}/{name}": data for name, data in variant.files.items()}
        files[f"{base}/target.json"] = pretty(variant.record)
        if variant.golden is not None:
            for kind, tensors in zip(("input", "output"), variant.golden, strict=True):
                for i, (name, array) in enumerate(tensors.items()):
                    files[f"{base}/test_data_set_0/{kind}_{i}.pb"] = tensor_pb.write(array, name)
    return files


def _report(bundle: Bundle) -> Mapping[str, Any]:
    """report.json, where there is one. It only tells ``load`` which variant is fastest: an odd one tells nothing."""
    if REPORT not in bundle.hashes:
        return {}
    data = bundle.file(REPORT, reader.MOST)
    try:
        report = reader.loads(data, REPORT)
    except IntegrityError:
        return {}
    return report if isinstance(report, dict) else {}


def report_of(bundle: Bundle) -> Report:
    """report.json, every key, type and range checked: what a page is drawn of.

    Raises:
        IntegrityError: none, damaged, or not as a build writes it; names the place in it.
    """
    where = str(bundle.folder / REPORT)
    if REPORT not in bundle.hashes:
        raise IntegrityError("no report.json", where=str(bundle.folder))
    report = reader.read(bundle.file(REPORT, reader.MOST), Report, where)
    for place, allowed in contradictions(report):
        raise IntegrityError("does not fit the rest", where=f"{where}: {place}", allowed=allowed)
    return report


def samples_of(bundle: Bundle) -> Samples:
    """samples.json; empty where the bundle has none.

    Raises:
        IntegrityError: damaged, or no whole nanoseconds by target and candidate.
    """
    if SAMPLES not in bundle.hashes:
        return {}
    where = str(bundle.folder / SAMPLES)
    return reader.read(bundle.file(SAMPLES, samples_json.MOST), Samples, where, most=samples_json.MOST)
