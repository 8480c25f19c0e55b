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

E_IK and E_proj are bounded by a Geman-McClure kernel, so one outlier cannot
bend the body; `scales` are the weights of the iteratively reweighted least
squares that minimise it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from vnect_ros.body.kinematics import NV, REST, ROOT_Q, ROOT_V, Kinematics
from vnect_ros.body.urdf import Q_NAMES
from vnect_ros.config import FitConfig
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
"""Likewise for the spine: short bones show it poorly, and its ease is where it mostly is."""
_NEAREST_M: Final = 0.05
"""Points nearer than this are projected as if at it."""


@dataclass(frozen=True)
class Observation:
    """One frame, made ready for the fit."""

    local_m: np.ndarray
    """[21, 3] joints relative to the pelvis, camera axes, with the body's bone lengths [m]."""
    rays: np.ndarray
    """[21, 2] undistorted pixels on the plane z = 1."""
    local_weight: np.ndarray
    """[21] confidence in local_m, 0 where it does not count."""
    ray_weight: np.ndarray
    """[21] confidence in rays, 0 where it does not count."""
    network_m: np.ndarray
    """[21, 3] joints relative to the pelvis as the network gave them, its own body size [m]."""


class Term(Protocol):
    """One summand of the energy.  M is its number of residuals."""

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        """[M] whitened residuals of the configuration q with joints points_m [21, 3]."""
        ...

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """[M, NV] derivative of `residual` by the tangent of q; moves is that of the joints."""
        ...

    def scales(self, residual: np.ndarray) -> np.ndarray | None:
        """[M] square roots of the robust weights at this residual; None for all 1."""
        ...

    def cost(self, residual: np.ndarray) -> float:
        """The (robust) energy of this residual."""
        ...


_SUMS: Final = {d: np.repeat(np.eye(NUM_JOINTS), d, axis=0) for d in (2, 3)}
"""[21 * d, 21] what sums each joint's d components."""


class _Robust:
    """Geman-McClure over each joint's residual vector."""

    def __init__(self, scale: np.ndarray, dimension: int) -> None:
        self._scale = scale[:, None]
        self._dimension = dimension
        self._sums = _SUMS[dimension]
        # An outlier is one in metres, however little its joint weighs.
        self._bound = np.maximum((_OUTLIER_M * scale) ** 2, 1e-12)

    def _excess(self, residual: np.ndarray) -> np.ndarray:
        return (residual * residual) @ self._sums / self._bound

    def scales(self, residual: np.ndarray) -> np.ndarray:
        return self.agreement(residual).repeat(self._dimension)

    def cost(self, residual: np.ndarray) -> float:
        excess = self._excess(residual)
        return 0.5 * float(self._bound @ (excess / (1.0 + excess)))

    def agreement(self, residual: np.ndarray) -> np.ndarray:
        """[21] 1 where a joint agrees with the fit, falling to 0 for outliers."""
        return 1.0 / (1.0 + self._excess(residual))


class InverseKinematics(_Robust):
    """E_IK: the body's joints relative to its pelvis are where P^L says."""

    def __init__(self, observation: Observation, weight: float) -> None:
        super().__init__(np.sqrt(weight * observation.local_weight) / UNIT_STD_M, 3)
        self._local_m = observation.local_m

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        return ((points_m - points_m[PELVIS] - self._local_m) * self._scale).ravel()

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        return ((moves - moves[PELVIS]) * self._scale[:, :, None]).reshape(-1, NV)


class Projection(_Robust):
    """E_proj: the body's joints are seen where K says.

    Args:
        distance_m: of the body, at which differences on the image count as metres.
    """

    def __init__(self, observation: Observation, weight: float, distance_m: float) -> None:
        scale = np.sqrt(weight * observation.ray_weight) / (PROJECTION_AT_M * UNIT_STD_M)
        super().__init__(scale, 2)
        self._rays = observation.rays
        self._factor = self._scale * distance_m

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        depth = np.maximum(points_m[:, 2:], _NEAREST_M)
        return ((points_m[:, :2] / depth - self._rays) * self._factor).ravel()

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        depth = np.maximum(points_m[:, 2:], _NEAREST_M)
        # Nearer than that, the distance makes no difference.
        unit = np.where(points_m[:, 2:] > _NEAREST_M, points_m[:, :2] / depth, 0.0)
        factor = self._factor / depth
        by_point = np.zeros((NUM_JOINTS, 2, 3))
        by_point[:, 0, 0] = by_point[:, 1, 1] = factor[:, 0]
        by_point[:, :, 2] = -unit * factor
        return (by_point @ moves).reshape(-1, NV)


class _Plain:
    """Least squares without a kernel."""

    def scales(self, residual: np.ndarray) -> np.ndarray | None:
        return None

    def cost(self, residual: np.ndarray) -> float:
        return 0.5 * float(residual @ residual)


class Smoothness(_Plain):
    """E_smooth: the joints accelerate little.

    What the acceleration's weight makes of the last frames' pose and velocity is
    a Gaussian about the configuration that unaccelerated motion leads to
    (motion.py), so the term is the distance from that one.

    Args:
        kinematics: whose manifold q lives on.
        expected_q: [NQ] where unaccelerated motion leads.
        root_information: [NV, NV] square root R of the information matrix, R^T R.
    """

    def __init__(
        self, kinematics: Kinematics, expected_q: np.ndarray, root_information: np.ndarray
    ) -> None:
        self._kinematics = kinematics
        self._expected_q = expected_q
        self._root = root_information

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        return self._root @ self._kinematics.difference(self._expected_q, q)

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        jacobian = self._root.copy()
        turn = self._kinematics.root_difference_jacobian(self._expected_q, q)
        jacobian[:, :ROOT_V] = self._root[:, :ROOT_V] @ turn
        return jacobian


class Depth(_Plain):
    """E_depth: the joints move little along the optical axis.

    Args:
        last_points_m: [21, 3] the joints of the last frame.
        weight: as in the configuration.
        dt_s: since the last frame [s]; what counts is the weight per second.
    """

    def __init__(self, last_points_m: np.ndarray, weight: float, dt_s: float) -> None:
        self._last = last_points_m[:, 2]
        root = np.sqrt(weight / (FRAME_S * dt_s))
        self._scale = root / _UNIT_DEPTH_SPEED

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        return (points_m[:, 2] - self._last) * self._scale

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        return moves[:, 2] * self._scale


class Range(_Plain):
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

    def __init__(self, depth_m: float, std_m: float) -> None:
        self._depth_m = depth_m
        self._std_m = std_m

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        return (points_m[PELVIS, 2:] - self._depth_m) / self._std_m

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
        return moves[PELVIS, 2:] / self._std_m


class Rest(_Plain):
    """E_rest: angles that nothing shows stay at ease; too weak to matter for others.

    Args:
        hidden: [N] bool: angles that move no seen joint; these return to ease
            within about a second.
        dt_s: since the last frame [s].
    """

    def __init__(self, hidden: np.ndarray | None = None, dt_s: float = FRAME_S) -> None:
        std = np.where(_SPINE, _SPINE_REST_STD_RAD, _REST_STD_RAD)
        if hidden is not None:
            std[hidden] = _HIDDEN_REST_STD_RAD * np.sqrt(FRAME_S / dt_s)
        self._std = std
        self._jacobian = _ANGLES / std[:, None]

    def residual(self, q: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        return (q[ROOT_Q:] - REST) / self._std

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> np.ndarray:
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
