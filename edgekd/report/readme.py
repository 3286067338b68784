"""The bundle's README.md, a model card: what this folder is, for whoever finds it in an app or on a hub."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from edgekd.decide.doubts import resolution
from edgekd.document.report import Report, Stage, Target, as_judged
from edgekd.report import text, view
from edgekd.report.markdown import Markdown, code, joined
from edgekd.report.page import render
from edgekd.tasks import PLUGIN, Task, path_of

Table = Mapping[str, Any]  # of a recipe, as a bundle tells it
Classes = Mapping[str, type[Task]]  # by output
# Languages and their line, by the file that must be among the examples.
PROGRAMS = {
    "python/predict.py": ("Python", "`pip install {packages} onnxruntime`, `python examples/python/predict.py`"),
    "python/predict_openvino.py": (
        "Python, OpenVINO",
        "`pip install {packages} openvino`, `python examples/python/predict_openvino.py`",
    ),
    "cpp/CMakeLists.txt": (
        "C++",
        "`cmake -S examples/cpp -B ../build {flags} && cmake --build ../build`, then `../build/{program} .`",
    ),
    "node/predict.mjs": ("Node", "`npm install --prefix .. onnxruntime-node`, `node examples/node/predict.mjs`"),
    "web/index.html": (
        "a web page",
        "in a copy of this folder put two files of npm's onnxruntime-web into `examples/web/ort/` (the page's first "
        "lines name them), then `python -m http.server` there, and open `/examples/web/`",
    ),
}


def readme(
    report: Report,
    kind: str,
    shape: str,
    labels: Mapping[str, Sequence[str]],
    examples: Collection[str],
    tasks: Mapping[str, Task] = MappingProxyType({}),
    packages: Sequence[str] = ("numpy",),
) -> str:
    """The page of a report whose every target ships something.

    Args:
        kind: of a raw sample, as ``examples.About`` has it.
        shape: of a raw sample, in words.
        labels: class names by head.
        examples: the names of the files below ``examples/``.
        tasks: of the outputs, where they are known: a report does not tell the class of a user's own.
        packages: what the Python programs import beside their runtime, as pip names it.
    """
    classes = {head: type(task) for head, task in tasks.items()}
    metric = text.MetricText.of(report)
    teacher = next(stage for stage in report["stages"] if stage["name"] == "teacher")
    recipe: Table = (report.get("details") or {}).get("recipe") or {}
    return render(
        "card.md",
        head=_head(report, recipe, kind, classes),
        name=report["name"],
        description=_sentence(str(recipe.get("description") or f"A student for {report['task'].removeprefix(PLUGIN)}")),
        shippable=report["shippable"],
        runtimes=" and ".join(
            dict.fromkeys(_runtime(target).partition("-")[0] for target in report["targets"].values())
        ),
        metric=report["metric"],
        teacher=_teacher(teacher, recipe, metric),
        student={"what": _model(recipe.get("student"))},
        baseline=view.plain((report.get("details") or {}).get("baseline"), metric),
        losses=", ".join(dict.fromkeys(loss["kind"] for loss in recipe.get("losses", ()))) or "the labels alone",
        passes=", ".join(change["kind"] for change in recipe.get("compress", ())),
        data=_data(report, recipe),
        sizes=report["split_sizes"],
        cpu=report["host"].get("cpu") or "an unnamed CPU",
        asks=shape,
        answers=_answers(report, labels, classes),
        rows=_rows(report, teacher, metric),
        plugins=_plugins(tasks.values()),
        asking=list(map(Markdown, text.asking(report, classes))),
        sample="examples/sample.txt" if kind == "text" else "examples/sample.bin",
        programs=_programs(examples, packages),
        limits=_limits(report, classes),
    )


def _runtime(target: Target) -> str:
    """The runtime as it calls itself; every build tells it."""
    return target.get("runtime") or "an unnamed runtime"


def _rows(report: Report, teacher: Stage, metric: text.MetricText) -> list[dict[str, str]]:
    rows, all_of_it = [], report["split_sizes"]["test"]
    for name, target in report["targets"].items():
        if (ships := view.shipped_of(target)) is not None:
            p50, value = ships["latency_ms"]["p50"], metric.value(ships["value_test"])
            counted = ships.get("scored", {}).get("test", all_of_it)
            ran = _run(target.get("batch", 1), target.get("threads", 1))
            rows.append(
                {
                    "target": name,
                    "ships": ships["name"],
                    "size": text.size(ships["size_bytes"]),
                    "value": value if counted == all_of_it else f"{value} (of {counted:,})",
                    "gap": metric.against(ships["value_test"], as_judged(target, teacher)["value_test"], "it"),
                    "p50": ", ".join(filter(None, (text.milliseconds(p50), ran, text.of_tokens(target, p50)))),
                }
            )
    return rows


def _run(batch: int, threads: int) -> str:
    """``a batch of 8, 4 threads``: what is not one sample on one thread."""
    samples = f"a batch of {batch}" if batch > 1 else ""
    cores = "" if threads == 1 else f"{threads} threads" if threads else "all cores"
    return ", ".join(filter(None, (samples, cores)))


def _teacher(stage: Stage, recipe: Table, metric: text.MetricText) -> dict[str, str]:
    return {
        "what": _model(recipe.get("teacher")),
        "params": text.params(stage["params"]),
        "size": text.size(stage["size_bytes"] or None),
        "value": metric.value(stage["value_test"]),
    }


def _model(table: Table | None) -> str:
    """``convnet (width 128, strides [1, 1, 2])``."""
    if not table or not table.get("model"):
        return "made of its teacher" if table and "from_teacher" in table else "a network of the user's own"
    keys = ", ".join(f"{key} {value}" for key, value in table["model"].items() if key != "kind")
    return f"{table['model']['kind']} ({keys})" if keys else str(table["model"]["kind"])


def _data(report: Report, recipe: Table) -> str:
    sizes, data = report["split_sizes"], recipe.get("data") or {}
    source = str(data.get("source") or "the user's own")
    name = f"{source}, {data['path']}" if data.get("path") else source
    return f"{name}: {sizes['train']:,} training, {sizes['validation']:,} validation and {sizes['test']:,} test samples"


def _plugins(tasks: Iterable[Task]) -> Markdown:
    """The argument of ``load`` by which an app names the classes of its user's own tasks; nothing where it has none."""
    paths = list(dict.fromkeys(path for task in tasks if (path := path_of(task)) is not None))
    return Markdown(f", plugins={json.dumps(paths)}" if paths else "")


def _answers(report: Report, labels: Mapping[str, Sequence[str]], classes: Classes) -> Markdown:
    tasks, answers = text.tasks_of(report, classes), []
    for head, names in labels.items():
        shown = ", ".join(map(str, names[:12])) + (", ..." if len(names) > 12 else "")
        task = tasks.get(head, tasks.get(""))
        holds = (task.holds if task else "{} numbers").format(f"{len(names):,}")
        answers.append(joined("{}: {} ({})", code(head), holds, shown))
    return Markdown("; ".join(answers))


def _head(report: Report, recipe: Table, kind: str, classes: Classes) -> dict[str, object]:
    """The metadata block that model hubs read (Hugging Face's model card specification)."""
    tasks = text.tasks_of(report, classes)
    pipeline = next((task.hub[kind] for task in tasks.values() if kind in task.hub), "other")
    tags = ["edgekd", "knowledge-distillation", *sorted({c["kind"] for c in recipe.get("compress", ())})]
    tags += sorted({_runtime(target).split()[0] for target in report["targets"].values()})
    data = str((recipe.get("data") or {}).get("source") or "own")
    results = [
        {
            "task": {"type": pipeline},
            "dataset": {"name": data, "type": data, "split": "test"},
            "metrics": [
                {"type": report["metric"], "value": ships["value_test"], "name": f"{report['metric']} ({name})"}
            ],
        }
        for name, target in report["targets"].items()
        if (ships := view.shipped_of(target)) is not None
    ]
    return {
        "library_name": "onnx",
        "pipeline_tag": pipeline,
        "tags": tags,
        "metrics": [report["metric"]],
        "model-index": [{"name": report["name"], "results": results}],
    }


def _sentence(words: str) -> str:
    """With a capital letter and a full stop."""
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith('.') else '.'}"


def _programs(examples: Collection[str], packages: Sequence[str]) -> list[tuple[str, Markdown]]:
    """Each language that there is a program in, and how it is started."""
    has_cpp = any(name.startswith("cpp/predict_") for name in examples)
    there = (about for file, about in PROGRAMS.items() if file in examples and (has_cpp or "cpp/" not in file))
    words = {**_cpp(examples), "packages": " ".join(packages)}
    return [(name, Markdown(line.format(**words))) for name, line in there]


def _cpp(examples: Collection[str]) -> dict[str, str]:
    ort, openvino = "cpp/predict_ort.cpp" in examples, "cpp/predict_openvino.cpp" in examples
    flags = ["-DORT=FOLDER"] * ort + ["-DOpenVINO_DIR=FOLDER"] * openvino
    return {"flags": " ".join(flags), "program": "predict_ort" if ort else "predict_openvino"}


def _resolution(report: Report) -> str | None:
    """What a test split of so many samples can't tell apart, where that is half a point or more."""
    files = [c for target in report["targets"].values() for c in target["candidates"]]
    values, whole = [c["value_test"] for c in files], report["split_sizes"]["test"]
    if report["metric"] not in ("accuracy", "agreement", "hit_rate") or not values:
        return None
    count = min(c.get("scored", {}).get("test", whole) for c in files)
    points = 100 * resolution(min(max(values), 1.0), count)
    if points < 0.5:
        return None
    about = f"{points:.0f} points" if points >= 1.5 else f"{points:.1f} points"
    return f"A test split of {count:,} can't tell differences below about {about} apart."


def _limits(report: Report, classes: Classes) -> list[str]:
    """What the figures do not say, in words."""
    sizes = report["split_sizes"]
    of_tasks = dict.fromkeys(limit for task in text.tasks_of(report, classes).values() for limit in task.limits)
    limits = [
        f"The figures are those of one test split of {sizes['test']:,} samples from the same source as the training's. "
        "On other cameras, texts or users it was not measured.",
        *of_tasks,
        "Latencies are those of one machine; another CPU or runtime version has others.",
    ]
    if (limit := _resolution(report)) is not None:
        limits.append(limit)
    if any(target["shipped"] and "int8" in target["shipped"] for target in report["targets"].values()):
        rounding = (
            "int8 rounds: on a few samples it answers otherwise than its float form; `report.html` says how many."
        )
        limits.append(Markdown(rounding))
    notes = (report.get("details") or {}).get("notes", ())
    return [*limits, *map(_sentence, notes)]
