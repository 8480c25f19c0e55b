"""The energy of the fit, one function a term (VNect eq. 3).

    E(q) = E_IK + E_proj + E_smooth + E_depth + E_range + E_rest

A term is a stack of residual vectors, each linear in what it looks at of one joint: an array
[K, VECTOR_SIZE] as `native` has it, which `objective.py` adds up.  The residuals are
whitened: divided by the standard deviation that the term's weight stands for, so that half
the sum of squares is a negative log likelihood and the Hessian at the minimum an
information matrix.  E_smooth and E_rest look at the configuration alone and are quadratic
in it.  The paper's
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
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from vnect_ros import native
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

BOUND: Final = 2
MATRIX: Final = slice(3, 15)
TARGET: Final = slice(15, 19)
"""Columns of a residual vector."""


def stack(kind: int, joints: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """[K, VECTOR_SIZE] residual vectors of K joints, alike, with no bound and a target of 0.

    Args:
        kind: what of a joint they look at: `native.PLACE`, `RELATIVE` or `RAY`.
        joints: [K] indices.
        matrix: [D, 3] that it is multiplied by; D is 4 or less.
    """
    vectors = np.zeros((len(joints), native.VECTOR_SIZE))
    vectors[:, 0], vectors[:, 1] = kind, joints
    vectors[:, MATRIX][:, : matrix.size] = matrix.ravel()
    return vectors


def _weighed(
    template: np.ndarray,
    weight: np.ndarray | None,
    scale: float,
    bound: float,
    target: np.ndarray,
) -> np.ndarray:
    """Residual vectors [K, VECTOR_SIZE] like others, whitened, see `native.weigh`.

    Args:
        weight: [K] of each; None: 1.
        scale: of a vector of weight 1.
        bound: of the kernel of a vector of weight 1; 0: none.
        target: [K, D], likewise to be scaled.
    """
    vectors = np.empty_like(template)
    native.weigh(template, weight, scale, bound, target, vectors)
    return vectors


def inverse_kinematics(observation: Observation, weight: float) -> np.ndarray:
    """E_IK: the body's joints relative to its pelvis are where the network's are.

    Returns:
        [21, VECTOR_SIZE] residual vectors.
    """
    guessed, local_weight = observation.measurement.guessed, observation.local_weight
    if guessed is not None:
        local_weight = np.where(guessed, _GUESSED_WEIGHT, local_weight)
    scale = math.sqrt(weight) / UNIT_STD_M
    bound = (_OUTLIER_M * scale) ** 2
    vectors = _weighed(_RELATIVE, local_weight, scale, bound, observation.local_m)
    if guessed is not None:
        vectors[guessed, BOUND] *= _GUESSED_BOUNDS
    return vectors


def projection(observation: Observation, weight: float, distance_m: float) -> np.ndarray:
    """E_proj: the body's joints are seen where the network saw them.

    Args:
        distance_m: of the body, at which differences on the image count as metres.

    Returns:
        [21, VECTOR_SIZE] residual vectors.
    """
    scale = math.sqrt(weight) / (PROJECTION_AT_M * UNIT_STD_M)
    bound, rays = (_OUTLIER_M * scale) ** 2, observation.measurement.rays
    return _weighed(_RAYS, observation.ray_weight, scale * distance_m, bound, rays)


def data_terms(
    observation: Observation, config: FitConfig, distance_m: float, share: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The two terms that look at the frame, E_IK and E_proj.

    Args:
        share: of the information to count; below 1 for frames closer together
            than FRAME_S, whose errors are alike.
    """
    return (
        inverse_kinematics(observation, share * config.weight_ik),
        projection(observation, share * config.weight_proj, distance_m),
    )


def depth_change(last_points_m: np.ndarray, weight: float, dt_s: float) -> np.ndarray:
    """E_depth: the joints move little along the optical axis.

    Args:
        last_points_m: [21, 3] the joints of the last frame.
        weight: as in the configuration.
        dt_s: since the last frame [s]; what counts is the weight per second.

    Returns:
        [21, VECTOR_SIZE] residual vectors.
    """
    scale = math.sqrt(weight / (FRAME_S * dt_s)) / _UNIT_DEPTH_SPEED
    return _weighed(_DEPTHS, None, scale, 0.0, last_points_m[:, 2].copy())


def pelvis_distance(depth_m: float, std_m: float) -> np.ndarray:
    """E_range: the pelvis is as far away as the network's own, unrestored body looks.

    Errors along the optical axis tilt bones that are not tilted.  Bones of fixed
    length then look shorter than they are, and E_proj brings the body closer by
    several percent.  The network's bones, scaled as a whole, keep their extent
    across the axis, so the distance at which they are seen so large has no such
    bias (observe.root_position).

    Args:
        depth_m: that distance.
        std_m: how well it is known.

    Returns:
        [1, VECTOR_SIZE] a residual vector.
    """
    return _weighed(_DEPTHS[PELVIS : PELVIS + 1], None, 1.0 / std_m, 0.0, np.array([depth_m]))


class Smoothness(NamedTuple):
    """E_smooth: the joints accelerate little.

    What the acceleration's weight makes of the last frames' pose and velocity is
    a Gaussian about the configuration that unaccelerated motion leads to
    (motion.py), so the term is the distance from that one.
    """

    expected_q: np.ndarray
    """[NQ] where unaccelerated motion leads."""
    information: np.ndarray
    """[NV, NV] of that one, in its tangent."""


def rest_weight(hidden: np.ndarray | None = None, dt_s: float = FRAME_S) -> np.ndarray:
    """E_rest: angles that nothing shows stay at rest; too weak to matter for others.

    Args:
        hidden: [N] bool: angles that move no seen joint; these return to rest
            within about a second.
        dt_s: since the last frame [s].

    Returns:
        [N] information of each angle about `REST`.
    """
    if hidden is None:
        return _REST_WEIGHT
    weight = _REST_WEIGHT.copy()
    weight[hidden] = dt_s / (FRAME_S * _HIDDEN_REST_STD_RAD**2)
    return weight


_ALL: Final = np.arange(NUM_JOINTS)
_RELATIVE: Final = stack(native.RELATIVE, _ALL, np.eye(3))
_RAYS: Final = stack(native.RAY, _ALL, np.eye(3)[:2])
_DEPTHS: Final = stack(native.PLACE, _ALL, np.eye(3)[2:])
_SPINE: Final = np.isin(Q_NAMES, ("lumbar", "waist", "r_waist", "y_waist"))
_REST_WEIGHT: Final = np.where(_SPINE, _SPINE_REST_STD_RAD, _REST_STD_RAD) ** -2.0
