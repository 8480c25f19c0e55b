"""TensorFlow's checkpoints (format V2: `.index` and `.data-…`) without TensorFlow.

The index is a sorted string table as LevelDB's, uncompressed; its values are
BundleEntryProto messages that point into the data files
(tensorflow/core/util/tensor_bundle).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from vnect_ros.errors import ModelError, describe
from vnect_ros.networks.weights.wire import fields, varint

_MAGIC: Final = 0xDB4775248B80FB57
_FOOTER: Final = 48
_TYPES: Final = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
"""DT_FLOAT, DT_DOUBLE, DT_INT32, DT_INT64, DT_HALF."""


def read_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """The variables of a checkpoint, by name.

    Args:
        path: the prefix, as TensorFlow takes it, or the `.index` file.

    Raises:
        ModelError: a file is missing, damaged, or of another format.
    """
    prefix = Path(str(path).removesuffix(".index").removesuffix(".meta"))
    index = prefix.with_name(prefix.name + ".index")
    try:
        entries = dict(_table(memoryview(index.read_bytes())))
    except OSError as error:
        raise ModelError(f"{index}: cannot be read: {error}") from error
    except ModelError as error:
        raise ModelError(f"{index}: {error}") from None
    header = {number: value for number, _, value in fields(entries.pop(b"", memoryview(b"")))}
    shards, endianness = int(header.get(1, 1)), header.get(2, 0)  # type: ignore[arg-type]
    if endianness != 0:
        raise ModelError(describe(f"{index}: endianness", endianness, "0 (little)"))
    variables, opened = {}, {}
    for key, entry in entries.items():
        name = key.decode("utf-8", "replace")
        kind, shape, shard, offset, size = _entry(entry)
        if kind not in _TYPES:
            continue  # strings and flags: nothing a network computes with
        if shard not in opened:
            file = prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}")
            try:
                opened[shard] = memoryview(file.read_bytes())
            except OSError as error:
                raise ModelError(f"{file}: cannot be read: {error}") from error
        dtype = np.dtype(_TYPES[kind])
        if size != math.prod(shape) * dtype.itemsize or offset + size > len(opened[shard]):
            raise ModelError(f"{index}: variable {name} of shape {shape} does not fit its data")
        data = opened[shard][offset : offset + size]
        variables[name] = np.frombuffer(data, dtype).reshape(shape)
    return variables


def _entry(data: memoryview) -> tuple[int, list[int], int, int, int]:
    """Type, shape, shard, offset and size of a variable."""
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: list[int] = []
    for number, _, value in fields(data):
        if number in numbers and isinstance(value, int):
            numbers[number] = value
        elif number == 2 and isinstance(value, memoryview):
            for inner, _, dim in fields(value):
                if inner == 2 and isinstance(dim, memoryview):
                    sizes = [v for n, _, v in fields(dim) if n == 1 and isinstance(v, int)]
                    shape.append(sizes[0] if sizes else 0)
    return numbers[1], shape, numbers[3], numbers[4], numbers[5]


def _table(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of a sorted string table."""
    if len(data) < _FOOTER or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise ModelError("no TensorFlow checkpoint of format V2 (the end mark is missing)")
    footer = data[-_FOOTER:]
    _, at = varint(footer, 0)  # the block of meta data: where and how long
    _, at = varint(footer, at)
    offset, at = varint(footer, at)
    size, _ = varint(footer, at)
    for _, handle in _block(data, offset, size):
        block_offset, at = varint(handle, 0)
        block_size, _ = varint(handle, at)
        yield from _block(data, block_offset, block_size)


def _block(data: memoryview, offset: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    if offset + size + 5 > len(data) or size < 4:
        raise ModelError("the index is cut off")
    if data[offset + size] != 0:
        raise ModelError("the index is compressed, which TensorFlow's checkpoints are not")
    block = data[offset : offset + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    end = size - 4 - 4 * restarts
    if end < 0:
        raise ModelError("the index is damaged")
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        unshared, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or at + unshared + length > end:
            raise ModelError("the index is damaged")
        key = key[:shared] + bytes(block[at : at + unshared])
        at += unshared
        yield key, block[at : at + length]
        at += length
