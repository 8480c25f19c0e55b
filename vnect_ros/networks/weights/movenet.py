"""MoveNet's weights from its ONNX files, by the names of the TensorFlow layers.

The files that this reads hold one `Conv` a layer, whose output keeps the name of the
TensorFlow layer; the weights are initialisers without names of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from vnect_ros.errors import ModelError, describe
from vnect_ros.networks.movenet import MoveNet

_HEADS = (
    ("heatmaps", "kpt_heatmap_0", 4, "conv2d_5"),
    ("regression", "kpt_regress_0", 5, "conv2d_6"),
    ("centre", "center_0", 3, "conv2d_4"),
    ("offsets", "kpt_offset_0", 6, "conv2d_7"),
)
_SCOPES = ("StatefulPartitionedCall", "center_net_mobile_net_v2fpn_feature_extractor", "model_1")


def load_movenet(network: MoveNet, file: str | Path) -> None:
    """Fill a network with the weights of the MoveNet ONNX file of the same variant.

    Raises:
        ModelError: The file is no ONNX file, or lacks a layer of the network's shape.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(file)).graph
    except (OSError, DecodeError) as error:
        raise ModelError(describe("file", str(file), "MoveNet as an ONNX file")) from error
    arrays = {i.name: i for i in graph.initializer}
    layers = {_layer(n.output[0]): n for n in graph.node if n.op_type == "Conv"}
    with torch.no_grad():
        for module, name in layer_names(network):
            conv = network.get_submodule(module)
            assert isinstance(conv, nn.Conv2d)
            node = layers.get(name)
            if node is None:
                raise ModelError(describe("file", str(file), f"a MoveNet with the layer {name}"))
            for target, source in zip((conv.weight, conv.bias), node.input[1:]):
                if target is None or list(target.shape) != list(arrays[source].dims):
                    accepted = f"{name} of shape {None if target is None else list(target.shape)}"
                    raise ModelError(describe("file", list(arrays[source].dims), accepted))
                target.copy_(torch.from_numpy(numpy_helper.to_array(arrays[source]).copy()))


def _layer(output: str) -> str:
    """The TensorFlow layer that a convolution's output belongs to, without its activation."""
    parts = output.split("/")
    return "/".join(p for p in parts[:-2] if p not in _SCOPES)


def layer_names(network: MoveNet) -> Iterator[tuple[str, str]]:
    """(module, layer of the file) of every convolution."""
    yield "trunk.stem", "model/Conv1_relu"
    for number, block in enumerate(network.trunk.blocks):
        layer = f"model/block_{number}" if number else "model/expanded_conv"
        if block.expands:
            yield f"trunk.blocks.{number}.expand", f"{layer}_expand_relu"
        yield f"trunk.blocks.{number}.depthwise", f"{layer}_depthwise"
        yield f"trunk.blocks.{number}.project", f"{layer}_project_BN"
    yield "trunk.top", "model/out_relu"
    yield "trunk.coarsest", "conv2d"
    for number in range(3):
        merge, suffix = f"trunk.merges.{number}", f"_{number}" if number else ""
        yield f"{merge}.lateral", f"conv2d_{number + 1}"
        yield f"{merge}.depthwise", f"separable_conv2d{suffix}/separable_conv2d"
        yield f"{merge}.pointwise", f"re_lu{suffix}"
    for head, scope, number, last in _HEADS:
        yield f"{head}.depthwise", f"{scope}/separable_conv2d_{number}/separable_conv2d"
        yield f"{head}.pointwise", f"{scope}/re_lu_{number}"
        yield f"{head}.maps", f"{scope}/{last}"
