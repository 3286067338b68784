"""Does an int8 file give the same answers on a CPU without VNNI? Native against ``qemu-x86_64 -cpu Haswell``.

For digits (trained here by its recipe), ResNet-20 and a MobileNet-like net (weights as they come): outputs of the
7-bit files of ``ort-cpu`` and ``openvino`` must be equal bit for bit; the 8-bit files' agreement stands beside it.

    apt install qemu-user
    python benchmarks/same_answers.py [--samples 100]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TARGETS = ("ort-cpu", "openvino", "ort-cpu-vnni", "openvino-vnni")
QEMU = ("qemu-x86_64", "-cpu", "Haswell")


def child(folder: Path) -> None:
    """Run one job: a model's files over the samples of x.npz; this part imports numpy and one runtime."""
    import numpy as np  # noqa: PLC0415

    from edgekd.runtime import backend as backends  # noqa: PLC0415

    job = json.loads((folder / "job.json").read_text())
    backend = backends.make(job["backend"], job["options"], "job")
    session = backend.open({name: (folder / name).read_bytes() for name in job["files"]}, batch=1)
    names = [port.name for port in session.inputs]
    with np.load(folder / "x.npz") as x:
        rows = [{name: x[f"{i} {name}"] for name in names} for i in range(job["samples"])]
    said = [list(session.run(row).values())[: None if job["whole"] else 1] for row in rows]
    np.save(folder / job["out"], np.stack([np.concatenate([one.reshape(-1) for one in row]) for row in said]))


def answers(folder: Path, job: dict[str, Any], emulated: bool) -> Any:
    """What a fresh Python says, native or emulated."""
    import numpy as np  # noqa: PLC0415

    name = "emulated.npy" if emulated else "native.npy"
    (folder / "job.json").write_text(json.dumps({**job, "out": name}))
    paths = [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [*(QEMU if emulated else ()), sys.executable, __file__, "--child", str(folder)]
    # qemu stops at instructions that OpenBLAS picks for the host; it is not under test.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_CORETYPE": "Haswell"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[:3])} failed with {done.returncode}: {done.stderr[-800:]}")
    return np.load(folder / name)


def both(
    files: dict[str, bytes], backend: str, options: dict[str, Any], rows: list[Any], *, whole: bool = False
) -> tuple[Any, Any]:
    """What one model says, native and emulated: (N, K) of its first output, or of all of them side by side.

    Args:
        rows: samples, a batch of one each, every input by name.
        whole: all outputs.
    """
    import numpy as np  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        np.savez(folder / "x.npz", **{f"{i} {name}": x for i, row in enumerate(rows) for name, x in row.items()})
        job = {"backend": backend, "options": options, "files": list(files), "samples": len(rows), "whole": whole}
        return answers(folder, job, False), answers(folder, job, True)


def compare(files: dict[str, bytes], backend: str, options: dict[str, Any], rows: list[Any]) -> dict[str, Any]:
    """Native against emulated, for one model; see ``both``."""
    import numpy as np  # noqa: PLC0415

    native, emulated = both(files, backend, options, rows)
    return {
        "samples": len(native),
        "bit_identical": bool(np.array_equal(native, emulated)),
        "max_abs_diff": float(np.abs(native - emulated).max()),
        "argmax_agreement": float((native.argmax(1) == emulated.argmax(1)).mean()),
    }


def digits_files(folder: Path) -> dict[str, dict[str, bytes]]:
    """The int8 candidates of the digits recipe on every target, trained here."""
    import edgekd  # noqa: PLC0415

    edgekd.build("digits", targets=TARGETS, out=folder / "digits", keep_candidates=True, budget={"max_drop": 1.0})
    kept = folder / "digits.candidates"
    found: dict[str, dict[str, bytes]] = {}
    for target in TARGETS:
        files = sorted((kept / target).glob("int8.*"), key=lambda path: path.suffix != ".xml")
        found[target] = {path.name: path.read_bytes() for path in files}
    return found


def main() -> None:
    """Compare every net and target, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.child)
    import _common  # noqa: PLC0415
    import torch  # noqa: PLC0415

    from edgekd.learn.data.digits import Digits  # noqa: PLC0415
    from edgekd.runtime import backend as backends  # noqa: PLC0415
    from edgekd.spec import target as targets_  # noqa: PLC0415

    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        trained = digits_files(Path(folder))
    for net in ("digits", "resnet20", "mobilenet"):
        if net == "digits":
            test = Digits().load().test.x[: given.samples]
            x = (test.astype("float32") / 16).transpose(0, 3, 1, 2)
        else:
            x = torch.cat(_common.calibration(net, 4, 64)).numpy()[: given.samples]
        for name in TARGETS:
            chosen = targets_.load(name)
            if net == "digits":
                files = trained[name]
            else:
                files = backends.make(chosen.backend, {}, name).lower(_common.int8(_common.net(net), net, name)[0])
            comparison = compare(
                files, chosen.backend, chosen.options, [{"input": x[i : i + 1]} for i in range(len(x))]
            )
            table.setdefault(net, {})[name] = comparison
            print(
                f"{net:10} {name:14} bit-identical {comparison['bit_identical']!s:5}  "
                f"agreement {comparison['argmax_agreement']:.3f}  largest difference {comparison['max_abs_diff']:.3g}",
                flush=True,
            )
    _common.write("same_answers", {"emulator": " ".join(QEMU), "nets": table})
    wanted = [table[net][name]["bit_identical"] for net in table for name in ("ort-cpu", "openvino")]
    sys.exit(0 if all(wanted) else 1)


if __name__ == "__main__":
    main()
