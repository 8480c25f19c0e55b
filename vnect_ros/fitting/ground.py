"""The floor: which feet stand on it, and E_ground, which keeps them there.

Contact is inferred, not assumed: a foot stands that has been slow for a while, below a
shank that is upright, at the height of the floor once the size is known, and before
that as the lower one.  A foot on a step, on a chair or in the air is left alone.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from vnect_ros import native
from vnect_ros.body.urdf import standing_height
from vnect_ros.fitting.energy import BOUND, FRAME_S, TARGET, stack
from vnect_ros.records import Plane
from vnect_ros.skeleton import INDEX, PELVIS

FEET: Final = np.array([INDEX[f"{side}_toe"] for side in ("right", "left")])
ANKLES: Final = np.array([INDEX[f"{side}_ankle"] for side in ("right", "left")])
KNEES: Final = np.array([INDEX[f"{side}_knee"] for side in ("right", "left")])
SOLES: Final = np.concatenate([FEET, ANKLES])
"""Joints that E_ground holds: both toes, then both ankles."""

_SOLE_HEIGHTS: Final = np.array([0.031, 0.031, 0.0595, 0.0595])
"""Height of these over the floor, parts of the person's height, as our networks place them
(median of the rendered bodies' standing feet)."""

SLOW_MPS: Final = 0.6
"""A standing foot is slower than this, as noisily as it is seen [m/s] ..."""
_SMOOTHED_S: Final = 0.12
"""Time constant that its place is smoothed with [s]."""
SLOW_FOR_S: Final = 0.12
"""... for at least so long: the top of a jump is shorter [s]."""
LOWER_M: Final = 0.06
"""Before the size is known, a foot stands that is not this much higher than the other [m]."""
CONTACT_M: Final = 0.06
"""Once it is known: a sole joint stands that is this near to its height over the floor [m]."""
UPRIGHT: Final = 0.75
"""Cosine of the steepest angle between the shank of a standing leg and the floor's normal."""

_HEIGHT_STD: Final = 2e-2
"""Deviation of a standing sole joint's height that an E_ground weight of 1 stands for [m]."""
_SLIDE_STD: Final = 1e-2
"""Likewise of its shift along the floor in a frame of FRAME_S [m]."""
_OUTLIER: Final = 3.0
"""Deviations at which the influence of a foot that lifts has fallen to a quarter."""


def ground(
    joints: np.ndarray,
    heights_m: np.ndarray,
    places_m: np.ndarray,
    floor: Plane,
    weight: float,
    dt_s: float,
) -> np.ndarray:
    """E_ground: joints that stand neither sink, nor float, nor slide.

    Args:
        joints: [K] indices of the joints that stand.
        heights_m: [K] of these joints over the floor while they stand [m].
        places_m: [K, 3] where they stood in the last frame, camera frame [m].
        floor: in the camera frame.
        weight: as in the configuration.
        dt_s: since the last frame [s].

    Returns:
        [K, VECTOR_SIZE] residual vectors, see `energy`.
    """
    root = math.sqrt(weight * min(1.0, dt_s / FRAME_S))
    normal = floor.normal
    along = np.eye(3) - np.outer(normal, normal)
    slide = root / (_SLIDE_STD * math.sqrt(dt_s / FRAME_S))
    # Rows: the height, then the shift along the floor (three rows of rank two).
    rows = np.vstack([normal * (root / _HEIGHT_STD), along * slide])
    wanted = places_m + ((floor.offset_m + heights_m) - places_m @ normal)[:, None] * normal
    vectors = stack(native.PLACE, joints, rows)
    vectors[:, BOUND] = _OUTLIER**2
    vectors[:, TARGET] = wanted @ rows.T
    return vectors


class Contacts:
    """Which sole joints stand on the floor."""

    def __init__(self) -> None:
        self.standing = np.zeros(4, dtype=bool)
        """[4] bool, in the order of SOLES."""
        self._places_m: np.ndarray | None = None
        self._met_m: np.ndarray | None = None
        self._slow_s = np.zeros(4)

    def update(
        self,
        points_m: np.ndarray,
        seen: np.ndarray,
        lengths_m: np.ndarray,
        floor: Plane,
        dt_s: float,
        size_known: bool,
    ) -> None:
        """Take a fitted frame into account.

        Args:
            points_m: [21, 3] the fitted joints, camera frame [m].
            seen: [21] bool: joints that the image shows.
            lengths_m: [21] bone lengths of the body [m].
            size_known: whether heights over the floor are metric.
        """
        self._places_m = floor.ground_from_camera(points_m[SOLES])
        slow = self._speed(points_m[SOLES], sole_heights(lengths_m), floor, dt_s) < SLOW_MPS
        self._slow_s = np.where(slow, self._slow_s + dt_s, 0.0)
        heights = points_m @ floor.normal - floor.offset_m
        shank = heights[KNEES] - heights[ANKLES]
        upright = shank > UPRIGHT * lengths_m[ANKLES]
        above = heights[SOLES] - sole_heights(lengths_m)
        if size_known:
            near = np.abs(above) < CONTACT_M
        else:
            near = above < above.min() + LOWER_M
        below = heights[SOLES] < heights[PELVIS]
        self.standing = (
            (self._slow_s >= SLOW_FOR_S) & np.tile(upright, 2) & near & below & seen[SOLES]
        )

    def _speed(
        self, points_m: np.ndarray, heights_m: np.ndarray, floor: Plane, dt_s: float
    ) -> np.ndarray:
        """[4] speed of the points where the rays through the soles meet the floor [m/s].

        Where they stand they do not move, however badly their distance is known; what
        counts is the part across the ray.  Smoothed; infinite in the first frame.
        """
        rays = points_m / np.sqrt((points_m**2).sum(axis=1, keepdims=True))
        down = np.minimum(rays @ floor.normal, -1e-3)
        met = floor.ground_from_camera(rays * ((floor.offset_m + heights_m) / down)[:, None])
        last = self._met_m
        if last is None:
            self._met_m = met
            return np.full(4, np.inf)
        self._met_m = last + (1.0 - math.exp(-dt_s / _SMOOTHED_S)) * (met - last)
        moved = self._met_m - last
        turned = floor.turned_to_ground(rays)
        moved = moved - (moved * turned).sum(axis=1, keepdims=True) * turned
        speed: np.ndarray = np.sqrt((moved**2).sum(axis=1)) / dt_s
        return speed

    def lose(self) -> None:
        """The feet are not seen."""
        self.standing = np.zeros(4, dtype=bool)
        self._places_m = self._met_m = None
        self._slow_s = np.zeros(4)

    def term(
        self, lengths_m: np.ndarray, floor: Plane, weight: float, dt_s: float
    ) -> np.ndarray | None:
        """E_ground of the next frame; None where nothing stands."""
        if not self.standing.any() or self._places_m is None or weight <= 0.0:
            return None
        return ground(
            SOLES[self.standing],
            sole_heights(lengths_m)[self.standing],
            floor.camera_from_ground(self._places_m[self.standing]),
            floor,
            weight,
            dt_s,
        )


def sole_heights(lengths_m: np.ndarray) -> np.ndarray:
    """[4] height of each of SOLES over the floor under a flat foot [m]."""
    return _SOLE_HEIGHTS * standing_height(lengths_m)
