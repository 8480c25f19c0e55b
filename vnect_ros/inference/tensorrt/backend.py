"""TensorRT: a bundle's network compiled for, and run on, the GPU at hand."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import numpy as np

from vnect_ros.errors import BackendError, describe
from vnect_ros.inference.base import RuntimeBackend
from vnect_ros.inference.cache import Cache, Key
from vnect_ros.inference.model import Model
from vnect_ros.inference.tensorrt import build, loader
from vnect_ros.inference.tensorrt.probe import Device, device

if TYPE_CHECKING:
    from vnect_ros.inference.tensorrt.runner import Runner

log = logging.getLogger(__name__)


class TensorRTBackend(RuntimeBackend):
    """Runs a bundle on an NVIDIA GPU; see `inference.base.Backend`.

    The engine is built once for each model, precision, GPU, driver and TensorRT
    version, and kept in the user's cache.
    """

    name = "tensorrt"

    def __init__(
        self,
        model: Model,
        progress: build.Progress | None = None,
        use_graph: bool = True,
        cache: Cache | None = None,
        build_timeout_s: float = build.TIMEOUT_S,
    ) -> None:
        """Probe the GPU, find or build the engine, load it and run it once.

        Args:
            progress: called in the build's phases.
            use_graph: run through a CUDA graph.
            cache: of engines; the user's by default.
            build_timeout_s: a build that takes longer is given up.

        Raises:
            BackendError: no GPU, no TensorRT, or one of them refuses; the
                message has the remedy.
        """
        gpu = device()
        runtime = loader.load()
        key = key_of(model, gpu, f"{loader.name()} {runtime.__version__}")

        def make() -> bytes:
            log.info("building the engine of %s %s on %s", model.name, model.precision, gpu.name)
            start = time.perf_counter()
            engine = build.build_apart(model.folder, model.precision, progress, build_timeout_s)
            log.info("built in %.0f s: %d bytes", time.perf_counter() - start, len(engine))
            return engine

        def load(engine: bytes) -> Runner:
            from vnect_ros.inference.tensorrt.runner import Runner

            return Runner(engine, use_graph)

        runner, cached = (Cache() if cache is None else cache).engine(key, make, load)
        self._runner: Runner | None = runner
        super().__init__(model, list(runner.inputs), list(runner.outputs))
        self.detail = (
            f"{key.runtime}, {model.precision}, {gpu.name}, "
            f"engine {'from the cache' if cached else 'built now'}, "
            f"CUDA graph {'on' if runner.uses_graph else 'off'}"
        )
        size, pixels = model.input_size, runner.inputs[self._image]
        if pixels.shape != (1, size, size, 3) or pixels.dtype != np.uint8:
            got = f"{pixels.dtype} {pixels.shape}"
            self.close()
            raise BackendError(describe("engine's input", got, f"uint8 (1, {size}, {size}, 3)"))

    def _is_open(self) -> bool:
        return self._runner is not None

    def _prepared(self, image: np.ndarray) -> np.ndarray:
        return np.asarray(image)[None]  # the engine normalises

    def _run(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert self._runner is not None  # infer has asked
        return self._runner.run(feed)

    def close(self) -> None:
        """Give the engine, its stream and its memory back."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None


def key_of(model: Model, gpu: Device, runtime: str) -> Key:
    """Under what the engine of a bundle is kept."""
    return Key(
        model_sha256=model.sha256,
        precision=model.precision,
        runtime=runtime,
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        driver=gpu.driver,
    )
