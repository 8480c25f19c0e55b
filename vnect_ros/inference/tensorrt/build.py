"""From a bundle to an engine, in a process of its own.

A build takes seconds to minutes, holds the interpreter and much memory, and a
crash of TensorRT must not take the node along.  The child reports lines of
JSON on its standard output.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from vnect_ros.errors import BackendError, VnectError

if TYPE_CHECKING:
    import tensorrt as trt
else:
    from vnect_ros.inference.tensorrt.loader import trt

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 1800.0
"""A slow board needs some minutes for a large network."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, in [0, 1]."""


def build(onnx_bytes: bytes, progress: Progress | None = None) -> bytes:
    """Build an engine in this process.

    Args:
        onnx_bytes: of a graph with static shapes; its own types are kept.

    Raises:
        BackendError: the parser or the builder refuses; their words are in it.
    """
    messages: list[str] = []
    logger = make_logger(messages)
    builder = trt.Builder(logger)
    # Networks of TensorRT 11 are strongly typed always, and have no flag for it left.
    major = int(str(trt.__version__).split(".")[0])
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(0 if major >= 11 else typed)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx_bytes):
        said = [str(parser.get_error(i).desc()) for i in range(parser.num_errors)]
        words = " ".join([*messages[:1], *said])  # the first message names the node
        raise BackendError(f"TensorRT's parser refuses the network: {words}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # an fp32 file stays fp32
    if progress is not None:
        config.progress_monitor = _monitor(progress)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise BackendError("TensorRT cannot build the engine: " + "; ".join(messages[-3:]))
    return bytes(engine)


def make_logger(messages: list[str]) -> trt.ILogger:
    """Make a logger that appends TensorRT's errors to `messages`."""

    class Logger(trt.ILogger):
        """Hands TensorRT's words to Python's logging, and keeps the errors."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                messages.append(msg)
                log.error("%s", msg)
            elif severity == trt.ILogger.Severity.WARNING:
                log.warning("%s", msg)

    return Logger()


def _monitor(progress: Progress) -> trt.IProgressMonitor:
    class Monitor(trt.IProgressMonitor):
        """Turns TensorRT's nested phases into one share."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.phases: dict[str, tuple[str, int, int]] = {}  # parent, steps done, steps
            self.furthest = 0.0

        def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
            self.phases[phase_name] = (parent_phase, 0, max(1, num_steps))

        def phase_finish(self, phase_name: str) -> None:
            self.phases.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self.phases:
                parent, _, steps = self.phases[phase_name]
                self.phases[phase_name] = (parent, min(step + 1, steps), steps)
                share, name = 0.0, phase_name
                while name in self.phases:
                    name, done, steps = self.phases[name]
                    share = min(1.0, (done + share) / steps)
                self.furthest = max(self.furthest, share)
                progress(phase_name, self.furthest)
            return True  # False would cancel the build

    return Monitor()


def build_apart(
    folder: Path,
    precision: str,
    progress: Progress | None = None,
    timeout_s: float = TIMEOUT_S,
) -> bytes:
    """Build the engine of a bundle in a child process.

    Raises:
        BackendError: the child refused, crashed, or took longer than timeout_s.
    """
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "engine"
        command = [sys.executable, "-m", __name__, str(folder), precision, str(out)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        late = threading.Event()

        def stop() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(timeout_s, stop)
        timer.start()
        errors: list[str] = []
        reader = threading.Thread(target=_collect, args=(child.stderr, errors), daemon=True)
        reader.start()
        refusal = ""
        try:
            assert child.stdout is not None  # we asked for a pipe
            for line in child.stdout:
                report = _report(line)
                if "error" in report:
                    refusal = report["error"]
                elif "phase" in report and progress is not None:
                    progress(report["phase"], report["share"])
            child.wait()
        finally:
            timer.cancel()
            if child.poll() is None:
                child.kill()
                child.wait()
            reader.join(5.0)
        if late.is_set():
            raise BackendError(f"the engine's build took longer than {timeout_s:g} s")
        if child.returncode != 0 or not out.is_file():
            said = refusal or "; ".join(errors[-3:]) or "it said nothing"
            raise BackendError(f"the engine's build failed (status {child.returncode}): {said}")
        return out.read_bytes()


def _collect(stream: IO[str], lines: list[str]) -> None:
    lines.extend(line.rstrip() for line in stream)


def _report(line: str) -> dict[str, Any]:
    """One line of the child; what is no report of ours is empty."""
    try:
        report = json.loads(line)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def main(argv: list[str] | None = None) -> int:
    """The child: bundle folder, precision, file to write."""
    from vnect_ros.inference import bundles
    from vnect_ros.inference.tensorrt import graph

    parser = argparse.ArgumentParser(description="Build a bundle's TensorRT engine.")
    parser.add_argument("bundle")
    parser.add_argument("precision")
    parser.add_argument("out", type=Path)
    args = parser.parse_args(argv)

    def tell(phase: str, share: float) -> None:
        print(json.dumps({"phase": phase, "share": share}), flush=True)

    try:
        onnx_model = graph.prepared(bundles.load(args.bundle, args.precision))
        args.out.write_bytes(build(onnx_model.SerializeToString(), tell))
    except VnectError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
