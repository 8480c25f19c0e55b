"""Small bundles of both networks with random weights, for the backends' tests."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest

from vnect_ros.inference import bundles

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


def load(network: str, precision: str) -> bundles.Model:
    """One precision of a tiny bundle."""
    return bundles.load(folder(network), precision)
