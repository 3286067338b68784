"""A bundle's bill of materials, ``sbom.json``: what it was built with and what it needs to run, as CycloneDX 1.6.

No time, no serial number and no place: two builds with the same packages give the same bytes.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from edgekd import __version__
from edgekd.base import backend_facts, host, plugins
from edgekd.runtime.bundle import Bundle, Checked, pretty

FILE = "sbom.json"
RUNNING = ("edgekd", "numpy")  # beside a runtime; the programs in a bundle need the runtime, Python's numpy too


def make(bundle: Bundle) -> bytes:
    """The document.

    Every package has a scope: ``required`` to run a variant, ``optional`` where another variant does without it,
    ``excluded`` where it was only built with. Packages are those that edgekd's own builds import, with what those
    require, as far as it is installed.
    """
    runtimes = [set(_runtimes(variant.checked)) for variant in bundle.variants]
    everywhere, somewhere = set.intersection(*runtimes), set.union(*runtimes)
    required = closure([*RUNNING, *(name for _, name, _ in everywhere)])
    optional = closure(name for _, name, _ in somewhere) - required
    parts = [
        _package("pypi", name, str(plugins.version(name)), _scope(name, required, optional))
        for name in sorted(closure([*host.packages(), *_extras("build", "text")]) | required | optional)
    ]
    for runtime in sorted(runtime for runtime in somewhere if runtime[2]):
        parts.append(_package(*runtime, "required" if runtime in everywhere else "optional"))
    python = {"name": platform.python_implementation(), "version": platform.python_version()}
    parts.append({"type": "platform", "bom-ref": "python", **python})
    student = {
        "type": "machine-learning-model",
        "bom-ref": "student",
        "name": bundle.name,
        "version": bundle.plan[:16],
        "properties": [{"name": "edgekd:plan", "value": bundle.plan}],
    }
    tool = {"type": "application", "name": "edgekd", "version": __version__}
    needs = sorted(part["bom-ref"] for part in parts if part.get("scope") != "excluded")
    return pretty(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": student, "tools": {"components": [tool]}},
            "components": parts,
            "dependencies": [{"ref": "student", "dependsOn": needs}],
        }
    )


def closure(names: Iterable[str]) -> set[str]:
    """The installed ones of some distributions and of all that they require, by their normalised names."""
    required: set[str] = set()
    left = [normal(name) for name in names]
    while left:
        name = left.pop()
        if name in required or plugins.version(name) is None:
            continue
        required.add(name)
        left += [_name(line) for line in importlib.metadata.requires(name) or () if "extra ==" not in line]
    return required


def _extras(*extras: str) -> list[str]:
    """What edgekd's extras bring, where edgekd is installed."""
    lines = importlib.metadata.requires("edgekd") or () if plugins.version("edgekd") else ()
    return [_name(line) for line in lines if any(re.search(rf"extra == .{extra}\b", line) for extra in extras)]


def _name(requirement: str) -> str:
    """The distribution that a requirement asks for: it stands first (PEP 508)."""
    return normal(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])


def normal(name: str) -> str:
    """A distribution's name as the index spells it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _runtimes(checked: Sequence[Checked]) -> Iterator[tuple[str, str, str]]:
    """The runtimes that a variant was checked on: registry, name and version, which of an installed distribution is "".

    What no built-in backend runs on, a user's own does: purl's type ``generic``.
    """
    known = {facts.runtime: facts for facts in backend_facts.every().values()}
    for one in checked:
        word, _, version = one.runtime.partition(" ")
        facts = known.get(word, backend_facts.Facts())
        installed = [name for name in facts.distributions if plugins.version(name) is not None]
        if installed:
            yield "pypi", installed[0], ""
        else:
            yield ("npm", facts.npm, version) if facts.npm else ("generic", word.replace("_", "-"), version)


def _scope(name: str, required: set[str], optional: set[str]) -> str:
    return "required" if name in required else "optional" if name in optional else "excluded"


def _package(kind: str, name: str, version: str, scope: str) -> dict[str, Any]:
    written = version.replace("+", "%2B").replace("!", "%21")  # all that a version (PEP 440) may hold and a URL may not
    url = f"pkg:{kind}/{name}@{written}"
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url, "scope": scope}
