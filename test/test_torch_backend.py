"""The torch backend runs a bundle's graph as ONNX Runtime does."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_bundles

pytest.importorskip("torch", reason="torch is not installed")
onnx = pytest.importorskip("onnx", reason="the torch backend reads bundles with onnx")

from vnect_ros import inference  # noqa: E402
from vnect_ros.errors import BackendError  # noqa: E402
from vnect_ros.inference import bundles  # noqa: E402

pytestmark = pytest.mark.timeout(300)  # the first export of a run takes long on a busy machine


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("network", ["vnect", "vnect_lite"])
def test_maps_equal_onnxruntimes(network, precision) -> None:
    model = tiny_bundles.load(network, precision)
    ours = inference.create(model, "torch", device="cpu")
    theirs = inference.create(model, "onnxruntime", threads=1)
    for image in tiny_bundles.crops(2, seed=41):
        (got,), (expected,) = ours.infer([image]), theirs.infer([image])
        tolerance = 1e-4 if precision == "fp32" else 2e-2
        for a, b in ((got.heatmaps, expected.heatmaps), (got.locations_m, expected.locations_m)):
            np.testing.assert_allclose(a, b, atol=tolerance * max(1.0, np.abs(b).max()))
    assert "cpu" in ours.detail and precision in ours.detail


def test_int8_is_refused_with_the_reason() -> None:
    with pytest.raises(BackendError, match=r"equantizeLinear'.*int8 runs elsewhere"):
        inference.create(tiny_bundles.load("vnect_lite", "int8"), "torch")


def test_a_device_that_is_not_there_is_refused() -> None:
    model = tiny_bundles.load("vnect_lite", "fp32")
    with pytest.raises(BackendError, match=r"torch refuses .* on cuda:99"):
        inference.create(model, "torch", device="cuda:99")


def test_an_attribute_it_does_not_know_is_refused(tmp_path) -> None:
    """Better no maps than maps that are shifted by a pixel."""
    source = tiny_bundles.load("vnect", "fp32")
    graph = onnx.load(source.file)
    conv = next(n for n in graph.graph.node if n.op_type == "Conv")
    for attribute in conv.attribute:
        if attribute.name == "pads":
            attribute.ints[:] = [2, 2, 3, 3]
    onnx.save(graph, str(tmp_path / "model.onnx"))
    model = bundles.write_bundle(
        tmp_path, {"fp32": tmp_path / "model.onnx"}, licence="MIT", input_size=64,
        mean=source.mean, std=source.std,
    )  # fmt: skip
    with pytest.raises(BackendError, match=r"Conv with .* is not known"):
        inference.create(model, "torch")


def test_closed_is_closed() -> None:
    backend = inference.create(tiny_bundles.load("vnect_lite", "fp32"), "torch")
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.infer(tiny_bundles.crops(1))


def test_every_operator_computes_what_onnxruntime_does(tmp_path) -> None:
    """A graph of the operators that read-outs behind the maps consist of."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    from vnect_ros.inference.torch import Graph

    rng = np.random.default_rng(5)
    constants = {
        "w": rng.normal(size=(3, 8)).astype(np.float32),
        "b": rng.normal(size=8).astype(np.float32),
        "spatial": np.array([2, 3]),
        "last": np.array([2]),
        "first": np.array(0),
        "pair": np.array([2, 0]),
        "wide": np.array([1, 8, 4, 4]),
        "flat": np.array([0, -1]),
        "two": np.array(2.0, np.float32),
    }
    steps = [
        ("ReduceMax", ["x", "spatial"], "peak", {"keepdims": 1}),
        ("Div", ["x", "peak"], "share", {}),
        ("Pow", ["share", "two"], "steep", {}),
        ("ReduceSum", ["steep", "spatial"], "sum", {"keepdims": 0}),
        ("ReduceMean", ["x", "spatial"], "mean", {"keepdims": 0}),
        ("Sub", ["sum", "mean"], "less", {}),
        ("Gather", ["peak", "first"], "column", {"axis": 3}),
        ("Squeeze", ["column", "last"], "row", {}),
        ("Gather", ["row", "pair"], "swapped", {"axis": 1}),
        ("Concat", ["swapped", "row"], "five", {"axis": 1}),
        ("Slice", ["five", "starts", "ends", "axes"], "three", {}),
        ("Add", ["three", "less"], "features", {}),
        ("Gemm", ["features", "w", "b"], "hidden", {"alpha": 0.5}),
        ("MatMul", ["features", "w"], "product", {}),
        ("Add", ["hidden", "product"], "both", {}),
        ("Unsqueeze", ["both", "spatial"], "cells", {}),
        ("Expand", ["cells", "wide"], "maps", {}),
        ("Transpose", ["maps"], "turned", {"perm": [0, 2, 3, 1]}),
        ("Reshape", ["turned", "flat"], "y", {}),
    ]
    constants |= {"starts": np.array([1]), "ends": np.array([4]), "axes": np.array([1])}
    graph = helper.make_graph(
        [helper.make_node(op, i, [o], **attributes) for op, i, o, attributes in steps],
        "read-out",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 128])],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, str(tmp_path / "read_out.onnx"))
    x = rng.uniform(0.5, 2.0, (1, 3, 4, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(
        str(tmp_path / "read_out.onnx"), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": x})
    import torch

    got = Graph(tmp_path / "read_out.onnx", torch.device("cpu"))(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
