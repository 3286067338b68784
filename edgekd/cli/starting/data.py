"""What data lies in a file or folder: the ``[data]`` table that reads it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edgekd.base import plugins
from edgekd.base.errors import DataError, UsageError
from edgekd.cli.starting import columns
from edgekd.cli.starting.columns import WHERE
from edgekd.learn.data import (
    ROLES,
    Dataset,
    cells_of_table,
    file_content,
    files_below,
    is_wav,
    looked_at,
    read_arrays,
    refuse_pointer,
    wav_facts,
)
from edgekd.learn.data.arrow import ENDINGS as ARROW
from edgekd.learn.data.arrow import Column, columns_of
from edgekd.learn.data.imagefolder import ENDINGS as PICTURES
from edgekd.learn.data.imagefolder import MASKS
from edgekd.learn.data.npz import LABELS, SAMPLES
from edgekd.spec.recipe import Table
from edgekd.tasks import CLASSES, LISTED, Task

TEXTS = (".tsv", ".tsv.gz")
TABLES = (".csv", ".csv.gz", ".jsonl", ".parquet")  # those of CSV and JSON may hold texts
SOUNDS = (".wav",)
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # of pictures and sounds, as ``datasets`` calls it
LOOKED_AT = 50  # pictures or sounds, which tell what the others are like
LARGEST, STEP = 224, 8  # sides of pictures that come in several sizes, in pixels
ALLOWED = (
    "a folder with one folder of pictures or wav files a class, a folder or file of texts (.tsv, .csv, .jsonl), of "
    "tables (.csv, .jsonl, .parquet) or of what datasets saves (.arrow), of shards (.tar), an .npz, a function "
    "mypkg.mod:data that gives (train, validation, test), or a source's name"
)


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
        return _file(path.resolve(), given, task)
    if ":" in named:
        users = plugins.load_object(named, WHERE)
        return {"source": named} if hasattr(users, "load") else {"source": "python", "factory": named}
    if named in (sources := plugins.kinds("data")):
        return {"source": named}
    raise UsageError("no such file, folder or source", where=WHERE, found=named, allowed=sources)


def counted(table: Table, dataset: Dataset) -> Table:
    """The table without a column of ids, which is no input of the student's either."""
    left = {key: value for key, value in table.items() if key != "id"}
    if table["source"] == "table":
        left["columns"] = [column["name"] for column in dataset.preprocess[-1]["columns"]]
    return left


def notes(table: Table) -> list[str]:
    """What the user is to know of columns."""
    if table.get("source") not in ("text", "table") or not table.get("id"):
        return []
    beside = ", and is no input" if table["source"] == "table" else ""
    return [f"column {table['id']!r} says what samples are called{beside}: data.id"]


def _folder(folder: Path, given: frozenset[str], task: Task) -> Table:
    files = [path for path in files_below(folder) if path.is_file()]
    pictures = [path for path in files if path.suffix.lower() in PICTURES]
    if pictures and task.geometry == "mask":
        masks = _masks_of(folder, pictures, given)
        shown = [path for path in pictures if masks not in path.relative_to(folder).parts]
        return {"source": "imagefolder", "path": str(folder), "masks": masks, **_sizes(_contents(shown))}
    if any(path.suffix in ARROW for path in files) and (read := _arrow(folder, given, task)):
        return read
    sounds = [path for path in files if path.suffix.lower() in SOUNDS]
    beside = [path for path in files if path.parent == folder and path.name.lower().endswith((*TEXTS, *TABLES))]
    if pictures:
        listed = _listed(folder, files, pictures, beside, given, task, "label")
        return {"source": "imagefolder", "path": str(folder), **listed, **_sizes(_contents(pictures))}
    if sounds:
        listed = _listed(folder, files, sounds, beside, given, task, "labels")
        return {"source": "audio", "path": str(folder), **listed, **_lengths(_contents(sounds))}
    for endings in (TEXTS, TABLES):
        if named := [path for path in beside if path.name.lower().endswith(endings)]:
            train, prefix = _training(named)
            source: Table = {"path": str(folder), **({"prefix": prefix} if prefix else {})}
            if endings == TEXTS or columns.holds_texts(train, given, task):
                keys = columns.of_texts(train, given, alone=False, task=task)
                return {"source": "text", **source, **keys, **columns.ids_of_texts(named, given, keys)}
            keys = columns.of_table(train, given, alone=False)
            return {"source": "table", **source, **keys, **columns.ids_of_table(named, given, keys)}
    if any(path.suffix == ".tar" for path in files):
        return {"source": "webdataset", "path": str(folder)}
    kinds = Counter(path.suffix.lower() or "no ending" for path in files)
    inside = ", ".join(f"{count:,} {ending}" for ending, count in kinds.most_common(LISTED)) or "no files"
    raise DataError("no data that is known in it", where=f"{WHERE}: {folder.name}", found=inside, allowed=ALLOWED)


def _listed(
    folder: Path,
    files: Sequence[Path],
    samples: Sequence[Path],
    beside: Sequence[Path],
    given: frozenset[str],
    task: Task,
    key: str,
) -> Table:
    """The table that says the labels of pictures or sounds; {}: folders of classes do.

    Raises:
        DataError: neither says them, and a table lies there that may.
    """
    if "data.metadata" in given:
        return {}
    for name in METADATA:
        if (folder / name) in files:
            return columns.of_files(folder, [folder / name], samples, given, key) or {
                "metadata": name,
                **columns.of_table(folder / name, given, alone=True, key=key),
            }
        parts = [place for place in files if place.name == name and place.parent.parent == folder]
        train = [place for place in parts if ROLES.get(place.parent.name.lower()) == "train"]
        if train:
            return {"metadata": name, **columns.of_table(train[0], given, alone=False, key=key)}
    if table := columns.of_files(folder, beside, samples, given, key):
        return table
    above = [[part for part in path.relative_to(folder).parts[:-1] if part.lower() not in ROLES] for path in samples]
    if beside and task.exclusive and len({parts[0] for parts in above if parts}) < 2:
        hint = f"--set data.metadata={beside[0].name} --set data.file=COLUMN --set data.{key}=COLUMN"
        what, allowed = "files in no folders of classes, and tables", "a folder a class, or a table of paths and labels"
        raise DataError(what, where=WHERE, found=[path.name for path in beside], allowed=allowed, hint=hint)
    return {}


def _arrow(path: Path, given: frozenset[str], task: Task) -> Table | None:
    """Pictures, sounds or texts and labels of tables of Arrow or Parquet; None: their columns are of other things."""
    read = columns_of(str(path))
    if keys := columns.pairs([one.name for one in read], task, "x"):
        _refuse_splits(read, path)
        return {"source": "arrow", "path": str(path), **keys}
    sample = next((one for holds in ("files", "texts", "words") for one in read if one.holds == holds), None)
    if sample is None:
        return None
    others = [one.name for one in read if one is not sample]
    where = f"{WHERE}: {path.name}"
    _refuse_splits(read, path)
    table = {"source": "arrow", "path": str(path), "x": sample.name, **columns.label(others, given, where)}
    contents = [(one, f"{where}: {sample.name}") for one in sample.first if isinstance(one, bytes)]
    if not contents:
        return table
    return {**table, **(_lengths(contents) if is_wav(contents[0][0]) else _sizes(contents))}


def _refuse_splits(read: Sequence[Column], path: Path) -> None:
    """Raise DataError where a single file has a column of splits, which nothing would read."""
    for one in read if path.is_file() else ():
        if one.name.lower() not in columns.SPLITS:
            continue
        is_parquet = path.suffix == ".parquet"
        words = cells_of_table(path, [one.name])[one.name] if is_parquet else [str(word) for word in one.first]
        if columns.split({one.name: words}):
            where, hint = f"{WHERE}: {path.name}", "write a file for each split: train.parquet, test.parquet"
            what = "a column of splits, which this source does not read"
            raise DataError(what, where=where, found=one.name, hint=hint)


def _masks_of(folder: Path, pictures: Sequence[Path], given: frozenset[str]) -> str:
    """What the folders of masks are called."""
    names = {name for path in pictures for name in path.relative_to(folder).parts[:-1]}
    known = next((name for wanted in MASKS for name in sorted(names) if name.lower() == wanted), None)
    if known is None and "data.masks" not in given:
        hint = "--set data.masks=NAME"
        raise DataError("no folder that is known to hold masks", where=WHERE, found=sorted(names), hint=hint)
    return known or ""


def _file(path: Path, given: frozenset[str], task: Task) -> Table:
    name = path.name.lower()
    refuse_pointer(path, WHERE)
    if path.suffix in ARROW and "data.source" not in given and (read := _arrow(path, given, task)):
        return read
    if (name.endswith(TEXTS) and "data.source" not in given) or columns.holds_texts(path, given, task):
        keys = columns.of_texts(path, given, alone=True, task=task)
        return {"source": "text", "path": str(path), **keys, **columns.ids_of_texts([path], given, keys)}
    if name.endswith((*TEXTS, *TABLES)):
        keys = columns.of_table(path, given, alone=True)
        return {"source": "table", "path": str(path), **keys, **columns.ids_of_table([path], given, keys)}
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


def _spread(files: Sequence[Path]) -> Sequence[Path]:
    return files[:: max(1, len(files) // LOOKED_AT)]


def _contents(files: Sequence[Path]) -> list[tuple[bytes, str]]:
    """Those of some, each with its place."""
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


def _lengths(sounds: Sequence[tuple[bytes, str]]) -> Table:
    """The rate, and the length of the longest."""
    facts = [wav_facts(content, where) for content, where in sounds]
    return {"rate": facts[0].rate, "length": max(1, *(one.length for one in facts))}


def _arrays(file: Path, given: frozenset[str]) -> Table:
    """Which arrays are the samples and the labels of each split."""
    arrays = read_arrays(str(file), "data")
    if {"samples", "offsets"} <= arrays.keys():
        return {"source": "audio", **({"split": "split"} if "split" in arrays else {})}
    by_role = {name: "" for role in ("train", "validation", "test") for name in (f"x_{role}", f"y_{role}")}
    for name in arrays:
        if (called := _role_of(name)) and not by_role[called]:
            by_role[called] = name
    is_tested = any("test" in re.split(r"[\W\d_]+", name.lower()) for name in arrays)
    alone = [[name for name in arrays if name.lower() in known] for known in (SAMPLES, LABELS)]
    x_train, usual = by_role["x_train"], {key: key for key in by_role if not key.endswith("validation")}
    others = {key: name for key, name in by_role.items() if name != usual.get(key, "")}
    if not x_train and not is_tested and len(alone[0]) == len(alone[1]) == 1:  # the source finds them, too
        x_train, others = alone[0][0], {}
    is_whole = bool(x_train) and bool(by_role["x_test"] or not is_tested)
    if not is_whole and not {"data.x_train", "data.samples"} & given:
        allowed = "x_train, y_train, x_test, y_test; x and y alone; or samples and offsets of sounds"
        where, hint, names = f"{WHERE}: {file.name}", "--set data.x_train=NAME, and so on", ", ".join(arrays)
        raise DataError("no arrays that are known", where=where, found=names, allowed=allowed, hint=hint)
    rows: Table = {"samples": "numbers"} if x_train and arrays[x_train].ndim == 2 else {}
    return {"source": "npz", **others, **rows, **({} if "class_names" in arrays else {"classes": ""})}


def _role_of(name: str) -> str | None:
    """The key of the source that an array is called after: ``y_validation`` of ``val_labels``; None: of none."""
    words = name.lower().split("_")
    roles = [ROLES[word] for word in words if word in ROLES]
    rest = "_".join(word for word in words if word not in ROLES)
    letter = "x" if rest in SAMPLES else "y" if rest in LABELS else None
    return f"{letter}_{roles[0]}" if letter and len(roles) == 1 else None
