"""The energy of the fit, one class a term (VNect eq. 3).

    E(q) = E_IK + E_proj + E_smooth + E_depth + E_range + E_rest

Every term gives its residuals whitened: divided by the standard deviation that
its weight stands for, so that half the sum of squares is a negative log
likelihood and the Hessian at the minimum an information matrix.  E_smooth and
E_rest look at the configuration alone and are quadratic in it; they give the
derivatives of their sum of squares instead.  The paper's
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

import math
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
_GUESSED_WEIGHT: Final = 0.1
"""Confidence in the place of a joint that is not seen, but guessed from the others."""
_GUESSED_BOUNDS: Final = 9.0
"""Factor of the kernel's bounds for those: what is guessed is no outlier where it is far off."""
_NEAREST_M: Final = 0.05
"""Points nearer than this are projected as if at it."""


class Term(Protocol):
    """A summand of the energy that looks at the joints.  M is its number of residuals."""

    @property
    def bounds(self) -> np.ndarray | None:
        """[J] squared lengths of the robust kernel, J vectors of equal size in M; None: no kernel.

        Where a residual vector's squared length is this, its influence has fallen to a quarter.
        """
        ...

    def residual(self, points_m: np.ndarray) -> np.ndarray:
        """[M] whitened residuals of the joints points_m [21, 3]."""
        ...

    def jacobian(self, points_m: np.ndarray, moves: np.ndarray, out: np.ndarray) -> None:
        """Fill out [M, NV] with the derivative of `residual`; moves [21, 3, NV] are the joints'."""
        ...


class Prior(Protocol):
    """A summand of the energy that looks at the configuration alone, and is quadratic."""

    def cost(self, q: np.ndarray) -> float:
        """The energy of a configuration [NQ]."""
        ...

    def add_to(self, q: np.ndarray, information: np.ndarray, gradient: np.ndarray) -> None:
        """Add its second derivative [NV, NV] and its first [NV] by the tangent of q."""
        ...


def _bounds(scale: np.ndarray) -> np.ndarray:
    """[21] the kernel's bounds for residuals in metres times scale [21]."""
    # An outlier is one in metres, however little its joint weighs.
    return np.maximum((_OUTLIER_M * scale) ** 2, 1e-12)


class InverseKinematics:
    """E_IK: the body's joints relative to its pelvis are where the network's are."""

    def __init__(self, observation: Observation, weight: float) -> None:
        guessed, local_weight = observation.measurement.guessed, observation.local_weight
        if guessed is not None:
            local_weight = np.where(guessed, _GUESSED_WEIGHT, local_weight)
        scale = np.sqrt(weight * local_weight) / UNIT_STD_M
        self.bounds = _bounds(scale)
        if guessed is not None:
            self.bounds[guessed] *= _GUESSED_BOUNDS
        self._scale = scale[:, None]
        self._local_m = observation.local_m

    def residual(self, points_m: np.ndarray) -> np.ndarray:
        """See `Term`."""
        return ((points_m - points_m[PELVIS] - self._local_m) * self._scale).ravel()

    def jacobian(self, points_m: np.ndarray, moves: np.ndarray, out: np.ndarray) -> None:
        """See `Term`."""
        rows = out.reshape(moves.shape)
        np.multiply(moves, self._scale[:, :, None], out=rows)
        # All joints shift as the pelvis does, and nothing else moves the pelvis.
        rows[:, :, :3] = 0.0


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

    def residual(self, points_m: np.ndarray) -> np.ndarray:
        """See `Term`."""
        depth = np.maximum(points_m[:, 2:], _NEAREST_M)
        return ((points_m[:, :2] / depth - self._rays) * self._factor).ravel()

    def jacobian(self, points_m: np.ndarray, moves: np.ndarray, out: np.ndarray) -> None:
        """See `Term`."""
        depth = np.maximum(points_m[:, 2:], _NEAREST_M)
        # Nearer than that, the distance makes no difference.
        slope = points_m[:, :2] * (points_m[:, 2:] > _NEAREST_M) / depth
        rows = out.reshape(NUM_JOINTS, 2, NV)
        np.multiply(slope[:, :, None], moves[:, 2:], out=rows)
        np.subtract(moves[:, :2], rows, out=rows)
        rows *= (self._factor / depth)[:, :, None]


class Smoothness:
    """E_smooth: the joints accelerate little.

    What the acceleration's weight makes of the last frames' pose and velocity is
    a Gaussian about the configuration that unaccelerated motion leads to
    (motion.py), so the term is the distance from that one.

    Args:
        kinematics: whose manifold q lives on.
        expected_q: [NQ] where unaccelerated motion leads.
        information: [NV, NV] of that one, in its tangent.
    """

    def __init__(
        self, kinematics: Kinematics, expected_q: np.ndarray, information: np.ndarray
    ) -> None:
        self._kinematics = kinematics
        self._expected_q = expected_q
        self._information = information

    def cost(self, q: np.ndarray) -> float:
        """See `Prior`."""
        off = self._kinematics.difference(self._expected_q, q)
        return 0.5 * float(off.dot(self._information.dot(off)))

    def add_to(self, q: np.ndarray, information: np.ndarray, gradient: np.ndarray) -> None:
        """See `Prior`."""
        off = self._kinematics.difference(self._expected_q, q)
        if not off.any():  # where the search starts
            information += self._information
            return
        turn = self._kinematics.root_difference_jacobian(self._expected_q, q)
        slope = self._information.dot(off)
        slope[:ROOT_V] = slope[:ROOT_V].dot(turn)
        gradient += slope
        turned = self._information.copy()
        turned[:, :ROOT_V] = turned[:, :ROOT_V].dot(turn)
        turned[:ROOT_V] = turn.T.dot(turned[:ROOT_V])
        information += turned


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
        self._scale = math.sqrt(weight / (FRAME_S * dt_s)) / _UNIT_DEPTH_SPEED

    def residual(self, points_m: np.ndarray) -> np.ndarray:
        """See `Term`."""
        return (points_m[:, 2] - self._last) * self._scale

    def jacobian(self, points_m: np.ndarray, moves: np.ndarray, out: np.ndarray) -> None:
        """See `Term`."""
        np.multiply(moves[:, 2], self._scale, out=out)


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

    def residual(self, points_m: np.ndarray) -> np.ndarray:
        """See `Term`."""
        return (points_m[PELVIS, 2:] - self._depth_m) / self._std_m

    def jacobian(self, points_m: np.ndarray, moves: np.ndarray, out: np.ndarray) -> None:
        """See `Term`."""
        np.divide(moves[PELVIS, 2:], self._std_m, out=out)


class Rest:
    """E_rest: angles that nothing shows stay at rest; too weak to matter for others.

    Args:
        hidden: [N] bool: angles that move no seen joint; these return to rest
            within about a second.
        dt_s: since the last frame [s].
    """

    def __init__(self, hidden: np.ndarray | None = None, dt_s: float = FRAME_S) -> None:
        self._weight = _REST_WEIGHT
        if hidden is not None:
            self._weight = _REST_WEIGHT.copy()
            self._weight[hidden] = dt_s / (FRAME_S * _HIDDEN_REST_STD_RAD**2)

    def cost(self, q: np.ndarray) -> float:
        """See `Prior`."""
        off = q[ROOT_Q:] - REST
        return 0.5 * float(self._weight.dot(off * off))

    def add_to(self, q: np.ndarray, information: np.ndarray, gradient: np.ndarray) -> None:
        """See `Prior`."""
        gradient[ROOT_V:] += self._weight * (q[ROOT_Q:] - REST)
        diagonal = information.reshape(-1)[:: NV + 1]
        diagonal[ROOT_V:] += self._weight


_SPINE: Final = np.isin(Q_NAMES, ("lumbar", "waist", "r_waist", "y_waist"))
_REST_WEIGHT: Final = np.where(_SPINE, _SPINE_REST_STD_RAD, _REST_STD_RAD) ** -2.0


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
