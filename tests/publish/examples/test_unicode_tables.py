"""The C++ program of a text student tokenizes as training did, character by character of Unicode."""

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
    chars = [chr(code) for code in range(1, 0x30000, 11) if not 0xD800 <= code < 0xE000 and code not in (10, 13)]
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


@pytest.mark.parametrize("lower", [True, False])
def test_cpp_tokens_are_those_of_training(tmp_path: Path, lower: bool) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    ops = [{"op": "wordpiece", "vocabulary": WORDS, "length": 20, "lower": lower}]
    about = About(
        "t",
        ops,
        (),
        "float32",
        preprocess.specs(ops, np.array("a")),
        {"logits": ["n", "y"]},
        {"logits": CLASSES},
        {"ort": "t/m.onnx"},
    )
    files = examples.make(about, "a film", {})
    (tmp_path / "wordpiece.h").write_bytes(files["examples/cpp/wordpiece.h"])
    assert 'wordpiece::Vocabulary vocabulary(bundle + "/vocab.txt");' in files["examples/cpp/predict_ort.cpp"].decode()
    (tmp_path / "vocab.txt").write_bytes(WORDS.written())
    (tmp_path / "show.cpp").write_text(PROGRAM)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["g++", *flags, "show.cpp", "-o", "show"], cwd=tmp_path, check=True)
    asked = texts()
    done = subprocess.run(
        [tmp_path / "show"], cwd=tmp_path, input="\n".join(asked).encode(), capture_output=True, check=True
    )
    found = [[int(number) for number in line.split()] for line in done.stdout.decode().splitlines()]
    assert found == [WORDS.encode([text], 20, lower)[0][0] for text in asked]
    broken = subprocess.run([tmp_path / "show"], cwd=tmp_path, input=b"a \xff", capture_output=True)
    assert broken.returncode != 0 and b"not UTF-8" in broken.stderr
