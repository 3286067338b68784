"""ONNX ``TensorProto`` written and read without onnx: the files of a bundle's ``test_data_set_0``.

The part of the format that is used (onnx.proto3; all else is refused)::

    dims = 1 (int64, repeated)   data_type = 2 (int32)   name = 8 (string)   raw_data = 9 (bytes, little endian)

What is written equals ``onnx.numpy_helper.from_array(array, name).SerializeToString()`` byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgekd.base.errors import IntegrityError, UsageError

# TensorProto.DataType
_NUMBERS = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float64": 11}
_DTYPES = {number: name for name, number in _NUMBERS.items()}
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}  # bytes of a number, by wire type
Data = TypeVar("Data", bytes, memoryview)
_MAX_RANK = 32
_MAX_FIELD = 2**29 - 1  # protobuf's; of a tag beyond, C++ keeps the low 32 bits, and reads another field


def write(array: NDArray[np.generic], name: str = "") -> bytes:
    """An array as a serialized TensorProto.

    Raises:
        UsageError: a dtype other than float32, float64, uint8, int8, int32, int64 and bool.
    """
    if array.dtype.name not in _NUMBERS:
        raise UsageError("no tensor of this dtype", where=name or None, found=str(array.dtype), allowed=_NUMBERS)
    raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    text = name.encode("utf-8")
    parts = [_tag(_DIMS, _VARINT) + _varint(size) for size in array.shape]
    parts.append(_tag(_DATA_TYPE, _VARINT) + _varint(_NUMBERS[array.dtype.name]))
    if text:
        parts.append(_tag(_NAME, _BYTES) + _varint(len(text)) + text)
    parts.append(_tag(_RAW_DATA, _BYTES) + _varint(len(raw)) + raw)
    return b"".join(parts)


def read(data: bytes, where: str = "tensor") -> tuple[str, NDArray[np.generic]]:
    """Name and array of a serialized TensorProto; the array is the caller's own.

    Args:
        data: the whole message.
        where: the file, for the error.

    Raises:
        IntegrityError: anything but one well-formed tensor whose numbers stand in ``raw_data``.
    """
    dims: list[int] = []
    once: dict[int, int | bytes] = {}
    for field, value in fields(data, where):
        if field == _DIMS:
            dims.extend(_packed(value, where) if isinstance(value, bytes) else [value])
        elif field in once:
            raise IntegrityError("a field stands twice", where=where, found=field)
        elif field in (_DATA_TYPE, _NAME, _RAW_DATA) and isinstance(value, int) == (field == _DATA_TYPE):
            once[field] = value
        else:
            raise IntegrityError("a field that is not read here", where=where, found=field, allowed="1, 2, 8, 9")
    name, raw, number = once.get(_NAME, b""), once.get(_RAW_DATA), once.get(_DATA_TYPE)
    if number not in _DTYPES:
        raise IntegrityError("unknown data type", where=where, found=number, allowed=_DTYPES.values())
    if not isinstance(raw, bytes) or not isinstance(name, bytes):
        raise IntegrityError("no raw_data", where=where)
    return _text(name, where), _array(raw, dims, np.dtype(_DTYPES[number]), where)


def _array(raw: bytes, dims: list[int], dtype: np.dtype[np.generic], where: str) -> NDArray[np.generic]:
    """Sizes are checked before anything is allocated."""
    if len(dims) > _MAX_RANK or any(size >= 2**63 for size in dims):
        raise IntegrityError("impossible shape", where=where, found=dims)
    if math.prod(dims) * dtype.itemsize != len(raw):
        raise IntegrityError(f"shape {tuple(dims)} of {dtype.name} does not fit {len(raw)} bytes", where=where)
    if 0 in dims and math.prod(size for size in dims if size) * dtype.itemsize >= 2**63:
        raise IntegrityError("impossible shape", where=where, found=dims)  # more than numpy can index
    if dtype == np.bool_ and raw.strip(b"\x00\x01"):
        raise IntegrityError("a bool that is neither 0 nor 1", where=where)
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype).reshape(dims)


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise IntegrityError("a name that is not UTF-8", where=where) from err


def fields(
    data: Data, where: str, what: str = "TensorProto", *, fixed: bool = False
) -> Iterator[tuple[int, int | Data]]:
    """Field numbers with their values, in the order of a message: a number, or the bytes of a text or message.

    Args:
        data: of a memoryview the bytes are views, and nothing is copied.
        fixed: whether numbers of 4 or 8 bytes may stand there, too; they are given as bytes.
    """
    wires = (_VARINT, _BYTES, *(_FIXED if fixed else ()))
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at, where)
        field, wire = tag >> 3, tag & 7
        if not 1 <= field <= _MAX_FIELD or wire not in wires:
            raise IntegrityError(f"not a {what}", where=where, found=f"field {field}, wire type {wire}")
        value, at = (_FIXED[wire], at) if wire in _FIXED else _read_varint(data, at, where)
        if wire == _VARINT:
            yield field, value
            continue
        if value > len(data) - at:
            raise IntegrityError("ends too early", where=where, found=len(data), allowed=f"{at + value} bytes")
        yield field, data[at : at + value]
        at += value


def _packed(data: bytes, where: str) -> list[int]:
    at, values = 0, []
    while at < len(data):
        value, at = _read_varint(data, at, where)
        values.append(value)
    return values


def _read_varint(data: bytes | memoryview, at: int, where: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise IntegrityError("ends too early", where=where, found=len(data))
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, at
    raise IntegrityError("a number of more than 64 bits", where=where)


def _tag(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
