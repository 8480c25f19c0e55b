"""Runs an engine: own stream, pinned memory, fixed addresses, one synchronisation."""

from __future__ import annotations

import contextlib
import ctypes
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from vnect_ros.errors import BackendError, describe
from vnect_ros.inference.tensorrt.build import make_logger

if TYPE_CHECKING:
    import tensorrt as trt
else:
    from vnect_ros.inference.tensorrt.loader import trt

log = logging.getLogger(__name__)


def load_cuda() -> Any:
    """NVIDIA's bindings of the CUDA runtime.

    Raises:
        BackendError: they are missing.
    """
    try:
        from cuda.bindings import runtime
    except ImportError:
        try:
            from cuda import cudart as runtime  # before 12.6
        except ImportError as error:
            raise BackendError(
                f"cuda-bindings is missing ({error}): pip install cuda-bindings, of the "
                "major version that `nvidia-smi` names for CUDA"
            ) from error
    return runtime


class Runner:
    """One engine, ready to run: `inputs` and `outputs` are pinned arrays by tensor name.

    `close` gives back the stream, the graph and the memory; the class frees them
    too when making it fails half-way.
    """

    def __init__(self, engine: bytes, use_graph: bool = True) -> None:
        """Load the engine, reserve its memory and run it once.

        Args:
            use_graph: record the copies and the run as one CUDA graph; where
                that fails, they are launched one by one.

        Raises:
            BackendError: the runtime refuses the engine, or the GPU fails.
        """
        self.cuda = load_cuda()
        self._release = contextlib.ExitStack()
        self._engine: trt.ICudaEngine | None = None
        self._context: trt.IExecutionContext | None = None
        self.inputs: dict[str, np.ndarray] = {}
        self.outputs: dict[str, np.ndarray] = {}
        self._gpu: dict[str, int] = {}
        try:
            self._load(engine)
            self.uses_graph = use_graph and self._record()
        except BaseException:
            self.close()
            raise

    def check(self, result: tuple[Any, ...], what: str) -> Any:
        """The value of a CUDA call.

        Raises:
            BackendError: it failed; CUDA's own words are in the message.
        """
        status, *values = result
        if int(status) != 0:
            _, text = self.cuda.cudaGetErrorString(status)
            words = text.decode() if isinstance(text, bytes) else str(text)
            raise BackendError(f"CUDA: {what} failed: {words}")
        return values[0] if values else None

    def _load(self, engine: bytes) -> None:
        cuda = self.cuda
        messages: list[str] = []
        count = self.check(cuda.cudaGetDeviceCount(), "looking for a GPU")
        if count < 1:
            raise BackendError("CUDA: there is no GPU")
        self._trt_logger = make_logger(messages)  # must outlive the runtime
        runtime = trt.Runtime(self._trt_logger)
        loaded = runtime.deserialize_cuda_engine(engine)
        if loaded is None:
            raise BackendError("TensorRT refuses the engine: " + "; ".join(messages[-2:]))
        self._engine = loaded
        context = loaded.create_execution_context()
        if context is None:
            raise BackendError("TensorRT has no memory left for the run: " + "; ".join(messages))
        self._context = context
        flags = cuda.cudaStreamNonBlocking
        self.stream = self.check(cuda.cudaStreamCreateWithFlags(flags), "making a stream")
        self._release.callback(cuda.cudaStreamDestroy, self.stream)
        for i in range(loaded.num_io_tensors):
            name = loaded.get_tensor_name(i)
            host, self._gpu[name] = self._reserve(loaded, context, name)
            goes_in = loaded.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            (self.inputs if goes_in else self.outputs)[name] = host
        self.launch()
        self.wait()

    def _reserve(
        self, engine: trt.ICudaEngine, context: trt.IExecutionContext, name: str
    ) -> tuple[np.ndarray, int]:
        """Pinned memory of the host (as an array) and memory of the GPU for a tensor."""
        cuda = self.cuda
        dims = engine.get_tensor_shape(name)
        shape = tuple(int(dims[i]) for i in range(len(dims)))
        kind = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
        size = int(np.prod(shape)) * kind.itemsize
        host = int(self.check(cuda.cudaHostAlloc(size, 0), f"reserving {size} bytes of the host"))
        self._release.callback(cuda.cudaFreeHost, host)
        gpu = int(self.check(cuda.cudaMalloc(size), f"reserving {size} bytes of the GPU"))
        self._release.callback(cuda.cudaFree, gpu)
        if not context.set_tensor_address(name, gpu):
            raise BackendError(f"TensorRT refuses the address of {name}")
        buffer = (ctypes.c_uint8 * size).from_address(host)
        return np.frombuffer(buffer, kind).reshape(shape), gpu

    def copy_in(self) -> None:
        """Start to copy the pinned inputs to the GPU."""
        kind = self.cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        for name, host in self.inputs.items():
            gpu, here, size = self._gpu[name], host.ctypes.data, host.nbytes
            copied = self.cuda.cudaMemcpyAsync(gpu, here, size, kind, self.stream)
            self.check(copied, f"copying {name} to the GPU")

    def execute(self) -> None:
        """Start the network."""
        if self._context is None or not self._context.execute_async_v3(int(self.stream)):
            raise BackendError("TensorRT failed to run the network")

    def copy_out(self) -> None:
        """Start to copy the outputs back."""
        kind = self.cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        for name, host in self.outputs.items():
            gpu, here, size = self._gpu[name], host.ctypes.data, host.nbytes
            copied = self.cuda.cudaMemcpyAsync(here, gpu, size, kind, self.stream)
            self.check(copied, f"copying {name} from the GPU")

    def launch(self) -> None:
        """Start all three; `wait` ends them."""
        self.copy_in()
        self.execute()
        self.copy_out()

    def wait(self) -> None:
        """Wait until the stream is done."""
        self.check(self.cuda.cudaStreamSynchronize(self.stream), "waiting for the GPU")

    def _record(self) -> bool:
        """Record a launch as a graph; False where the runtime cannot."""
        cuda = self.cuda
        mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        try:
            self.check(cuda.cudaStreamBeginCapture(self.stream, mode), "starting a graph")
            try:
                self.launch()
            finally:
                graph = self.check(cuda.cudaStreamEndCapture(self.stream), "ending the graph")
            self._release.callback(cuda.cudaGraphDestroy, graph)
            self._graph = self.check(cuda.cudaGraphInstantiate(graph, 0), "making the graph")
            self._release.callback(cuda.cudaGraphExecDestroy, self._graph)
            self.check(cuda.cudaGraphLaunch(self._graph, self.stream), "running the graph")
            self.wait()
        except BackendError as error:
            log.warning("no CUDA graph, single launches instead: %s", error)
            return False
        return True

    def run(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the network.

        Args:
            feed: every input by name, of its shape and type.

        Returns:
            Every output by name, in memory of its own.

        Raises:
            BackendError: an input does not fit, or the GPU fails.
        """
        for name, host in self.inputs.items():
            if feed[name].shape != host.shape or feed[name].dtype != host.dtype:
                got = f"{feed[name].dtype} {feed[name].shape}"
                raise BackendError(describe(name, got, f"{host.dtype} {host.shape}"))
            np.copyto(host, feed[name])
        if self.uses_graph:
            self.check(self.cuda.cudaGraphLaunch(self._graph, self.stream), "running the graph")
        else:
            self.launch()
        self.wait()
        return {name: host.copy() for name, host in self.outputs.items()}

    def close(self) -> None:
        """Give everything back; calling it twice is harmless."""
        self._context = self._engine = None  # before the memory they point into
        with contextlib.suppress(Exception):
            self._release.close()
