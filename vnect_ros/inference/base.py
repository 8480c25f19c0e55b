"""What a backend is: one method and `close`."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from vnect_ros.inference.bundles import Model
from vnect_ros.records import Maps


class Backend(Protocol):
    """Runs one model.  Vendor errors become BackendError."""

    name: str
    """What diagnostics call it: "onnxruntime", "tensorrt", ..."""
    model: Model
    detail: str
    """One line for diagnostics: version, precision, device, and why "auto" took it."""

    def infer(self, image: np.ndarray) -> Maps:
        """Run the network on one crop.

        Args:
            image: [S, S, 3] uint8 RGB, S the model's input size.

        Returns:
            The maps of the crop, in the model-independent layout.

        Raises:
            BackendError: the runtime failed.
        """
        ...

    def close(self) -> None:
        """Give back what the runtime holds; calling it twice is harmless."""
        ...
