"""What the past makes of the present: the pose, its velocity and how sure they are.

E_smooth penalises the acceleration of every joint in the camera frame.  Kept over all past
frames instead of two, with the velocity as part of the state, that is a Kalman
filter: its prediction is unaccelerated motion, its process noise the inverse of

    sum_j J_j^T J_j / a_j^2,

the accelerations a_j that joints are allowed, seen through the Jacobian.  It
lags behind no steady motion, takes any frame period, and its covariance grows
by itself while the person is not seen.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from vnect_ros.body.kinematics import NV, ROOT_V, Kinematics
from vnect_ros.fitting import symmetric
from vnect_ros.fitting.energy import FRAME_S

_UNIT_ACCELERATION: Final = 12.0 * 0.07**0.5
"""Acceleration that an E_smooth weight of 1 stands for [m/s^2]."""
_ACCELERATION_PER_SPEED: Final = 15.0
"""Fast joints turn round fast: allowed acceleration gained per speed [1/s]."""
_ANGLE_ACCELERATION: Final = 80.0
"""Bound for what no joint's position shows, as a forearm's turn [rad/s^2]."""
_COAST_S: Final = 0.4
"""Unobserved motion comes to rest with this time constant [s]."""
_START_STD: Final = np.concatenate([np.full(3, 0.5), np.full(3, 0.7), np.full(NV - ROOT_V, 0.7)])
"""What is known of a pose before it is seen [m, rad]."""
_START_SPEED_STD: Final = np.concatenate(
    [np.full(3, 1.0), np.full(3, 2.0), np.full(NV - ROOT_V, 3.0)]
)
_MAX_VARIANCE: Final = 3.0**2
"""What a pose is known to at least, however long it is not seen [m^2, rad^2]."""
_JITTER: Final = 1e-9
"""Added to a diagonal before the inversion of what may be singular to rounding."""
_ADVANCE: Final = (_ACCELERATION_PER_SPEED, _ANGLE_ACCELERATION, FRAME_S, _MAX_VARIANCE)


class Motion:
    """Pose, velocity and their covariance at one instant."""

    def __init__(self, kinematics: Kinematics, q: np.ndarray) -> None:
        """Start at rest at q, little known."""
        self._kinematics = kinematics
        self.q = q
        """[NQ] the pose."""
        self.v = np.zeros(NV)
        """[NV] its tangent velocity [m/s, rad/s]."""
        self.covariance = np.diag(_START_STD**2)
        """[NV, NV] of q, in its tangent."""
        self._cross = np.zeros((NV, NV))
        self._speed_covariance = np.diag(_START_SPEED_STD**2)

    def predicted_q(self, dt_s: float) -> np.ndarray:
        """[NQ] where the motion leads dt_s from now, within the limits."""
        return self._kinematics.integrate(self.q, self.v * _coasted(dt_s)[1], limited=True)

    def predict(self, dt_s: float, weight_smooth: float) -> None:
        """Advance by dt_s [s] with nothing seen."""
        allowed = _UNIT_ACCELERATION / math.sqrt(max(weight_smooth, 1e-6))
        advance = np.array((dt_s, *_coasted(dt_s), allowed, *_ADVANCE))
        q, self.q = self.q, self.predicted_q(dt_s)
        self._kinematics.native.predict(q, advance, *self._state)

    def information(self) -> np.ndarray:
        """[NV, NV] inverse of the covariance."""
        return symmetric.inverse(self.covariance, _JITTER)

    def correct(self, q: np.ndarray, information: np.ndarray, prior: np.ndarray) -> None:
        """Take over the fit's pose, and what it shows of the velocity.

        Args:
            q: [NQ] the fit's.
            information: [NV, NV] of it.
            prior: [NV, NV] `information` as it was predicted.
        """
        moved = self._kinematics.difference(self.q, q)
        self._kinematics.native.correct(q, moved, information, prior, _JITTER, *self._state)
        self.q = q

    def inflate_covariance(self) -> None:
        """The pose proved wrong: keep it and its velocity, but no longer be sure of it."""
        self.covariance += np.diag(_START_STD**2)

    def rescale(self, factor: float) -> None:
        """The person's size was corrected: all is seen as before from farther away."""
        self.q = self.q.copy()
        self.q[:3] *= factor
        self.v[:3] *= factor

    @property
    def _state(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What the C code changes in place."""
        return self.v, self.covariance, self._cross, self._speed_covariance


def _coasted(dt_s: float) -> tuple[float, float]:
    """Share of the velocity left after dt_s, and seconds of it that were travelled."""
    kept = math.exp(-dt_s / _COAST_S)
    return kept, _COAST_S * (1.0 - kept)
