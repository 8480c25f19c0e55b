"""The record of one image of a recording."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import cv2
import numpy as np

from vnect_ros.camera import Camera, fit
from vnect_ros.errors import describe

FALLBACK_FPS = 30.0
"""Rate taken for what states none [Hz]."""
MAX_FPS = 1000.0
"""Largest rate of a recording [Hz]."""
MAX_EDGE_PX = 8192
"""Largest edge that images are scaled to fit."""


@dataclass(frozen=True)
class VideoFrame:
    """One image of a video, a folder of images or a bag."""

    image: np.ndarray
    """[H, W, 3] uint8 RGB."""
    stamp_s: float
    """Time since the first frame [s]."""
    camera: Camera | None = None
    """As the recording states it; None where it does not, or the camera is not calibrated."""
    frame_id: str = ""
    """The header's, of a bag."""
    stamp_ns: int = 0
    """The header's, of a bag [ns]."""
    recorded_ns: int = 0
    """When a bag received the image [ns]."""


def fitted(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image [H, W, 3] scaled to fit (width, height), centred, the rest black.

    Its camera is then `Camera.fitted`.
    """
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    inner, left, top = fit(width, height, *size)
    out = np.zeros((size[1], size[0], 3), np.uint8)
    method = cv2.INTER_AREA if inner[0] < width else cv2.INTER_LINEAR
    part = cv2.resize(image, inner, interpolation=method)
    out[top : top + inner[1], left : left + inner[0]] = part
    return out


def size(text: str) -> tuple[int, int]:
    """Width and height [px] as in 1280x720, as the type of an argument."""
    numbers = text.lower().split("x")
    if len(numbers) != 2 or not all(n.isdigit() and 0 < int(n) <= MAX_EDGE_PX for n in numbers):
        accepted = f"WxH, as in 1280x720, {MAX_EDGE_PX} at most"
        raise argparse.ArgumentTypeError(describe("size", text, accepted))
    return int(numbers[0]), int(numbers[1])
