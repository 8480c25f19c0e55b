"""OpenVINO on the CPU: the same bundle files, for processors with VNNI or AMX."""

from __future__ import annotations

import numpy as np

from vnect_ros.errors import BackendError, ModelError
from vnect_ros.inference.bundles import Model
from vnect_ros.records import Maps


class OpenVinoBackend:
    """Runs a bundle's ONNX file with OpenVINO; see `backends.base.Backend`."""

    name = "openvino"

    def __init__(self, model: Model, threads: int = 0) -> None:
        """Compile the network for this CPU.

        An fp32 file is computed in float32 and not, as OpenVINO would choose on
        some processors, in bfloat16.

        Args:
            threads: of one inference; 0 leaves it to the runtime.

        Raises:
            BackendError: the runtime is not installed, or refuses the file.
        """
        try:
            import openvino
        except ImportError as error:
            raise BackendError(
                f"openvino is not installed ({error}): pip install openvino"
            ) from error
        options: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # a robot's cores are others' too
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if threads > 0:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            compiled = core.compile_model(core.read_model(str(model.file)), "CPU", options)
            self._request = compiled.create_infer_request()
        except Exception as error:  # the runtime's errors share no narrower base
            words = " ".join(str(error).split())
            raise BackendError(f"openvino refuses {model.file}: {words}") from error
        if len(compiled.inputs) != 1:
            names = ", ".join(i.get_any_name() for i in compiled.inputs)
            raise BackendError(f"{model.file}: inputs: got {names}, accepted: one")
        self.model = model
        self.detail = f"openvino {openvino.__version__.partition('-')[0]}, {model.precision}"

    def infer(self, image: np.ndarray) -> Maps:
        """Run the network on one crop; see `backends.base.Backend`."""
        if self._request is None:
            raise BackendError("openvino: the backend is closed")
        prepared = self.model.prepare(image)
        try:
            self._request.infer([prepared], share_inputs=True)
            output = self._request.get_output_tensor(0).data.copy()
        except Exception as error:
            raise BackendError(f"openvino failed on {self.model.name}: {error}") from error
        try:
            return self.model.maps(output)
        except ModelError as error:
            raise BackendError(f"openvino: {error}") from error

    def close(self) -> None:
        """Give the compiled network back."""
        self._request = None
