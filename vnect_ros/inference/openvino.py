"""OpenVINO on the CPU: the same bundle files, for processors with VNNI or AMX."""

from __future__ import annotations

import io
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vnect_ros.errors import BackendError
from vnect_ros.inference import cache, openvino_graph
from vnect_ros.inference.base import RuntimeBackend
from vnect_ros.inference.model import Model


class OpenVinoBackend(RuntimeBackend):
    """Runs a bundle's ONNX file with OpenVINO; see `inference.base.Backend`."""

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
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # a robot's cores are others' too
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if threads > 0:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = _compiled(openvino, model, options)
            self._request = compiled.create_infer_request()
        except Exception as error:  # the runtime's errors share no narrower base
            words = " ".join(str(error).split())
            raise BackendError(f"openvino refuses {model.file}: {words}") from error
        self._outputs: dict[str, list[str]] = {}
        for output in compiled.outputs:
            name = output.get_any_name()
            self._outputs.setdefault(openvino_graph.whole(name), []).append(name)
        super().__init__(model, [i.get_any_name() for i in compiled.inputs], [*self._outputs])
        self.detail = f"openvino {openvino.__version__.partition('-')[0]}, {model.precision}"

    def _is_open(self) -> bool:
        return self._request is not None

    def _run(self, feed: dict[str, np.ndarray]) -> Mapping[str, Any]:
        self._request.infer(feed, share_inputs=True)
        found = {}
        for name, parts in self._outputs.items():
            values = [self._request.get_tensor(part).data.copy() for part in parts]
            found[name] = values[0] if parts == [name] else values
        return found

    def close(self) -> None:
        """Give the compiled network back."""
        self._request = None


@dataclass(frozen=True)
class _Key(cache.Built):
    """Everything a compiled network depends on."""

    processor: str
    options: str
    """OpenVINO's, and what is made of the file's graph."""


def _compiled(openvino: Any, model: Model, options: dict[str, Any]) -> Any:
    """The network compiled for this processor, which takes a second, or as it was before."""
    core = openvino.Core()

    def build() -> Any:
        network = openvino_graph.trimmed(core.read_model(str(model.file)))
        return core.compile_model(network, "CPU", options)

    def load(blob: bytes) -> Any:
        try:
            return core.import_model(io.BytesIO(blob), "CPU", options)
        except RuntimeError as error:
            raise BackendError(f"openvino refuses what it compiled: {error}") from error

    runtime = f"openvino {openvino.__version__}"
    settings = repr((options, openvino_graph.VERSION))
    key = _Key(model.sha256, model.precision, runtime, _processor(), settings)
    try:
        return cache.Cache().engine(key, lambda: build().export_model().getvalue(), load)[0]
    except (BackendError, OSError):  # nowhere to keep it
        return build()


def _processor() -> str:
    """What the instructions depend on that a network is compiled to."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    first = lines[: lines.index("") if "" in lines else None]
    names = ("vendor_id", "model name", "flags", "CPU part", "Features")
    return "\n".join([platform.machine(), *(line for line in first if line.startswith(names))])
