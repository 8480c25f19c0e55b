"""From the fit's configuration to the published one: smooth, bounded, without jumps.

All of it happens to the configuration, so that every published position and
orientation is the forward kinematics of the published angles.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from vnect_ros import native
from vnect_ros.body.kinematics import NQ, NV, Kinematics
from vnect_ros.config import FilterConfig, FitConfig
from vnect_ros.skeleton import NUM_JOINTS

_BLEND_S: Final = 0.08
"""Time constant with which a jump of the fit is made good [s]."""
_LEVER_M: Final = 0.3
"""What a turn moves, to count all speeds in metres a second [m]."""
_NO_OFFSET: Final = 1e-6
"""What is left of a jump once it is made good [m, rad]."""
_SPEED_CUTOFF_HZ: Final = 1.0
_SHARES: Final = (1.0, 0.85, 0.7, 0.5, 0.35, 0.2, 0.1, 0.05, 0.0)


class MotionLimiter:
    """Follows the fit: a 1-Euro filter, blending over its jumps, bounds on motion."""

    def __init__(self, kinematics: Kinematics, fit: FitConfig, filters: FilterConfig) -> None:
        self._kinematics = kinematics
        self.configure(fit, filters)
        self.reset()

    def configure(self, fit: FitConfig, filters: FilterConfig) -> None:
        """Take other constants from the next frame on."""
        self._fit, self._filters = fit, filters

    def reset(self) -> None:
        """Forget the past: the next pose passes as it is."""
        self.q = np.empty(0)
        """[NQ] the pose published last; empty before the first."""
        self.points_m = np.empty((0, 3))
        self._speed = np.zeros(NV)
        self._offset: np.ndarray | None = None
        self._offset_rate = np.zeros(NV)
        self._rate = np.zeros(NV)
        self._velocity = np.zeros((NUM_JOINTS, 3))

    def blend(self, fitted_q: np.ndarray) -> None:
        """The fit is about to jump to fitted_q: start there from the pose published last."""
        if len(self.q):
            self._offset = self._kinematics.difference(fitted_q, self.q)

    def rescale(self, factor: float) -> None:
        """The person's size was corrected: all is seen as before from farther away."""
        if len(self.q):
            self.q = self.q.copy()
            self.q[:3] *= factor
            self.points_m = self._kinematics.forward(self.q)
            self._velocity = self._velocity * factor

    def follow(self, fitted_q: np.ndarray, dt_s: float) -> np.ndarray:
        """Publish the next pose.

        Args:
            fitted_q: [NQ] the fit's, within the limits.
            dt_s: since the last [s].

        Returns:
            [21] bool: joints that would have moved faster than a human's.
            The pose is in `q` and `points_m`.
        """
        if not len(self.q):
            self.q = fitted_q.copy()
            self.points_m = self._kinematics.forward(self.q)
            return np.zeros(NUM_JOINTS, dtype=bool)
        wanted = fitted_q
        if self._offset is not None:
            self._offset = self._decayed(self._offset, dt_s)
            wanted = self._kinematics.integrate(fitted_q, self._offset, limited=True)
            if np.abs(self._offset).max() < _NO_OFFSET:
                self._offset, self._offset_rate = None, np.zeros(NV)
        if self._filters.enabled:
            wanted = self._filtered(wanted, dt_s)
        return self._bounded(wanted, fitted_q, dt_s)

    def _decayed(self, offset: np.ndarray, dt_s: float) -> np.ndarray:
        """Let the offset go critically damped: it starts without a jump of the speed."""
        drive = (self._offset_rate + offset / _BLEND_S) * dt_s
        kept = math.exp(-dt_s / _BLEND_S)
        self._offset_rate = (self._offset_rate - drive / _BLEND_S) * kept
        return (offset + drive) * kept

    def _filtered(self, wanted: np.ndarray, dt_s: float) -> np.ndarray:
        """The 1-Euro filter in the tangent: beta counts decimetres a second."""
        filters, smoothed = self._filters, np.empty(NQ)
        rest_hz, rise = filters.global_min_cutoff_hz, filters.global_beta * 10.0
        constants = np.array((dt_s, _SPEED_CUTOFF_HZ, _LEVER_M, rest_hz, rise))
        self._kinematics.native.smooth(self.q, wanted, constants, self._speed, smoothed)
        return smoothed

    def _bounded(self, wanted: np.ndarray, fitted_q: np.ndarray, dt_s: float) -> np.ndarray:
        """Go to `wanted` as far as the bounds on speed and acceleration let every joint."""
        kinematics = self._kinematics
        points = kinematics.forward(wanted)
        most, times = self._beyond(points, dt_s)
        limited: np.ndarray = times > 1.0
        if most > 1.0:
            wanted, points = self._slowed(wanted, dt_s)
            # What is missing is made good over the next frames.
            self._offset = kinematics.difference(fitted_q, wanted)
            self._offset_rate = np.zeros(NV)
        self._rate = kinematics.difference(self.q, wanted) / dt_s
        self._velocity = (points - self.points_m) / dt_s
        self.q, self.points_m = wanted, points
        return limited

    def _slowed(self, wanted: np.ndarray, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
        """The farthest pose towards `wanted`, from one that goes on or brakes, in bounds."""
        kinematics = self._kinematics
        best = (np.inf, self.q, self.points_m)
        for pace in (1.0, 0.9, 0.7, 0.4, 0.0):
            base = kinematics.integrate(self.q, self._rate * (dt_s * pace), limited=True)
            way = kinematics.difference(base, wanted)
            for share in _SHARES:
                q = kinematics.integrate(base, way * share, limited=True)
                points = kinematics.forward(q)
                beyond, _ = self._beyond(points, dt_s)
                if beyond <= 1.0:
                    return q, points
                if beyond < best[0]:
                    best = (beyond, q, points)
        return best[1], best[2]

    def _beyond(self, points: np.ndarray, dt_s: float) -> tuple[float, np.ndarray]:
        """How many times its bound a motion to `points` would be at most, and [21] each joint's."""
        times = np.empty(NUM_JOINTS)
        bounds = np.array((dt_s, self._fit.max_speed, self._fit.max_acceleration))
        most = native.beyond(points, self.points_m, self._velocity, bounds, times)
        return most, times
