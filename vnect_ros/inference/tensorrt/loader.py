"""The TensorRT module, loaded at first use: `tensorrt`, or one named by the environment."""

from __future__ import annotations

import importlib
import os
from typing import Any, Final

from vnect_ros.errors import BackendError

VARIABLE: Final = "VNECT_TENSORRT_MODULE"
"""Environment variable: "tensorrt" (default) or "tensorrt_rtx", which has the same
interface, comes from PyPI and builds engines on machines without a GPU."""


def name() -> str:
    """The module's name."""
    return os.environ.get(VARIABLE, "") or "tensorrt"


def load() -> Any:
    """Import the module.

    Raises:
        BackendError: it is missing, or not the whole of it; the message has the remedy.
    """
    try:
        module = importlib.import_module(name())
        module.Builder  # noqa: B018  (a stub that only fetches has none)
    except Exception as error:  # a broken installation raises anything at all
        raise BackendError(
            f"{name()} cannot be imported ({error}). On Jetson it comes with JetPack: make the "
            "virtual environment with --system-site-packages; elsewhere install NVIDIA's "
            "TensorRT 10.3 or newer with its Python bindings"
        ) from error
    return module


class _Lazy:
    """Stands for the TensorRT module; imports it when an attribute is asked for."""

    def __getattr__(self, attribute: str) -> Any:
        return getattr(load(), attribute)


trt: Any = _Lazy()
