"""OpenVINO gives the joints that ONNX Runtime gives, from the same files."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_bundles

pytest.importorskip("openvino", reason="openvino is not installed (pip install openvino)")

from vnect_ros import inference
from vnect_ros.errors import BackendError
from vnect_ros.inference import bundles

pytestmark = pytest.mark.timeout(300)  # the first export of a run takes long on a busy machine


@pytest.mark.parametrize("precision", bundles.PRECISIONS)
@pytest.mark.parametrize("network", ["vnect", "vnect_lite"])
def test_maps_equal_onnxruntimes(network, precision) -> None:
    model = tiny_bundles.load(network, precision)
    ours = inference.create(model, "openvino", threads=1)
    theirs = inference.create(model, "onnxruntime", threads=1)
    image = tiny_bundles.crops(1, seed=31)[0]
    (got,), (expected,) = ours.infer([image]), theirs.infer([image])
    tolerance = {"fp32": 1e-4, "fp16": 2e-2, "int8": 0.25}[precision]
    for a, b in ((got.heatmaps, expected.heatmaps), (got.locations_m, expected.locations_m)):
        assert a.dtype == np.float32 and a.shape == b.shape
        assert np.abs(a - b).mean() <= tolerance * np.abs(b).mean()
    assert precision in ours.detail and ours.detail.startswith("openvino 20")


def test_maps_that_are_the_same_in_every_cell_are_not_spread() -> None:
    """Those of the lifter: the network gives one number a map, and memory holds no more."""
    backend = inference.create(tiny_bundles.load("vnect_lite", "fp32"), "openvino", threads=1)
    (maps,) = backend.infer(tiny_bundles.crops(1, seed=34))
    assert maps.locations_m.shape == (3, 21, *maps.heatmaps.shape[1:])
    assert maps.locations_m.strides[2:] == (0, 0)
    assert len(np.unique(maps.locations_m[..., 0, 0])) > 21
    whole = inference.create(tiny_bundles.load("vnect", "fp32"), "openvino", threads=1)
    (maps,) = whole.infer(tiny_bundles.crops(1, seed=34))
    assert (maps.locations_m.std(axis=(2, 3)) > 0.0).any()


def test_results_do_not_change_under_the_caller() -> None:
    """The runtime's own output memory is used again by the next run."""
    backend = inference.create(tiny_bundles.load("vnect_lite", "fp32"), "openvino")
    first, second = tiny_bundles.crops(2, seed=32)
    (maps,) = backend.infer([first])
    kept = maps.locations_m.copy()
    backend.infer([second])
    np.testing.assert_array_equal(maps.locations_m, kept)


@pytest.fixture
def engines(monkeypatch, tmp_path):
    """Where compiled networks are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vnect_ros" / "engines"


def joints_of(model) -> np.ndarray:
    backend = inference.create(model, "openvino", threads=1)
    (maps,) = backend.infer(tiny_bundles.crops(1, seed=33))
    return maps.locations_m


def test_a_network_is_compiled_once(engines, monkeypatch) -> None:
    import openvino

    model = tiny_bundles.load("vnect_lite", "int8")
    compiled = joints_of(model)
    assert len(list(engines.glob("*.engine"))) == 1
    monkeypatch.delattr(openvino.Core, "compile_model")
    np.testing.assert_array_equal(joints_of(model), compiled)


def test_what_was_kept_is_refused_where_it_is_damaged_or_of_another_file(engines) -> None:
    model = tiny_bundles.load("vnect_lite", "fp32")
    compiled = joints_of(model)
    (entry,) = engines.glob("*.engine")
    entry.write_bytes(entry.read_bytes()[:-1])
    np.testing.assert_array_equal(joints_of(model), compiled)
    joints_of(tiny_bundles.load("vnect_lite", "int8"))
    assert len(list(engines.glob("*.engine"))) == 2


def test_where_nothing_can_be_kept_it_is_compiled_each_time(engines) -> None:
    model = tiny_bundles.load("vnect_lite", "fp32")
    engines.parent.write_text("no folder")
    np.testing.assert_array_equal(joints_of(model), joints_of(model))


def test_closed_is_closed() -> None:
    backend = inference.create(tiny_bundles.load("vnect_lite", "fp32"), "openvino")
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.infer(tiny_bundles.crops(1))


def test_a_file_that_is_no_network_is_refused(tmp_path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    model = bundles.write_bundle(
        tmp_path, {"fp32": tmp_path / "model.onnx"}, licence="MIT", input_size=64,
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
    )  # fmt: skip
    with pytest.raises(BackendError, match=r"openvino refuses .*model\.onnx"):
        inference.create(model, "openvino")
