"""BlazePose's weights from MediaPipe's TensorFlow Lite file.

The file names no layer of its own, so its convolutions are taken in the order in which they
run, those of the segmentation left out, and held against the network's shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vnect_ros.errors import ModelError, describe
from vnect_ros.networks.blazepose import BlazePose

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_SEGMENTATION = "Identity_2"


def load_blazepose(network: BlazePose, file: str | Path) -> None:
    """Fill a network with the weights of pose_landmark_full.tflite.

    Needs `ai_edge_litert` (scripts/get_baselines).

    Raises:
        ModelError: The file is not that network.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(str(file))
    except ValueError as error:
        raise ModelError(describe("file", str(file), "pose_landmark_full.tflite")) from error
    interpreter.allocate_tensors()
    layers = dict(network.named_modules())
    expected = [layers[name] for name in _in_order(network)]
    found = list(_convolutions(interpreter))
    if len(found) != len(expected):
        raise ModelError(describe("file: convolutions", len(found), str(len(expected))))
    with torch.no_grad():
        for number, (conv, (weight, bias)) in enumerate(zip(expected, found)):
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            if weight.shape != tuple(conv.weight.shape):
                accepted = f"shape {tuple(conv.weight.shape)}"
                raise ModelError(describe(f"file: convolution {number}", weight.shape, accepted))
            conv.weight.copy_(torch.from_numpy(weight))
            conv.bias.copy_(torch.from_numpy(bias))


def _in_order(network: BlazePose) -> Iterator[str]:
    """The convolutions in the order of the file."""
    names = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    levels = len(network.levels)
    yield from (n for n in names if n.startswith("stem"))
    for k in range(levels):
        # the lateral hangs behind the first layer of the next level
        inside = [n for n in names if n.startswith(f"levels.{k}.")]
        lateral = [n for n in names if n.startswith(f"laterals.{k - 1}.")]
        yield from (inside[:1] + lateral + inside[1:])
    yield from (n for n in names if n.startswith(("top", "coarsest", "heatmaps", "branch")))
    yield from ("landmarks", "world", "presence")


def _convolutions(interpreter: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Weights [out, in, k, k] and biases of all but the segmentation's convolutions."""
    operators = [o for o in interpreter._get_ops_details() if o["op_name"] != "DELEGATE"]
    stored = {
        int(o["outputs"][0]): int(o["inputs"][0]) for o in operators if o["op_name"] == "DEQUANTIZE"
    }
    wanted = {
        int(d["index"]) for d in interpreter.get_output_details() if d["name"] != _SEGMENTATION
    }
    kept = []
    for operator in reversed(operators):
        if wanted & {int(k) for k in operator["outputs"]}:
            wanted |= {int(k) for k in operator["inputs"]}
            kept.append(operator)
    for operator in reversed(kept):
        if operator["op_name"] not in _CONVOLUTIONS:
            continue
        weight, bias = (
            interpreter.get_tensor(stored[int(k)]).astype(np.float32)
            for k in operator["inputs"][1:]
        )
        # [out, k, k, in]; of a depthwise one [1, k, k, out]
        order = (0, 3, 1, 2) if operator["op_name"] == "CONV_2D" else (3, 0, 1, 2)
        yield np.ascontiguousarray(weight.transpose(order)), bias
