"""From depth image messages to metres, by REP-118."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from vnect_ros.errors import ImageError, describe

ENCODINGS: Final = {"16UC1": ("u2", 1e-3), "32FC1": ("f4", 1.0)}
"""Type of the values, and the metres that 1 stands for."""


def depth_m(message: Any) -> np.ndarray:
    """[H, W] float32 distances along the optical axis of a sensor_msgs/Image [m].

    Where nothing was measured they are 0 or not finite, as they came.

    Raises:
        ImageError: encoding, size, step or data do not make a depth image.
    """
    if message.encoding not in ENCODINGS:
        accepted = "16UC1 in mm or 32FC1 in m"
        raise ImageError(describe("depth image encoding", message.encoding, accepted))
    kind, unit_m = ENCODINGS[message.encoding]
    width, height, step = message.width, message.height, message.step
    row = width * int(kind[1])
    if width == 0 or height == 0:
        raise ImageError(describe("depth image size", f"{width}x{height}", "at least 1x1"))
    if step < row:
        accepted = f"at least {row} bytes for {width} {message.encoding} values"
        raise ImageError(describe("depth image step", step, accepted))
    if len(message.data) != step * height:
        got = f"{len(message.data)} bytes"
        raise ImageError(describe("depth image data", got, f"{step * height} (step * height)"))
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, :row]
    order = ">" if message.is_bigendian else "<"
    values = np.ascontiguousarray(rows).view(order + kind)
    return np.multiply(values, np.float32(unit_m), dtype=np.float32)
