"""What data lies in a file or folder: the ``[data]`` table that reads it."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from edgekd.base import plugins
from edgekd.base.errors import DataError, UsageError
from edgekd.learn.data import ROLES, file_content, header_of, looked_at, read_arrays
from edgekd.learn.data.arrow import ENDINGS as ARROW
from edgekd.learn.data.arrow import columns_of
from edgekd.learn.data.imagefolder import ENDINGS as PICTURES
from edgekd.learn.data.imagefolder import MASKS
from edgekd.spec.recipe import Table
from edgekd.tasks import CLASSES, Task

TEXTS = (".tsv", ".tsv.gz")
TABLES = (".csv", ".csv.gz", ".parquet")
SOUNDS = (".wav",)
METADATA = "metadata.csv"  # of pictures, as ``datasets`` calls it
LOOKED_AT = 50  # pictures or sounds, which tell what the others are like
LARGEST, STEP = 224, 8  # sides of pictures that come in several sizes, in pixels
ALLOWED = (
    "a folder with one folder of pictures or wav files a class, a folder or file of texts (.tsv), of tables (.csv, "
    ".parquet) or of what datasets saves (.arrow), an .npz, a function mypkg.mod:data that gives (train, validation, "
    "test), or a source's name"
)
SENTENCES = ("sentence", "text", "content", "utterance", "review", "question")
LABELS = ("label", "labels", "class", "category", "target", "intent", "y")
WHERE = "--data"


def table(named: str, given: frozenset[str] = frozenset(), task: Task = CLASSES) -> Table:
    """The table that reads what a user names.

    Args:
        named: a path from the current folder, ``package.module:name``, or a built-in source.
        given: keys that the user says, such as ``data.sentence``: what they are of need not be known here.
        task: what the labels are.

    Raises:
        UsageError: nothing of that name. DataError: a file or folder of no kind that is known.
    """
    path = Path(named)
    if path.is_dir():
        return _folder(path.resolve(), given, task)
    if path.is_file():
        return _file(path.resolve(), given)
    if ":" in named:
        users = plugins.load_object(named, WHERE)
        return {"source": named} if hasattr(users, "load") else {"source": "python", "factory": named}
    if named in (sources := plugins.kinds("data")):
        return {"source": named}
    raise UsageError("no such file, folder or source", where=WHERE, found=named, allowed=sources)


def _folder(folder: Path, given: frozenset[str], task: Task) -> Table:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    pictures = [path for path in files if path.suffix.lower() in PICTURES]
    if pictures and task.geometry == "mask":
        masks = _masks_of(folder, pictures, given)
        shown = [path for path in pictures if masks not in path.relative_to(folder).parts]
        return {"source": "imagefolder", "path": str(folder), "masks": masks, **_sizes(_pictures(shown))}
    if any(path.suffix in ARROW for path in files) and (read := _arrow(folder, given)):
        return read
    if (listed := folder / METADATA) in files and pictures:
        labels = {"metadata": METADATA, **_label_in(listed, given)}
        return {"source": "imagefolder", "path": str(folder), **labels, **_sizes(_pictures(pictures))}
    for source, endings in (("text", TEXTS), ("table", TABLES)):
        if named := [path for path in files if path.parent == folder and path.name.lower().endswith(endings)]:
            train, prefix = _training(named)
            columns = _columns(train, given) if source == "text" else _label_in(train, given)
            return {"source": source, "path": str(folder), **({"prefix": prefix} if prefix else {}), **columns}
    if pictures:
        return {"source": "imagefolder", "path": str(folder), **_sizes(_pictures(pictures))}
    if sounds := [path for path in files if path.suffix.lower() in SOUNDS]:
        return {"source": "audio", "path": str(folder), **_lengths(_sounds(sounds))}
    raise DataError("no data that is known in it", where=WHERE, found=str(folder), allowed=ALLOWED)


def _arrow(path: Path, given: frozenset[str]) -> Table | None:
    """Pictures, sounds or texts and labels of tables of Arrow or Parquet; None: their columns are of other things."""
    columns = columns_of(str(path))
    sample = next((one for holds in ("files", "texts", "words") for one in columns if one.holds == holds), None)
    if sample is None:
        return None
    others = [one.name for one in columns if one is not sample]
    where = f"{WHERE}: {path.name}"
    table = {"source": "arrow", "path": str(path), "x": sample.name, **_label(others, given, where)}
    contents = [one for one in sample.first if isinstance(one, bytes)]
    if contents and contents[0][:4] == b"RIFF":
        return {**table, **_lengths([(io.BytesIO(one), f"{where}: {sample.name}") for one in contents])}
    return {**table, **(_sizes([(one, f"{where}: {sample.name}") for one in contents]) if contents else {})}


def _masks_of(folder: Path, pictures: Sequence[Path], given: frozenset[str]) -> str:
    """What the folders of masks are called."""
    names = {name for path in pictures for name in path.relative_to(folder).parts[:-1]}
    known = next((name for wanted in MASKS for name in sorted(names) if name.lower() == wanted), None)
    if known is None and "data.masks" not in given:
        hint = "--set data.masks=NAME"
        raise DataError("no folder that is known to hold masks", where=WHERE, found=sorted(names), hint=hint)
    return known or ""


def _file(path: Path, given: frozenset[str]) -> Table:
    name = path.name.lower()
    if path.suffix in ARROW and "data.source" not in given and (read := _arrow(path, given)):
        return read
    if name.endswith(TABLES) or (name.endswith(TEXTS) and "data.source" in given):
        return {"source": "table", "path": str(path), **_label_in(path, given)}
    if name.endswith(TEXTS):
        return {"source": "text", "path": str(path), **_columns(path, given)}
    if name.endswith(".npz"):
        return {"path": str(path), **_arrays(path, given)}
    raise DataError("no data of such a file is read", where=WHERE, found=path.name, allowed=ALLOWED)


def _training(texts: Sequence[Path]) -> tuple[Path, str]:
    """The file of the training split, and what its name begins with before that word."""
    for path in texts:
        stem = path.name.partition(".")[0]
        for word in (word for word, role in ROLES.items() if role == "train"):
            if stem.lower().endswith(word):
                return path, stem[: len(stem) - len(word)]
    names = ", ".join(path.name for path in texts)
    ending = "." + texts[0].name.partition(".")[2]
    allowed = f"train{ending}, or <prefix>train{ending}"
    raise DataError("no training file in it", where=WHERE, found=names, allowed=allowed)


def _columns(file: Path, given: frozenset[str]) -> Table:
    """The columns of texts and of labels by their names, where they are not those that the source takes anyway."""
    header = file_content(file, f"{WHERE}: {file.name}").partition(b"\n")[0].decode("utf-8-sig", "replace")
    names = header.rstrip("\r").split("\t")
    text, label = _known(names, SENTENCES), _known(names, LABELS)
    if len(names) == 2:  # each is what the other is not
        text = text or next((name for name in names if name != label), None) if label else text
        label = label or next(name for name in names if name != text) if text else label
    if text is None and "data.sentence" not in given:
        hint = "--set data.sentence=NAME, and data.label=NAME; of numbers and categories --set data.source=table"
        raise DataError("no column that is known to hold texts", where=f"{WHERE}: {file.name}", found=names, hint=hint)
    columns = {"sentence": text or "", "label": label or ""}
    return {key: name for key, name in columns.items() if name != key}


def _label(names: Sequence[str], given: frozenset[str], where: str) -> Table:
    """The column of labels, by its name."""
    label = _known(names, LABELS)
    if label is None and "data.label" not in given:
        hint = "--set data.label=NAME"
        raise DataError("no column that is known to hold labels", where=where, found=list(names), hint=hint)
    return {} if label is None else {"label": label}


def _label_in(file: Path, given: frozenset[str]) -> Table:
    """The same of a table's file."""
    return _label(header_of(file), given, f"{WHERE}: {file.name}")


def _known(names: Sequence[str], known: Sequence[str]) -> str | None:
    """Which of some columns is called as one that is known, the usual name first; None: none is."""
    return next((name for wanted in known for name in names if name.lower() == wanted), None)


def _spread(files: Sequence[Path]) -> Sequence[Path]:
    return files[:: max(1, len(files) // LOOKED_AT)]


def _pictures(files: Sequence[Path]) -> list[tuple[bytes, str]]:
    """Some of them, each with its place."""
    places = [(path, f"{WHERE}: {path.parent.name}/{path.name}") for path in _spread(files)]
    return [(file_content(path, where), where) for path, where in places]


def _sizes(pictures: Sequence[tuple[bytes, str]]) -> Table:
    """Grey where all are; one size where they come in several."""
    sizes, greys = set[tuple[int, int]](), True
    for content, where in pictures:
        height, width, grey = looked_at(content, where)
        sizes.add((height, width))
        greys = greys and grey
    side = min(LARGEST, min(min(size) for size in sizes)) // STEP * STEP or STEP
    return {**({"grey": True} if greys else {}), **({"size": [side, side]} if len(sizes) > 1 else {})}


def _sounds(files: Sequence[Path]) -> list[tuple[str | IO[bytes], str]]:
    """Some of them, each with its place."""
    return [(str(path), f"{WHERE}: {path.parent.name}/{path.name}") for path in _spread(files)]


def _lengths(sounds: Sequence[tuple[str | IO[bytes], str]]) -> Table:
    """The rate, and the length of the longest."""
    lengths, rates = [], []
    for file, where in sounds:
        try:
            with wave.open(file) as sound:
                lengths.append(sound.getnframes())
                rates.append(sound.getframerate())
        except (OSError, EOFError, wave.Error) as err:
            raise DataError(f"not a wav file ({err})", where=where) from err
    return {"rate": rates[0], "length": max(1, *lengths)}


def _arrays(file: Path, given: frozenset[str]) -> Table:
    """Which arrays are the samples and the labels of each split."""
    arrays = read_arrays(str(file), "data")
    if {"samples", "offsets"} <= arrays.keys():
        return {"source": "audio", **({"split": "split"} if "split" in arrays else {})}
    by_role = {}
    for role in ("train", "validation", "test"):
        words = [word for word, of in ROLES.items() if of == role]
        for letter in "xy":
            known = [name for word in words for name in (f"{letter}_{word}", f"{letter.upper()}_{word}")]
            by_role[f"{letter}_{role}"] = next((name for name in known if name in arrays), "")
    if not (by_role["x_train"] and by_role["x_test"]) and not {"data.x_train", "data.samples"} & given:
        allowed = "x_train, y_train, x_test, y_test; or samples and offsets of sounds"
        hint = "--set data.x_train=NAME, and so on"
        where = f"{WHERE}: {file.name}"
        raise DataError("no arrays that are known", where=where, found=", ".join(arrays), allowed=allowed, hint=hint)
    usual = {"x_train": "x_train", "y_train": "y_train", "x_test": "x_test", "y_test": "y_test"}
    others = {key: name for key, name in by_role.items() if name != usual.get(key, "")}
    return {"source": "npz", **others, **({} if "class_names" in arrays else {"classes": ""})}
