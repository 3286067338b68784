"""Weights: a user's checkpoints, and what a killed training left."""

from __future__ import annotations

import random
import struct
from unittest import mock

import torch

from edgekd.learn import checkpoint as kept
from edgekd.learn import weights
from fuzzing import _mutate, harness, room

LINEAR = torch.nn.Linear(2, 3)


def _of_safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header of a safetensors file as a document, its length right."""
    size = int.from_bytes(data[:8], "little")
    if not 0 < size <= len(data) - 8 or not rng.randrange(6):
        return _mutate.of_bytes(data, rng)
    header = _mutate.of_json(data[8 : 8 + size], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


def _weights(name: str, data: bytes, key: str | None) -> None:
    path = room("weights") / name
    path.write_bytes(data)
    state = weights.read(path, key)
    found = weights.chosen(state, None, LINEAR.state_dict(), "teacher.checkpoint")
    weights.load(torch.nn.Linear(2, 3), found, "teacher.checkpoint")


@harness(_of_safetensors)
def safetensors(data: bytes) -> None:
    """A checkpoint as safetensors."""
    _weights("model.safetensors", data, None)


@harness(_mutate.of_zip)
def pickled(data: bytes) -> None:
    """A checkpoint as torch saves it: weights alone are read of it."""
    _weights("model.pt", data, "model" if b"a model in it" in data else None)


@harness(_of_safetensors)
def resumed(data: bytes) -> None:
    """A training's last epoch, which a killed build left, with a digest that fits."""
    path = room("resumed") / kept.FILE
    path.write_bytes(data)
    net = torch.nn.Linear(2, 3)
    with mock.patch.object(kept, "_digest", lambda *_: mock.ANY), mock.patch.object(torch, "set_rng_state"):
        kept.restore(path.parent, net, torch.optim.AdamW(net.parameters()))
