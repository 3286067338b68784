"""The C++ and the Node program of a text student tokenize as training did, character by character of Unicode."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgekd.base import preprocess
from edgekd.base.wordpiece import Vocabulary
from edgekd.publish import examples
from edgekd.publish.examples import About
from edgekd.tasks import CLASSES

WORDS = Vocabulary(
    [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "o", "##o", "ss", "ß", "!", ";", "=", "中", "豈"),
        *("ω", "##ω", "я", "\u1100", "##\u1161", "##\u11a8", "क", "##ि", "film", "##ing", "É", "\u0130", "##\u0301"),
    ]
)
SCRIPT = """
import { readFileSync } from "node:fs";
import { tokens, vocabularyOf } from "./wordpiece.mjs";
const vocabulary = vocabularyOf(readFileSync("vocab.txt", "utf8"));
for (const line of readFileSync(0, "utf8").split("\\n")) console.log(tokens(line, vocabulary, 20).join(" "));
"""
# Punctuation and accents of Unicode 9 to 15, which are neither here; and what 8 had as such alone.
LATER = "\u2e5d\u2e43\ua9bd\u1abf\u07fd\U00010d24\U0001e2ef\u166d\U000111c9\u1734"
PROGRAM = """
#include <iostream>
#include "wordpiece.h"
int main() {
  const wordpiece::Vocabulary vocabulary("vocab.txt");
  for (std::string line; std::getline(std::cin, line); std::cout << "\\n")
    for (const auto number : vocabulary.tokens(line)) std::cout << number << " ";
}
"""


def texts() -> list[str]:
    """Every 11th character of Unicode beside and between letters, and mixtures of what is special."""
    rng = random.Random(1)
    chars = [
        *LATER,
        *(chr(code) for code in range(1, 0x30000, 11) if not 0xD800 <= code < 0xE000 and code not in (10, 13)),
    ]
    odd = [
        *"abo!;= \u00a0ß中豈ωÅя각クिÉÀİ\u0301\u0338\ufeff\u0008K",
        "[SEP]",
        "[MASK]",
        "[X]",
        "film",
        "ing",
        "x" * 101,
    ]
    made = [f"a{char}b {char} o{char}o" for char in chars]
    return made + ["".join(rng.choices(odd, k=rng.randint(1, 25))) for _ in range(1500)]


def programs(lower: bool) -> dict[str, bytes]:
    ops = [{"op": "wordpiece", "vocabulary": WORDS, "length": 20, "lower": lower}]
    about = About(
        "t",
        ops,
        (),
        "float32",
        preprocess.specs(ops, np.array("a")),
        {"logits": ["n", "y"]},
        {"logits": CLASSES},
        {"ort": "t/m.onnx", "web": "t/m.onnx"},
    )
    return examples.make(about, "a film", {})


def tokens(command: list[str | Path], folder: Path, asked: list[str]) -> list[list[int]]:
    done = subprocess.run(command, cwd=folder, input="\n".join(asked).encode(), capture_output=True, check=True)
    return [[int(number) for number in line.split()] for line in done.stdout.decode().splitlines()]


@pytest.mark.parametrize("lower", [True, False])
def test_node_tokens_are_those_of_training(tmp_path: Path, lower: bool) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    (tmp_path / "wordpiece.mjs").write_bytes(programs(lower)["examples/js/wordpiece.mjs"])
    (tmp_path / "vocab.txt").write_bytes(WORDS.written())
    (tmp_path / "show.mjs").write_text(SCRIPT)
    asked = texts()
    assert tokens(["node", "show.mjs"], tmp_path, asked) == [WORDS.encode([text], 20, lower)[0][0] for text in asked]


@pytest.mark.parametrize("lower", [True, False])
def test_cpp_tokens_are_those_of_training(tmp_path: Path, lower: bool) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    files = programs(lower)
    (tmp_path / "wordpiece.h").write_bytes(files["examples/cpp/wordpiece.h"])
    assert 'wordpiece::Vocabulary vocabulary(bundle + "/vocab.txt");' in files["examples/cpp/predict_ort.cpp"].decode()
    (tmp_path / "vocab.txt").write_bytes(WORDS.written())
    (tmp_path / "show.cpp").write_text(PROGRAM)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["g++", *flags, "show.cpp", "-o", "show"], cwd=tmp_path, check=True)
    asked = texts()
    assert tokens([tmp_path / "show"], tmp_path, asked) == [WORDS.encode([text], 20, lower)[0][0] for text in asked]
    broken = subprocess.run([tmp_path / "show"], cwd=tmp_path, input=b"a \xff", capture_output=True)
    assert broken.returncode != 0 and b"not UTF-8" in broken.stderr
