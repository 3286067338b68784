"""What the columns of a user's tables are, by their names and by what they hold: texts, labels, splits, files."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from edgekd.base.errors import DataError, EdgekdError
from edgekd.learn.data import ROLES, cells_of_table, cells_of_texts, header_of, same_name
from edgekd.spec.recipe import Table
from edgekd.tasks import CLASSES, Task
from edgekd.teachers.recorded import id_column

SENTENCES = ("sentence", "text", "content", "utterance", "review", "question")
LABELS = ("label", "labels", "class", "category", "target", "intent", "y")
FIRST = ("anchor", "query", "question", "sentence1", "premise")
SECOND = ("positive", "answer", "passage", "sentence2", "hypothesis")
SCORES = ("score", "similarity", *LABELS)
SPLITS = ("split", "splits", "subset", "partition", "set")
QUOTED = (".csv", ".csv.gz", ".jsonl")
WORDS = 3  # in the middle of a column's cells: so many make a text
FEW = 64  # values of a column that come again and again: these are no texts
LISTED_FILES = 0.25  # of a folder's files: so many are no chance
WHERE = "--data"
Columns = Mapping[str, Sequence[str]]


def of_texts(file: Path, given: frozenset[str], alone: bool, task: Task = CLASSES) -> Table:
    """The columns of a file of texts by their names, where they are not those that the source takes anyway.

    Args:
        given: keys that the user says.
        alone: no file for each split lies beside it, so that a column may say them.
        task: what the labels are.
    """
    columns = _texts_of(file)
    names = [*columns]
    if keys := pairs(names, task, "sentence"):
        return {**keys, **(split(columns) if alone else {})}
    text, label = usual(names, SENTENCES), usual(names, LABELS)
    if len(names) == 2:  # each is what the other is not
        text = text or next((name for name in names if name != label), None) if label else text
        label = label or next(name for name in names if name != text) if text else label
    if text is None and "data.sentence" not in given:
        hint = "--set data.sentence=NAME, and data.label=NAME; of numbers and categories --set data.source=table"
        raise DataError("no column that is known to hold texts", where=f"{WHERE}: {file.name}", found=names, hint=hint)
    keys = {"sentence": text or "", "label": label or ""}
    return {**{key: name for key, name in keys.items() if name != key}, **(split(columns) if alone else {})}


def pairs(names: Sequence[str], task: Task, key: str) -> Table:
    """The columns of pairs or triplets of texts, by their names; {}: there are none, or the task has no pairs.

    Args:
        key: what the source calls the column of first texts.
    """
    first, second = usual(names, FIRST), usual(names, SECOND)
    if not task.pairs or first is None or second is None:
        return {}
    negatives = [name for name in names if name.lower().startswith("negative")]
    known: Table = {"negative": negatives[0] if len(negatives) == 1 else negatives} if negatives else {}
    return {key: first, "pair": second, **known, "label": "" if negatives else usual(names, SCORES) or ""}


def holds_texts(file: Path, given: frozenset[str], task: Task = CLASSES) -> bool:
    """Whether a file of CSV is of texts and not of numbers and categories: where a column that is called as texts are
    holds words, seldom the same; or a column of texts stands beside a label alone; or a task of pairs finds some.
    """
    if not file.name.lower().endswith(QUOTED):
        return False
    if {"data.sentence", "data.source"} & given:
        return "data.sentence" in given
    columns = _texts_of(file)
    if pairs([*columns], task, "sentence"):
        return True
    label = usual([*columns], LABELS)
    others = [name for name in columns if name not in (label, *split(columns).values())]
    text = usual(others, SENTENCES)
    if text is not None and _are_words(columns[text]):
        return True
    return len(others) == 1 and label is not None and _are_texts(columns[others[0]])


def of_table(file: Path, given: frozenset[str], alone: bool, key: str = "label") -> Table:
    """The columns of labels and, where a file is ``alone``, of splits; ``key``: what the source calls its labels."""
    header = header_of(file)
    columns = label(header, given, f"{WHERE}: {file.name}", key)
    likely = [name for name in header if name.lower() in SPLITS] if alone else []
    return {**columns, **(split(cells_of_table(file, likely)) if likely else {})}


def ids_of_texts(files: Sequence[Path], given: frozenset[str], keys: Table) -> Table:
    """The column of files of texts that says what samples are called."""
    return _ids(files, given, keys, _texts_of)


def ids_of_table(files: Sequence[Path], given: frozenset[str], keys: Table) -> Table:
    """The column of tables that says what rows are called: it is no input then."""

    def named(file: Path) -> Columns:
        column = id_column(header_of(file))
        return cells_of_table(file, [column]) if column else {}

    return _ids(files, given, keys, named)


def _ids(files: Sequence[Path], given: frozenset[str], keys: Table, read: Callable[[Path], Columns]) -> Table:
    """A column that is called as ids are, and whose cells differ in all files together."""
    if {"data.id", "data.columns"} & given:
        return {}
    cells: list[str] = []
    names: set[str | None] = set()
    with suppress(EdgekdError):  # whoever reads it in earnest names what is wrong
        for file in files:
            columns = read(file)
            names.add(name := id_column([*columns]))
            cells += columns.get(name or "", ())
    name = next(iter(names)) if len(names) == 1 else None
    taken = [one for value in keys.values() for one in (value if isinstance(value, list) else [value])]
    return {"id": name} if name and name not in taken and all(cells) and len({*cells}) == len(cells) > 0 else {}


def label(names: Sequence[str], given: frozenset[str], where: str, key: str = "label") -> Table:
    """The column of labels, by its name."""
    name = usual(names, LABELS)
    if name is None and f"data.{key}" not in given:
        hint = f"--set data.{key}=NAME"
        raise DataError("no column that is known to hold labels", where=where, found=list(names), hint=hint)
    return {} if name is None else {key: name}


def of_files(
    folder: Path, tables: Sequence[Path], files: Sequence[Path], given: frozenset[str], key: str
) -> Table | None:
    """The table, and its columns, that says the labels of pictures or sounds; None: none does.

    Args:
        tables: that may; those that can't be read don't.
        files: the pictures or sounds below the folder.
        key: what the source calls its labels.

    Raises:
        DataError: a table names the files, but not by their paths.
    """
    paths = {same_name(file.relative_to(folder).as_posix()) for file in files}
    names = Counter(one for file in files for one in {same_name(file.name), same_name(file.stem)})
    for table in tables:
        columns: Columns = {}
        with suppress(EdgekdError):  # stray: it is left out, and the pictures are what is read
            columns = cells_of_table(table, None)
        if not ({f"data.{key}"} & given or usual([*columns], LABELS)):
            continue
        for name, cells in columns.items():
            if _lists([same_name(posixpath.normpath(cell)) for cell in cells], paths, len(files)):
                is_usual = {} if name == "file_name" else {"file": name}
                return {"metadata": table.name, **is_usual, **of_table(table, given, True, key)}
        for name, cells in columns.items():
            if _lists([same_name(cell) for cell in cells], names, len(files)):
                where, example = f"{WHERE}: {table.name}: {name}", files[0].relative_to(folder).as_posix()
                hint = f"write it so, then --set data.metadata={table.name} --set data.file={name}"
                what, allowed = "files by another name than their path", f"paths from the folder, such as {example}"
                raise DataError(what, where=where, found=cells[0], allowed=allowed, hint=hint)
    return None


def usual(names: Sequence[str], known: Sequence[str]) -> str | None:
    """Which of some columns is called as one that is known, the usual name first; None: none is."""
    return next((name for wanted in known for name in names if name.lower() == wanted), None)


def _lists(cells: Sequence[str], names: Mapping[str, int] | set[str], count: int) -> bool:
    """Whether cells name many of so many files, and little else."""
    hits = sum(cell in names for cell in cells)
    return 2 * hits > len(cells) and hits >= LISTED_FILES * count


def _texts_of(file: Path) -> dict[str, list[str]]:
    """The columns of a file of texts; what lacks a cell is left to who reads it in earnest."""
    return cells_of_texts(file, f"{WHERE}: {file.name}")


def split(columns: Columns) -> Table:
    """The column that says the splits. One that says that of some rows alone counts: the source names the others."""
    for name, cells in columns.items():
        if name.lower() in SPLITS and {ROLES.get(cell.lower()) for cell in cells} > {"train"}:
            return {"split": name}
    return {}


def _are_words(cells: Sequence[str]) -> bool:
    """Whether cells are no numbers, and seldom the same."""
    words = [cell for cell in cells if any(char.isalpha() for char in cell)]
    return 2 * len(words) > len(cells) and (len({*words}) > FEW or 2 * len({*words}) > len(words))


def _are_texts(cells: Sequence[str]) -> bool:
    counts = sorted(len(cell.split()) for cell in cells)
    return bool(counts) and counts[len(counts) // 2] >= WORDS and _are_words(cells)
