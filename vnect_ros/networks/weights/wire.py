"""The wire format of protocol buffers: just enough to read weights.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator

from vnect_ros.errors import ModelError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of variable length, and where the next thing starts.

    Raises:
        ModelError: the data ends inside it, or it is longer than ten bytes.
    """
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ModelError("the file is cut off or no protocol buffer: a number does not end")


def fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """The fields of a message: number, wire type, and a number or the bytes.

    Raises:
        ModelError: the data is cut off or has a wire type that is not in use.
    """
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = varint(data, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, at = varint(data, at)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise ModelError(f"no protocol buffer: field {number} has wire type {kind}")
        if at + size > len(data):
            raise ModelError(f"the file is cut off inside field {number}")
        yield number, kind, data[at : at + size]
        at += size


def varints(data: memoryview) -> list[int]:
    """A packed list of numbers."""
    values, at = [], 0
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values
