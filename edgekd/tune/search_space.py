"""Where a search may go: the ``[tune]`` table of a recipe, or a space made from the recipe itself.

A point of the space is ``{dotted key: value}``, as in ``--set``; ``apply`` makes a recipe's table of it. A key of a
whole table (``losses.1``, ``compress.0``) is ``true`` (as it stands), ``false`` (left out) or another table.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError, RecipeError
from edgekd.base.plain import plain
from edgekd.build import compression, step_keys
from edgekd.build.compression import TEACHING_KEYS
from edgekd.build.store import canonical, sha256
from edgekd.document.points import LISTS, acting, is_entry
from edgekd.learn.objective import make_loss
from edgekd.learn.views import Views
from edgekd.spec import recipe as recipes
from edgekd.spec.recipe import SCHEDULE_KEYS, TIMING, Knob, Recipe, Table

Point = Mapping[str, object]
WIDE, DEEP = ("width", "inner"), ("depth", "layers", "expansion", "stem_stride")  # a family's fields that say how large
LARGE = (*WIDE, "depth", "layers", "stages")
SHARES = (0.125, 0.25, 0.375, 0.5, 0.75, 1.0, 1.25)  # of a width
RATIOS = (0.25, 0.5, 0.75)


def of(recipe: Recipe, file: str) -> dict[str, Knob]:
    """The space of a recipe: its own ``[tune]`` where it has one, else the default.

    Raises:
        RecipeError: a key that nothing is called, a value that its place does not allow, or nothing to turn.
    """
    space = dict(recipe.tune) or default(recipe)
    if not space:
        raise RecipeError("nothing to turn", where=f"{file}: tune", allowed="[tune] keys, such as student.epochs")
    if recipe.tune:
        check(recipe, space, file)
    return space


def default(recipe: Recipe) -> dict[str, Knob]:
    """How large the student is, how it is taught, and how it is compressed; around what the recipe says."""
    space: dict[str, Knob] = {}
    if recipe.student.model is not None and recipe.student.checkpoint is None:  # which is of one size
        space |= _sizes(recipe.student.model)
    space |= _teaching(recipe)
    for i, parsed in enumerate(compression.parse(recipe.compress, recipe.losses)):
        space[f"compress.{i}"] = Knob(choices=(True, False))
        change = parsed.whole.change
        if isinstance(ratio := getattr(change, "ratio", None), float):
            space[f"compress.{i}.ratio"] = Knob(choices=tuple(sorted({*RATIOS, ratio})))
        rank = getattr(change, "rank", None)
        if isinstance(rank, int) and not isinstance(rank, bool) and rank > 1:
            space[f"compress.{i}.rank"] = Knob(choices=tuple(sorted({max(1, rank // 2), rank, rank * 2})))
        elif isinstance(rank, float) and 0 < rank < 1:
            space[f"compress.{i}.rank"] = Knob(choices=tuple(sorted({*RATIOS, rank})))
    return {key: knob for key, knob in space.items() if knob.choices is None or len(knob.choices) > 1}


def _sizes(model: Table) -> dict[str, Knob]:
    """Fields of the model's family that say how wide or deep it is, and the values that the family takes."""
    built = plugins.build("models", model, "student.model")
    knobs: dict[str, Knob] = {}
    for field in dataclasses.fields(built):
        now = getattr(built, field.name)
        if field.name == "strides" and now:
            knobs |= _strides(model, list(now))
        if isinstance(now, bool) or not isinstance(now, int | float) or now <= 0:
            continue
        tried: set[int | float] = {now}
        if field.name in WIDE and isinstance(now, int):
            unit = 8 if now >= 32 else 4 if now >= 8 else 1
            tried |= {max(unit, round(now * share / unit) * unit) for share in SHARES}
        elif field.name in WIDE:
            tried |= {round(now * share, 3) for share in SHARES}
        elif field.name in DEEP and isinstance(now, int):
            tried |= set(range(max(1, now // 2), now + 2))
        fits = tuple(value for value in sorted(tried) if _builds({**model, field.name: value}))
        if len(fits) > 1:
            knobs[f"student.model.{field.name}"] = Knob(choices=fits)
    return knobs


def _strides(model: Table, now: list[int]) -> dict[str, Knob]:
    """Shrinking earlier costs less: the same strides with the large ones in front, and one more in front."""
    tried = [now, sorted(now, reverse=True), [max(2, now[0]), *now[1:]]]
    fits = [value for i, value in enumerate(tried) if value not in tried[:i] and _builds({**model, "strides": value})]
    return {"student.model.strides": Knob(choices=tuple(fits))} if len(fits) > 1 else {}


def _builds(model: Table) -> bool:
    try:
        plugins.build("models", model, "student.model")
    except EdgekdError:
        return False
    return True


def _teaching(recipe: Recipe) -> dict[str, Knob]:
    """Weights and temperatures; leaving single losses out (not the first that hears the teacher); adding one."""
    knobs: dict[str, Knob] = {}
    classes = [plugins.load("losses", table["kind"], f"losses[{i}].kind") for i, table in enumerate(recipe.losses)]
    first = next((i for i, cls in enumerate(classes) if "labels" not in cls.needs), 0)
    for i, (table, cls) in enumerate(zip(recipe.losses, classes, strict=True)):
        if i != first:
            knobs[f"losses.{i}"] = Knob(choices=(True, False))
        if len(recipe.losses) > 1:
            knobs[f"losses.{i}.weight"] = _around(table.get("weight", 1.0), 4)
        fields = {field.name: field.default for field in dataclasses.fields(cls)}
        if "temperature" in fields:
            knobs[f"losses.{i}.temperature"] = _around(table.get("temperature", fields["temperature"]), 3)
    kinds = {table["kind"] for table in recipe.losses}
    if not (recipe.data.heads or recipe.heads) and kinds & {"kl", "cross_entropy"}:
        labelled = any("labels" in cls.needs for cls in classes)
        more = [kind for kind in ("dist", *(["decoupled_kl"] if labelled else [])) if kind not in kinds]
        choices = (False, *({"kind": kind, "weight": 0.5} for kind in more))
        knobs[f"losses.{len(recipe.losses)}"] = Knob(choices=choices)
    return knobs


def _around(value: object, factor: float) -> Knob:
    """From ``value / factor`` to ``value x factor``, but above 100 no further than ``value``; of 0, and of what is no
    number, only that."""
    if not isinstance(value, int | float) or value <= 0:
        return Knob(choices=(value,))
    return Knob(low=tidy(value / factor), high=tidy(max(min(value * factor, 100.0), float(value))), log=True)


def tidy(value: object) -> Any:
    """A number that a person would write: three significant digits."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def table_of(recipe: Recipe) -> Table:
    """The recipe as its author would write it: only what was given. TOML knows no null, so none is in it."""
    return _without_nulls(recipe.model_dump(exclude_unset=True))


def _without_nulls(value: object) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list | tuple) else value


def apply(table: Table, point: Point) -> Table:
    """A recipe's table at a point of the space; the given one stays as it is.

    Places in lists count as in the given table, whatever else is left out. What a left out table, or a plugin of
    another kind, does not have is not set.
    """
    applied = copy.deepcopy(table)
    whole = {key: value for key, value in point.items() if is_entry(key)}
    gone: dict[str, set[int]] = {name: set() for name in LISTS}
    for key, value in sorted(whole.items()):
        name, number = key.split(".")
        entries, at = applied.setdefault(name, []), int(number)
        if at == len(entries):
            entries.append({})
        if isinstance(value, Mapping):
            entries[at] = copy.deepcopy(dict(value))
        elif value is False:
            gone[name].add(at)
    rest = {key: value for key, value in point.items() if key not in whole}
    for key, value in sorted(rest.items(), key=lambda item: not item[0].endswith(".kind")):
        name, *parts = key.split(".")
        if name in LISTS and int(parts[0]) in gone[name]:
            continue
        _set(applied, key, value)
    for name, numbers in gone.items():
        if numbers:
            applied[name] = [entry for i, entry in enumerate(applied[name]) if i not in numbers]
    return applied


def _set(table: Table, key: str, value: Any) -> None:
    parts = key.split(".")
    place: Any = table
    for part in parts[:-1]:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    leaf, family = parts[-1], _family(parts[:-1])
    if family is not None and "kind" in place:
        if leaf == "kind":
            known = _fields(family, value, key)
            for old in [old for old in place if old not in known]:
                del place[old]
        elif leaf not in _fields(family, place["kind"], key):
            return
    if leaf not in place and value == _value_at(table, key):
        return  # what it is anyway need not be written: equal recipes look alike
    place[leaf] = value


def _family(parts: list[str]) -> str | None:
    if parts[0] in LISTS and len(parts) == 2:
        return parts[0]  # a list is called as the family of its tables
    return "models" if parts == ["student", "model"] else None


def _fields(family: str, kind: str, where: str) -> set[str]:
    """Every key that a recipe's table of a plugin may have."""
    fields = {field.name for field in dataclasses.fields(plugins.load(family, kind, where)) if field.init}
    more = {"losses": set(TIMING), "compress": {*SCHEDULE_KEYS, *TEACHING_KEYS}}.get(family, set())
    return {"kind", *fields, *more}


def keys(recipe: Recipe) -> Iterator[str]:
    """Every key that may be turned. Data and teacher are given: they are what a student is measured by."""
    yield from (f"student.{name}" for name in (*sorted(SCHEDULE_KEYS), "generations"))
    yield from (f"augment.{name}" for name in type(recipe.augment).model_fields)
    if recipe.student.model is not None:
        model = recipe.student.model
        yield from (f"student.model.{name}" for name in sorted(_fields("models", model["kind"], "student.model.kind")))
    for name in LISTS:
        tables = getattr(recipe, name)
        for i, table in enumerate(tables):
            yield f"{name}.{i}"
            fields = _fields(name, table["kind"], f"{name}[{i}].kind")
            by_kind = recipe.tune.get(f"{name}.{i}.kind")
            for knob in (by_kind, recipe.tune.get(f"{name}.{i}")):
                for choice in (knob.choices or ()) if knob else ():
                    kind = choice.get("kind") if isinstance(choice, Mapping) else choice if knob is by_kind else None
                    fields |= _fields(name, kind, f"tune.{name}.{i}") if isinstance(kind, str) else set()
            yield from (f"{name}.{i}.{field}" for field in sorted(fields))
        yield f"{name}.{len(tables)}"


def check(recipe: Recipe, knobs: Mapping[str, Knob], file: str) -> None:
    """Every key exists, and its place takes each of its values (of a range, the ends)."""
    known, table = set(keys(recipe)), table_of(recipe)
    for key, knob in knobs.items():
        where = f"{file}: tune.{key}"
        if key not in known:
            raise RecipeError("unknown key", where=where, found=key, allowed=known)
        values = knob.choices if knob.choices is not None else (knob.low, knob.high)
        entry = is_entry(key)
        if entry and not all(isinstance(value, bool | Mapping) for value in values):
            raise RecipeError("not a table", where=where, found=values, allowed="true, false, or tables")
        appended = entry and int(key.split(".")[1]) == len(getattr(recipe, key.split(".")[0]))
        if appended and any(value is True for value in values):
            raise RecipeError("nothing stands there", where=where, found=True, allowed="false, or tables")
        for value in values if not entry else [value for value in values if isinstance(value, Mapping)]:
            try:
                _check_one(apply(table, {key: value}), key)
            except RecipeError as err:
                raise RecipeError(str(err), where=where) from err


def _check_one(table: Table, key: str) -> None:
    recipe, (name, *parts) = recipes.parse(table, "recipe"), key.split(".")
    if name == "losses":
        make_loss(recipe.losses[int(parts[0])], f"losses[{parts[0]}]")
    elif name == "compress":
        compression.parse(recipe.compress, recipe.losses)
    elif name == "augment":
        Views.of(recipe.augment, recipe.seed)
    elif key.startswith("student.model.") and recipe.student.model is not None:
        plugins.build("models", recipe.student.model, "student.model")


def current(recipe: Recipe, knobs: Mapping[str, Knob]) -> dict[str, Any]:
    """Where the recipe itself stands, for the knobs that hold it."""
    table, point = table_of(recipe), {}
    for key, knob in knobs.items():
        if is_entry(key):
            name, number = key.split(".")
            value: object = int(number) < len(table.get(name, []))
        else:
            value = _value_at(table, key)
        if value is not None and holds(knob, value):
            point[key] = value
    return point


def ladder(knobs: Mapping[str, Knob], now: Point, *, up: bool = False) -> list[dict[str, Any]]:
    """Points to begin with: the recipe as it stands but narrower, and that with the strides in front as well.

    ``up``: larger instead, where it is fast and small enough and knows too little: first a step in every dimension at
    once, as networks gain most (compound scaling; Tan and Le 2019, arXiv:1905.11946), then wider alone.
    """
    points: list[dict[str, object]] = []
    if up:
        keys = [key for key in (f"student.model.{name}" for name in LARGE) if key in knobs and key in now]
        steps = {key: rungs[0] for key in keys if (rungs := _rungs(knobs[key], now[key], up))}
        points += [{**now, **steps}] if len(steps) > 1 else []
    early = knobs.get("student.model.strides")
    more: list[dict[str, object]] = [{}]
    if early is not None and early.choices is not None and len(early.choices) > 1 and not up:
        more.append({"student.model.strides": early.choices[1]})
    for key in (f"student.model.{name}" for name in WIDE):
        for value in _rungs(knobs[key], now[key], up) if key in knobs and key in now else []:
            points += [{**now, key: value, **extra} for extra in more]
    return points


def _rungs(knob: Knob, value: Any, up: bool) -> list[Any]:
    """Up to three values of a knob below one, or above it, the nearest first."""
    if knob.choices is not None:
        tried = [v for v in knob.choices if isinstance(v, int | float) and (v > value if up else v < value)]
        return sorted(tried, reverse=not up)[:3]
    shares = (1.25, 1.5, 2.0) if up else (0.75, 0.5, 0.25)
    next_ = [value + 1] if up and whole_numbers(knob) and value < 4 else []  # of a depth a share is no step
    near = dict.fromkeys(_on_grid(knob, v) for v in (*next_, *(value * share for share in shares)))
    return [v for v in near if (v > value if up else v < value) and holds(knob, v)]


def _on_grid(knob: Knob, value: float) -> int | float:
    """The nearest value that a range's steps hit, inside it."""
    low, high = knob.ends
    if knob.step is not None:
        value = low + round((value - low) / knob.step) * knob.step
    value = min(max(value, low), high)
    return round(value) if whole_numbers(knob) else tidy(value)


def _value_at(table: Table, key: str) -> Any:
    parts = key.split(".")
    place: Any = table
    for part in parts[:-1]:
        inner = dict(enumerate(place)) if isinstance(place, list) else place
        place = inner.get(int(part) if isinstance(place, list) else part, {})
    if parts[-1] in place:
        return place[parts[-1]]
    if (family := _family(parts[:-1])) and "kind" in place:
        cls = plugins.load(family, place["kind"], key)
        value = next((f.default for f in dataclasses.fields(cls) if f.name == parts[-1]), None)
        if parts[-1] == "weight" and family == "losses":
            return 1.0
        return None if value is dataclasses.MISSING else list(value) if isinstance(value, tuple) else value
    return getattr(recipes.Schedule(), parts[-1], None) if parts[0] == "student" and len(parts) == 2 else None


def holds(knob: Knob, value: object) -> bool:
    """Whether a knob can be turned to a value."""
    if knob.choices is not None:
        return any(type(value) is type(choice) and value == choice for choice in knob.choices)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = knob.ends
    if not low <= value <= high:
        return False
    steps = (value - low) / knob.step if knob.step is not None else 0
    return abs(steps - round(steps)) < 1e-9


def likeness(recipe: Recipe) -> str:
    """Equal for recipes that train and export the same: what they are called and wish for does not count."""
    table = step_keys.content(recipe)
    for key in ("name", "description", "budget", "targets", "golden"):
        del table[key]
    return sha256(canonical(plain(table)))


def spell(value: object) -> Any:
    """A choice as Optuna takes it: plain values; a table as JSON."""
    return json.dumps(plain(value), sort_keys=True) if isinstance(value, Mapping | list | tuple) else value


def unspell(knob: Knob, value: object) -> Any:
    """The choice that ``spell`` wrote; other numbers tidied."""
    if knob.choices is None:
        return tidy(value)
    return next(choice for choice in knob.choices if type(spell(choice)) is type(value) and spell(choice) == value)


def whole_numbers(knob: Knob) -> bool:
    """Whether a range is one of whole numbers."""
    return all(isinstance(end, int) for end in (knob.low, knob.high)) and not isinstance(knob.step, float)


def words(point: Point) -> str:
    """A point on one line."""
    return "  ".join(f"{re.sub(r'^student.model.', '', key)}={_word(value)}" for key, value in acting(point).items())


def _word(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("kind"))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
