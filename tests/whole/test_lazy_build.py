"""A build whose samples stay in their files gives what one gives that holds them in memory, and is the same build."""

from __future__ import annotations

from pathlib import Path

import _small
import pytest
from _pictures import fill

from edgekd import cli

RECIPE = """
name = "photos"
task = "classification"
[data]
source = "imagefolder"
path = "pictures"
validation = 0.2
test = 0.2
[augment]
flip = true
views = 2
[[augment.ops]]
kind = "mixup"
[teacher]
model = { kind = "convnet", width = 8 }
epochs = 1
[student]
model = { kind = "convnet", width = 4 }
epochs = 1
[[losses]]
kind = "kl"
[[losses]]
kind = "cross_entropy"
[budget]
max_drop = 1.0
"""


def test_the_same_files_byte_for_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "pictures")
    (tmp_path / "photos.toml").write_text(RECIPE)

    def build(name: str, cache: str, *settings: str) -> tuple[int, str]:
        line = ["build", str(tmp_path / "photos.toml"), "--target", "ort-cpu", "--quick", "--out", str(tmp_path / name)]
        code = cli.run([*line, "--cache", str(tmp_path / cache), *_small.line_of(settings)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    assert build("here", "one")[0] == 0
    code, text = build("there", "other", "data.lazy=true", "data.workers=2")
    assert code == 0, text
    models = [(tmp_path / name / "ort-cpu" / "model.onnx").read_bytes() for name in ("here", "there")]
    assert models[0] == models[1]
    code, text = build("here", "one", "data.lazy=true")
    assert code == 0 and "nothing to do" in text, "how samples are read is in no key"
    place = tmp_path / "pictures" / "bee" / "7.png"
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    code, text = build("here", "one", "data.lazy=true")
    assert code == 2 and "holds another bundle" in text, "one byte of one picture is"
    place.write_bytes(b"no picture")
    code, text = build("third", "one", "data.lazy=true")
    assert code == 2 and "bee/7.png: can't be decoded" in text and not (tmp_path / "third").exists()


TABLE = """
name = "rows"
task = "regression"
metric = "r2"
[data]
source = "table"
path = "rows.csv"
label = "y"
[teacher]
model = { kind = "mlp", width = 16 }
epochs = 1
[student]
model = { kind = "mlp", width = 8 }
epochs = 1
[[losses]]
kind = "squared_error"
[[compress]]
kind = "int8_ptq"
[budget]
max_drop = 100.0
prefer = "size"
"""


@pytest.mark.usefixtures("no_clock_bars")
def test_a_table_gives_the_same_files_byte_for_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f'{i / 7},{"" if i % 5 == 1 else -i},"k{i % 3},\n",{i % 11}' for i in range(90)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,kind,y", *lines]))
    (tmp_path / "rows.toml").write_text(TABLE)
    bundles = []
    for name, settings in (("here", []), ("there", ["--set", "data.lazy=true", "--set", "data.workers=1"])):
        line = ["build", str(tmp_path / "rows.toml"), "--target", "ort-cpu", "--quick", "--out", str(tmp_path / name)]
        code = cli.run([*line, "--cache", str(tmp_path / f"cache of {name}"), *settings])
        assert code == 0, capsys.readouterr()
        bundles.append((tmp_path / name / "ort-cpu" / "model.onnx").read_bytes())
    assert bundles[0] == bundles[1]
