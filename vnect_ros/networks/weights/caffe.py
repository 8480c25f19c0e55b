"""Caffe's files without Caffe: the blobs of a .caffemodel, the layers of a .prototxt.

Field numbers are those of caffe.proto (BVLC Caffe 1.0).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from vnect_ros.errors import ModelError, describe
from vnect_ros.networks.weights.wire import BYTES, FIXED32, FIXED64, fields, varints

_NET_LAYER, _NET_V1_LAYER = 100, 2
_LAYER = {"name": 1, "blobs": 7}
_V1_LAYER = {"name": 4, "blobs": 6}
_BLOB_DATA, _BLOB_SHAPE, _BLOB_DOUBLE = 5, 7, 8
_BLOB_LEGACY = (1, 2, 3, 4)
"""num, channels, height, width."""


def read_caffemodel(file: str | Path) -> dict[str, list[np.ndarray]]:
    """The blobs of every layer that has any: float32, in Caffe's own shapes.

    Raises:
        ModelError: the file cannot be read or is not a caffemodel.
    """
    try:
        data = memoryview(Path(file).read_bytes())
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error}") from error
    layers: dict[str, list[np.ndarray]] = {}
    try:
        for number, kind, value in fields(data):
            if kind != BYTES or number not in (_NET_LAYER, _NET_V1_LAYER):
                continue
            assert isinstance(value, memoryview)  # of wire type BYTES
            name, blobs = _layer(value, _LAYER if number == _NET_LAYER else _V1_LAYER)
            if blobs and name in layers:
                raise ModelError(f"layer {name} is there twice")
            if blobs:
                layers[name] = blobs
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from None
    if not layers:
        raise ModelError(f"{file}: no caffemodel: it has no layer with weights")
    return layers


def _layer(data: memoryview, numbers: dict[str, int]) -> tuple[str, list[np.ndarray]]:
    name, blobs = "", []
    for number, kind, value in fields(data):
        if kind != BYTES or not isinstance(value, memoryview):
            continue
        if number == numbers["name"]:
            name = bytes(value).decode("utf-8", "replace")
        elif number == numbers["blobs"]:
            blobs.append(value)
    return name, [_blob(name, blob) for blob in blobs]


def _blob(layer: str, data: memoryview) -> np.ndarray:
    parts: list[np.ndarray] = []
    shape: list[int] = []
    legacy: dict[int, int] = {}
    for number, kind, value in fields(data):
        if number in (_BLOB_DATA, _BLOB_DOUBLE) and isinstance(value, memoryview):
            wide = number == _BLOB_DOUBLE
            if kind not in (BYTES, FIXED64 if wide else FIXED32) or len(value) % (8 if wide else 4):
                raise ModelError(f"layer {layer}: a blob's data is damaged")
            parts.append(np.frombuffer(value, "<f8" if wide else "<f4"))
        elif number == _BLOB_SHAPE and isinstance(value, memoryview):
            for inner, inner_kind, dims in fields(value):
                if inner == 1 and isinstance(dims, memoryview) and inner_kind == BYTES:
                    shape += varints(dims)
                elif inner == 1 and isinstance(dims, int):
                    shape.append(dims)
        elif number in _BLOB_LEGACY and isinstance(value, int):
            legacy[number] = value
    values = np.concatenate(parts) if parts else np.empty(0, np.float32)
    if not shape and legacy:
        shape = [legacy.get(n, 1) for n in _BLOB_LEGACY]
    if math.prod(shape) != len(values):
        raise ModelError(f"layer {layer}: a blob of shape {shape} has {len(values)} values")
    return values.astype(np.float32).reshape(shape)


_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<word>[A-Za-z0-9_.+-]+|"[^"]*"|'[^']*')|(?P<mark>[{}:,;])"""
)


def read_prototxt(file: str | Path) -> list[dict[str, Any]]:
    """The layers of a network's text, each a tree of lists by field name.

    Raises:
        ModelError: the file cannot be read, or is not such a text.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: cannot be read: {error}") from error
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            line = text.count("\n", 0, at) + 1
            raise ModelError(f"{file}: line {line}: got {text[at]!r}, no text of a network")
        if match.group("word") or match.group("mark") in ("{", "}"):
            tokens.append(match.group())
        at = match.end()
    tree, rest = _message(tokens, 0)
    if rest != len(tokens):
        raise ModelError(describe(str(file), "a closing brace too many", "balanced braces"))
    return [*tree.get("layer", []), *tree.get("layers", [])]


def _message(tokens: list[str], at: int) -> tuple[dict[str, list[Any]], int]:
    tree: dict[str, list[Any]] = {}
    while at < len(tokens) and tokens[at] != "}":
        name = tokens[at]
        if at + 1 >= len(tokens) or tokens[at + 1] == "}":
            raise ModelError(f"prototxt: {name} has no value")
        if tokens[at + 1] == "{":
            value, at = _message(tokens, at + 2)
            if at >= len(tokens):
                raise ModelError(f"prototxt: the braces of {name} do not close")
            tree.setdefault(name, []).append(value)
            at += 1
        else:
            tree.setdefault(name, []).append(tokens[at + 1].strip("\"'"))
            at += 2
    return tree, at
