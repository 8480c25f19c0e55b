"""The sum of the energy's terms as one problem of reweighted least squares.

A residual vector with a bound is under the kernel of Geman and McClure: r with
the bound b costs

    b e / (2 (1 + e)),   e = |r|^2 / b,

which is |r|^2 / 2 near 0 and never more than b / 2.  Its slope is that of a
quadratic whose residuals and Jacobian are scaled by 1 / (1 + e), here called the
agreement: 1 at 0, falling to 0 for outliers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vnect_ros.body.kinematics import NV, REST, Kinematics
from vnect_ros.fitting.energy import Smoothness
from vnect_ros.skeleton import NUM_JOINTS


class Evaluation(NamedTuple):
    """The energy of one configuration."""

    q: np.ndarray
    """[NQ]"""
    points_m: np.ndarray
    """[21, 3] its joints in the camera frame."""
    agreement: np.ndarray
    """[K] of each residual vector, in the order of the terms; 1 for those without a bound."""
    cost: float


class Objective:
    """Evaluates all terms at once.

    Args:
        kinematics: of the body whose configurations are evaluated.
        terms: [*, VECTOR_SIZE] residual vectors each, K in all.
        rest_weight: [N] of E_rest; None: without it.
        smoothness: E_smooth; None: without it.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        terms: Sequence[np.ndarray],
        rest_weight: np.ndarray | None = None,
        smoothness: Smoothness | None = None,
    ) -> None:
        self._body = kinematics.native
        self._vectors = np.concatenate(terms)
        expected_q, information = smoothness or (None, None)
        self._priors = (REST, rest_weight, expected_q, information)

    def evaluate(self, q: np.ndarray, points_m: np.ndarray) -> Evaluation:
        """The energy of the configuration q [NQ] with joints points_m [21, 3]."""
        agreement = np.empty(len(self._vectors))
        cost = self._body.energy(q, points_m, self._vectors, *self._priors, agreement)
        return Evaluation(q, points_m, agreement, cost)

    def minimise(
        self, start_q: np.ndarray, small_step: float, small_gain: float, max_iterations: int
    ) -> tuple[Evaluation, np.ndarray]:
        """The least energy near a start [NQ], and the information [NV, NV] close to it.

        Args:
            small_step: a step with no component above it [m, rad] is the last, and so is one
            small_gain: that lowers the energy by less than this share of it.
            max_iterations: normal equations to solve at most.
        """
        q, points, information = start_q.copy(), np.empty((NUM_JOINTS, 3)), np.empty((NV, NV))
        agreement = np.empty((2, len(self._vectors)))
        cost = self._body.minimise(
            q, self._vectors, *self._priors, small_step, small_gain, max_iterations,
            points, information, agreement,
        )  # fmt: skip
        return Evaluation(q, points, agreement[0], cost), information

    def normal_equations(self, at: Evaluation, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """J^T J [NV, NV] and J^T r [NV], reweighted; moves [21, 3, NV] are of the same q."""
        information, gradient = np.empty((NV, NV)), np.empty(NV)
        self._body.normal_equations(
            at.q, at.points_m, moves, self._vectors, *self._priors, at.agreement,
            information, gradient,
        )  # fmt: skip
        return information, gradient
