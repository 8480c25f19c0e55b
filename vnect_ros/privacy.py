"""Keeps the libraries that report their use to their makers from doing so."""

from __future__ import annotations

import os
import sys


def disable_telemetry() -> None:
    """Switch off what they would send, write or start; before any of them is imported.

    ONNX Runtime (1.32 and newer on Linux) gives the user an identifier in `~/.cache` and
    uploads events unless the variable is set before it is imported.  OpenVINO forks a
    process that posts to an analytics server when it is imported, unless the package that
    does so is missing: it has a stand-in for that.  An explicit setting of the user stays.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
