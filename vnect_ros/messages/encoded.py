"""JPEG, PNG and other encoded images, as messages and files hold them."""

from __future__ import annotations

import re

import cv2
import numpy as np

from vnect_ros.errors import ImageError, describe

_DEPTHS = (8, 10, 12, 14, 16)
"""Bits that sensors deliver in 16-bit images."""
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""A JPEG marker that ends coded data, or begins a segment."""
_PNG_END = b"IEND\xaeB`\x82"


class SampleDepth:
    """How many bits a camera's 16-bit images use, by those seen so far."""

    def __init__(self) -> None:
        self._bits = _DEPTHS[0]

    def to_8_bits(self, values: np.ndarray) -> np.ndarray:
        """uint16 values as uint8; white is the largest number of the bits in use."""
        in_use = int(values.max()).bit_length()
        self._bits = max(self._bits, next(depth for depth in _DEPTHS if depth >= in_use))
        return (values >> (self._bits - 8)).astype(np.uint8)


def decode(
    data: bytes, depth: SampleDepth, field: str, got: str, *, as_file: bool = False
) -> np.ndarray:
    """The image as [H, W, 3] uint8 RGB.

    Args:
        depth: of the images of this camera.
        field, got: what a refusal names.
        as_file: any format that OpenCV reads, upright by its EXIF data; else JPEG
            and PNG alone, as the camera delivers them.

    Raises:
        ImageError: it is torn, damaged or of another format.
    """
    kind = "JPEG" if data[:2] == b"\xff\xd8" else "PNG" if data[1:4] == b"PNG" else ""
    if not kind and not as_file:
        raise ImageError(describe(field, got, "a JPEG or PNG image"))
    accepted = f"a whole {kind} image" if kind else "a whole image of a format OpenCV reads"
    # OpenCV fills what a torn image lacks with grey, and does not tell.
    if (kind == "JPEG" and not _ends_as_jpeg(data)) or (kind == "PNG" and _PNG_END not in data):
        raise ImageError(describe(field, f"{got}, cut off", accepted))
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    flags |= 0 if as_file else cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        raise ImageError(f"{field}: {error}") from error
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise ImageError(describe(field, f"{got}, damaged", accepted))
    if image.dtype == np.uint16:
        image = depth.to_8_bits(image)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _ends_as_jpeg(data: bytes) -> bool:
    """Whether a JPEG image comes to its end marker, whatever stands behind it.

    A thumbnail has one of its own, within a segment that is skipped here.
    """
    at = 2
    while (marker := _MARKER.search(data, at)) is not None:
        at, code = marker.end(), data[marker.end() - 1]
        if code == 0xD9:
            return True
        if code not in (0x01, 0xD8):  # those two have no length
            at += int.from_bytes(data[at : at + 2], "big")
    return False
