"""The sum of the energy's terms as one problem of reweighted least squares.

A term with bounds is under the kernel of Geman and McClure: a residual vector r
with the bound b costs

    b e / (2 (1 + e)),   e = |r|^2 / b,

which is |r|^2 / 2 near 0 and never more than b / 2.  Its slope is that of a
quadratic whose residuals and Jacobian are scaled by 1 / (1 + e), here called the
agreement: 1 at 0, falling to 0 for outliers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vnect_ros.body.kinematics import NV
from vnect_ros.fitting.energy import Prior, Term


class Evaluation(NamedTuple):
    """The energy of one configuration.  M residuals in all, K of them under the kernel."""

    q: np.ndarray
    """[NQ]"""
    points_m: np.ndarray
    """[21, 3] its joints in the camera frame."""
    residual: np.ndarray
    """[M] of all terms, those with bounds first, otherwise as given."""
    agreement: np.ndarray
    """[J] of each residual vector under the kernel, in the order of `residual`."""
    cost: float


class Objective:
    """Evaluates all terms at once; those with bounds stand before the others.

    Args:
        terms: with at least one that has bounds.
        priors: added to them.
    """

    def __init__(self, terms: Sequence[Term], priors: Sequence[Prior] = ()) -> None:
        self._terms = sorted(terms, key=lambda term: term.bounds is None)
        self._priors = priors
        bounds = [term.bounds for term in self._terms if term.bounds is not None]
        self._bounds = np.concatenate(bounds)
        self._counts = tuple(map(len, bounds))
        self._sizes: tuple[int, ...] = ()
        self._jacobian = np.empty((0, NV))

    def evaluate(self, q: np.ndarray, points_m: np.ndarray) -> Evaluation:
        """The energy of the configuration q [NQ] with joints points_m [21, 3]."""
        residuals = [term.residual(points_m) for term in self._terms]
        if not self._sizes:
            self._sizes = tuple(map(len, residuals))
            self._vectors = _vector_of_rows(self._sizes[: len(self._counts)], self._counts)
        residual = np.concatenate(residuals)
        robust, plain = residual[: len(self._vectors)], residual[len(self._vectors) :]
        squared = np.bincount(self._vectors, robust * robust)
        agreement = 1.0 / (1.0 + squared / self._bounds)
        cost = 0.5 * float(squared.dot(agreement) + plain.dot(plain))
        for prior in self._priors:
            cost += prior.cost(q)
        return Evaluation(q, points_m, residual, agreement, cost)

    def normal_equations(self, at: Evaluation, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """J^T J [NV, NV] and J^T r [NV], reweighted; moves [21, 3, NV] are of the same q."""
        if not len(self._jacobian):
            self._jacobian = np.empty((len(at.residual), NV))
        jacobian, residual, row = self._jacobian, at.residual.copy(), 0
        for term, size in zip(self._terms, self._sizes):
            term.jacobian(at.points_m, moves, jacobian[row : row + size])
            row += size
        scales = at.agreement.take(self._vectors)
        jacobian[: len(scales)] *= scales[:, None]
        residual[: len(scales)] *= scales
        information, gradient = jacobian.T @ jacobian, residual.dot(jacobian)
        for prior in self._priors:
            prior.add_to(at.q, information, gradient)
        return information, gradient


@lru_cache(maxsize=64)  # few sets of terms, frame after frame
def _vector_of_rows(sizes: tuple[int, ...], counts: tuple[int, ...]) -> np.ndarray:
    """[K] for each residual under the kernel, the number of the vector that it belongs to.

    Args:
        sizes: residuals of each term.
        counts: vectors that these make up.
    """
    widths = np.repeat([size // count for size, count in zip(sizes, counts)], counts)
    return np.arange(len(widths)).repeat(widths)
