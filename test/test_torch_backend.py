"""The torch backend runs a bundle's graph as ONNX Runtime does."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_bundles

pytest.importorskip("torch", reason="torch is not installed")
onnx = pytest.importorskip("onnx", reason="the torch backend reads bundles with onnx")

from vnect_ros import backends, models  # noqa: E402
from vnect_ros.errors import BackendError  # noqa: E402

pytestmark = pytest.mark.timeout(300)  # the first export of a run takes long on a busy machine


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("network", ["vnect", "vnect_lite"])
def test_maps_equal_onnxruntimes(network, precision) -> None:
    model = tiny_bundles.load(network, precision)
    ours = backends.create(model, "torch", device="cpu")
    theirs = backends.create(model, "onnxruntime", threads=1)
    for image in tiny_bundles.crops(2, seed=41):
        got, expected = ours.infer(image), theirs.infer(image)
        tolerance = 1e-4 if precision == "fp32" else 2e-2
        for a, b in ((got.heatmaps, expected.heatmaps), (got.locations_m, expected.locations_m)):
            np.testing.assert_allclose(a, b, atol=tolerance * max(1.0, np.abs(b).max()))
    assert "cpu" in ours.detail and precision in ours.detail


def test_int8_is_refused_with_the_reason() -> None:
    with pytest.raises(BackendError, match=r"equantizeLinear'.*int8 runs elsewhere"):
        backends.create(tiny_bundles.load("vnect_lite", "int8"), "torch")


def test_a_device_that_is_not_there_is_refused() -> None:
    model = tiny_bundles.load("vnect_lite", "fp32")
    with pytest.raises(BackendError, match=r"torch refuses .* on cuda:99"):
        backends.create(model, "torch", device="cuda:99")


def test_an_attribute_it_does_not_know_is_refused(tmp_path) -> None:
    """Better no maps than maps that are shifted by a pixel."""
    source = tiny_bundles.load("vnect", "fp32")
    graph = onnx.load(source.file)
    conv = next(n for n in graph.graph.node if n.op_type == "Conv")
    for attribute in conv.attribute:
        if attribute.name == "pads":
            attribute.ints[:] = [2, 2, 3, 3]
    onnx.save(graph, str(tmp_path / "model.onnx"))
    model = models.write_bundle(
        tmp_path, {"fp32": tmp_path / "model.onnx"}, licence="MIT", input_size=64,
        mean=source.mean, std=source.std,
    )  # fmt: skip
    with pytest.raises(BackendError, match=r"Conv with .* is not known"):
        backends.create(model, "torch")


def test_closed_is_closed() -> None:
    backend = backends.create(tiny_bundles.load("vnect_lite", "fp32"), "torch")
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.infer(tiny_bundles.crops(1)[0])
