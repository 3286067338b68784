"""The process that decodes samples for another one: ``python -m edgekd.learn.data._worker``; see ``_decoding``."""

from __future__ import annotations

import json
import os
import sys

import numpy as np

from edgekd.base import plugins
from edgekd.base.errors import EdgekdError
from edgekd.learn.data._decoding import HEAD


def main() -> None:
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no reply
    while line := sys.stdin.buffer.readline():
        head, body = answer(*json.loads(line))
        text = json.dumps(head).encode()
        try:
            replies.write(len(text).to_bytes(HEAD, "little") + text)
            replies.write(body)
            replies.flush()
        except BrokenPipeError:  # nobody waits for it any more
            os._exit(0)


def answer(kind: str, fields: dict[str, object], items: list[list[str | int]]) -> tuple[dict[str, object], memoryview]:
    """The head and the bytes of a reply."""
    try:
        decoder = plugins.load_object(kind, "data.source")(**fields)  # type: ignore[operator]
        array, facts = plugins.call_user(decoder.decoded, "data.source", items)
    except EdgekdError as err:
        return {"error": err.as_dict()}, memoryview(b"")
    flat = np.ascontiguousarray(array).reshape(-1)
    return {"shape": array.shape, "dtype": array.dtype.str, "facts": facts}, flat.view(np.uint8).data


if __name__ == "__main__":
    main()
