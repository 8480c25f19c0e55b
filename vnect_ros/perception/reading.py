"""The joints that one window's maps show, as they are: no expectation, threshold or filter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vnect_ros.perception.decode import confidence, find_joints, read_locations
from vnect_ros.records import Crop, Maps


@dataclass(frozen=True)
class Reading:
    """The joints that a method finds in one window."""

    pixels_px: np.ndarray
    """[21, 2] float64 of the image; NaN for joints the method does not know."""
    root_relative_m: np.ndarray
    """[21, 3] float64 relative to the pelvis, in the axes of the method; NaN likewise."""
    confidence: np.ndarray
    """[21] float64 in [0, 1]."""
    peaks: np.ndarray
    """[21] float64: what the confidence is made of."""
    window: Crop | None = None
    """The window that was read, in whose axes the joints in space are; None: all of the image."""


def read(maps: Maps, curve: tuple[tuple[float, float], ...], crop: Crop | None = None) -> Reading:
    """Read a window's maps by the rules of the pipeline.

    Args:
        curve: the bundle's confidence curve, see `decode.confidence`.
        crop: the window that the maps are of; without it pixels are those of the input.
    """
    pixels_px, peaks = find_joints(maps)
    return Reading(
        pixels_px=crop.image_from_input(pixels_px) if crop else pixels_px,
        root_relative_m=read_locations(maps, pixels_px),
        confidence=confidence(peaks, curve),
        peaks=peaks,
        window=crop,
    )


def whole(image: np.ndarray, input_size: int) -> Crop:
    """The smallest square window about the centre of an image [H, W, 3] that holds all of it."""
    height, width = image.shape[:2]
    size = max(height, width)
    return Crop((width - size) / 2.0, (height - size) / 2.0, float(size), input_size)
