"""One frame's joints in the fit's coordinates, and where they put the body."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from vnect_ros import native, skeleton
from vnect_ros.camera import Camera
from vnect_ros.fitting.inverse import bone_vectors
from vnect_ros.records import Joints
from vnect_ros.skeleton import NUM_JOINTS, PELVIS

PARENTS: Final = np.array(skeleton.PARENTS, dtype=np.int64)
"""[21] of the joints, for `native`."""

_OUTLIER_M: Final = 0.25
"""A joint this far from where the others put it counts a quarter [m]."""
_SMALLEST_SPREAD: Final = 1e-12
"""Variance of the rays, on the plane z = 1, below which they do not show a distance."""
_NEAREST_M: Final = 0.1
_FARTHEST_M: Final = 1e3
_LARGEST: Final = 50.0
"""Rays and joints [m] beyond this are no observation."""
MIN_SEEN: Final = 4
"""Joints below which a frame does not show the whole body."""
_LIMITS: Final = np.array((_OUTLIER_M, _SMALLEST_SPREAD, _NEAREST_M, _FARTHEST_M))


@dataclass(frozen=True)
class Measurement:
    """Joints of one frame, finite, in the fit's coordinates."""

    local_m: np.ndarray
    """[21, 3] root-relative, camera axes, the network's own body size [m]."""
    rays: np.ndarray
    """[21, 2] undistorted, on the plane z = 1."""
    confidence: np.ndarray
    """[21]; 0 is not seen."""
    guessed: np.ndarray | None = None
    """[21] bool: not seen, but `local_m` is where the other joints let it be expected; None: no
    joint is."""

    @cached_property
    def seen(self) -> np.ndarray:
        """[21] bool."""
        return self.confidence > 0.0

    @property
    def bones_m(self) -> np.ndarray:
        """[21, 3] from each joint's parent to the joint; 0 for the pelvis [m]."""
        return bone_vectors(self.local_m)

    def with_lengths(self, lengths_m: np.ndarray) -> np.ndarray:
        """[21, 3] the joints relative to the pelvis with other bone lengths [21] [m]."""
        moved = np.empty((NUM_JOINTS, 3))
        native.with_lengths(self.local_m, lengths_m, PARENTS, moved)
        return moved


@dataclass(frozen=True)
class Observation:
    """What of a measurement the fit follows."""

    measurement: Measurement
    """With left and right exchanged where the network confused them."""
    local_m: np.ndarray
    """[21, 3] its joints relative to the pelvis, camera axes, with the body's bone lengths [m]."""
    local_weight: np.ndarray
    """[21] confidence in local_m, 0 where it does not count."""
    ray_weight: np.ndarray
    """[21] confidence in the rays, 0 where they do not count."""

    @cached_property
    def seen(self) -> np.ndarray:
        """[21] bool: joints of which anything counts."""
        seen: np.ndarray = np.maximum(self.local_weight, self.ray_weight) > 0.0
        return seen

    @cached_property
    def weight(self) -> np.ndarray:
        """[21] confidence in both, 0 where one of them does not count."""
        return np.minimum(self.local_weight, self.ray_weight)


def ungated(measured: Measurement, lengths_m: np.ndarray) -> Observation:
    """All of a measurement, with no prediction to hold it against; lengths_m [21] [m]."""
    confidence = measured.confidence
    return Observation(measured, measured.with_lengths(lengths_m), confidence, confidence)


def measurement(joints: Joints | None, camera: Camera) -> Measurement | None:
    """The fit's view of the joints; None where too little is seen.

    Joints with anything that is not finite count as not seen.
    """
    if joints is None:
        return None
    given = np.ascontiguousarray(joints.root_relative_m, dtype=np.float64)
    sure = np.ascontiguousarray(joints.confidence, dtype=np.float64)
    local, confidence = np.empty((NUM_JOINTS, 3)), np.empty(NUM_JOINTS)
    rays = np.ascontiguousarray(camera.rays(joints.pixels_px))
    count = native.measure(given, sure, PELVIS, _LARGEST, local, rays, confidence)
    if count < MIN_SEEN:
        return None
    if not joints.guessed or count == NUM_JOINTS:
        return Measurement(local, rays, confidence)
    return Measurement(local, rays, confidence, (confidence == 0.0) & local.any(axis=1))


def root_position(local_m: np.ndarray, rays: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """Where the pelvis must be for root-relative joints to be seen along their rays.

    Each ray (u, v) gives two equations linear in the pelvis d: x + dx = u (z + dz),
    y + dy = v (z + dz).  Solved by weighted least squares, twice, the second time
    with less weight for what disagrees.

    Args:
        local_m: [21, 3] metric, camera axes.
        rays: [21, 2] on the plane z = 1.
        weight: [21], 0 where unseen.

    Returns:
        [3] in the camera frame [m], or None where the joints leave it open or
        put the body behind the camera.
    """
    position = np.empty(3)
    found = native.root_position(local_m, rays, weight, _LIMITS, position)
    return position if found else None
