"""ONNX Runtime on a file in its own format: what is known of it without importing it."""

from __future__ import annotations

from dataclasses import replace

from edgekd.base.backend_facts import Choice
from edgekd.runtime.backends import ort

MODEL, CONFIG = "model.ort", "required_operators.config"  # the files that it writes

FACTS = replace(ort.FACTS, options={**ort.OPTIONS, "provider": Choice((ort.CPU,))}, programs={"ort": 2}, lone="")
