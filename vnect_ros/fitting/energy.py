"""The energy of the fit, one class a term (VNect eq. 3).

    E(q) = E_IK + E_proj + E_smooth + E_depth + E_range + E_rest

Every term gives its residuals whitened: divided by the standard deviation that
its weight stands for, so that half the sum of squares is a negative log
likelihood and the Hessian at the minimum an information matrix.  The paper's
weights 1, 44, 0.07, 0.11 are kept as the unit of each knob; what they mean here:

- E_IK 1: a root-relative joint position is known to 60 mm.
- E_proj 44: squared on the normalised image plane (pixels over focal length)
  it equals E_IK's weight at 6.6 m.  The window is cut to the person, so the
  detector's error is constant in metres, not in pixels; residuals are therefore
  taken at the body's distance and the weight at 4 m: 60 mm / sqrt(44 / 4^2) =
  36 mm.
- E_smooth 0.07: joints at rest accelerate by 12 m/s^2 (see motion.py).
- E_depth 0.11: joints move along the optical axis by 10 m/s.

E_IK and E_proj have bounds: a robust kernel keeps one outlier from bending the body.
`objective.py` adds the terms up.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from vnect_ros.body.kinematics import NV, REST, ROOT_Q, ROOT_V, Kinematics
from vnect_ros.body.urdf import Q_NAMES
from vnect_ros.config import FitConfig
from vnect_ros.fitting.observe import Observation
from vnect_ros.skeleton import NUM_JOINTS, PELVIS

UNIT_STD_M: Final = 0.060
"""Standard deviation that an E_IK weight of 1 stands for [m]."""
PROJECTION_AT_M: Final = 4.0
"""Distance at which E_proj's weight counts on the normalised image plane [m]."""
FRAME_S: Final = 1.0 / 30.0
"""Frame period that the weights are stated for [s]."""
_UNIT_DEPTH_SPEED: Final = 10.0 * 0.11**0.5
"""Speed along the optical axis that an E_depth weight of 1 stands for [m/s]."""
_OUTLIER_M: Final = 0.20
"""Where the robust kernel's influence has fallen to a quarter [m]."""
_REST_STD_RAD: Final = 8.0
_HIDDEN_REST_STD_RAD: Final = 2.5
"""Likewise for an angle that moves no seen joint, a frame of FRAME_S."""
_SPINE_REST_STD_RAD: Final = 1.0
"""Likewise for the spine: short bones show it poorly, and it mostly is near its rest."""
_NEAREST_M: Final = 0.05
"""Points nearer than this are projected as if at it."""


class Term(Protocol):
    """One summand of the energy.  M is its number of residuals."""

    @property
    def bounds(self) -> np.ndarray | None:
        """[J] squared lengths of the robust kernel, J vectors of equal size in M; None: no kernel.

        Where a residual vector's squared length is this, its influence has fallen to a quarter.
        """
        ...

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        """[M] whitened residuals of the configuration q with joints points_m [21, 3]."""
        ...

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """[M, NV] derivative of `residual` by the tangent of q; moves is that of the joints."""
        ...


def _bounds(scale: np.ndarray) -> np.ndarray:
    """[21] the kernel's bounds for residuals in metres times scale [21]."""
    # An outlier is one in metres, however little its joint weighs.
    return np.maximum((_OUTLIER_M * scale) ** 2, 1e-12)


class InverseKinematics:
    """E_IK: the body's joints relative to its pelvis are where the network's are."""

    def __init__(self, observation: Observation, weight: float) -> None:
        scale = np.sqrt(weight * observation.local_weight) / UNIT_STD_M
        self.bounds = _bounds(scale)
        self._scale = scale[:, None]
        self._local_m = observation.local_m

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        """See `Term`."""
        return ((points_m - points_m[PELVIS] - self._local_m) * self._scale).ravel()

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """See `Term`."""
        jacobian = moves * self._scale[:, :, None]
        # All joints shift as the pelvis does, and nothing else moves the pelvis.
        jacobian[:, :, :3] = 0.0
        return jacobian.reshape(-1, NV)


class Projection:
    """E_proj: the body's joints are seen where the network saw them.

    Args:
        distance_m: of the body, at which differences on the image count as metres.
    """

    def __init__(self, observation: Observation, weight: float, distance_m: float) -> None:
        scale = np.sqrt(weight * observation.ray_weight) / (PROJECTION_AT_M * UNIT_STD_M)
        self.bounds = _bounds(scale)
        self._rays = observation.measurement.rays
        self._factor = (scale * distance_m)[:, None]

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        """See `Term`."""
        depth = np.maximum(points_m[:, 2:], _NEAREST_M)
        return ((points_m[:, :2] / depth - self._rays) * self._factor).ravel()

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """See `Term`."""
        depth = np.maximum(points_m[:, 2:], _NEAREST_M)
        factor = self._factor / depth
        by_point = np.zeros((NUM_JOINTS, 2, 3))
        by_point[:, 0, 0] = by_point[:, 1, 1] = factor[:, 0]
        # Nearer than that, the distance makes no difference.
        by_point[:, :, 2] = points_m[:, :2] * (factor / -depth) * (points_m[:, 2:] > _NEAREST_M)
        return (by_point @ moves).reshape(-1, NV)


class Smoothness:
    """E_smooth: the joints accelerate little.

    What the acceleration's weight makes of the last frames' pose and velocity is
    a Gaussian about the configuration that unaccelerated motion leads to
    (motion.py), so the term is the distance from that one.

    Args:
        kinematics: whose manifold q lives on.
        expected_q: [NQ] where unaccelerated motion leads.
        root_information: [NV, NV] square root R of the information matrix, R^T R.
    """

    bounds: None = None

    def __init__(
        self, kinematics: Kinematics, expected_q: np.ndarray, root_information: np.ndarray
    ) -> None:
        self._kinematics = kinematics
        self._expected_q = expected_q
        self._root = root_information

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        """See `Term`."""
        return self._root @ self._kinematics.difference(self._expected_q, q)

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """See `Term`."""
        jacobian = self._root.copy()
        turn = self._kinematics.root_difference_jacobian(self._expected_q, q)
        jacobian[:, :ROOT_V] = self._root[:, :ROOT_V] @ turn
        return jacobian


class Depth:
    """E_depth: the joints move little along the optical axis.

    Args:
        last_points_m: [21, 3] the joints of the last frame.
        weight: as in the configuration.
        dt_s: since the last frame [s]; what counts is the weight per second.
    """

    bounds: None = None

    def __init__(self, last_points_m: np.ndarray, weight: float, dt_s: float) -> None:
        self._last = last_points_m[:, 2]
        root = np.sqrt(weight / (FRAME_S * dt_s))
        self._scale = root / _UNIT_DEPTH_SPEED

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        """See `Term`."""
        return (points_m[:, 2] - self._last) * self._scale

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """See `Term`."""
        return moves[:, 2] * self._scale


class Range:
    """E_range: the pelvis is as far away as the network's own, unrestored body looks.

    Errors along the optical axis tilt bones that are not tilted.  Bones of fixed
    length then look shorter than they are, and E_proj brings the body closer by
    several percent.  The network's bones, scaled as a whole, keep their extent
    across the axis, so the distance at which they are seen so large has no such
    bias (observe.root_position).

    Args:
        depth_m: that distance.
        std_m: how well it is known.
    """

    bounds: None = None

    def __init__(self, depth_m: float, std_m: float) -> None:
        self._depth_m = depth_m
        self._std_m = std_m

    @classmethod
    def of_pelvis(cls, points_m: np.ndarray, ratio: float, std: float) -> Range:
        """The pelvis is `ratio` times as far as that of points_m [21, 3], give or take `std`."""
        distance_m = float(points_m[PELVIS, 2])
        return cls(ratio * distance_m, std * distance_m)

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        """See `Term`."""
        return (points_m[PELVIS, 2:] - self._depth_m) / self._std_m

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """See `Term`."""
        return moves[PELVIS, 2:] / self._std_m


class Rest:
    """E_rest: angles that nothing shows stay at rest; too weak to matter for others.

    Args:
        hidden: [N] bool: angles that move no seen joint; these return to rest
            within about a second.
        dt_s: since the last frame [s].
    """

    bounds: None = None

    def __init__(self, hidden: np.ndarray | None = None, dt_s: float = FRAME_S) -> None:
        std = np.where(_SPINE, _SPINE_REST_STD_RAD, _REST_STD_RAD)
        if hidden is not None:
            std[hidden] = _HIDDEN_REST_STD_RAD * np.sqrt(FRAME_S / dt_s)
        self._std = std
        self._jacobian = _ANGLES / std[:, None]

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        """See `Term`."""
        return (q[ROOT_Q:] - REST) / self._std

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """See `Term`."""
        return self._jacobian


_SPINE: Final = np.isin(Q_NAMES, ("lumbar", "waist", "r_waist", "y_waist"))
_ANGLES: Final = np.hstack([np.zeros((len(REST), ROOT_V)), np.eye(len(REST))])


def data_terms(
    observation: Observation, config: FitConfig, distance_m: float, share: float = 1.0
) -> tuple[InverseKinematics, Projection]:
    """The two terms that look at the frame.

    Args:
        share: of the information to count; below 1 for frames closer together
            than FRAME_S, whose errors are alike.
    """
    return (
        InverseKinematics(observation, share * config.weight_ik),
        Projection(observation, share * config.weight_proj, distance_m),
    )
