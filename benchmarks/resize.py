"""``resize`` by a filter against Pillow, and its C++ and JavaScript against it: 10,000 random images.

    python benchmarks/resize.py [--images N]

Bytes of one and three channels and float32 of one, sides of 1 to 300 pixels and some of up to 2,000, each filter, made
larger and smaller. uint8 must be equal bit for bit; float32 within 1e-6 of Pillow's mode F, and bit for bit in the
other languages. Those need g++ and node. Exits 1 where one differs.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import _common
import numpy as np
import PIL
from PIL import Image

from edgekd.base import resampling
from edgekd.base.arrays import AnyArray

PILLOWS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
NAMES = list(PILLOWS)
TOGETHER = 500  # images of a run of the other programs
CPP = """
#include "resample.h"
#include <cstdio>
const resample::Filter FILTERS[] = {resample::BOX, resample::BILINEAR, resample::BICUBIC, resample::LANCZOS};
template <class Number> void one(const int* head) {
  std::vector<Number> data(size_t(head[0]) * head[1] * head[2]);
  if (std::fread(data.data(), sizeof(Number), data.size(), stdin) != data.size()) std::abort();
  data = resample::resized(data, head[0], head[1], head[2], head[3], head[4], FILTERS[head[5]]);
  std::fwrite(data.data(), sizeof(Number), data.size(), stdout);
}
int main() {
  int head[7];
  while (std::fread(head, sizeof(int), 7, stdin) == 7) head[6] ? one<float>(head) : one<uint8_t>(head);
}
"""
NODE = """
import { readFileSync, writeSync } from "node:fs";
import { resample } from "./resample.mjs";
const bytes = readFileSync(process.argv[2]), names = ["box", "bilinear", "bicubic", "lanczos"];
for (let at = 0; at < bytes.length; ) {
  const [height, width, channels, rows, columns, name, floats] = new Int32Array(bytes.buffer.slice(at, at + 28));
  const size = height * width * channels * (floats ? 4 : 1), raw = bytes.buffer.slice(at + 28, at + 28 + size);
  const data = floats ? new Float32Array(raw) : new Uint8Array(raw);
  const made = resample({ data, height, width, channels }, rows, columns, names[name]).data;
  const out = new Uint8Array(made.buffer);
  for (let sent = 0; sent < out.length; ) sent += writeSync(1, out, sent);
  at += 28 + size;
}
"""


@dataclass(frozen=True)
class Case:
    """An image (H, W, C), and what is to become of it."""

    image: AnyArray
    rows: int
    columns: int
    name: str

    def ours(self) -> AnyArray:
        return resampling.resized(self.image[None], self.rows, self.columns, self.name)[0]

    def pillows(self) -> AnyArray:
        image = self.image[..., 0] if self.image.shape[2] == 1 else self.image
        made = np.asarray(Image.fromarray(image).resize((self.columns, self.rows), PILLOWS[self.name]))
        return made.reshape(self.rows, self.columns, -1)

    def written(self) -> bytes:
        floats = int(self.image.dtype == np.float32)
        head = struct.pack("<7i", *self.image.shape, self.rows, self.columns, NAMES.index(self.name), floats)
        return head + self.image.tobytes()


def cases(count: int) -> Iterator[Case]:
    """Smooth ones, noise, and images of two values, whose overshoot is clipped."""
    for i in range(count):
        rng = np.random.default_rng(i)
        most = 2000 if i % 100 == 0 else 300 if i % 4 else 40
        height, width, rows, columns = (int(side) for side in rng.integers(1, most + 1, 4))
        rows, columns = (rows, columns) if rng.random() < 0.9 else (height, columns)
        floats = i % 3 == 2
        shape = (height, width, 1 if floats or i % 3 == 1 else 3)
        image: AnyArray
        if floats:
            image = rng.standard_normal(shape).astype(np.float32).clip(-4, 4) / 4
        elif rng.random() < 0.3:
            image = rng.integers(0, 2, shape, dtype=np.uint8) * np.uint8(255)
        else:
            image = rng.integers(0, 256, shape, dtype=np.uint8)
        yield Case(image, rows, columns, NAMES[int(rng.integers(4))])


def programs(folder: Path) -> dict[str, list[str]]:
    """The commands of the other languages, which read a file of cases."""
    for name in ("cpp/resample.h", "js/resample.mjs"):
        text = resources.files("edgekd.publish.examples").joinpath(f"{name}.j2").read_text()
        (folder / Path(name).name).write_text(text)
    (folder / "one.cpp").write_text(CPP)
    (folder / "one.mjs").write_text(NODE)
    flags = ["-std=c++17", "-O2", "-ffp-contract=off"]
    subprocess.run(["g++", *flags, "one.cpp", "-o", "one"], cwd=folder, check=True)
    return {"cpp": ["./one"], "javascript": ["node", "one.mjs", "cases"]}


def answered(command: list[str], folder: Path, wanted: list[AnyArray]) -> int:
    """How many of the cases in a file a program answers otherwise."""
    with (folder / "cases").open("rb") as given:
        done = subprocess.run(command, cwd=folder, stdin=given, stdout=subprocess.PIPE, check=True)
    at, differ = 0, 0
    for array in wanted:
        differ += done.stdout[at : at + array.nbytes] != np.ascontiguousarray(array).tobytes()
        at += array.nbytes
    return differ if at == len(done.stdout) else len(wanted)


def main() -> int:
    """Compare, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    count = parser.parse_args().images
    images = {f"{kind} {name}": 0 for kind in ("uint8", "float32") for name in NAMES}
    differ, worst, rows_first = {"pillow, uint8": 0, "cpp": 0, "javascript": 0}, 0.0, 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        commands = programs(folder)
        wanted: list[AnyArray] = []
        for i, case in enumerate(cases(count)):
            if not wanted:
                (folder / "cases").write_bytes(b"")
            ours, theirs = case.ours(), case.pillows()
            images[f"{ours.dtype} {case.name}"] += 1
            rows_first += resampling.rows_first(case.image.shape[:2], (case.rows, case.columns))
            if ours.dtype == np.uint8:
                differ["pillow, uint8"] += not np.array_equal(ours, theirs)
            else:
                worst = max(worst, float(np.abs(ours - theirs).max()))
            wanted.append(ours)
            with (folder / "cases").open("ab") as file:
                file.write(case.written())
            if len(wanted) == TOGETHER or i == count - 1:
                for name, command in commands.items():
                    differ[name] += answered(command, folder, wanted)
                wanted = []
                print(f"{i + 1} images: {differ}, float32 {worst:.1e}", flush=True)
    equal = not any(differ.values()) and worst <= 1e-6
    result = {"pillow": PIL.__version__, "images": images, "rows_first": rows_first, "differ": differ}
    _common.write("resize", {**result, "float32_max_abs_diff": worst, "equal": equal})
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
