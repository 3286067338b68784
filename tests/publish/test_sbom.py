"""The bill of materials is valid CycloneDX, says what a bundle needs to run, and is the same each time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgekd.base import plugins
from edgekd.publish import sbom
from edgekd.runtime import bundle
from edgekd.runtime.contents import Checked


@pytest.fixture
def built(digits: Path) -> bundle.Bundle:
    """The quick bundle of digits, for two runtimes."""
    return bundle.read(digits / "out")


def scopes(found: Any) -> dict[str, str]:
    return {part["name"]: part["scope"] for part in json.loads(found)["components"] if "scope" in part}


def test_it_is_cyclonedx_and_in_the_bundle(built: bundle.Bundle) -> None:
    assert built.sbom == sbom.FILE and sbom.FILE in built.hashes
    assert built.file(sbom.FILE) == sbom.make(built)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(built.file(sbom.FILE).decode()) is None


def test_what_runs_it_and_what_only_built_it(built: bundle.Bundle) -> None:
    found = scopes(sbom.make(built))
    assert found["numpy"] == found["edgekd"] == "required" and found["torch"] == "excluded"
    assert found["onnxruntime"] == found["openvino"] == "optional", "either of them is enough"
    assert {"pillow", "scikit-learn", "pydantic-core", "jinja2"} <= set(found), (
        "what [build] brings, and what that does"
    )
    one = replace(built, variants=[variant for variant in built.variants if variant.backend == "openvino"])
    alone = scopes(sbom.make(one))
    assert (alone["openvino"], alone["onnxruntime"]) == ("required", "excluded")


def test_a_runtime_of_another_registry(built: bundle.Bundle) -> None:
    variant = replace(built.variants[0], checked=[Checked("onnxruntime_web 1.24.0", "x86_64", ())])
    parts = json.loads(sbom.make(replace(built, variants=[variant])))["components"]
    assert next(p for p in parts if p["name"] == "onnxruntime-web")["purl"] == "pkg:npm/onnxruntime-web@1.24.0"


def test_closure_follows_what_is_installed_and_no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {"a": ["B_b>=1 ; python_version > '3'", "c[x] (>1)", "d ; extra == 'more'"], "b-b": ["a"], "d": None}
    monkeypatch.setattr(plugins, "version", lambda name: "1+cpu" if name in needs else None)
    monkeypatch.setattr("importlib.metadata.requires", needs.get)
    assert sbom.closure(["A"]) == {"a", "b-b"}
    assert sbom._package("pypi", "a", "1!2.0+cpu", "required")["purl"] == "pkg:pypi/a@1%212.0%2Bcpu"
