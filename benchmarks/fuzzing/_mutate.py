"""Changes to an input that keep its form: a JSON document stays one, a zip file's sums stay right.

Bytes changed at random seldom come further than a parser's first refusal; with these every second input is read whole.
All of them are functions of the bytes and a seeded generator.
"""

from __future__ import annotations

import copy
import io
import json
import random
import re
import zipfile
from collections.abc import Callable
from typing import Any

Mutate = Callable[[bytes, random.Random], bytes]
NUMBERS = (0, 1, -1, 2, 3, 7, 8, 64, 255, 256, 1000, 2**15, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30)
FLOATS = (0.0, -0.0, 0.5, 1.5, 1e-320, 1e15, 1e16, 1e308, -1e308, float("nan"), float("inf"))
TEXTS = (
    *("", "x", "\0", "\n", "\x1b[31m", "\u202e", "\ud800", "é", "e\u0301", "中", "👩\u200d👧", "../x", "a" * 99),
    *("{{ 7 }}", "<b>", "|", "`", "%s", "__proto__", '"; x', "'", "\\", "*/", "??/", "[UNK]", "##a"),
)
ODD: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"a": 1}, [None], [0], [""])
SPLITS = re.compile(rb"[^\w.+-]+|[\w.+-]+")


def of_bytes(data: bytes, rng: random.Random) -> bytes:
    """Anything: bytes changed, doubled, gone, or numbers of any size put in."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, size = rng.randrange(len(made) + 1), rng.choice((1, 2, 4, 8, 16))
        match rng.randrange(6):
            case 0 if made:
                made[at % len(made)] ^= 1 << rng.randrange(8)
            case 1:
                del made[at : at + size]
            case 2:
                made[at:at] = made[at : at + size]
            case 3:
                start = rng.randrange(len(made) + 1)
                made[at : at + size] = made[start : start + size]
            case 4:
                made[at : at + size] = (rng.choice(NUMBERS) & 2**64 - 1).to_bytes(8, "little")[:size]
            case _:
                made[at:at] = rng.choice(TEXTS).encode("utf-8", "surrogatepass")
    return bytes(made)


def of_json(data: bytes, rng: random.Random) -> bytes:
    """One or two places of a document: odd, gone, doubled, or what stands elsewhere in it."""
    head, found = _json_in(data)
    if not isinstance(found, dict | list) or not rng.randrange(16):
        return of_bytes(data, rng)
    for _ in range(rng.choice((1, 1, 2)) if found else 0):
        inside, key = _place(found, rng)
        match rng.randrange(8):
            case 0:
                del inside[key]
            case 1 if isinstance(inside, list):
                inside.insert(key, copy.deepcopy(inside[key]))
            case 1:
                inside[key + rng.choice(TEXTS)] = copy.deepcopy(inside[key])
            case 2:
                other, its = _place(found, rng)
                inside[key] = copy.deepcopy(other[its])
            case _:
                inside[key] = _other(inside[key], rng)
        if not found:
            break
    return head + json.dumps(found, ensure_ascii=bool(rng.randrange(4))).encode("utf-8", "surrogatepass")


def _json_in(data: bytes) -> tuple[bytes, Any]:
    """What stands before a document (a line without a bracket), and the document; None where there is none."""
    head = data[: data.index(b"\n") + 1] if b"\n" in data and data[:1] not in b"{[" else b""
    try:
        return head, json.loads(data[len(head) :])
    except (ValueError, RecursionError):
        return head, None


def _place(value: Any, rng: random.Random) -> tuple[Any, Any]:
    """(container, key) of a place in what is not empty; a place deep down is as likely as one at the top."""
    while True:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        inner = value[key]
        if not inner or not isinstance(inner, dict | list) or not rng.randrange(6):
            return value, key
        value = inner


def _other(value: Any, rng: random.Random) -> Any:
    """Something else, often of the same type."""
    match rng.randrange(6):
        case 0:
            return copy.deepcopy(rng.choice(ODD))  # the next change may be inside of it
        case 1:
            return rng.choice(TEXTS)
        case 2:
            return rng.choice(NUMBERS + FLOATS)
    if isinstance(value, str):
        return of_bytes(value.encode("utf-8", "surrogatepass"), rng).decode("utf-8", "replace")
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((-value, value + 1, value - 1, value * 2, rng.choice(NUMBERS)))
    if isinstance(value, float):
        return rng.choice((-value, value / 3, value * 1e3, rng.choice(FLOATS)))
    if isinstance(value, list) and value:
        return rng.choice((value[:-1], value * 2, value[::-1], [value], value[0], value[:1] * 40))
    return value if value is None else [value]


def of_messages(data: bytes, rng: random.Random) -> bytes:
    """Of lines that hold a document each, one: doubled, gone, or its document changed."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    start = lines[at].find(b"{")
    match rng.randrange(8):
        case 0:
            return of_bytes(data, rng)
        case 1:
            lines.insert(at, lines[rng.randrange(len(lines))])
        case 2:
            del lines[at]
        case _ if start < 0:
            lines[at] = of_bytes(lines[at], rng)
        case _:
            lines[at] = lines[at][:start] + of_json(lines[at][start:], rng)
    return b"\n".join(lines)


def of_words(data: bytes, rng: random.Random) -> bytes:
    """Of a text (TOML, XML, tables, programs' arguments) whole lines and words: gone, doubled, exchanged, odd."""
    if not rng.randrange(4):
        return of_bytes(data, rng)
    lined = bool(rng.randrange(2))
    parts = data.splitlines(keepends=True) if lined else SPLITS.findall(data)
    for _ in range(rng.choice((1, 1, 2, 3)) if parts else 0):
        at, other = rng.randrange(len(parts)), rng.randrange(len(parts))
        match rng.randrange(6):
            case 0 if len(parts) > 1:
                del parts[at]
            case 1:
                parts.insert(at, parts[other])
            case 2:
                parts[at], parts[other] = parts[other], parts[at]
            case 3 if not lined:
                parts[at] = str(rng.choice(NUMBERS + FLOATS)).encode()
            case 4 if not lined:
                parts[at] = rng.choice(TEXTS).encode("utf-8", "surrogatepass")
            case _:
                parts[at] = of_bytes(parts[at], rng)
    return b"".join(parts)


def of_zip(data: bytes, rng: random.Random) -> bytes:
    """A member's bytes, header or name, in a zip file whose sums are right."""
    if not rng.randrange(8):
        return of_bytes(data, rng)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(one.filename, archive.read(one)) for one in archive.infolist() if one.file_size < 1_000_000]
    except Exception:  # noqa: BLE001 - damaged in whatever way: then bytes alone are changed
        return of_bytes(data, rng)
    for _ in range(rng.choice((1, 1, 2)) if members else 0):
        at, other = rng.randrange(len(members)), rng.randrange(len(members))
        name, held = members[at]
        match rng.randrange(6):
            case 0 if len(members) > 1:
                del members[at]
            case 1:
                members[at] = (name, members[other][1])
            case 2:
                members[at] = (of_bytes(name.encode(), rng).decode("utf-8", "replace"), held)
            case 3:
                members[at] = (name, held[:128] + of_bytes(held[128:], rng))
            case 4:
                members[at] = (name, of_bytes(held[:128], rng) + held[128:])
            case _:
                members[at] = (name, _of_header(held, rng))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, held in dict(members).items():
            archive.writestr(zipfile.ZipInfo(name or "x", (1980, 1, 1, 0, 0, 0)), held)
    return buffer.getvalue()


TYPES = ("|u1", "<i2", "<i8", "<u8", "<f4", "<f8", "<f2", "|b1", "<U4", "|S4", "<c8", "|O", "<M8[s]", "|V3", "<i16")


def _of_header(held: bytes, rng: random.Random) -> bytes:
    """An .npy whose header says another type or shape, and which often has as many bytes as that needs."""
    found = re.search(rb"\((\d*(?:, ?\d+)*),?\)", held[:128])
    if not rng.randrange(3) or found is None:
        made = re.sub(rb"'[<>|=][^']*'", f"'{rng.choice(TYPES)}'".encode(), held[:128], count=1)
    else:
        sizes = [int(size) for size in found[1].split(b",") if size.strip()]
        if sizes and rng.randrange(3):
            sizes[rng.randrange(len(sizes))] = rng.choice((0, 1, 2, 3, 5, 2**31, 2**63, rng.choice(sizes)))
        else:
            sizes = rng.choice(([], [*sizes, 1], sizes[1:], [1, *sizes]))
        made = held[:128].replace(found[0], ("(" + "".join(f"{size}, " for size in sizes) + ")").encode(), 1)
    return made[:127].rstrip(b"\n").ljust(127) + b"\n" + held[128:]


def of_fields(data: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """A protobuf message with a field changed, gone or doubled, at any depth; lengths stay right."""
    if not depth and not rng.randrange(6):
        return of_bytes(data, rng)
    parts = _fields(data)
    if not parts:
        return of_bytes(data, rng)
    at = rng.randrange(len(parts))
    number, wire, held = parts[at]
    match rng.randrange(8):
        case 0:
            del parts[at]
        case 1:
            parts.insert(rng.randrange(len(parts) + 1), parts[at])
        case 2:
            parts[at] = (rng.randrange(1, 30), wire, held)
        case _ if isinstance(held, bytes) and wire == 2:
            parts[at] = (number, wire, of_fields(held, rng, depth + 1) if depth < 12 else of_bytes(held, rng))
        case _:
            parts[at] = (number, 0, rng.choice(NUMBERS) & 2**64 - 1)
    return b"".join(map(_written, parts))


Field = tuple[int, int, Any]


def _fields(data: bytes) -> list[Field]:
    """(number, wire type, value) of a message; none where it is no message."""
    parts: list[Field] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        fixed = {1: 8, 5: 4}.get(wire)
        if wire not in (0, 1, 2, 5) or not 0 < number < 1000:
            return []
        value, at = (fixed, at) if fixed else _varint(data, at)
        if wire == 0:
            parts.append((number, 0, value))
            continue
        if at + value > len(data):
            return []
        parts.append((number, wire, data[at : at + value]))
        at += value
    return parts


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            break
    return value, at


def _of_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _written(part: Field) -> bytes:
    number, wire, held = part
    if wire == 0:
        return _of_varint(number << 3) + _of_varint(held)
    size = _of_varint(len(held)) if wire == 2 else b""
    return _of_varint(number << 3 | wire) + size + bytes(held)
