"""Small bundles of both networks with random weights, for the backends' tests."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest

from vnect_ros.inference import bundles
from vnect_ros.inference.model import Model

SIZE = 64


def crops(count: int = 6, seed: int = 2) -> list[np.ndarray]:
    """Smooth random pictures [64, 64, 3] uint8."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return [cv2.resize(c, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for c in coarse]


@functools.cache
def folder(network: str) -> Path:
    """The bundle of "vnect" or "vnect_lite" in fp32, fp16 and int8; made once a run."""
    torch = pytest.importorskip("torch", reason="the networks need torch")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"the export needs {package}")
    from vnect_ros.learning.export.bundle import export_bundle, fields_of
    from vnect_ros.networks import build_network

    torch.manual_seed(4)
    module = build_network(network, SIZE)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.uniform_(-0.1, 0.1)
    out = Path(tempfile.mkdtemp(prefix="vnect_bundles_")) / network
    export_bundle(
        module,
        out,
        fields={**fields_of(module), "input_size": SIZE},
        licence="CC0-1.0",
        crops=crops(),
        precisions=bundles.PRECISIONS,
    )
    return out


def load(network: str, precision: str) -> Model:
    """One precision of a tiny bundle."""
    return bundles.load(folder(network), precision)


def aware(folder: Path) -> dict:
    """Fields of a bundle whose network has two inputs and two outputs.

    Its maps are the input's first channel in cells plus the gravity's y, its presence is
    the logistic of the first channel's mean minus 1.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "mix": np.tile(np.float32([1, 0, 0]).reshape(1, 3, 1, 1), (84, 1, 1, 1)),
        "y": np.array([1]),
        "as_maps": np.array([1, 1, 1, 1]),
        "flat": np.array([1, 1]),
        "one": np.float32(1.0),
    }
    steps = [
        ("AveragePool", ["image"], "cells", {"kernel_shape": [8, 8], "strides": [8, 8]}),
        ("Conv", ["cells", "mix"], "first", {}),
        ("Gather", ["down", "y"], "along", {"axis": 1}),
        ("Reshape", ["along", "as_maps"], "raised", {}),
        ("Add", ["first", "raised"], "maps", {}),
        ("ReduceMean", ["first"], "mean", {}),
        ("Sub", ["mean", "one"], "less", {}),
        ("Sigmoid", ["less"], "sure", {}),
        ("Reshape", ["sure", "flat"], "somebody", {}),
    ]
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(op, i, [o], **attributes) for op, i, o, attributes in steps],
        "aware",
        [  # neither comes first: the names decide
            helper.make_tensor_value_info("down", kind, [1, 3]),
            helper.make_tensor_value_info("image", kind, [1, 3, 64, 64]),
        ],
        [
            helper.make_tensor_value_info("somebody", kind, [1, 1]),
            helper.make_tensor_value_info("maps", kind, [1, 84, 8, 8]),
        ],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(network, full_check=True)
    onnx.save(network, str(folder / "aware.onnx"))
    return {
        "folder": folder / "aware", "files": {"fp32": folder / "aware.onnx"},
        "licence": "MIT", "input_size": 64, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0),
        "gravity_input": "down", "presence_output": "somebody",
    }  # fmt: skip
