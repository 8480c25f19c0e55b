"""ONNX Runtime on the CPU: the default backend."""

from __future__ import annotations

import numpy as np

from vnect_ros.errors import BackendError
from vnect_ros.inference.base import RuntimeBackend
from vnect_ros.inference.bundles import Model


class OnnxRuntimeBackend(RuntimeBackend):
    """Runs a bundle's ONNX file on the CPU; see `inference.base.Backend`."""

    name = "onnxruntime"

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
        self._session: onnxruntime.InferenceSession | None = session
        self._outputs = [o.name for o in session.get_outputs()]
        super().__init__(model, [i.name for i in session.get_inputs()], self._outputs)

    def _is_open(self) -> bool:
        return self._session is not None

    def _run(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert self._session is not None  # infer has asked
        return dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))

    def close(self) -> None:
        """Give the session back."""
        self._session = None
