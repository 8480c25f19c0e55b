"""Backends: one meaning of the maps, whatever runs the network; errors are ours."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import tiny_bundles
from fake_backend import FakeBackend, Seen, standing

from vnect_ros import inference
from vnect_ros.errors import BackendError
from vnect_ros.inference import bundles
from vnect_ros.perception import decode
from vnect_ros.skeleton import JOINT_NAMES

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


@pytest.fixture
def dummy(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"none")
    return bundles.write_bundle(
        tmp_path,
        {"fp32": tmp_path / "model.onnx"},
        licence="MIT",
        input_size=224,
        mean=MEAN,
        std=STD,
    )


@pytest.fixture
def small(tmp_path):
    """A real ONNX network whose output is known: 84 mixtures of the 8x8-averaged input."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(84, 3, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool", ["image"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]
            ),
            helper.make_node("Conv", ["cells", "weights"], ["maps"]),
        ],
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 84, 8, 8])],
        [numpy_helper.from_array(weights, "weights")],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(network, str(tmp_path / "small.onnx"))
    model = bundles.write_bundle(
        tmp_path / "small",
        {"fp32": tmp_path / "small.onnx"},
        licence="MIT",
        input_size=64,
        mean=MEAN,
        std=STD,
        colour_order="BGR",
    )
    return model, weights[:, :, 0, 0]


@pytest.mark.parametrize("name", ["onnxruntime", "auto"])
def test_onnxruntime_computes_what_the_file_says(small, name):
    if name == "onnxruntime":
        pytest.importorskip("onnxruntime")
    model, weights = small
    backend = inference.create(model, name, threads=1)
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    (maps,) = backend.infer([image])
    prepared = (image[:, :, ::-1] / 255.0 - MEAN) / STD
    cells = prepared.reshape(8, 8, 8, 8, 3).mean(axis=(1, 3))
    expected = np.einsum("oc,hwc->ohw", weights, cells).reshape(4, 21, 8, 8)
    np.testing.assert_allclose(maps.heatmaps, expected[0], atol=1e-4)
    np.testing.assert_allclose(maps.locations_m, expected[1:] * 0.1, atol=1e-5)
    assert math.isnan(maps.presence)
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.infer([image])


RUNTIMES = ["onnxruntime", "openvino"]


@pytest.fixture
def aware(tmp_path):
    return tiny_bundles.aware(tmp_path)


@pytest.mark.parametrize("name", RUNTIMES)
def test_gravity_goes_in_and_presence_comes_out_with_each_crop(aware, name):
    pytest.importorskip(name)
    curve = ((0.0, 0.0), (0.5, 0.9), (1.0, 1.0))
    model = bundles.write_bundle(**aware, presence_curve=curve, presence_threshold=0.7)
    assert (model.presence_threshold, model.presence_curve) == (0.7, curve)
    backend = inference.create(model, name, threads=1)
    images = list(np.random.default_rng(2).integers(0, 256, (3, 64, 64, 3), np.uint8))
    images[1] //= 8
    downs = [np.array([0.0, 1.0, 0.0]), np.array([0.6, -0.8, 0.0]), np.zeros(3)]
    for given, expected_y in ((downs, [1.0, -0.8, 0.0]), (None, [0.0, 0.0, 0.0])):
        maps = backend.infer(images, given)
        assert len(maps) == 3
        for image, y, found in zip(images, expected_y, maps, strict=True):
            cells = (image[:, :, 0] / 255.0).reshape(8, 8, 8, 8).mean(axis=(1, 3))
            np.testing.assert_allclose(found.heatmaps[4], cells + y, atol=1e-5)
            sure = 1.0 / (1.0 + np.exp(1.0 - cells.mean()))
            assert found.presence == pytest.approx(np.interp(sure, *np.transpose(curve)), abs=1e-5)
    assert backend.infer([]) == []
    with pytest.raises(BackendError, match="gravities: got 1, accepted: 3, one a crop"):
        backend.infer(images, downs[:1])


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("left_out", ["gravity_input", "presence_output"])
def test_tensors_that_the_bundle_does_not_declare_are_refused(aware, name, left_out):
    pytest.importorskip(name)
    del aware[left_out]
    what = {"gravity_input": "inputs: got 'down, image'", "presence_output": "outputs: got '.*'"}
    with pytest.raises(BackendError, match=what[left_out] + ", accepted: one"):
        inference.create(bundles.write_bundle(**aware), name)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_declared_tensor_that_the_file_lacks_is_refused(small, name):
    pytest.importorskip(name)
    model, _ = small
    for field, what in (("gravity_input", "inputs"), ("presence_output", "outputs")):
        wrong = dataclasses.replace(model, **{field: "other"})
        with pytest.raises(BackendError, match=f"{what}: got .*, accepted: other and one"):
            inference.create(wrong, name)


def test_a_file_the_runtime_refuses(dummy):
    pytest.importorskip("onnxruntime")
    with pytest.raises(BackendError, match=r"onnxruntime refuses .*model\.onnx"):
        inference.create(dummy, "onnxruntime")


def test_a_network_whose_output_is_not_maps(tmp_path, small):
    pytest.importorskip("onnxruntime")
    model, _ = small
    fields = {"licence": "MIT", "input_size": 64, "mean": MEAN, "std": STD}
    other = bundles.write_bundle(tmp_path / "other", {"fp32": model.file}, stride_px=4, **fields)
    with pytest.raises(BackendError, match=r"output: got \(1, 84, 8, 8\)"):
        inference.create(other, "onnxruntime").infer([np.zeros((64, 64, 3), np.uint8)])


def test_an_unknown_runtime_is_refused_with_the_known_ones(dummy):
    with pytest.raises(BackendError, match=r"backend: got 'caffe', accepted: .*onnxruntime"):
        inference.create(dummy, "caffe")


def test_the_fake_draws_what_it_is_told(tmp_path, dummy):
    reordered = bundles.write_bundle(
        tmp_path / "reordered",
        {"fp32": dummy.file},
        licence="MIT",
        input_size=368,
        mean=MEAN,
        std=STD,
        joints=tuple(reversed(JOINT_NAMES)),
        layout=("x", "y", "heatmap", "z"),
        heatmap_peak=3.0,
        unit_m=0.01,
    )
    random = np.random.default_rng(0)
    for model in (dummy, reordered):
        seen = Seen(
            random.uniform(16.0, 200.0, (21, 2)),
            random.normal(size=(21, 3)),
            random.uniform(0.2, 1.0, 21),
        )
        backend = FakeBackend(model, lambda image, seen=seen: seen)
        (maps,) = backend.infer([np.zeros((model.input_size, model.input_size, 3), np.uint8)])
        found, peaks = decode.find_joints(maps)
        np.testing.assert_allclose(found, seen.pixels_px, atol=0.1)
        np.testing.assert_allclose(peaks, seen.peaks, rtol=0.02)
        expected = seen.root_relative_m - seen.root_relative_m[14]
        np.testing.assert_allclose(decode.read_locations(maps, found), expected, atol=1e-5)


def test_the_fake_by_name_sees_somebody_stand(dummy):
    backend = inference.create(dummy, "fake")
    found, peaks = decode.find_joints(backend.infer([np.zeros((224, 224, 3), np.uint8)])[0])
    np.testing.assert_allclose(found, standing(dummy).pixels_px, atol=0.1)
    assert peaks.min() > 0.97
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.infer([np.zeros((224, 224, 3), np.uint8)])
