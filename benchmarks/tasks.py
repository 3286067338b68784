"""Recipes of other tasks on real data: is there a gap, does distillation close some of it, and what does int8 lose?

    pip install nncf    # only for this script
    python benchmarks/tasks.py train --data FOLDER --work FOLDER [--seeds 0 1 2] [--recipes ...] [--set KEY=VALUE ...]
    python benchmarks/tasks.py time --data FOLDER --work FOLDER [--recipes ...]

FOLDER of ``--data`` holds the files that ``SOURCES`` names. ``train``: a teacher, a student that learns of labels
alone, and one that is distilled; of the distilled one every int8 file: ours (calibrated, and fine-tuned by the recipe's
``int8_qat``), ONNX Runtime's static quantizer by three methods, its dynamic one, and NNCF. Every file is judged on the
test split, one sample at a time, by the runtime that it is for; differences have paired 95 % intervals over the test
samples (bootstrap). ``time``, on an idle machine: our int8 file against the fastest of the others that loses at most a
hundredth of the value more, and against fp32. What was trained is kept in the cache (``EDGEKD_CACHE``); a file takes as
long whatever its weights are, so ``time`` may be asked with ``--set teacher.epochs=1`` and the like on another machine.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import _common
import _nets
import _peers
import numpy as np
import onnx
from _nets import told
from numpy.typing import NDArray
from onnx import TensorProto

from edgekd.base import bootstrap
from edgekd.build import request as requests
from edgekd.build import run as running
from edgekd.build.evaluation import EvaluationSet, Scores
from edgekd.build.prepare import Objects, prepare
from edgekd.runtime import backend as backends
from edgekd.runtime import bench
from edgekd.runtime.backend import Backend
from edgekd.spec import recipe as recipes
from edgekd.spec import target

TARGETS = ("ort-cpu", "openvino")
EYES = {"left": [36, 37, 38, 39, 40, 41], "right": [42, 43, 44, 45, 46, 47]}
VALIDATED = 4  # people
RESAMPLES = 500
WORTH = 0.01  # of the value, that a file may lose more than ours and still be compared in time
Arrays = dict[str, NDArray[np.generic]]


def scenes(data: Path, work: Path) -> list[str]:
    """Six labels of rows of 294 numbers, by the indices that the archive holds."""
    archive = np.load(data / "scene_multilabel.npz")
    arrays: Arrays = {"label_names": archive["label_names"]}
    for split in ("train", "val", "test"):
        index = archive[f"{split}_idx"]
        arrays |= {f"x_{split}": archive["x"][index], f"y_{split}": archive["y"][index]}
    return [f"data.path={_kept(work / 'scenes.npz', arrays)}"]


def bikes(data: Path, work: Path) -> list[str]:
    """Rentals an hour: the table as it is."""
    return [f"data.path={data / 'bike_hourly.tsv.gz'}"]


def requests_of_people(data: Path, work: Path) -> list[str]:
    """Sentences with a tag a word and an intent."""
    folder = work / "snips"
    folder.mkdir(exist_ok=True)
    for split in ("train", "dev", "test"):
        (folder / f"{split}.tsv").write_bytes(gzip.decompress((data / f"snips_slots_{split}.tsv.gz").read_bytes()))
    return [f"data.path={folder}"]


def pairs(data: Path, work: Path) -> list[str]:
    """Pairs of sentences with what people say of them."""
    return [f"data.path={data}"]


def streets(data: Path, work: Path) -> list[str]:
    """Pictures from a car, and a mask of each."""
    return [f"data.path={data / 'camvid_seg.npz'}"]


def faces(data: Path, work: Path) -> list[str]:
    """Faces with 68 points, measured by the distance between the eyes."""
    eyes = ",".join(f"{side}={points}" for side, points in EYES.items())
    return [f"data.path={data / 'face_points.npz'}", f'metric={{kind="normalised_mean_error",{eyes}}}']


def feelings(data: Path, work: Path) -> list[str]:
    """Comments, each with some of 28 labels."""
    return [f"data.path={data}", "data.prefix=goemotions_"]


def activities(data: Path, work: Path) -> list[str]:
    """Windows of a phone's six sensors; validation on four of the people that are not tested on."""
    archive = np.load(data / "har_imu.npz")
    people, tested = archive["subject"], archive["is_test"]
    held = ~tested & np.isin(people, np.unique(people[~tested])[-VALIDATED:])
    arrays: Arrays = {"class_names": archive["class_names"]}
    order = np.random.default_rng(0).permutation(len(people))  # rows are sorted by recording
    for split, chosen in (("train", ~tested & ~held), ("val", held), ("test", tested)):
        index = order[chosen[order]]
        arrays |= {f"x_{split}": archive["x"][index].astype(np.float32), f"y_{split}": archive["y"][index]}
    return [f"data.path={_kept(work / 'activities.npz', arrays)}"]


# By recipe what its data is made of, and the losses of a student that sees labels alone.
SOURCES: dict[str, tuple[Callable[[Path, Path], list[str]], str]] = {
    "slots-intent": (requests_of_people, '[{kind="cross_entropy"}]'),
    "sentence-vectors": (pairs, '[{kind="similarity_scores"}]'),
    "street-segments": (streets, '[{kind="cross_entropy"},{kind="dice"}]'),
    "face-points": (faces, '[{kind="huber"}]'),
    "emotions": (feelings, '[{kind="binary_cross_entropy"}]'),
    "activity-sensors": (activities, '[{kind="cross_entropy"}]'),
    "scene-labels": (scenes, '[{kind="binary_cross_entropy"}]'),
    "bike-table": (bikes, '[{kind="huber"}]'),
}


def _kept(file: Path, arrays: Arrays) -> Path:
    np.savez(file, allow_pickle=False, **arrays)
    return file


class Judge:
    """The test split of a recipe: the value of scores, of which more is better, and paired intervals."""

    def __init__(self, evaluation: EvaluationSet) -> None:
        self._evaluation = evaluation

    def value(self, scores: Scores) -> float:
        """In the metric's own unit."""
        return self._evaluation.value("test", scores)

    def gain(self, one: Scores, other: Scores) -> dict[str, Any]:
        """How much better one is than another, and its interval over the same resamples."""
        ours, theirs = (self._evaluation.resampled("test", scores) for scores in (one, other))
        drawn = self._evaluation.draws("test", one).first(RESAMPLES)
        differences = [ours(index) - theirs(index) for index in drawn]
        return {
            "gain": self.value(one) - self.value(other),
            "ci95": list(bootstrap.interval(differences)),
        }


def built(
    name: str, seed: int, given: argparse.Namespace, alone: bool, targets: Sequence[str] = TARGETS
) -> tuple[_nets.Net, EvaluationSet]:
    """A recipe's steps, trained and exported, and what they are examined on."""
    make, labels_alone = SOURCES[name]
    settings = [*make(given.data, given.work), f"seed={seed}", f"threads={given.threads}", *given.set]
    settings += [f"losses={labels_alone}"] if alone else []
    table = recipes.load(name, settings)[0].model_dump(mode="json", exclude_unset=True)
    table["compress"] = [] if alone else [{"kind": "int8_ptq"}, *table["compress"]]
    workspace = prepare(requests.make(table, targets, progress=told), Objects())
    trained, outputs = running.train_all(workspace)
    files = running.export_all(workspace, trained)
    return _nets.Net(name, workspace, trained, files), running.evaluation_of(workspace, outputs)


def files_of(net: _nets.Net, runtime: str) -> tuple[dict[str, dict[str, bytes]], dict[str, str]]:
    """Every file of a net for a runtime, ours and others', and why some others made none."""
    chosen = target.load(runtime)
    backend = backends.make(chosen.backend, dict(chosen.options), runtime)
    files = {name: backend.lower(file) for name, file in net.onnx[runtime].items()}
    fp32, feeds, refused = net.onnx[runtime]["fp32"], net.calibration(), dict[str, str]()
    outside: dict[str, Callable[[], dict[str, bytes]]] = {
        f"static {method}": partial(_static, backend, fp32, feeds, method) for method in _peers.CALIBRATIONS
    }
    outside["dynamic"] = partial(_dynamic, backend, fp32, feeds)
    if runtime == "openvino":
        outside["nncf"] = lambda: _peers.nncf_openvino(fp32, feeds)
    else:
        outside["nncf"] = lambda: backend.lower(_peers.nncf_ptq(fp32, feeds))
    for peer, quantize in outside.items():
        try:
            files[peer] = quantize()
            backend.open(files[peer], batch=1)
        except Exception as err:  # noqa: BLE001  # whatever another's program raises
            files.pop(peer, None)
            refused[peer] = f"{type(err).__name__}: {[*str(err).strip().splitlines(), ''][0][:160]}"
    return files, refused


def _static(backend: Backend, fp32: bytes, feeds: _peers.Feeds, method: str) -> dict[str, bytes]:
    return backend.lower(_peers.quantize_static(fp32, feeds, method))


def _dynamic(backend: Backend, fp32: bytes, feeds: _peers.Feeds) -> dict[str, bytes]:
    """Of a network of convolutions the float file comes back as it was."""
    file = _peers.quantize_dynamic(fp32, feeds)
    if not any(tensor.data_type == TensorProto.INT8 for tensor in onnx.load_from_string(file).graph.initializer):
        raise ValueError("it quantizes nothing of this network")
    return backend.lower(file)


def judged(net: _nets.Net, evaluation: EvaluationSet, judge: Judge, runtime: str) -> dict[str, Any]:
    """The value of every file on the test split, and what int8 loses, ours and the best of the others."""
    chosen = target.load(runtime)
    backend = backends.make(chosen.backend, dict(chosen.options), runtime)
    files, refused = files_of(net, runtime)
    answers = {name: evaluation.scores(backend.open(file, batch=1), "test", 1) for name, file in files.items()}
    values = {name: judge.value(scores) for name, scores in answers.items()}
    outside = max((name for name in values if name not in net.onnx[runtime]), key=values.__getitem__)
    return {
        "test": values,
        "bytes": {name: sum(map(len, file.values())) for name, file in files.items()},
        "refused": refused,
        "best_outside": outside,
        "outside_loses": judge.gain(answers["fp32"], answers[outside]),
        "ours_loses": judge.gain(answers["fp32"], answers["int8"]),
        "ours_over_outside": judge.gain(answers["int8"], answers[outside]),
    }


def trained(name: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """One recipe and seed: teacher, student alone and distilled, and the files of the distilled one."""
    net, evaluation = built(name, seed, given, alone=False)
    alone, _ = built(name, seed, given, alone=True)
    judge = Judge(evaluation)
    backend = backends.make("ort", {}, "ort-cpu")
    scores = {
        who: evaluation.scores(backend.open(backend.lower(of.onnx["ort-cpu"]["fp32"]), batch=1), "test", 1)
        for who, of in (("alone", alone), ("distilled", net))
    }
    teacher = evaluation.teacher("test")
    return {
        "metric": str(net.workspace.recipe.metric),
        "test": {"teacher": judge.value(teacher), **{who: judge.value(said) for who, said in scores.items()}},
        "gap": judge.gain(teacher, scores["alone"]),
        "distillation_gains": judge.gain(scores["distilled"], scores["alone"]),
        **{runtime: judged(net, evaluation, judge, runtime) for runtime in TARGETS},
    }


def timed(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Our int8 file of the first seed against fp32 and the fastest of the others that keeps its value."""
    net, evaluation = built(name, given.seeds[0], given, alone=False)
    row = _common.written("tasks")["rows"][f"{name}, seed {given.seeds[0]}"]
    feed, compared = evaluation.first("test", 1), {}
    for runtime in TARGETS:
        files, _ = files_of(net, runtime)
        values = row[runtime]["test"]
        samples, busy = _common.in_turns(target.load(runtime), files, feed, 3, 0.5)
        p50 = {file: float(np.median(taken)) / 1e3 for file, taken in samples.items()}
        least = values["int8"] - WORTH * abs(values["int8"])
        fit = [file for file in files if file not in net.onnx[runtime] and values[file] >= least] or ["fp32"]
        best = min(fit, key=p50.__getitem__)
        ratios = {over: bench.ratio_ci(samples["int8"], samples[over]) for over in ("fp32", best)}
        compared[runtime] = {"p50_us": p50, "best_outside": best, "int8_over": ratios, "cpus_used_by_others": busy}
    return compared


def main() -> None:
    """Train or time what is missing, and write the result after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "time"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--recipes", nargs="+", choices=sorted(SOURCES), default=list(SOURCES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="a setting of every recipe, as of edgekd build")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    kept = _common.written("tasks")
    rows, times = kept.get("rows", {}), kept.get("times", {})
    for name in given.recipes:
        if given.what == "time":
            times[name] = {"settings": given.set, **timed(name, given)}
            print(name, times[name], flush=True)
            _common.write("tasks", {"rows": rows, "times": times})
            continue
        for seed in given.seeds:
            key = f"{name}, seed {seed}"
            if key not in rows:
                rows[key] = {"settings": given.set, **trained(name, seed, given)}
                print(key, rows[key]["test"], rows[key]["distillation_gains"], flush=True)
                _common.write("tasks", {"rows": rows, "times": times})


if __name__ == "__main__":
    main()
