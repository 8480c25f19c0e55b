"""A network's reading of one window of an image: no box, filter or fit has touched it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vnect_ros.inference.base import Backend
from vnect_ros.perception import crop as cropping
from vnect_ros.perception.decode import confidence, find_joints, read_locations
from vnect_ros.records import Crop


@dataclass(frozen=True)
class Reading:
    """What one method says of one window."""

    pixels_px: np.ndarray
    """[21, 2] float64 of the image; NaN for joints the method does not know."""
    root_relative_m: np.ndarray
    """[21, 3] float64 relative to the pelvis, in the axes of the method; NaN likewise."""
    confidence: np.ndarray
    """[21] float64 in [0, 1]."""
    peaks: np.ndarray
    """[21] float64: what the confidence is made of."""


class Reader(Protocol):
    """A method under test: our networks and peers alike."""

    name: str
    normalised: bool
    """Whether its bodies have the normalised size (else metres as they are)."""
    crop_axes: bool
    """Whether its axes are those of a camera that looks through the window's centre."""

    def read(self, image: np.ndarray, crop: Crop | None = None) -> Reading:
        """Read the window of [H, W, 3] uint8 RGB; None takes the whole image."""
        ...


def whole(image: np.ndarray, input_size: int) -> Crop:
    """The smallest square window about the image's centre that holds all of it."""
    height, width = image.shape[:2]
    size = max(height, width)
    return Crop((width - size) / 2.0, (height - size) / 2.0, float(size), input_size)


class NetworkReader:
    """Our side: a bundle on a backend, its maps read as the pipeline reads them."""

    normalised = True

    def __init__(self, backend: Backend, name: str = "") -> None:
        self._backend = backend
        self.name = name or f"{backend.model.name} {backend.model.precision}"
        self.crop_axes = backend.model.location_frame == "crop_ray"

    def read(self, image: np.ndarray, crop: Crop | None = None) -> Reading:
        """See `Reader.read`."""
        model = self._backend.model
        size = model.input_size
        crop = Crop(crop.left_px, crop.top_px, crop.size_px, size) if crop else whole(image, size)
        (maps,) = self._backend.infer([cropping.cut(image, crop)])
        pixels_px, peaks = find_joints(maps)
        return Reading(
            pixels_px=crop.image_from_input(pixels_px),
            root_relative_m=read_locations(maps, pixels_px),
            confidence=confidence(peaks, model.confidence_curve),
            peaks=peaks,
        )
