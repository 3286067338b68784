"""Tests mirror the folders: every module has a test file of its own name, or a row here that says who tests it.

Plugins are tested by ``tests/conformance/``, which finds each by its file; what a family shares (``_grid.py``) is a
module like others.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.base.closure import closure, needs
from edgekd.base.plugins import FAMILIES

TESTS = Path(__file__).parent
ROOT = TESTS.parent / "edgekd"
PLUGINS = [name.removeprefix("edgekd.").replace(".", "/") for name in FAMILIES.values()] + ["publish/examples"]
# A row: the test file, and why the module has none of its own name. What the file imports runs the module.
TESTED_ELSEWHERE = {
    "analysis/loss_ablation.py": "tests/analysis/test_student_analysis.py: one build with --explain is held for both",
    "api/tuning.py": "tests/tune/test_search.py: the search behind it; what is its own is tested with the command's",
    "api/watched.py": "tests/api/test_building.py: whom a call tells",
    "base/arrays.py": "tests/base/test_preprocess.py: a name for arrays of any type, and no more",
    "base/aside.py": "tests/attacks/test_writing.py: faults at every call",
    "base/child.py": "tests/attacks/test_hostile_models.py: children that go mad",
    "base/child_limits.py": "tests/attacks/test_hostile_models.py: what a child may take",
    "base/confined.py": "tests/attacks/test_hostile_models.py: the child's own side",
    "base/door.py": "tests/attacks/test_files.py: what may lie in a file's place",
    "base/marks.py": "tests/report/test_overlays.py: what answers mark, drawn; tests/conformance/test_tasks.py",
    "base/plugins.py": "tests/whole/test_own_plugins.py: a user's own package",
    "base/reader.py": "tests/attacks/test_reader.py: a door of strangers, with its attacks",
    "build/distil.py": "tests/build/test_ensemble.py: students of one teacher, of several, of generations",
    "build/fit.py": "tests/whole/test_build.py: a step that trains",
    "build/lineage.py": "tests/attacks/test_cache.py: what a stranger's student may say it was made of",
    "build/parsed_recipe.py": "tests/build/test_ensemble.py: tables by head; test_compression.py has the passes",
    "build/plan_rows.py": "tests/whole/test_build.py: a dry run",
    "build/prepare.py": "tests/build/test_rehearsal.py: objects and recipes are prepared there in every form",
    "build/run.py": "tests/whole/test_build.py: the story itself",
    "build/set_up.py": "tests/build/test_rehearsal.py: objects and recipes are prepared there in every form",
    "build/structure.py": "tests/whole/test_build.py: a step that prunes",
    "build/teach.py": "tests/build/test_ensemble.py: a step that trains",
    "build/torch_reference.py": "tests/build/test_ensemble.py: answers by head",
    "build/trained.py": "tests/attacks/test_cache.py: what comes back from a damaged cache",
    "build/workspace.py": "tests/build/test_teacher_check.py: it is held by every step",
    "cli/commands.py": "tests/whole/test_mistakes.py: every command, and what users get wrong",
    "cli/inspection.py": "tests/attacks/test_hostile_models.py: the child of edgekd inspect",
    "cli/json_schema.py": "tests/cli/test_schema.py: the walker behind every document",
    "cli/kernel_tables.py": "tests/cli/test_inspection_kernels.py: the tables of the command's one document",
    "cli/options.py": "tests/whole/test_mistakes.py: every command, and what users get wrong",
    "learn/losses/_known.py": "tests/conformance/test_losses.py: labels of which some are not known",
    "learn/models/_maps.py": "tests/conformance/test_models.py: networks of maps and of points",
    "learn/optimizer.py": "tests/learn/test_train.py: what a training steps by",
    "learn/probabilities.py": "tests/learn/test_nets.py: networks that end in a softmax, or a sigmoid",
    "metrics/_columns.py": "tests/conformance/test_metrics.py: metrics of values",
    "metrics/_decided.py": "tests/conformance/test_metrics.py: metrics of labels",
    "spec/knob.py": "tests/spec/test_recipe.py: [tune] of a recipe",
    "spec/abstain.py": "tests/build/test_thresholds.py: [abstain] of a recipe",
    "document/thresholds.py": "tests/runtime/test_thresholds.py: tables, held where a manifest is read",
    "publish/coverage.py": "tests/build/test_thresholds.py: one build is held for both",
    "tasks/_certainty.py": "tests/publish/test_examples.py: when each language and the task itself are sure",
    "tasks/_class_distance.py": "tests/decide/test_class_distance.py: with the parameters that are fitted",
    "tasks/_bio.py": "tests/tasks/test_tagging.py: the order of tags; tests/metrics/test_span_f1.py: spans of numbers",
    "learn/bert_heads.py": "tests/learn/models/test_tagger.py: the family's network",
    "tasks/_classes.py": "tests/learn/data/test_classes.py: the same rule in every source",
    "tasks/_make.py": "tests/conformance/test_tasks.py: from a table and back",
    "tasks/_alarms.py": "tests/tasks/test_anomaly.py: one score a sample; tests/tasks/test_anomaly_map.py: one a pixel",
    "tasks/_masks.py": "tests/tasks/test_segmentation.py: classes of pixels; tests/tasks/test_anomaly_map.py: scores",
    "tasks/_own.py": "tests/whole/test_own_task.py: a user's own task, its mistakes, and a bundle without its class",
    "learn/losses/_pairs.py": "tests/learn/losses/test_formulas.py: losses on pairs and on triplets",
    "tasks/_pairs.py": "tests/conformance/test_tasks.py: labels of pairs and of triplets",
    "tasks/_vectors.py": "tests/conformance/test_tasks.py: tasks of vectors",
    "tasks/_rows.py": "tests/conformance/test_tasks.py: labels that are rows",
    "tasks/_predictions.py": "tests/conformance/test_tasks.py: what each task decodes to",
    **dict.fromkeys(
        [
            f"compress/_channels/{name}.py"
            for name in ("asking", "cells", "failures", "network", "norms", "rules", "traced", "units", "views")
        ]
        + [
            f"compress/_channels/{name}.py"
            for name in ("attention", "neighbours", "resized", "statistics", "surgery", "tracing")
        ],
        "tests/compress/_channels/test_pruning.py: networks that do each thing to their channels",
    ),
    "compress/_annotator.py": "tests/compress/test_int8_qat.py: which layers are quantized shows in the file",
    "compress/_bias.py": "tests/compress/test_int8_qat.py: the answers before and after",
    "compress/_importance.py": "tests/compress/test_channel_prune.py: one network serves the groups and their worth",
    "compress/_latency.py": "tests/compress/test_channel_prune.py: the same network by a made clock",
    "compress/_prepared.py": "tests/compress/test_int8_qat.py: networks in training, as copied and as exported",
    "compress/_sensitivity.py": "tests/compress/test_int8_qat.py: layers that stay in float",
    "document/apart.py": "tests/report/test_pictures.py: a table without rules of its own",
    **dict.fromkeys(
        [f"document/{name}.py" for name in ("bench", "candidate", "details", "machine", "mixed", "tune")],
        "tests/attacks/test_reader.py: shapes alone, and each is read there",
    ),
    "document/commands.py": "tests/runtime/test_manifest.py: shapes alone; what verify's child answers is read as one",
    "document/cache.py": "tests/attacks/test_reports.py: shapes alone",
    "document/decisions.py": "tests/attacks/test_reports.py: shapes alone",
    "document/kernel.py": "tests/decide/test_fallbacks.py: kernels made up",
    "cli/building.py": "tests/cli/test_launching.py: what the command does, in one process and in two",
    "document/kernel_costs.py": "tests/cli/test_inspection_kernels.py: a shape alone; what the command prints is read",
    "document/manifest.py": "tests/cli/test_schema.py: a shape alone; a bundle's manifest is held against it",
    "document/reply.py": "tests/attacks/test_device_replies.py: whatever a device answers",
    "document/samples.py": "tests/attacks/test_reports.py: a shape alone",
    "learn/terms.py": "tests/learn/test_objective.py: the losses of a recipe, of one head and of several",
    "learn/divergence.py": "tests/learn/test_train.py: trainings that end with its errors",
    "learn/global_batch.py": "tests/learn/test_ranks.py: two processes beside one, for every buffer and gradient",
    "learn/data/_archive.py": "tests/attacks/test_data.py: bombs and damaged members",
    "learn/data/_batches.py": "tests/learn/data/test_sources.py: objects in every form",
    "learn/data/_checks.py": "tests/learn/data/test_classes.py: what no class can be learned from",
    "learn/data/_clips.py": "tests/learn/data/test_audio.py: the source that reads them",
    "learn/data/_encoded.py": "tests/learn/data/test_folders.py: pictures as a person sees them",
    "learn/data/_tokenizer.py": "tests/learn/data/test_vocabulary.py: learned ones are written and read again",
    "learn/data/_inputs.py": "tests/learn/test_calls.py: with networks that read them",
    "learn/data/_texts.py": "tests/learn/data/test_arrow.py: the source that reads them",
    "learn/data/_unpacked.py": "tests/learn/data/test_left_masks.py: masks in a file; test_arrow.py: Parquet's values",
    "learn/data/_pictures.py": "tests/learn/data/test_lazy.py: decoded together and later",
    "learn/data/_points.py": "tests/learn/data/test_masks.py: labels of places, masks and points",
    "learn/data/_table_labels.py": "tests/learn/data/test_table.py: labels of every task, and the split of a row",
    "learn/data/_shards.py": "tests/learn/data/test_webdataset.py: the source that reads them",
    "learn/data/_worker.py": "tests/learn/data/test_decoding.py: both sides of the pipe",
    "learn/foreign.py": "tests/teachers/test_onnx.py: a network that another program runs",
    "learn/frozen.py": "tests/learn/models/test_transformers.py: a new head over a body of a folder",
    "learn/readers.py": "tests/learn/test_calls.py: networks asked what they take",
    "learn/losses/_features.py": "tests/learn/losses/test_formulas.py: inside every loss on layers",
    "lower/lower.py": "tests/lower/test_column.py: the file behind the passes",
    "pipeline.py": "tests/whole/test_build.py: the story itself",
    "publish/again.py": "tests/attacks/test_exchange.py: beside builds that put another bundle there",
    "publish/pages.py": "tests/whole/test_build.py: the files of a bundle",
    "publish/facts.py": "tests/whole/test_build.py: the files of a bundle",
    "publish/record.py": "tests/whole/test_build.py: the files of a bundle",
    "publish/stages.py": "tests/build/test_ensemble.py: what teachers and students are worth",
    "publish/sign.py": "tests/attacks/test_signatures.py: held against the reference program",
    "report/attribution.py": "tests/analysis/test_attribution.py: rows and the picture of them, from one document",
    "report/commands.py": "tests/report/test_page.py: what the page says",
    "report/devices.py": "tests/attacks/test_templates.py: whatever a device is called",
    "report/figures.py": "tests/report/test_page.py: what the page says",
    "report/raster.py": "tests/report/test_pictures.py: pictures on a page; tests/report/test_overlays.py",
    "report/student_analysis.py": "tests/analysis/test_student_analysis.py: what the page says of it",
    "report/readme.py": "tests/whole/test_notes.py: the card",
    "report/tuned.py": "tests/tune/test_search.py: the page of a search",
    "report/view.py": "tests/report/test_page.py: what the page says",
    "runtime/agent.py": "tests/runtime/test_devices.py: it runs on the other machine alone",
    "runtime/backend.py": "tests/conformance/test_backends.py: what every backend keeps",
    "runtime/bundle.py": "tests/runtime/test_manifest.py: written, read and replayed",
    "runtime/claims.py": "tests/attacks/test_claims.py: a door of strangers, with its attacks",
    "runtime/cold.py": "tests/runtime/test_bench_bundle.py: one measurement for all its figures",
    "runtime/compare.py": "tests/runtime/test_bench_bundle.py: the same small bundle",
    "runtime/contents.py": "tests/runtime/test_manifest.py: written, read and replayed",
    "runtime/devices/_find.py": "tests/conformance/test_devices.py: every device is found by it",
    "runtime/inside.py": "tests/attacks/test_hostile_models.py: the child of edgekd inspect",
    "runtime/kept.py": "tests/attacks/test_reports.py: odd ones are dropped",
    "runtime/local.py": "tests/runtime/test_bench_bundle.py: one measurement for all its figures",
    "runtime/look.py": "tests/attacks/test_models.py: a door of strangers, with its attacks",
    "runtime/look_numbers.py": "tests/attacks/test_models.py: a door of strangers, with its attacks",
    "runtime/look_ir.py": "tests/attacks/test_hostile_models.py: a door of strangers, with its attacks",
    "runtime/measurer.py": "tests/runtime/test_shared_folder.py: both ends of the folder",
    "runtime/model.py": "tests/base/test_samples.py: raw samples as predict takes them",
    "runtime/opening.py": "tests/attacks/test_bundle_errors.py: whose fault it is",
    "runtime/remote.py": "tests/runtime/test_devices.py: a real machine at the other end",
    "runtime/replay.py": "tests/attacks/test_claims.py: a door of strangers, with its attacks",
    "runtime/runners.py": "tests/build/test_measure.py: kernels by runner",
    "runtime/signature.py": "tests/attacks/test_signatures.py: held against the reference program",
    "runtime/verify.py": "tests/runtime/test_manifest.py: what is replayed of a bundle",
    "spec/mixed.py": "tests/compress/test_mixed.py: numerics of files with parts in float",
    "teachers/_given.py": "tests/teachers/test_callable.py: what a function gives, and what is kept of it",
    "teachers/_journal.py": "tests/teachers/test_callable.py: what is kept over kills",
    **dict.fromkeys(
        [f"teachers/_{name}.py" for name in ("best", "classes", "columns", "forms", "matching", "parquet")],
        "tests/teachers/test_recorded.py: every form of file and of answer, read as one kind",
    ),
    "teachers/_runtime.py": "tests/teachers/test_onnx.py: a file as a network",
    "tune/away.py": "tests/tune/test_study.py: a database that is locked",
    "tune/outcome.py": "tests/tune/test_search.py: what a search leaves behind",
    "tune/trial.py": "tests/tune/test_search.py: its training is replaced by arithmetic there",
}


def own_test(module: str) -> str:
    """Where a module's own test stands: ``compress/_grid.py`` -> ``tests/compress/test_grid.py``."""
    path = Path(module)
    return (Path("tests") / path.parent / f"test_{path.stem.lstrip('_')}.py").as_posix()


def is_plugin(module: str) -> bool:
    """Whether a conformance suite finds a file by itself; a family's ``_base.py`` is what its suite tests."""
    inside = [module.removeprefix(f"{family}/") for family in PLUGINS if module.startswith(f"{family}/")]
    return any(not name.startswith("_") or name == "_base.py" for name in inside)


def untested(root: Path, tests: Path, rows: dict[str, str]) -> list[str]:
    """What is wrong with the tests of a package: modules without one, and rows that say nothing (any more)."""
    modules = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.py")) if "__" not in path.name]
    modules = [name for name in modules if not is_plugin(name)]
    wrong = [f"{name}: no row, and no {own_test(name)}" for name in modules if name not in rows]
    wrong = [line for line in wrong if not (tests.parent / line.rpartition(" ")[2]).is_file()]
    for name, row in rows.items():
        if name not in modules:
            wrong.append(f"{name}: a row for no module")
        elif (tests.parent / own_test(name)).is_file():
            wrong.append(f"{name}: has {own_test(name)} by now, and needs no row")
        elif not (tests.parent / row.partition(": ")[0]).is_file():
            wrong.append(f"{name}: no such test: {row}")
    return wrong


def test_every_module_has_a_test_of_its_name_or_a_row() -> None:
    assert untested(ROOT, TESTS, TESTED_ELSEWHERE) == []


def test_rows_are_the_exception() -> None:
    modules = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if "__" not in path.name]
    assert len(TESTED_ELSEWHERE) < 0.45 * len([name for name in modules if not is_plugin(name)])


@pytest.mark.parametrize("module", TESTED_ELSEWHERE)
def test_what_a_row_names_runs_the_module(module: str) -> None:
    test = TESTS.parent / TESTED_ELSEWHERE[module].partition(": ")[0]
    names = [name.split(".")[1:] for name in needs(test)]
    folders = ["/".join(name[:-1]) for name in names if name[-1:] == ["*"]]  # the family of a plugin that it builds
    paths = ["/".join(part) for name in names for part in (name, name[:-1]) if part]
    files = [file for path in paths for file in (f"{path}.py", f"{path}/__init__.py")]
    text = test.read_text()
    whole = any(call in text for call in ("edgekd.build(", "cli.run(", "edgekd.load("))
    runs = whole or ROOT / module in closure([*folders, *filter(lambda file: (ROOT / file).is_file(), files)])
    named = module.removesuffix(".py").replace("/", ".") in text
    assert runs or named, f"{test} neither imports nor names it"


def test_the_law_sees_what_is_missing_and_what_is_stale(tmp_path: Path) -> None:
    package, tests = tmp_path / "edgekd", tmp_path / "tests"
    for place in ("edgekd/base/a.py", "edgekd/base/_b.py", "edgekd/learn/losses/mine.py", "tests/base/test_b.py"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    assert untested(package, tests, {}) == ["base/a.py: no row, and no tests/base/test_a.py"]
    assert untested(package, tests, {"base/a.py": "tests/base/test_b.py: together"}) == []
    rows = {"base/a.py": "tests/gone.py: x", **dict.fromkeys(("base/_b.py", "base/c.py"), "tests/base/test_b.py: x")}
    assert [line.partition(":")[2].split()[0] for line in untested(package, tests, rows)] == ["no", "has", "a"]
