"""ONNX Runtime on the CPU: the default backend."""

from __future__ import annotations

import numpy as np

from vnect_ros.errors import BackendError, ModelError
from vnect_ros.inference.bundles import Model
from vnect_ros.records import Maps


class OnnxRuntimeBackend:
    """Runs a bundle's ONNX file on the CPU; see `backends.base.Backend`."""

    name = "onnxruntime"
    detail = ""

    def __init__(self, model: Model, threads: int = 0) -> None:
        """Load the network.

        Args:
            threads: of one inference; 0 leaves it to the runtime (all cores).

        Raises:
            BackendError: the runtime is not installed, or refuses the file.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError(f"onnxruntime is not installed: {error}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin between frames would burn a core each while the camera waits.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                str(model.file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own errors share no base but Exception
            raise BackendError(f"onnxruntime refuses {model.file}: {error}") from error
        if len(session.get_inputs()) != 1:
            names = ", ".join(i.name for i in session.get_inputs())
            raise BackendError(f"{model.file}: inputs: got {names}, accepted: one")
        self.model = model
        self._input = session.get_inputs()[0].name
        self._output = session.get_outputs()[0].name
        self._session: onnxruntime.InferenceSession | None = session

    def infer(self, image: np.ndarray) -> Maps:
        """Run the network on one crop; see `backends.base.Backend`."""
        if self._session is None:
            raise BackendError("onnxruntime: the backend is closed")
        prepared = self.model.prepare(image)
        try:
            (output,) = self._session.run([self._output], {self._input: prepared})
        except Exception as error:
            raise BackendError(f"onnxruntime failed on {self.model.name}: {error}") from error
        try:
            return self.model.maps(output)
        except ModelError as error:
            raise BackendError(f"onnxruntime: {error}") from error

    def close(self) -> None:
        """Give the session back."""
        self._session = None
