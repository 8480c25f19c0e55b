"""Model bundles: what is written is read back, and what is wrong is refused by name."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vnect_ros.errors import ModelError
from vnect_ros.inference import bundles
from vnect_ros.skeleton import JOINT_NAMES

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def network(tmp_path):
    file = tmp_path / "trained.onnx"
    file.write_bytes(b"the network")
    return file


def write(folder, network, **changes):
    fields = {"licence": "Apache-2.0", "input_size": 64, "mean": MEAN, "std": STD, **changes}
    return bundles.write_bundle(folder, {"fp32": network}, **fields)


def test_a_written_bundle_is_read_back(tmp_path, network):
    written = write(
        tmp_path / "mine",
        network,
        colour_order="BGR",
        heatmap_peak=10.0,
        unit_m=0.001,
        location_frame="camera",
        confidence_curve=((0.0, 0.1), (0.5, 0.9)),
        training={"frames": 12},
    )
    assert written == bundles.load(tmp_path / "mine" / "bundle.json")
    assert written.name == "mine" and written.file == tmp_path / "mine" / "model.onnx"
    assert written.file.read_bytes() == b"the network"
    assert (written.mean, written.std, written.colour_order) == (MEAN, STD, "BGR")
    assert (written.heatmap_peak, written.unit_m, written.location_frame) == (10, 0.001, "camera")
    assert written.confidence_curve == ((0.0, 0.1), (0.5, 0.9))
    assert written.training == {"frames": 12}


def test_precisions(tmp_path, network):
    small = tmp_path / "small.onnx"
    small.write_bytes(b"int8")
    both = {"fp32": network, "int8": small}
    fields = {"licence": "MIT", "input_size": 64, "mean": MEAN, "std": STD}
    model = bundles.write_bundle(tmp_path / "m", both, default_precision="int8", **fields)
    assert model.precision == "int8" and model.file.name == "model_int8.onnx"
    assert model.precisions == ("fp32", "int8")
    assert bundles.load(tmp_path / "m", "fp32").file.name == "model.onnx"
    with pytest.raises(ModelError, match="precision: got 'fp16', accepted: fp32, int8"):
        bundles.load(tmp_path / "m", "fp16")


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("format", 2, "format: got 2, accepted: 1"),
        ("name", None, "name: got None, accepted: a string"),
        ("license", "", "license: got ''"),
        ("default_precision", "int8", "default_precision: got 'int8', accepted: fp32"),
        ("files", {}, "files: got"),
        ("files", {"fp64": {}}, "files: got"),
        ("files.fp32.path", "../other.onnx", "a file inside"),
        ("files.fp32.path", "gone.onnx", "an existing file"),
        ("files.fp32.sha256", "0" * 64, "sha256: got"),
        ("files.fp32.size_bytes", 3, "size_bytes: got 3, accepted: the file's 11"),
        ("input", [], "input: got"),
        ("input.size_px", 65, "a multiple of stride_px 8"),
        ("input.size_px", 64.5, "size_px: got 64.5, accepted: an integer"),
        ("input.colour_order", "GRB", "colour_order: got 'GRB', accepted: one of RGB, BGR"),
        ("input.mean", [0.5, 0.5], "mean: got"),
        ("input.std", [1, 0, 1], "std: got"),
        ("output.joints", list(JOINT_NAMES[:-1]), "joints: got"),
        ("output.layout", ["x", "x", "y", "z"], "layout: got"),
        ("output.heatmap_peak", 0.0, "heatmap_peak: got 0.0"),
        ("output.unit_m", float("nan"), "unit_m: got nan"),
        ("output.location_frame", "world", "accepted: one of crop_ray, camera"),
        ("output.confidence_curve", [[0, 0]], "confidence_curve: got"),
        ("output.confidence_curve", [[0, 0.5], [1, 0.2]], "confidence_curve: got"),
        ("output.confidence_curve", [[0, 0], [1, 2]], "confidence_curve: got"),
        ("output.presence", "", "presence: got ''"),
        ("output.presence", "somebody", "presence_curve: got None, accepted: an array"),
        ("input.gravity", 3, "gravity: got 3, accepted: a string"),
        ("training", 3, "training: got 3, accepted: an object"),
    ],
)
def test_a_wrong_field_is_refused_by_name(tmp_path, network, key, value, named):
    write(tmp_path / "m", network)
    (tmp_path / "other.onnx").write_bytes(b"the network")
    file = tmp_path / "m" / "bundle.json"
    declared = json.loads(file.read_text())
    *path, last = key.split(".")
    inner = declared
    for step in path:
        inner = inner[step]
    inner[last] = value
    file.write_text(json.dumps(declared))
    with pytest.raises(ModelError) as refused:
        bundles.load(tmp_path / "m")
    assert named in str(refused.value)


def test_a_corrupt_bundle_is_refused(tmp_path, network):
    write(tmp_path / "m", network)
    (tmp_path / "m" / "model.onnx").write_bytes(b"the netw0rk")
    with pytest.raises(ModelError, match="sha256"):
        bundles.load(tmp_path / "m")
    (tmp_path / "m" / "bundle.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        bundles.load(tmp_path / "m")


def test_bundles_are_found_by_name_where_ament_installs_them(tmp_path, network, monkeypatch):
    write(tmp_path / "share" / "vnect_ros" / "models" / "installed", network)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert "installed" in bundles.available()
    assert bundles.load("installed").name == "installed"
    with pytest.raises(ModelError, match=r"got 'absent', accepted: .*installed"):
        bundles.load("absent")


def test_prepare_normalises_in_the_declared_colour_order(tmp_path, network):
    model = write(tmp_path / "m", network, colour_order="BGR")
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    prepared = model.prepare(image)
    expected = (image[:, :, ::-1] / 255.0 - MEAN) / STD
    assert prepared.shape == (1, 3, 64, 64) and prepared.dtype == np.float32
    np.testing.assert_allclose(prepared[0].transpose(1, 2, 0), expected, atol=1e-6)
    with pytest.raises(ModelError, match="image: got 'uint8"):
        model.prepare(image[:32])


def test_the_official_normalisation(tmp_path, network):
    model = write(tmp_path / "m", network, mean=(0.4,) * 3, std=(1.0,) * 3, colour_order="BGR")
    image = np.full((64, 64, 3), (255, 0, 51), np.uint8)
    np.testing.assert_allclose(model.prepare(image)[0, :, 0, 0], [-0.2, -0.4, 0.6], atol=1e-6)


def test_maps_undo_order_peak_and_unit(tmp_path, network):
    joints, layout = tuple(reversed(JOINT_NAMES)), ("z", "heatmap", "x", "y")
    model = write(tmp_path / "m", network, joints=joints, layout=layout, heatmap_peak=4.0)
    output = np.random.default_rng(0).normal(size=(1, 84, 8, 8)).astype(np.float32)
    maps = model.maps(output)
    groups = output.reshape(4, 21, 8, 8)[:, ::-1]
    np.testing.assert_allclose(maps.heatmaps, groups[1] / 4.0, rtol=1e-6)
    np.testing.assert_allclose(maps.locations_m, groups[[2, 3, 0]] * 0.1, rtol=1e-6)
    assert maps.stride_px == 8.0


@pytest.mark.parametrize("layout", [("heatmap", "x", "y", "z"), ("z", "heatmap", "x", "y")])
def test_parts_of_the_output_are_read_as_the_whole(tmp_path, network, layout):
    joints = tuple(reversed(JOINT_NAMES))
    model = write(tmp_path / "m", network, joints=joints, layout=layout)
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(1, count, 8, 8)).astype(np.float32) for count in (21, 42, 21)]
    parts[1] = parts[1][..., :1, :1]
    whole = np.concatenate([np.broadcast_to(p, (1, p.shape[1], 8, 8)) for p in parts], axis=1)
    got, expected = model.maps(parts), model.maps(whole)
    np.testing.assert_array_equal(got.heatmaps, expected.heatmaps)
    np.testing.assert_array_equal(got.locations_m, expected.locations_m)
    twice = np.concatenate([whole, whole])
    for wrong in (parts[:2], [whole[:, :30], whole[:, 30:]], [whole[..., :1]], [twice], [whole[0]]):
        with pytest.raises(ModelError, match="output: got "):
            model.maps(wrong)


def test_an_output_that_is_not_maps_is_refused(tmp_path, network):
    model = write(tmp_path / "m", network)
    with pytest.raises(ModelError, match=r"output: got \(1, 21, 8, 8\)"):
        model.maps(np.zeros((1, 21, 8, 8), np.float32))
    output = np.zeros((1, 84, 8, 8), np.float32)
    output[0, 3, 2, 1] = np.nan
    with pytest.raises(ModelError, match="NaN"):
        model.maps(output)
    for presence in ([[0.2, 0.3]], [np.nan]):
        with pytest.raises(ModelError, match=r"presence: got .*, accepted: one finite number"):
            model.maps(np.zeros_like(output), np.array(presence))
