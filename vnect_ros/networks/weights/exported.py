"""Weights of `VNectLite` from the float32 ONNX file that was exported from it.

So that a training can go on from a shipped bundle.  The export keeps the parameters'
names; but it stores equal small tensors once, and drops a bias of zeros, so a bias is
the one that the layer's node reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from vnect_ros.errors import ModelError, describe
from vnect_ros.halves import restore

if TYPE_CHECKING:
    import onnx


def read_model(file: str | Path) -> onnx.ModelProto:
    """An ONNX file, its weights as initializers.

    Raises:
        ModelError: it is none.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(file))
    except (OSError, DecodeError) as error:
        raise ModelError(describe("file", str(file), "an exported ONNX file")) from error
    restore(model)
    return model


def load_exported(network: nn.Module, file: str | Path, part: str = "") -> None:
    """Fill a network with the weights of its float32 export.

    Args:
        network: what was exported, or that part of it.
        file: the export.
        part: the name of `network` in what was exported, "lifter.pose" for example.

    Raises:
        ModelError: The file is no ONNX file, or lacks a weight of the network.
    """
    from onnx import numpy_helper

    graph = read_model(file).graph
    arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    layers = {n.input[1]: list(n.input[2:]) for n in graph.node if len(n.input) > 1}
    state = network.state_dict()
    with torch.no_grad():
        for own_name, target in state.items():
            name = f"{part}.{own_name}" if part else own_name
            layer = f"{name.rpartition('.')[0]}.weight"
            if name.endswith(".bias") and layer in layers:
                bias = [arrays[k] for k in layers[layer] if k in arrays]
                values = bias[0] if bias else 0.0 * target.numpy()
            else:
                values = arrays.get(name)
            if values is None or values.shape != tuple(target.shape):
                got = "nothing" if values is None else values.shape
                raise ModelError(describe(f"{file}: {name}", got, f"shape {tuple(target.shape)}"))
            target.copy_(torch.from_numpy(values.copy()))
