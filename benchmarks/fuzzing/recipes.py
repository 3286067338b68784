"""What a user writes or was given: recipes, settings on a command line, targets, preprocessing, a search's journal."""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np

from edgekd.base import plugins, preprocess, reader, toml_files
from edgekd.base.errors import EdgekdError, RecipeError, TargetError
from edgekd.build import compression
from edgekd.runtime import allowed
from edgekd.spec import recipe as recipes
from edgekd.spec import target
from edgekd.tune import search_space, study
from fuzzing import _mutate, harness, room

VOCABULARY = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n"
TABLE = toml_files.read(recipes.builtin_folder() / "digits.toml", RecipeError)
SAMPLES: tuple[Any, ...] = (
    np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1),
    np.zeros((2, 8, 8, 3), np.uint8),
    np.ones((2, 3), np.int64),
    np.linspace(-3, 3, 20, dtype=np.float32).reshape(2, 10),
    np.array(["a b", "中\0 [SEP]"], dtype=object),
)


# They import transformers or scikit-learn, which takes seconds, or what a recipe names.
FOREIGN = ("python", "bert", "transformers", "distilbert", "width_prune", "keep_layers", "macro_f1", "auc")


def _built(family: str, table: dict[str, Any]) -> None:
    """A plugin of edgekd's own; one of a user's is code, which a recipe may name."""
    kind = table.get("kind")
    if isinstance(kind, str) and ":" not in kind and kind not in FOREIGN:
        plugins.build(family, table, family)


@harness(_mutate.of_words, slow=True)
def recipe_toml(data: bytes) -> None:
    """A recipe, its plugins, and where its search may go."""
    path = room("recipe") / "edgekd.toml"
    path.write_bytes(data)
    recipe = recipes.load(str(path))[0]
    _built("data", recipe.data.table)
    _built("metrics", recipe.metric)
    for teacher in recipe.ensemble.values():
        _built("models", teacher.model)
    _built("models", recipe.student.model or {})
    for table in recipe.student.from_teacher or ():
        _built("compress", table)
    for i, table in enumerate(recipe.compress):
        if ":" not in repr(table):
            compression.parse((table,), recipe.losses, f"compress {i}")
    for table in recipe.losses:
        _built("losses", {key: value for key, value in table.items() if key not in recipes.TIMING})
    if recipe.tune and ":" not in repr(recipe.model_dump()):
        search_space.of(recipe, "edgekd.toml")


@harness(_mutate.of_words, most=512)
def settings(data: bytes) -> None:
    """``--set``, a line each."""
    table = copy.deepcopy(TABLE)
    for line in data.replace(b"\0", b"").splitlines()[:8]:
        recipes._apply(table, os.fsdecode(line))
    recipes.parse(table, "digits.toml")


@harness(_mutate.of_words)
def target_toml(data: bytes) -> None:
    """A target, and what it asks of its runtimes."""
    path = room("target") / "mine.toml"
    path.write_bytes(data)
    found = target.parse(path)
    for kind, options in ((found.backend, found.options), *found.also.items()):
        allowed.check(kind, options, "mine.toml", TargetError)
    assert found.dense.name and (found.quantized is None or found.quantized.quantized)


@harness(_mutate.of_json)
def preprocessing(data: bytes) -> None:
    """Ops as a manifest writes them down, and samples of every kind on their way through."""
    ops = preprocess.resolved(reader.read(data, list[dict[str, object]], "ops"), lambda name: VOCABULARY)
    preprocess.to_json(ops)
    for sample in SAMPLES:
        if preprocess.largest(ops, sample.shape[1:]) > 100_000:
            continue
        try:
            inputs = preprocess.apply(ops, sample)
        except EdgekdError:
            continue
        assert all(len(array) == len(sample) for array in inputs.values())


@harness(_mutate.of_words)
def journal(data: bytes) -> None:
    """The file of a search that several may write to."""
    path = room("journal") / "tune.log"
    path.write_bytes(data)
    study.open_storage(str(path))
