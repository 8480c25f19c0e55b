"""Runtimes by name.  Each one's module, and its vendor library, loads on demand."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vnect_ros.errors import BackendError, describe

if TYPE_CHECKING:
    from vnect_ros.backends.base import Backend
    from vnect_ros.models import Model

BACKENDS = {
    "onnxruntime": ("vnect_ros.backends.onnxruntime", "OnnxRuntimeBackend"),
    "fake": ("vnect_ros.backends.fake", "FakeBackend"),
}
"""Name to (module, class); a class is made with (model, **options)."""

AUTO = ("onnxruntime",)
"""What "auto" tries, in this order: the first that loads is taken."""


def create(model: Model, name: str = "auto", **options: Any) -> Backend:
    """Load a model into the runtime of that name.

    Args:
        name: a key of BACKENDS, or "auto".
        options: of the runtime, e.g. threads.

    Raises:
        BackendError: the name is unknown, or the runtime is missing or fails.
    """
    if name not in ("auto", *BACKENDS):
        raise BackendError(describe("backend", name, ", ".join(["auto", *BACKENDS])))
    reasons = []
    for candidate in AUTO if name == "auto" else (name,):
        module, cls = BACKENDS[candidate]
        try:
            backend: Backend = getattr(import_module(module), cls)(model, **options)
            return backend
        except BackendError as error:
            reasons.append(str(error))
    raise BackendError("; ".join(reasons))
