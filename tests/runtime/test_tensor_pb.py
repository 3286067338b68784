from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from onnx import numpy_helper

from edgekd.base.errors import IntegrityError, UsageError
from edgekd.runtime import tensor_pb

DTYPES = ["float32", "float64", "uint8", "int8", "int32", "int64", "bool"]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(ARRAYS, NAMES)
def test_written_as_onnx_writes_it(array: np.ndarray, name: str) -> None:
    assert tensor_pb.write(array, name) == numpy_helper.from_array(array, name or None).SerializeToString()


@given(ARRAYS, NAMES)
def test_read_back(array: np.ndarray, name: str) -> None:
    found_name, found = tensor_pb.read(tensor_pb.write(array, name))
    assert (found_name, found.shape, found.dtype) == (name, array.shape, array.dtype)
    assert found.tobytes() == array.tobytes()
    assert found.flags.writeable


@given(ARRAYS)
def test_big_endian_and_strided_arrays(array: np.ndarray) -> None:
    want = tensor_pb.write(np.ascontiguousarray(array.T).reshape(array.T.shape))
    assert tensor_pb.write(array.T) == want
    assert tensor_pb.write(array.T.astype(array.dtype.newbyteorder(">"))) == want


def test_packed_dims_are_read() -> None:
    assert tensor_pb.read(b"\x0a\x02\x01\x02\x10\x02\x4a\x02\x07\x08")[1].tolist() == [[7, 8]]


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        name, array = tensor_pb.read(data)
    except IntegrityError:
        return
    assert tensor_pb.read(tensor_pb.write(array, name))[1].tobytes() == array.tobytes()


@given(st.data(), ARRAYS, NAMES)
def test_a_changed_file_is_read_like_onnx_or_refused(data: st.DataObject, array: np.ndarray, name: str) -> None:
    raw = bytearray(tensor_pb.write(array, name))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found_name, found = tensor_pb.read(bytes(raw))
    except IntegrityError:
        return
    proto = onnx.TensorProto.FromString(bytes(raw))
    assert proto.name == found_name
    assert numpy_helper.to_array(proto).tobytes() == found.tobytes()


@given(st.data(), ARRAYS, NAMES)
def test_a_cut_file_is_refused(data: st.DataObject, array: np.ndarray, name: str) -> None:
    raw = tensor_pb.write(array, name)
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(IntegrityError):
        tensor_pb.read(raw[:cut])


ONE = b"\x08\x01\x10\x02\x4a\x01\x07"  # dims 1, uint8, [7]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "unknown data type"),
        (ONE + b"\x4a\x01\x07", "stands twice"),
        (ONE + b"\x25\x00\x00\x80\x3f", "wire type 5"),
        (ONE + b"\x22\x04\x00\x00\x80\x3f", "not read here; found 4"),
        (ONE + b"\x70\x01", "not read here; found 14"),  # data_location = EXTERNAL
        (ONE + b"\x00\x00", "field 0"),
        (b"\x08\x02\x10\x02\x4a\x01\x07", "does not fit"),
        (b"\x08\x01\x10\x63\x4a\x01\x07", "unknown data type; found 99"),
        (b"\x08\x01\x10\x02", "no raw_data"),
        (b"\x08\x01\x10\x02\x4a\x7f\x07", "ends too early"),
        (b"\x08\x01\x10\x09\x4a\x01\x02", "neither 0 nor 1"),
        (b"\x08" + b"\xff" * 9 + b"\x01\x10\x02\x4a\x00", "impossible shape"),  # dims -1
        (b"\x08" + b"\xff" * 10 + b"\x01", "more than 64 bits"),
        (b"\x42\x01\xff\x10\x02\x08\x01\x4a\x01\x07", "not UTF-8"),
        (b"\x08\x00" + (b"\x08" + b"\xff" * 8 + b"\x7f") * 2 + b"\x10\x02\x4a\x00", "impossible shape"),
        (b"\x08\x01" * 33 + b"\x10\x02\x4a\x01\x07", "impossible shape"),
    ],
)
def test_malformed_files_are_told(data: bytes, message: str) -> None:
    with pytest.raises(IntegrityError, match=f"golden.pb: .*{message}"):
        tensor_pb.read(data, "golden.pb")


def test_other_dtypes_are_told() -> None:
    with pytest.raises(UsageError, match="found 'complex64'"):
        tensor_pb.write(np.zeros(1, np.complex64))
