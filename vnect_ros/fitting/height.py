"""How tall a person is, from frames that show it.

One camera does not show size.  Where a foot stands, the ray through it meets the
floor at a known distance, and a body that was fitted s times too small stands s times
too near:  s = offset / (n . x - h)  for a sole joint at x whose height over the sole is
h, before a floor  n . p = offset.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from vnect_ros.body.urdf import standing_height
from vnect_ros.fitting.ground import KNEES, SOLES, UPRIGHT, sole_heights
from vnect_ros.records import Plane
from vnect_ros.skeleton import INDEX

HIPS: Final = np.array([INDEX[f"{side}_hip"] for side in ("right", "left")])
FLAT: Final = 0.10
"""Sine of the flattest angle at which the floor is seen under a foot that shows a distance."""
_PRIOR_STD: Final = 0.25
"""What is known of a person's height before it is measured: deviation of its logarithm."""
_LASTING_STD: Final = 0.015
"""Error that no averaging removes: bone proportions, the shoes, the camera's height."""
_FIT_STD: Final = 0.05
"""Error of a single frame's fit, as a share of the distance."""
_ANGLE_STD: Final = 0.006
"""Error with which a foot is seen [rad]."""
_CORRELATED_S: Final = 0.25
"""Time over which errors are alike [s]."""
_KNOWN_STD: Final = 0.035
"""Deviation of the logarithm from which the height counts as measured."""
_LEAST_STD: Final = 0.01
"""Deviation that later frames always have against: the height stays correctable."""
_GATE: Final = 3.0
"""Deviations at which a frame's height does not count."""
_REJECTED_FOR_S: Final = 3.0
"""When every frame disagrees for so long, the height is measured anew [s]."""
HUMAN_M: Final = (0.8, 2.3)


class Size(NamedTuple):
    """How tall a person is."""

    height_m: float
    std_m: float


class HeightEstimate:
    """The height of one person from frames in which a foot stands: a filter of its logarithm."""

    def __init__(self, prior_m: float) -> None:
        """Know nothing but a guess [m]."""
        self._log, self._variance, self._rejected_s = math.log(prior_m), _PRIOR_STD**2, 0.0

    @property
    def size(self) -> Size | None:
        """The height and its standard deviation; None until it counts as measured."""
        if self._variance > _KNOWN_STD**2:
            return None
        height = math.exp(self._log)
        return Size(height, height * math.hypot(math.sqrt(self._variance), _LASTING_STD))

    def update(
        self,
        points_m: np.ndarray,
        standing: np.ndarray,
        lengths_m: np.ndarray,
        floor: Plane,
        dt_s: float,
    ) -> None:
        """Take a fitted frame into account.

        Args:
            points_m: [21, 3] the fitted joints, camera frame [m].
            standing: [4] bool of `Contacts`.
            lengths_m: [21] bone lengths that the fit used [m].
        """
        heights = points_m @ floor.normal
        thigh = heights[HIPS] - heights[KNEES]
        straight = np.tile(thigh > UPRIGHT * lengths_m[KNEES], 2)
        use = standing & straight
        drop = heights[SOLES] - sole_heights(lengths_m)
        sine = -heights[SOLES] / np.sqrt((points_m[SOLES] ** 2).sum(axis=1))
        use &= (sine > FLAT) & (drop < 0.0)
        if not use.any() or floor.offset_m >= 0.0:
            return
        scale = float(np.mean(floor.offset_m / drop[use]))
        measured_m = scale * standing_height(lengths_m)
        tangent = float(np.mean(sine[use] / np.sqrt(1.0 - np.minimum(sine[use], 0.99) ** 2)))
        self.take(measured_m, math.hypot(_FIT_STD, _ANGLE_STD / tangent), dt_s)

    def take(self, measured_m: float, std: float, dt_s: float) -> None:
        """Take a frame's height into account.

        Args:
            measured_m: the height that it shows [m]; beyond human ones it does not count.
            std: standard deviation of its logarithm.
            dt_s: since the last frame [s]; errors of frames nearby are alike.
        """
        if not HUMAN_M[0] < measured_m < HUMAN_M[1]:
            return
        off = math.log(measured_m) - self._log
        if self.size is not None and abs(off) > _GATE * math.hypot(math.sqrt(self._variance), std):
            self._rejected_s += dt_s
            if self._rejected_s > _REJECTED_FOR_S:
                self._variance, self._rejected_s = _PRIOR_STD**2, 0.0
            return
        self._rejected_s = 0.0
        gain = self._variance / (self._variance + std**2 * max(_CORRELATED_S / dt_s, 1.0))
        self._log += gain * off
        self._variance = max((1.0 - gain) * self._variance, _LEAST_STD**2)
