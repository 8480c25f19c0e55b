"""The square window of the image that the network sees, and how it follows a person."""

from __future__ import annotations

import math

import cv2
import numpy as np

from vnect_ros.config import CropConfig
from vnect_ros.records import Crop

MOMENTUM_RATE_HZ = 30.0
"""Frame rate the momentum is stated for; at other rates the same share decays per second."""


class Window:
    """The window around a tracked person."""

    def __init__(
        self, config: CropConfig, input_size: int, points_px: np.ndarray, stamp_s: float
    ) -> None:
        """Place the window around points [N, 2] of the image, without momentum."""
        self.config = config
        self.crop = around(points_px, config, input_size)
        self._stamp_s = stamp_s

    def follow(self, points_px: np.ndarray, stamp_s: float) -> Crop:
        """Move the window towards the points [N, 2] of the image and return it.

        The corners keep a share of the previous ones (paper, section 5); where
        that would cut a point off, the window jumps.
        """
        previous = self.crop
        target = around(points_px, self.config, previous.input_size)
        elapsed = max(stamp_s - self._stamp_s, 0.0) * MOMENTUM_RATE_HZ
        keep = self.config.momentum**elapsed
        blended = Crop(
            keep * previous.left_px + (1.0 - keep) * target.left_px,
            keep * previous.top_px + (1.0 - keep) * target.top_px,
            max(  # rounding may take a mean of two equal sizes below them
                keep * previous.size_px + (1.0 - keep) * target.size_px,
                min(previous.size_px, target.size_px),
            ),
            previous.input_size,
        )
        inside = blended.input_from_image(points_px)
        if inside.min() >= 0.0 and inside.max() <= previous.input_size - 1.0:
            target = blended
        self.crop, self._stamp_s = target, stamp_s
        return target


def around(points_px: np.ndarray, config: CropConfig, input_size: int) -> Crop:
    """The square window about the box of points [N, 2] of the image, with its margin."""
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    size = max(float((high - low).max()) * config.margin, config.min_size_px)
    return Crop.about((low + high) / 2.0, size, input_size)


def wider(crop: Crop, scale: float) -> Crop:
    """The window with the same centre in which the person appears scaled by `scale`."""
    return Crop.about(crop.centre_px, crop.size_px / scale, crop.input_size)


def outside(points_px: np.ndarray, shape: tuple[int, ...], tolerance_px: float) -> np.ndarray:
    """[N] bool: which points [N, 2] lie farther than the tolerance outside an image [H, W, ...]."""
    height, width = shape[:2]
    beyond = np.abs(points_px - ((width - 1) / 2.0, (height - 1) / 2.0))
    limit = (width / 2.0 + tolerance_px, height / 2.0 + tolerance_px)
    is_outside: np.ndarray = np.any(beyond > limit, axis=1)
    return is_outside


def cut(image: np.ndarray, crop: Crop) -> np.ndarray:
    """What the network sees: the window, resampled; black outside the image.

    Where the window is larger than the input, whole blocks of pixels are
    averaged before the bilinear step, so that nothing aliases.  The geometry is
    exactly that of `Crop.input_from_image`.

    Args:
        image: [H, W, 3] uint8.

    Returns:
        [S, S, 3] uint8, S = crop.input_size.
    """
    height, width = image.shape[:2]
    # No block is larger than the image, however far off a window was predicted.
    block = min(max(round(crop.scale), 1), max(width, height))
    left = max(math.floor(crop.left_px) - block, 0)
    top = max(math.floor(crop.top_px) - block, 0)
    right = min(math.ceil(crop.left_px + crop.size_px) + block, width)
    bottom = min(math.ceil(crop.top_px + crop.size_px) + block, height)
    if left >= right or top >= bottom:
        return np.zeros((crop.input_size, crop.input_size, 3), np.uint8)
    # To whole blocks where the image goes on: what they show more of is not looked at.
    right = min(right + (left - right) % block, width)
    bottom = min(bottom + (top - bottom) % block, height)
    part = image[top:bottom, left:right]
    if block > 1:
        below, beside = -part.shape[0] % block, -part.shape[1] % block
        if below or beside:
            part = cv2.copyMakeBorder(part, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        size = (part.shape[1] // block, part.shape[0] // block)
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    if part.shape[:2] == (1, 1):  # OpenCV 4.5 (Ubuntu 22.04) cannot warp a single pixel
        part = cv2.copyMakeBorder(part, 0, 1, 0, 1, cv2.BORDER_CONSTANT)
    # Pixel q of the input lies at (q + 0.5) * scale - 0.5 + corner of the image, and
    # pixel p of the image at (p - left + 0.5) / block - 0.5 of the part.
    step = crop.scale / block
    x = (0.5 * crop.scale + crop.left_px - left) / block - 0.5
    y = (0.5 * crop.scale + crop.top_px - top) / block - 0.5
    return cv2.warpAffine(
        part,
        np.array([[step, 0.0, x], [0.0, step, y]]),
        (crop.input_size, crop.input_size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
