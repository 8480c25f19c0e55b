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

from vnect_ros.body.kinematics import (
    LOWER,
    NV,
    OBSERVED,
    ROOT_Q,
    ROOT_V,
    UPPER,
    Kinematics,
    joint_velocities,
    put_within_limits,
)
from vnect_ros.fitting import symmetric
from vnect_ros.fitting.energy import FRAME_S
from vnect_ros.fitting.inverse import lengths

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
_ONES: Final = np.ones(NV)


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
        q = self._kinematics.integrate(self.q, self.v * _coasted(dt_s)[1])
        put_within_limits(q)
        return q

    def predict(self, dt_s: float, weight_smooth: float) -> None:
        """Advance by dt_s [s] with nothing seen."""
        kept, ahead = _coasted(dt_s)
        noise = self._acceleration_covariance(weight_smooth)
        noise *= FRAME_S * dt_s
        self.q = self.predicted_q(dt_s)
        self.v = kept * self.v
        cross, speed = self._cross, self._speed_covariance
        moved = speed * ahead
        moved += cross
        grown = moved + cross.T
        grown *= ahead
        grown += noise * (dt_s**2 / 3.0)
        self.covariance = self.covariance + grown
        moved *= kept
        moved += noise * (dt_s / 2.0)
        self._cross = moved
        noise += speed * kept**2
        self._speed_covariance = noise
        self._bound()

    def information(self) -> np.ndarray:
        """[NV, NV] inverse of the covariance."""
        return _inverse(self.covariance)

    def correct(self, q: np.ndarray, information: np.ndarray, prior: np.ndarray) -> None:
        """Take over the fit's pose, and what it shows of the velocity.

        Args:
            q: [NQ] the fit's.
            information: [NV, NV] of it.
            prior: [NV, NV] `information` as it was predicted.
        """
        moved = self._kinematics.difference(self.q, q)
        gain = prior.dot(self._cross)
        covariance = _inverse(information)
        self.v = self.v + moved.dot(gain)
        cross = covariance.dot(gain)
        speed = self._speed_covariance - gain.T.dot(self._cross - cross)
        self._speed_covariance = speed + speed.T
        self._speed_covariance *= 0.5
        self._cross = cross
        self.covariance = covariance
        self.q = q
        self._stop_at_limits()

    def inflate_covariance(self) -> None:
        """The pose proved wrong: keep it and its velocity, but no longer be sure of it."""
        self.covariance = self.covariance + np.diag(_START_STD**2)

    def rescale(self, factor: float) -> None:
        """The person's size was corrected: all is seen as before from farther away."""
        self.q = self.q.copy()
        self.q[:3] *= factor
        self.v[:3] *= factor

    def joint_variance_m2(self, moves: np.ndarray) -> np.ndarray:
        """[21, 3] variances of joints with the derivatives moves [21, 3, NV] [m^2]."""
        rows = moves.reshape(-1, NV)
        variance = (rows.dot(self.covariance) * rows).dot(_ONES)
        return np.maximum(variance, 0.0).reshape(-1, 3)

    def _acceleration_covariance(self, weight_smooth: float) -> np.ndarray:
        """[NV, NV] of the tangent's acceleration, from that allowed to the joints."""
        _, moves = self._kinematics.jacobian(self.q)
        speed = lengths(joint_velocities(moves, self.v))
        allowed = _UNIT_ACCELERATION / math.sqrt(max(weight_smooth, 1e-6))
        by_joint = allowed + _ACCELERATION_PER_SPEED * speed
        rows = (moves * (1.0 / by_joint)[:, None, None]).reshape(-1, NV)
        information = rows.T.dot(rows)
        information.reshape(-1)[:: NV + 1] += 1.0 / _ANGLE_ACCELERATION**2
        return symmetric.inverse(information)

    def _stop_at_limits(self) -> None:
        angles, speed = self.q[ROOT_Q:], self.v[ROOT_V:]
        outward = ((angles <= LOWER) & (speed < 0.0)) | ((angles >= UPPER) & (speed > 0.0))
        speed[outward | ~OBSERVED] = 0.0

    def _bound(self) -> None:
        """Keep the covariance finite however long nothing is seen."""
        variance = self.covariance.reshape(-1)[:: NV + 1]
        if np.count_nonzero(variance > _MAX_VARIANCE):
            shrink = np.sqrt(np.minimum(1.0, _MAX_VARIANCE / variance))
            self.covariance = self.covariance * (shrink * shrink[:, None])
            self._cross = self._cross * shrink[:, None]


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """[NV, NV] inverse of a matrix that may be singular to rounding."""
    matrix = matrix.copy()
    matrix.reshape(-1)[:: NV + 1] += _JITTER
    return symmetric.inverse(matrix)


def _coasted(dt_s: float) -> tuple[float, float]:
    """Share of the velocity left after dt_s, and seconds of it that were travelled."""
    kept = math.exp(-dt_s / _COAST_S)
    return kept, _COAST_S * (1.0 - kept)
