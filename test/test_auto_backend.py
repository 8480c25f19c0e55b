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
    first = next(n for n in inference.AUTO[1:] if importlib.util.find_spec(n))
    assert backend.name == first
    assert backend.detail.startswith(first)
    assert "auto; not tensorrt: no usable NVIDIA GPU" in backend.detail
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
def test_auto_goes_on_to_the_next(monkeypatch) -> None:
    """A runtime that is not installed is passed over, and named."""
    code = (
        "import sys; sys.modules['onnxruntime'] = None; sys.modules['openvino'] = None\n"
        "from vnect_ros import inference\n"
        "from vnect_ros.inference import bundles\n"
        f"b = inference.create(bundles.load({str(tiny_bundles.folder('vnect_lite'))!r}))\n"
        "print(b.name); print(b.detail)"
    )
    pytest.importorskip("torch", reason="the last in the order is torch")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, detail = done.stdout.splitlines()
    assert name == "torch"
    for reason in ("not tensorrt: ", "not openvino: ", "not onnxruntime: "):
        assert reason in detail


def test_nothing_that_works_is_an_error_with_every_cause(tmp_path) -> None:
    from vnect_ros.inference import bundles

    (tmp_path / "model.onnx").write_bytes(b"no network")
    model = bundles.write_bundle(
        tmp_path, {"fp32": tmp_path / "model.onnx"}, licence="MIT", input_size=64,
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
    )  # fmt: skip
    every = r"no backend works: tensorrt: .*onnxruntime: .*torch: "
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
