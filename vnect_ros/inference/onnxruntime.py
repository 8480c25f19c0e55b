"""ONNX Runtime: on any CPU, and through CUDA on a GPU without TensorRT."""

from __future__ import annotations

import contextlib
import io

import numpy as np

from vnect_ros.errors import BackendError
from vnect_ros.inference.base import RuntimeBackend
from vnect_ros.inference.model import Model


class OnnxRuntimeBackend(RuntimeBackend):
    """Runs a bundle's ONNX file on the CPU; see `inference.base.Backend`."""

    name = "onnxruntime"
    provider = "CPUExecutionProvider"

    def __init__(self, model: Model, threads: int = 0) -> None:
        """Load the network.

        Args:
            threads: of one inference on the CPU; 0 leaves it to the runtime (all cores).

        Raises:
            BackendError: the runtime or its provider is not installed, finds no device,
                or refuses the file.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError(f"onnxruntime is not installed: {error}") from error
        self._prepare(onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin between frames would burn a core each while the camera waits.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                str(model.file), options, providers=[self.provider]
            )
        except Exception as error:  # the runtime's own errors share no base but Exception
            raise BackendError(f"{self.name} refuses {model.file}: {error}") from error
        if self.provider not in session.get_providers():  # it falls back without an error
            raise BackendError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load CUDA: it needs an NVIDIA "
                "driver, and CUDA and cuDNN of the versions that it was built for: "
                "pip install 'onnxruntime-gpu[cuda,cudnn]'"
            )
        self._session: onnxruntime.InferenceSession | None = session
        self._outputs = [o.name for o in session.get_outputs()]
        super().__init__(model, [i.name for i in session.get_inputs()], self._outputs)

    def _prepare(self, providers: list[str]) -> None:
        """What must be there before the network is loaded."""

    def _is_open(self) -> bool:
        return self._session is not None

    def _run(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert self._session is not None  # infer has asked
        return dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))

    def close(self) -> None:
        """Give the session back."""
        self._session = None


class OnnxRuntimeCudaBackend(OnnxRuntimeBackend):
    """Runs a bundle's ONNX file on an NVIDIA GPU; see `inference.base.Backend`."""

    name = "onnxruntime_cuda"
    provider = "CUDAExecutionProvider"

    def _prepare(self, providers: list[str]) -> None:
        import onnxruntime

        from vnect_ros.inference.tensorrt.probe import device

        if self.provider not in providers:
            raise BackendError(
                f"ONNX Runtime {onnxruntime.__version__} is built without CUDA: "
                "pip install onnxruntime-gpu in its place"
            )
        device()  # raises where there is no GPU
        if hasattr(onnxruntime, "preload_dlls"):  # CUDA and cuDNN from torch or from wheels
            with contextlib.redirect_stdout(io.StringIO()):
                onnxruntime.preload_dlls()
