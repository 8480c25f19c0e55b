"""Caffe's files without Caffe: the blobs of a .caffemodel, the layers of a .prototxt."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from vnect_ros.errors import ModelError


def read_caffemodel(file: str | Path) -> dict[str, list[np.ndarray]]:
    """The blobs of every layer that has any: float32, in Caffe's own shapes.

    Raises:
        ModelError: the file cannot be read or is not a caffemodel.
    """
    from google.protobuf.message import DecodeError

    network = _network()
    try:
        network.ParseFromString(Path(file).read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelError(f"{file}: cannot be read as a caffemodel: {error}") from error
    layers: dict[str, list[np.ndarray]] = {}
    for layer in _layers(network):
        if layer.blobs and layer.name in layers:
            raise ModelError(f"{file}: layer {layer.name} is there twice")
        if layer.blobs:
            layers[layer.name] = [_array(f"{file}: layer {layer.name}", b) for b in layer.blobs]
    if not layers:
        raise ModelError(f"{file}: no caffemodel: it has no layer with weights")
    return layers


def read_prototxt(file: str | Path) -> dict[str, Any]:
    """The convolution_param of every layer of a network's text, by the layer's name.

    Raises:
        ModelError: the file cannot be read, or is not such a text.
    """
    from google.protobuf import text_format

    network = _network()
    try:
        text = Path(file).read_text(encoding="utf-8")
        text_format.Parse(text, network, allow_unknown_field=True)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ModelError(f"{file}: cannot be read as a network's text: {error}") from error
    return {layer.name: layer.convolution_param for layer in _layers(network)}


def _network() -> Any:
    from vnect_ros.networks.weights.caffe_pb2 import NetParameter  # type: ignore[attr-defined]

    return NetParameter()


def _layers(network: Any) -> list[Any]:
    """The layers of either format."""
    return [*network.layer, *network.layers]


def _array(where: str, blob: Any) -> np.ndarray:
    values = np.array(blob.data or blob.double_data, np.float32)
    shape = list(blob.shape.dim)
    legacy = ("num", "channels", "height", "width")
    if not shape and any(blob.HasField(axis) for axis in legacy):
        shape = [getattr(blob, axis) if blob.HasField(axis) else 1 for axis in legacy]
    if math.prod(shape) != len(values) or any(n < 0 for n in shape):
        raise ModelError(f"{where}: a blob of shape {shape} has {len(values)} values")
    return values.reshape(shape)
