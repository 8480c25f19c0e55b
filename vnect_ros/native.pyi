"""The arithmetic of the fit, in C (`src/`); built by colcon, CMake and pip alike.

Arrays are NumPy's, float64 and C-contiguous, of exactly the sizes given here; others raise
ValueError or BufferError.  `out` and what is said to be filled are written to.  N is the number
of a body's angles, NQ = 7 + N and NV = 6 + N, P the number of its points; what configurations
and tangents are is said in `body.kinematics`.

What factorises a matrix raises numpy.linalg.LinAlgError where it is not positive definite, and
looks at its lower triangle alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

VECTOR_SIZE: Final[int]
"""Numbers of a residual vector, in this order: kind, joint, bound, matrix [4, 3], target [4].

Its residual is  matrix x - target,  x being what its kind says of the joint at p.  Under the
robust kernel of `fitting.objective` if the bound is above 0.
"""
PLACE: Final[int]
"""x = p [m]."""
RELATIVE: Final[int]
"""x = p less the pelvis [m]."""
RAY: Final[int]
"""x = (p_x / p_z, p_y / p_z, 1), p_z at least 0.05 m."""

def inverse(matrix: np.ndarray, jitter: float, out: np.ndarray) -> None:
    """Fill out with the inverse of a symmetric matrix [n, n] + jitter * identity."""

def quaternion(rotation: np.ndarray, out: np.ndarray) -> None:
    """Fill out [4] with the unit quaternion (x, y, z, w) of a rotation [3, 3]."""

def root_position(
    local_m: np.ndarray, rays: np.ndarray, weight: np.ndarray, limits: np.ndarray, out: np.ndarray
) -> bool:
    """Fill out [3] with where the pelvis is [m]; False where that is open, see `fitting.observe`.

    Args:
        local_m: [P, 3] joints relative to the pelvis [m].
        rays: [P, 2] that they are seen along, on the plane z = 1.
        weight: [P] of each.
        limits: [4] distance at which a joint counts a quarter [m], least variance of the rays,
            least depth of a joint that counts and greatest one of the pelvis [m].
    """

class Body:
    """A tree of revolute joints under a root that moves freely, and points on its links.

    Args:
        parents: [N] the angle whose link carries each axis, -1 for the root; each less than
            its own index.
        axes: [N, 3] unit axes in the axes of that link.
        low: [N] limits of the angles [rad].
        high: likewise.
        observed: [N] 1, or 0 for angles that the points do not show: these stay.
        carriers: [P] the angle whose link carries each point, -1 for the root.
        pelvis: the point that lies in the root's origin.
    """

    def __new__(
        cls,
        parents: Sequence[int],
        axes: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        observed: Sequence[int],
        carriers: Sequence[int],
        pelvis: int,
    ) -> Body: ...
    def place(self, offsets_m: np.ndarray, places_m: np.ndarray) -> None:
        """Set where axes [N, 3] and points [P, 3] lie on the links that carry them [m]."""

    def forward(self, q: np.ndarray, points_m: np.ndarray) -> None:
        """Fill points_m [P, 3]."""

    def jacobian(self, q: np.ndarray, points_m: np.ndarray, moves: np.ndarray) -> None:
        """Fill points_m [P, 3] and their derivatives moves [P, 3, NV] by the tangent of q."""

    def orientations(self, q: np.ndarray, out: np.ndarray) -> None:
        """Fill out [P, 4] with the quaternions (x, y, z, w) of the links that carry the points."""

    def integrate(self, q: np.ndarray, tangent: np.ndarray, limited: bool, out: np.ndarray) -> None:
        """Fill out [NQ] with q moved along a tangent [NV]; its angles within the limits or not."""

    def difference(self, start: np.ndarray, end: np.ndarray, out: np.ndarray) -> None:
        """Fill out [NV] with the tangent at start [NQ] that `integrate` takes to end [NQ]."""

    def energy(
        self,
        q: np.ndarray,
        points_m: np.ndarray,
        vectors: np.ndarray,
        rest: np.ndarray | None,
        rest_weight: np.ndarray | None,
        expected_q: np.ndarray | None,
        information: np.ndarray | None,
        agreement: np.ndarray,
    ) -> float:
        """The energy of q [NQ], whose joints are points_m [P, 3].

        Args:
            vectors: [K, VECTOR_SIZE].
            rest: [N] angles, and
            rest_weight: [N] the information of each; None: no such summand.
            expected_q: [NQ], and
            information: [NV, NV] of that in its tangent; None: no such summand.
            agreement: [K] is filled: 1 / (1 + squared length / bound), 1 without a bound.
        """

    def normal_equations(
        self,
        q: np.ndarray,
        points_m: np.ndarray,
        moves: np.ndarray,
        vectors: np.ndarray,
        rest: np.ndarray | None,
        rest_weight: np.ndarray | None,
        expected_q: np.ndarray | None,
        prior: np.ndarray | None,
        agreement: np.ndarray,
        information: np.ndarray,
        gradient: np.ndarray,
    ) -> None:
        """Fill information [NV, NV] and gradient [NV] of the energy, reweighted by agreement [K].

        Args:
            moves: [P, 3, NV] derivatives of points_m.
            prior: `information` of `energy`; the other arguments are those of it.
        """

    def newton_step(
        self,
        q: np.ndarray,
        information: np.ndarray,
        gradient: np.ndarray,
        damping: float,
        step: np.ndarray,
        moved: np.ndarray,
    ) -> None:
        """Fill step [NV] with the damped Newton step from q, and moved [NQ] with where it leads.

        The diagonal grows by the damping times itself.  Angles that nothing shows stay, and
        those that the gradient pushes against a limit; the others end within their limits.
        """

    def predict(
        self,
        moves: np.ndarray,
        advance: np.ndarray,
        velocity: np.ndarray,
        covariance: np.ndarray,
        cross: np.ndarray,
        speed_covariance: np.ndarray,
    ) -> None:
        """Advance the last four, [NV] and [NV, NV] each, with nothing seen; see `fitting.motion`.

        Args:
            moves: [P, 3, NV] derivatives of the points before.
            advance: [8] time [s], share of the velocity that is left, time for which it goes on
                [s]; acceleration allowed to a point at rest [m/s^2], gained per speed [1/s], and
                to an angle [rad/s^2]; period that these are stated for [s]; largest variance.
        """

    def correct(
        self,
        q: np.ndarray,
        moved: np.ndarray,
        information: np.ndarray,
        prior: np.ndarray,
        jitter: float,
        velocity: np.ndarray,
        covariance: np.ndarray,
        cross: np.ndarray,
        speed_covariance: np.ndarray,
    ) -> None:
        """Correct the last four by a fit that moved the pose by moved [NV] to q [NQ].

        Args:
            information: [NV, NV] of the fit.
            prior: [NV, NV] that before it.
            jitter: added to the diagonal before the inversion.
        """

    def point_variance(self, moves: np.ndarray, covariance: np.ndarray, out: np.ndarray) -> None:
        """Fill out [P, 3] with the points' variances along the camera's axes."""
