"""Asks the NVIDIA driver for its GPU, in a process of its own where there is a driver.

Some runtimes end the whole process when there is no driver, or an unfit one:
so nothing of theirs is touched before this has answered.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from vnect_ros.errors import BackendError

DRIVER: Final = "libcuda.so.1"
_COMPUTE_MAJOR: Final = 75
_COMPUTE_MINOR: Final = 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""


@dataclass(frozen=True)
class Device:
    """The GPU that the engine is built for and runs on."""

    name: str
    compute_capability: str
    driver: str


def device(timeout_s: float = 30.0) -> Device:
    """The first GPU, as the driver names it.

    Raises:
        BackendError: there is no driver or no GPU, or the driver does not answer.
    """
    try:
        ctypes.CDLL(DRIVER)  # loads it and starts nothing: most machines need no process
    except OSError as error:
        raise _refusal(f"the driver's library cannot be loaded: {error}") from error
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"the NVIDIA driver did not answer within {timeout_s:g} s") from error
    except OSError as error:
        raise BackendError(
            f"{command[0]} cannot be started to probe the driver: {error}"
        ) from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1]
        raise _refusal(said)
    return Device(**json.loads(done.stdout))


def _refusal(reason: str) -> BackendError:
    return BackendError(
        f"no usable NVIDIA GPU: {reason}. Check `nvidia-smi` (Jetson: `tegrastats`)"
    )


def _ask() -> Device:
    """Ask the driver in this process; a message in RuntimeError if it cannot."""
    cuda = ctypes.CDLL(DRIVER)

    def call(function: str, *arguments: object) -> None:
        status = getattr(cuda, function)(*arguments)
        if status != 0:
            raise RuntimeError(f"{function} failed with CUDA error {status}")

    number, gpu = ctypes.c_int(), ctypes.c_int()
    call("cuInit", 0)
    call("cuDeviceGetCount", ctypes.byref(number))
    if number.value == 0:
        raise RuntimeError("the driver sees no GPU")
    call("cuDeviceGet", ctypes.byref(gpu), 0)
    text = ctypes.create_string_buffer(256)
    call("cuDeviceGetName", text, len(text), gpu)
    capability = []
    for attribute in (_COMPUTE_MAJOR, _COMPUTE_MINOR):
        call("cuDeviceGetAttribute", ctypes.byref(number), attribute, gpu)
        capability.append(str(number.value))
    call("cuDriverGetVersion", ctypes.byref(number))
    driver = str(number.value)
    release = Path("/proc/driver/nvidia/version")
    if release.is_file():
        driver += " " + release.read_text(encoding="utf-8").splitlines()[0]
    return Device(text.value.decode(), ".".join(capability), driver)


if __name__ == "__main__":
    try:
        print(json.dumps(asdict(_ask())))
    except (OSError, RuntimeError) as problem:
        sys.exit(str(problem))
