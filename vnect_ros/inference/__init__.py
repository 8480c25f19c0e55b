"""Runtimes by name.  Each one's module, and the library behind it, loads on demand."""

from __future__ import annotations

import inspect
import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vnect_ros.config import ModelConfig
from vnect_ros.errors import BackendError, describe

if TYPE_CHECKING:
    from vnect_ros.inference.base import Backend
    from vnect_ros.inference.model import Model

log = logging.getLogger(__name__)

BACKENDS = {
    "tensorrt": ("vnect_ros.inference.tensorrt.backend", "TensorRTBackend"),
    "onnxruntime_cuda": ("vnect_ros.inference.onnxruntime", "OnnxRuntimeCudaBackend"),
    "openvino": ("vnect_ros.inference.openvino", "OpenVinoBackend"),
    "onnxruntime": ("vnect_ros.inference.onnxruntime", "OnnxRuntimeBackend"),
}
"""Name to (module, class); a class is made with (model, **options)."""

AUTO = tuple(BACKENDS)
"""What "auto" tries, in this order: the first that loads and runs is taken.  On a CPU
OpenVINO takes a third less time than ONNX Runtime in int8, at the same accuracy."""

PREFERRED = dict.fromkeys(("tensorrt", "onnxruntime_cuda"), ("fp16", "fp32"))
"""Precisions that "auto" takes on a runtime if the bundle has them and its own default
was asked for: on a GPU fp16 is as fast as int8 for networks this small, and exacter."""


def load_backend(config: ModelConfig | None = None, **options: Any) -> Backend:
    """Load the bundle of a configuration (default: `ModelConfig()`) into its runtime.

    Args:
        options: of the runtime, as for `create`.

    Raises:
        ModelError: there is no such bundle, or it is not what it declares.
        BackendError: the runtime is unknown, missing or fails.
    """
    from vnect_ros.inference import bundles

    config = config or ModelConfig()
    model = bundles.load(config.model, config.precision)
    return create(model, config.backend, threads=config.threads, **options)


def create(model: Model, name: str = "auto", **options: Any) -> Backend:
    """Load a model into the runtime of that name.

    The backend's `detail` has for diagnostics what runs where and, for "auto",
    why the ones before it in the order do not.

    Args:
        name: a key of BACKENDS, or "auto".
        options: of the runtime: threads (CPU), progress (called during
            TensorRT's build with what is done and the share of it) and so on.  One that a
            runtime does not have is passed over.

    Raises:
        BackendError: the name is unknown, or the runtime is missing or fails.
    """
    if name not in ("auto", *BACKENDS):
        raise BackendError(describe("backend", name, ", ".join(["auto", *BACKENDS])))
    if name != "auto":
        return _made(model, name, options)
    reasons: list[str] = []
    for candidate in AUTO:
        try:
            backend = _made(_suited(model, candidate), candidate, options)
        except BackendError as error:
            reasons.append(f"{candidate}: {error}")
            log.info("auto passes over %s: %s", candidate, error)
            continue
        if reasons:
            backend.detail += " (auto; not " + "; not ".join(reasons) + ")"
        return backend
    raise BackendError("no backend works: " + "; ".join(reasons))


def _made(model: Model, name: str, options: dict[str, Any]) -> Backend:
    module, cls = BACKENDS[name]
    kind = getattr(import_module(module), cls)
    known = inspect.signature(kind).parameters
    backend: Backend = kind(model, **{k: v for k, v in options.items() if k in known})
    if not getattr(backend, "detail", ""):
        backend.detail = f"{name}, {model.precision}"
    return backend


def _suited(model: Model, name: str) -> Model:
    """The bundle in the precision that suits a runtime, unless another was asked for."""
    from vnect_ros.inference import bundles

    if name not in PREFERRED or model.precision != bundles.load(model.folder).precision:
        return model
    for precision in PREFERRED[name]:
        if precision in model.precisions:
            return bundles.load(model.folder, precision)
    return model
