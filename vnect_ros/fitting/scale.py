"""A person's metric scale: by a depth image, by the floor, else by the configured height."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from vnect_ros.fitting import depth
from vnect_ros.fitting.energy import pelvis_distance
from vnect_ros.fitting.ground import Contacts
from vnect_ros.fitting.height import HeightEstimate, Size
from vnect_ros.records import Plane
from vnect_ros.skeleton import PELVIS

_BODY_STD: Final = 0.03
"""Error of a fit's distance for a person of known height, as a share of it."""


class Surroundings(NamedTuple):
    """What is known in metres of a frame, besides the person."""

    floor: Plane | None = None
    depth_m: np.ndarray | None = None
    """[H, W] depth image of the camera [m]."""

    @property
    def unknown(self) -> bool:
        """Whether nothing is known."""
        return self.floor is None and self.depth_m is None


class Body(NamedTuple):
    """A fitted person in a frame."""

    points_m: np.ndarray
    """[21, 3] joints, camera frame [m]."""
    lengths_m: np.ndarray
    """[21] bone lengths [m]."""
    height_m: float
    pixels_px: np.ndarray
    """[21, 2] where the joints are seen [px]."""
    seen: np.ndarray
    """[21] bool: joints that the image shows."""


class _Read(NamedTuple):
    """A depth image that was compared with a body."""

    image_m: np.ndarray
    reading: depth.DepthReading | None
    distance_m: float
    """Of the body's pelvis [m]."""


class Scale:
    """Measures one person's height, and gives the terms that hold the fit to metres."""

    def __init__(self, assumed_height_m: float) -> None:
        """Assume a height until one is measured [m]."""
        self._height = HeightEstimate(assumed_height_m)
        self._contacts = Contacts()
        self._read: _Read | None = None
        """The frame's depth image against the predicted body, until the fitted one has come."""

    @property
    def size(self) -> Size | None:
        """The measured height; None while it is assumed."""
        return self._height.size

    @property
    def standing(self) -> np.ndarray:
        """[4] bool: which of `ground.SOLES` stand on the floor."""
        return self._contacts.standing

    def terms(
        self, body: Body, around: Surroundings, weight: float, dt_s: float
    ) -> list[np.ndarray]:
        """E_ground and the depth image's distance, once the height is measured.

        Args:
            body: as predicted for the frame.
            weight: of E_ground.

        Returns:
            [*, VECTOR_SIZE] residual vectors each, see `energy`.
        """
        terms: list[np.ndarray] = []
        if self.size is None:
            return terms
        if around.floor is not None:
            ground = self._contacts.term(body.lengths_m, around.floor, weight, dt_s)
            terms += [] if ground is None else [ground]
        reading = self._compare(body, around.depth_m)
        if reading is not None:
            distance_m = float(body.points_m[PELVIS, 2])
            terms.append(pelvis_distance(reading.ratio * distance_m, reading.std * distance_m))
        return terms

    def update(self, body: Body, around: Surroundings, dt_s: float) -> None:
        """Take a fitted frame into account."""
        floor = around.floor
        if floor is None:
            self._contacts.lose()
        else:
            known = self.size is not None
            points, lengths = body.points_m, body.lengths_m
            self._contacts.update(points, body.seen, lengths, floor, dt_s, known)
            self._height.update(points, self._contacts.standing, lengths, floor, dt_s)
        reading, self._read = self._compare(body, around.depth_m), None
        if reading is not None:
            # What a body looks like at a distance is right to a few percent.
            std = math.hypot(reading.std, _BODY_STD)
            self._height.take(reading.ratio * body.height_m, std, dt_s)

    def lose_contacts(self) -> None:
        """The feet are not seen, or their distance was corrected."""
        self._contacts.lose()
        self._read = None

    def _compare(self, body: Body, depth_m: np.ndarray | None) -> depth.DepthReading | None:
        """What a depth image [H, W] shows; read once a frame, then only the distance counts."""
        if depth_m is None:
            return None
        distance_m, read = float(body.points_m[PELVIS, 2]), self._read
        if read is None or read.image_m is not depth_m:
            points_m, pixels_px, seen = body.points_m, body.pixels_px, body.seen
            reading = depth.measure(points_m, pixels_px, seen, depth_m, body.height_m)
            self._read = _Read(depth_m, reading, distance_m)
            return reading
        if read.reading is None:
            return None
        return read.reading._replace(ratio=read.reading.ratio * read.distance_m / distance_m)
