"""`auto` takes the best runtime that works and says why; a named one works or refuses."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
import tiny_bundles

from vnect_ros import inference
from vnect_ros.errors import BackendError
from vnect_ros.inference.tensorrt import probe

pytestmark = pytest.mark.timeout(300)  # the first export of a run takes long on a busy machine


def without_gpu() -> bool:
    try:
        probe.device()
    except BackendError:
        return True
    return False


needs_no_gpu = pytest.mark.skipif(not without_gpu(), reason="there is a GPU: auto takes it")


@needs_no_gpu
def test_auto_says_what_runs_and_why_the_gpu_does_not() -> None:
    backend = inference.create(tiny_bundles.load("vnect_lite", "fp32"))
    first = next(n for n in ("openvino", "onnxruntime") if importlib.util.find_spec(n))
    assert backend.name == first
    assert backend.detail.startswith(first)
    assert "auto; not tensorrt: no usable NVIDIA GPU" in backend.detail
    assert "; not onnxruntime_cuda: " in backend.detail
    backend.infer(tiny_bundles.crops(1))


@needs_no_gpu
def test_auto_keeps_the_precision_that_was_loaded() -> None:
    for precision in ("fp32", "int8"):
        model = tiny_bundles.load("vnect_lite", precision)
        assert inference.create(model).model.precision == precision


def test_a_gpu_gets_the_precision_that_suits_it() -> None:
    default = tiny_bundles.load("vnect_lite", "fp32")
    assert inference._suited(default, "tensorrt").precision == "fp16"
    assert inference._suited(default, "onnxruntime") is default
    asked_for = tiny_bundles.load("vnect_lite", "int8")
    assert inference._suited(asked_for, "tensorrt") is asked_for


@needs_no_gpu
def test_auto_goes_on_to_the_next() -> None:
    """A runtime that is not installed is passed over, and named."""
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from vnect_ros import inference\n"
        "from vnect_ros.inference import bundles\n"
        f"b = inference.create(bundles.load({str(tiny_bundles.folder('vnect_lite'))!r}))\n"
        "print(b.name); print(b.detail)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, detail = done.stdout.splitlines()
    assert name == "onnxruntime"
    for reason in ("not tensorrt: ", "not onnxruntime_cuda: ", "not openvino: "):
        assert reason in detail


def test_cuda_of_onnxruntime_is_refused_where_it_is_not() -> None:
    """ONNX Runtime itself would fall back to the CPU without an error."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(BackendError, match=r"ONNX Runtime .* is built without CUDA"):
        inference.create(tiny_bundles.load("vnect_lite", "fp32"), "onnxruntime_cuda")


@needs_no_gpu
@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_cuda_of_onnxruntime_that_does_not_load_is_no_quiet_fallback(monkeypatch) -> None:
    import onnxruntime

    model = tiny_bundles.load("vnect_lite", "fp32")
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    with pytest.raises(BackendError, match="no usable NVIDIA GPU"):
        inference.create(model, "onnxruntime_cuda")
    monkeypatch.setattr(probe, "device", lambda: probe.Device("a GPU", "8.7", "12040"))
    with pytest.raises(BackendError, match=r"ONNX Runtime .* cannot load CUDA"):
        inference.create(model, "onnxruntime_cuda")


@pytest.mark.gpu
def test_cuda_of_onnxruntime_gives_the_cpus_maps() -> None:
    import numpy as np
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    model, crops = tiny_bundles.load("vnect_lite", "fp32"), tiny_bundles.crops(2)
    found = inference.create(model, "onnxruntime_cuda").infer(crops)
    reference = inference.create(model, "onnxruntime").infer(crops)
    for got, expected in zip(found, reference, strict=True):
        np.testing.assert_allclose(got.heatmaps, expected.heatmaps, atol=1e-3)
        np.testing.assert_allclose(got.locations_m, expected.locations_m, atol=1e-3)


def test_nothing_that_works_is_an_error_with_every_cause(tmp_path) -> None:
    from vnect_ros.inference import bundles

    (tmp_path / "model.onnx").write_bytes(b"no network")
    model = bundles.write_bundle(
        tmp_path, {"fp32": tmp_path / "model.onnx"}, licence="MIT", input_size=64,
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
    )  # fmt: skip
    every = r"no backend works: tensorrt: .*onnxruntime_cuda: .*openvino: .*onnxruntime: "
    with pytest.raises(BackendError, match=every):
        inference.create(model)


def test_an_option_of_another_runtime_is_passed_over() -> None:
    model = tiny_bundles.load("vnect_lite", "fp32")
    backend = inference.create(model, "onnxruntime", threads=1, progress=print)
    assert backend.detail == "onnxruntime, fp32"


def test_an_unknown_name_is_refused() -> None:
    model = tiny_bundles.load("vnect_lite", "fp32")
    with pytest.raises(BackendError, match="backend: got 'caffe', accepted: auto, tensorrt, "):
        inference.create(model, "caffe")
