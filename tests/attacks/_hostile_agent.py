"""An agent that answers as it is told: ``python _hostile_agent.py SCRIPT``, in place of a device's Python.

SCRIPT is a JSON file: by op a list of steps, all of which are done whenever that op is asked for:

    {"json": value}          an answer
    {"raw": text}            a line as it is
    {"bytes": n, "sent": m}  an answer that announces n bytes, with m behind it
    {"files": {name: text}}  what ``get`` asks for
    {"flood": n}             so many bytes in a line without an end
    {"stderr": n}            so many bytes to stderr
    {"alive": true}          signs of life, for ever
    {"deaf": true}           nothing is read or said any more
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

MARK = b"\x1eedgekd "
HELLO = {"python": [3, 11, 7], "numpy": True, "machine": "x86_64", "free": 10**12, "cleared": 0}
OUT, INTO = sys.stdout.buffer, sys.stdin.buffer


def say(answer: object, data: bytes = b"") -> None:
    OUT.write(MARK + json.dumps(answer).encode() + b"\n" + data)
    OUT.flush()


def play(step: dict[str, Any], request: dict[str, Any]) -> None:
    if "json" in step:
        say(step["json"])
    elif "raw" in step:
        OUT.write(MARK + step["raw"].encode("utf-8", "surrogateescape") + b"\n")
        OUT.flush()
    elif "bytes" in step:
        say({"bytes": step["bytes"]}, b"y" * step.get("sent", 0))
    elif "files" in step:
        data = step["files"][request["name"]].encode()
        say({"bytes": len(data)}, data)
    elif "flood" in step or "stderr" in step:
        for _ in range(step.get("flood", step.get("stderr", 0)) >> 16):
            (OUT if "flood" in step else sys.stderr.buffer).write(b"x" * 65536)
    elif "alive" in step:
        while True:
            say({"alive": True})
    else:
        time.sleep(60)


def main() -> None:
    INTO.read(int(INTO.readline()))
    with open(sys.argv[1], encoding="utf-8") as file:
        script = json.load(file)
    while line := INTO.readline():
        request = json.loads(line)
        if request["op"] == "bye":
            return
        if request["op"] == "put" and "put" not in script:
            INTO.read(request["bytes"])
        usual = {"hello": HELLO, "put": {"have": request.get("sha")}}
        if request["op"] != "ping":
            for step in script.get(request["op"], [{"json": usual.get(request["op"])}]):
                play(step, request)


if __name__ == "__main__":
    main()
