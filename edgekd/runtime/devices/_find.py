"""From what is given to ``--device`` to a device: an address, or a name in devices.toml."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, cast

from edgekd.base import plugins, toml_files
from edgekd.base.errors import UsageError
from edgekd.runtime.devices._base import Device

FILE, ASKED = "devices.toml", "EDGEKD_DEVICES"
FORMS = "local, ssh://[user@]host[:port], adb:SERIAL, folder:PATH, or a name in devices.toml"


def find(text: str) -> Device:
    """A device by its address or its name.

    Names stand in ``devices.toml`` in the user's folder of configuration (``~/.config/edgekd``), or in the file that
    ``--devices`` or ``EDGEKD_DEVICES`` names; never in one that just lies in the current folder, since a device says
    which Python and which ssh configuration are used::

        [pi]
        url = "ssh://pi@192.168.1.7"        # or kind = "ssh", host = "192.168.1.7", ...
        python = "/home/pi/venv/bin/python3"

    Raises:
        UsageError: neither an address nor a name, or a file that is not as it should be.
    """
    table = _address(text)
    if table is None:
        table = _named(text)
    kind = table.get("kind")
    where = f"--device {text}"
    if kind is None:
        raise UsageError("neither url nor kind", where=where, allowed=FORMS)
    return cast(Device, plugins.build("devices", table, where, UsageError))


def _address(text: str) -> dict[str, Any] | None:
    """The table of an address; None where it is none."""
    if text == "local":
        return {"kind": "local"}
    if text.startswith("adb:"):
        return {"kind": "adb", "serial": text.removeprefix("adb:")}
    if not text.startswith("ssh://"):
        return None
    parts = re.fullmatch(r"ssh://(?:([^@/]+)@)?(\[[^\]]+\]|[^@:/]+)(?::(\d+))?/?", text)
    if parts is None:
        raise UsageError("not an address", where="--device", found=text, allowed=FORMS)
    user, host, port = parts.groups()
    table: dict[str, object] = {"kind": "ssh", "host": host.strip("[]")}
    return table | ({"user": user} if user else {}) | ({"port": int(port)} if port else {})


def _named(name: str) -> dict[str, Any]:
    """The table of a name: that of the file that was asked for before the user's."""
    # expanduser leaves ~ as it is where a user has no home: then there is no such file
    home = Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")) / "edgekd"
    known: dict[str, dict[str, object]] = {}
    asked = os.environ.get(ASKED)
    if asked and not Path(asked).is_file():
        raise UsageError("no such file", where="--devices", found=asked)
    for file in (home / FILE, *([Path(asked)] if asked else [])):
        if file.exists():
            known |= toml_files.read(file, UsageError)
    if not isinstance(known.get(name), dict):
        named = sorted(key for key, value in known.items() if isinstance(value, dict))
        raise UsageError(
            "no such device",
            where="--device",
            found=name,
            allowed=[*named, "local", "ssh://...", "adb:...", "folder:..."],
        )
    table = dict(known[name])
    if "url" in table:
        table |= _address(str(table.pop("url"))) or {}
    return table
