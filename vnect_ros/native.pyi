"""The arithmetic of the fit, and the maxima of heatmaps, in C (`src/`).

Built by colcon, CMake and pip alike.
Arrays are NumPy's, C-contiguous, of exactly the sizes given here, and float64 unless another
type is stated; others raise ValueError or BufferError.  `out` and what is said to be filled are
written to.  N is the number of a body's angles, NQ = 7 + N and NV = 6 + N, P the number of its
points; what configurations and tangents are is said in `body.kinematics`.

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

def root_transform(q: np.ndarray, out: np.ndarray) -> None:
    """Fill out [4, 4] with the root's frame in a configuration [NQ]."""

def measure(
    given_m: np.ndarray,
    given_confidence: np.ndarray,
    pelvis: int,
    largest: float,
    local_m: np.ndarray,
    rays: np.ndarray,
    confidence: np.ndarray,
) -> int:
    """Make a frame's joints finite; returns how many are seen.

    Args:
        given_m: [P, 3] joints in any origin [m].
        given_confidence: [P] of them.
        pelvis: the joint that places are relative to.
        largest: what is not below it, NaN too, is no observation.
        local_m: [P, 3] is filled: relative to the pelvis; 0 for joints of which a number is
            none [m].
        rays: [P, 2] on the plane z = 1; those of joints of which any number is none become 0.
        confidence: [P] is filled: from 0 to 1; 0 for the same joints, and where it was NaN.
    """

def with_lengths(
    joints_m: np.ndarray, lengths_m: np.ndarray, parents: np.ndarray, out: np.ndarray
) -> None:
    """Fill out [P, 3] with joints relative to the root of their tree, of other bone lengths.

    Args:
        joints_m: [P, 3] whose bones give the directions.
        lengths_m: [P] of the bone that ends in each joint.
        parents: [P] int64: the joint where that bone begins; the root's own is itself.
    """

def length_along(
    weight: np.ndarray,
    seen_m: np.ndarray,
    fitted_m: np.ndarray,
    lengths_m: np.ndarray,
    parents: np.ndarray,
) -> tuple[float, float]:
    """Summed length of seen bones along the fitted ones, and of those bones themselves [m].

    Args:
        weight: [P]; bones with an end of weight 0 do not count.
        seen_m: [P, 3] joints, any origin.
        fitted_m: likewise.
        lengths_m: [P] of the fitted bones.
        parents: as for `with_lengths`.
    """

def gate(
    local_m: np.ndarray,
    rays: np.ndarray,
    confidence: np.ndarray,
    points_m: np.ndarray,
    variance_m2: np.ndarray,
    lengths_m: np.ndarray,
    pelvis: int,
    parents: np.ndarray,
    mirror: np.ndarray,
    limbs: np.ndarray,
    size_weights: np.ndarray,
    gates: np.ndarray,
    out_m: np.ndarray,
    off: np.ndarray,
    exchanged: np.ndarray,
) -> bool:
    """Hold a frame's joints against a prediction; see `fitting.outliers`.

    Rays count in metres at the distance of the predicted pelvis.

    Args:
        local_m: [P, 3] joints relative to the pelvis [m], and
        rays: [P, 2] on the plane z = 1, of
        confidence: [P]; 0 is not seen.
        points_m: [P, 3] the joints as predicted, camera frame [m], with
        variance_m2: [P, 3] their variances along its axes, and
        lengths_m: [P] the body's bones.
        parents: [P] int64, as for `with_lengths`.
        mirror: [P] int64: each joint's counterpart on the other side.
        limbs: [2, P] 1 for the joints of arms, and of legs.
        size_weights: [P] what each bone counts in the body's size.
        gates: [5] for joints relative to the pelvis, and for rays [m]; deviations of the
            prediction that widen them; distance from which a limb may be exchanged [m], and
            share of it that must be left then.
        out_m: [P, 3] is filled with `with_lengths` of local_m.
        off: [2, P] bool is filled: these that are beyond their gate, and rays.
        exchanged: [2, 2] bool is filled: places in space, and rays, of arms and of legs that
            fit better with the sides exchanged.

    Returns:
        Whether any are exchanged.
    """

def weigh(
    vectors: np.ndarray,
    weight: np.ndarray | None,
    scale: float,
    bound: float,
    target: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill out [K, VECTOR_SIZE] with residual vectors times a scale and their weight's root.

    Args:
        vectors: [K, VECTOR_SIZE], whose own bounds and targets do not count.
        weight: [K] of each; None: 1.
        bound: of one with weight 1; the weight times that, if it is above 0.
        target: [K, D] before the scale, D at most 4.
    """

def residual(
    projected_px: np.ndarray,
    pixels_px: np.ndarray,
    confidence: np.ndarray,
    rejected: np.ndarray,
    shown_px: np.ndarray,
) -> float:
    """Root mean square distance of joints [P, 2] projected and seen [px]; NaN of none.

    Args:
        confidence: [P]; 0 is not seen.
        rejected: [P] bool: joints that do not count.
        shown_px: [P, 2] is filled: where the joints are seen, else where they are projected.
    """

def beyond(
    points_m: np.ndarray,
    last_m: np.ndarray,
    velocity_mps: np.ndarray,
    bounds: np.ndarray,
    out: np.ndarray,
) -> float:
    """Fill out [P] with how many times its bound each joint's motion would be; the largest.

    Args:
        points_m: [P, 3] where they would be, and
        last_m: where they are [m], with
        velocity_mps: [P, 3] that brought them there [m/s].
        bounds: [3] time between both [s], speed [m/s] and acceleration [m/s^2] allowed.
    """

def one_euro(
    values: np.ndarray,
    dt_s: float,
    speed_cutoff_hz: float,
    min_cutoff_hz: float,
    beta: float,
    value: np.ndarray,
    speed: np.ndarray,
) -> None:
    """A step of the 1-Euro filter on every number, see `perception.filters`.

    Args:
        values: of any shape.
        value: the state, of the same size: filtered, changed.  What is not finite, or was not,
            is taken as it comes.
        speed: likewise its rate.
    """

def maxima(
    heat: np.ndarray,
    height: int,
    width: int,
    across: np.ndarray | None,
    down: np.ndarray | None,
    hysteresis: float,
    pairs: np.ndarray,
    cost: float,
    radius: float,
    cells: np.ndarray,
) -> None:
    """Fill cells [M] int64 with the flat index of the cell that each map has its joint in.

    That is the first of the highest; but joints of a pair that are within twice the radius are
    in their first or second ones, whichever together are highest, less cost times a Gaussian of
    their distance.

    Args:
        heat: [M, height, width] float32.
        across: [M, width] float32, and
        down: [M, height] float32: cells count 1 - hysteresis + hysteresis times the product of
            these; None: 1.
        pairs: [*, 2] int64 of maps.
        cost: in units of heat.
        radius: standard deviation of that Gaussian [cells].
    """

def tops(
    heat: np.ndarray,
    height: int,
    width: int,
    maps: np.ndarray,
    cells: np.ndarray,
    lowest: float,
    largest_gain: float,
    places: np.ndarray,
    heights: np.ndarray,
) -> None:
    """Fill places [N, 2] and heights [N] with the tops of the heat, see `perception.decode`.

    Args:
        heat: [M, height, width] float32.
        maps: [N] int64, and
        cells: [N] int64: flat index in them of the cell that each is about.
        lowest: share of the cell's heat below which its neighbours' is taken for that.
        largest_gain: how much higher than its cell a top may be taken to be.
        places: x and y [cells].
    """

def peaks(
    heat: np.ndarray, height: int, width: int, lowest: float, maps: np.ndarray, cells: np.ndarray
) -> int:
    """Fill maps and cells [N] int64 with cells that are higher than their eight neighbours.

    Of two equal neighbours the first is.  Returns how many there are, N at most.

    Args:
        heat: [M, height, width] float32.
        lowest: least heat of them.
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

    def minimise(
        self,
        q: np.ndarray,
        vectors: np.ndarray,
        rest: np.ndarray | None,
        rest_weight: np.ndarray | None,
        expected_q: np.ndarray | None,
        prior: np.ndarray | None,
        small_step: float,
        small_gain: float,
        iterations: int,
        points_m: np.ndarray,
        information: np.ndarray,
        agreement: np.ndarray,
    ) -> float:
        """Move q [NQ] to the least energy near it, by damped Newton steps; returns that energy.

        A step is damped more until it lowers the energy; where none of six does, that is the end.

        Args:
            vectors: and the priors as for `normal_equations`.
            small_step: a step with no component above it [m, rad] is the last, and
            small_gain: one that lowers the energy by less than this share of it.
            iterations: steps at most.
            points_m: [P, 3] is filled.
            information: [NV, NV] is filled with that which the last step was taken from.
            agreement: [2, K]: the first half is filled, the second is overwritten.
        """

    def predict(
        self,
        q: np.ndarray,
        advance: np.ndarray,
        velocity: np.ndarray,
        covariance: np.ndarray,
        cross: np.ndarray,
        speed_covariance: np.ndarray,
    ) -> None:
        """Advance the last four, [NV] and [NV, NV] each, with nothing seen; see `fitting.motion`.

        Args:
            q: [NQ] before.
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

    def variance(
        self, q: np.ndarray, covariance: np.ndarray, points_m: np.ndarray, out: np.ndarray
    ) -> None:
        """Fill points_m [P, 3] and out [P, 3] with their variances along the camera's axes.

        Args:
            covariance: [NV, NV] of q [NQ] in its tangent.
        """

    def describe(
        self,
        q: np.ndarray,
        velocity: np.ndarray,
        covariance: np.ndarray,
        unseen_s: np.ndarray,
        stated: np.ndarray,
        points_m: np.ndarray,
        quaternions: np.ndarray,
        transform: np.ndarray,
        velocities_mps: np.ndarray,
        deviations_m: np.ndarray,
        deviation_m: np.ndarray,
    ) -> bool:
        """Fill the last six with what is published of q [NQ]; False where that is not finite.

        Args:
            velocity: [NV], and
            covariance: [NV, NV] in its tangent.
            unseen_s: [P] since each point was last seen [s].
            stated: [8] of the variances: their factor; what is added along each axis [m^2]; the
                share of the depth whose square is added along z; what an unseen point comes to
                [m^2], with a time constant [s].  Last the largest speed [m/s].
            points_m: [P, 3].
            quaternions: [P, 4] (x, y, z, w) of the links that carry the points.
            transform: [4, 4] of the root.
            velocities_mps: [P, 3], shortened to the largest speed.
            deviations_m: [P, 3] along the camera's axes.
            deviation_m: [P] their root mean square.
        """

    def smooth(
        self,
        q: np.ndarray,
        wanted_q: np.ndarray,
        constants: np.ndarray,
        speed: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Fill out [NQ] with a step of a 1-Euro filter from q towards wanted_q, within the limits.

        The root's shift has one cut-off, and its turn another, so that no axis has its own.

        Args:
            constants: [5] time of the step [s], cut-off of the speed [Hz], metres that a radian
                counts for, cut-off at rest [Hz], what that rises by per speed [Hz s/m].
            speed: [NV] the filter's state [m/s], changed.
        """
