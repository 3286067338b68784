"""ONNX Runtime's own file format for phones: an ``.ort`` file, and which operators a small build needs for it.

The graph is optimized when it is lowered, but for what depends on the CPU, so that one file serves them all. ONNX
Runtime writes the parts of a file in the order of its hash tables, which another process has otherwise: equal models
give equal files in one process, and in another the same content in another order.
"""

from __future__ import annotations

import functools
import logging
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from edgekd.base.disk import temporary
from edgekd.base.errors import IntegrityError, ResourceError
from edgekd.runtime.backends._base import unreported
from edgekd.runtime.backends.ort import backend as ort
from edgekd.runtime.backends.ort.backend import OrtSession
from edgekd.runtime.backends.ort_mobile import CONFIG, MODEL

with unreported():
    import onnxruntime
    from onnxruntime.tools.ort_format_model import create_config_from_models

KEPT = 16  # lowered models
# A layout that the building CPU likes would be wrong for another.
_OF_ONE_CPU = ("NchwcTransformer",)


@dataclass(frozen=True)
class OrtMobile(ort.Ort):
    """ONNX Runtime on a file in its own format."""

    def lower(self, onnx: bytes) -> dict[str, bytes]:
        """``model.ort``, and ``required_operators.config``: what ``--include_ops_by_config`` of builds takes."""
        return dict(_lowered(onnx))

    def open(self, files: Mapping[str, bytes], batch: int | None = None) -> OrtSession:
        """One session takes any batch: ``batch`` changes nothing."""
        lines = files.get(CONFIG, b"\n").decode("utf-8", "replace")
        if not lines.endswith("\n") or any(line.count(";") != 2 for line in lines.splitlines() if line):
            raise IntegrityError("no list of operators", where=CONFIG)
        return OrtSession(self.compile({MODEL: next(iter(files.values()))}, onnxruntime.SessionOptions()))


@functools.lru_cache(KEPT)
def _lowered(onnx: bytes) -> tuple[tuple[str, bytes], ...]:
    logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)  # it tells of every file
    with temporary("lower") as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(folder / MODEL)
        options.add_session_config_entry("session.save_model_format", "ORT")
        ort.Ort().compile({ort.FILE: onnx}, options, _OF_ONE_CPU)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves the file open
            try:
                create_config_from_models([folder / MODEL], folder / CONFIG, False)
            except (ValueError, AssertionError, TypeError, struct.error) as err:  # half of what ONNX Runtime wrote
                raise ResourceError("can't be read back", where=str(folder / MODEL), hint="is the disk full?") from err
        config = (folder / CONFIG).read_text(encoding="utf-8")
        lines = [line for line in config.splitlines() if line and not line.startswith("#")]  # they hold paths
        return (MODEL, (folder / MODEL).read_bytes()), (CONFIG, ("\n".join(lines) + "\n").encode())
