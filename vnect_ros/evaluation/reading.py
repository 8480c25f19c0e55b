"""Methods under test on whole crops: no box, filter or fit touches what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tqdm import tqdm

from vnect_ros.config import PipelineConfig
from vnect_ros.inference.base import Backend
from vnect_ros.perception import crop as cropping
from vnect_ros.perception import reading
from vnect_ros.perception.reading import Reading, whole
from vnect_ros.records import Crop

Direction = Callable[[Crop], np.ndarray]
"""The direction of gravity [3], of unit length, in the axes of a window's central ray."""


class Reader(Protocol):
    """A method under test: our networks and baselines alike."""

    name: str
    normalised: bool
    """Whether its bodies have the normalised size (else metres as they are)."""
    crop_axes: bool
    """Whether its axes are those of a camera that looks through the window's centre."""

    def read(self, image: np.ndarray, crop: Crop | None = None) -> Reading:
        """Read the window of [H, W, 3] uint8 RGB; None takes the whole image."""
        ...


class NetworkReader:
    """Our side: a bundle on a backend, its maps read as the pipeline reads them."""

    normalised = True

    def __init__(
        self, backend: Backend, name: str = "", tracking: PipelineConfig | None = None
    ) -> None:
        """Read windows with a backend.

        Args:
            name: in tables; "": the model's.
            tracking: read everybody twice, the second time in the window that tracking by
                this configuration would cut about the joints of the first.
        """
        self._backend, self._tracking = backend, tracking
        self.name = name or f"{backend.model.name} {backend.model.precision}"
        self.crop_axes = backend.model.location_frame == "crop_ray"

    def read(
        self, image: np.ndarray, crop: Crop | None = None, down: Direction | None = None
    ) -> Reading:
        """See `Reader.read`; `down` gives gravity to the network."""
        size = self._backend.model.input_size
        found = self._read(image, resized(crop, image, size), down)
        if self._tracking is not None:
            seen = found.confidence >= self._tracking.decode.min_confidence
            if seen.sum() >= self._tracking.decode.min_joints:
                window = cropping.around(found.pixels_px[seen], self._tracking.crop, size)
                found = self._read(image, window, down)
        return found

    def _read(self, image: np.ndarray, crop: Crop, down: Direction | None) -> Reading:
        gravities = None if down is None else [down(crop)]
        (maps,) = self._backend.infer([cropping.cut(image, crop)], gravities)
        return reading.read(maps, self._backend.model.confidence_curve, crop)


def resized(crop: Crop | None, image: np.ndarray, size: int) -> Crop:
    """The window, or the whole image, for an input of another edge [px]."""
    if crop is None:
        return whole(image, size)
    return Crop(crop.left_px, crop.top_px, crop.size_px, size)


@dataclass(frozen=True)
class Readings:
    """What one reader found in every image of a set."""

    reader: str
    pixels_px: np.ndarray
    """[N, 21, 2] pixels of the image."""
    root_relative_m: np.ndarray
    """[N, 21, 3]."""
    confidence: np.ndarray
    """[N, 21]."""
    peaks: np.ndarray
    """[N, 21]."""
    windows: Sequence[Crop | None]
    """[N] what was read; None: all of the image."""


def read_all(
    reader: Reader,
    images: Iterable[np.ndarray],
    count: int,
    directions: Sequence[Direction] = (),
) -> Readings:
    """Read every whole image, with a progress bar.

    Args:
        directions: of gravity in each image, for readers that can use it.
    """
    shown = tqdm(images, total=count, desc=reader.name, leave=False)
    rows: list[Reading] = (
        [reader.read(image, down=down) for image, down in zip(shown, directions)]
        if directions and isinstance(reader, NetworkReader)
        else [reader.read(image) for image in shown]
    )
    return Readings(
        reader.name,
        np.stack([r.pixels_px for r in rows]),
        np.stack([r.root_relative_m for r in rows]),
        np.stack([r.confidence for r in rows]),
        np.stack([r.peaks for r in rows]),
        [r.window for r in rows],
    )
