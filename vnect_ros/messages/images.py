"""From image messages to pixels: every encoding, raw and compressed.

A message is whatever has the fields of sensor_msgs/Image or CompressedImage:
those of rclpy, and those that rosbags reads from files.
cv_bridge converts what it reads rightly, where it is installed.  Ours are rgb8
and bgr8, which need no copy or one; YUV and 16-bit images, of which cv_bridge
lacks some and takes 65535 for white in others; and rows with padding, which
some of its versions read as pixels.  OpenCV names a Bayer pattern by its second
row, so its BayerRG is ROS's bayer_bggr.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vnect_ros.errors import ImageError, describe
from vnect_ros.messages.encoded import SampleDepth, decode


@dataclass(frozen=True)
class _Encoding:
    channels: int
    """Samples that a pixel takes."""
    to_rgb: int | None
    """OpenCV's conversion; None where it is RGB already."""
    bits: int = 8
    bridged: bool = True
    """Whether cv_bridge may convert it."""


_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
_COLOURS: dict[str, tuple[int, int | None]] = {
    "rgb": (3, None),
    "bgr": (3, cv2.COLOR_BGR2RGB),
    "rgba": (4, cv2.COLOR_RGBA2RGB),
    "bgra": (4, cv2.COLOR_BGRA2RGB),
    "mono": (1, cv2.COLOR_GRAY2RGB),
    **{f"bayer_{pattern}": (1, code) for pattern, code in _BAYER.items()},
}
ENCODINGS = {
    **{f"{c}8": _Encoding(*how, bridged=c not in ("rgb", "bgr")) for c, how in _COLOURS.items()},
    **{f"{c}16": _Encoding(*how, bits=16, bridged=False) for c, how in _COLOURS.items()},
    "yuv422": _Encoding(2, cv2.COLOR_YUV2RGB_UYVY, bridged=False),
    "uyvy": _Encoding(2, cv2.COLOR_YUV2RGB_UYVY, bridged=False),
    "yuv422_yuy2": _Encoding(2, cv2.COLOR_YUV2RGB_YUY2, bridged=False),
    "yuyv": _Encoding(2, cv2.COLOR_YUV2RGB_YUY2, bridged=False),
}
"""What is read of sensor_msgs/Image; "uyvy" and "yuyv" are newer names of the two YUV ones."""


class ImageReader:
    """Reads the images of one camera; remembers how many bits its 16-bit images use."""

    def __init__(self, bridge: Any | None = None) -> None:
        """Take a CvBridge, or None to convert without one."""
        self._bridge = bridge
        self._not_bridged: set[str] = set()
        self._depth = SampleDepth()

    def read(self, message: Any) -> np.ndarray:
        """The image as [H, W, 3] uint8 RGB; rgb8 without padding is not copied.

        White of a 16-bit image is the largest number of the bits that were in
        use so far: 1023 for a sensor of 10 bits.

        Raises:
            ImageError: encoding, size, step or data do not make an image.
        """
        if not hasattr(message, "encoding"):
            got = f"{len(message.data)} bytes of format {message.format!r}"
            return decode(bytes(message.data), self._depth, "compressed image", got)
        encoding, row = _checked(message)
        if encoding.bridged and message.step == row and not message.is_bigendian:
            image = self._bridged(message)
            if image is not None:
                return image
        return self._converted(message, encoding, row)

    def _bridged(self, message: Any) -> np.ndarray | None:
        """What cv_bridge makes of a message; None where it lacks the encoding."""
        if self._bridge is None or message.encoding in self._not_bridged:
            return None
        try:
            image = np.asarray(self._bridge.imgmsg_to_cv2(message, "rgb8"))
        except Exception:  # its versions raise CvBridgeError, TypeError, KeyError, cv2.error
            image = None
        shape = (message.height, message.width, 3)
        if image is None or image.shape != shape or image.dtype != np.uint8:
            self._not_bridged.add(message.encoding)
            return None
        return image

    def _converted(self, message: Any, encoding: _Encoding, row: int) -> np.ndarray:
        width, height = message.width, message.height
        rows = np.frombuffer(message.data, np.uint8).reshape(height, message.step)[:, :row]
        pixels = np.ascontiguousarray(rows)
        if encoding.bits == 16:
            pixels = self._depth.to_8_bits(pixels.view(">u2" if message.is_bigendian else "<u2"))
        pixels = pixels.reshape(height, width, encoding.channels)
        if encoding.to_rgb is None:
            return pixels
        try:
            return cv2.cvtColor(pixels, encoding.to_rgb)
        except cv2.error as error:  # e.g. a Bayer image of one row
            raise ImageError(f"{message.encoding} image of {width}x{height}: {error}") from error


def _checked(message: Any) -> tuple[_Encoding, int]:
    """The encoding of a message that is whole, and the bytes that a row's pixels take."""
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise ImageError(describe("image encoding", message.encoding, ", ".join(ENCODINGS)))
    width, height, step = message.width, message.height, message.step
    if width == 0 or height == 0:
        raise ImageError(describe("image size", f"{width}x{height}", "at least 1x1"))
    if width % 2 and encoding.channels == 2:
        raise ImageError(describe("image width", width, f"an even number for {message.encoding}"))
    row = width * encoding.channels * encoding.bits // 8
    if step < row:
        accepted = f"at least {row} bytes for {width} {message.encoding} pixels"
        raise ImageError(describe("image step", step, accepted))
    if len(message.data) != step * height:
        raise ImageError(
            describe("image data", f"{len(message.data)} bytes", f"{step * height} (step * height)")
        )
    return encoding, row
