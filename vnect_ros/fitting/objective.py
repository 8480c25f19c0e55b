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
from typing import NamedTuple

import numpy as np

from vnect_ros.fitting.energy import Term


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
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = sorted(terms, key=lambda term: term.bounds is None)
        self._bounds = np.concatenate([t.bounds for t in terms if t.bounds is not None])
        self._vectors: np.ndarray | None = None

    def evaluate(self, q: np.ndarray, points_m: np.ndarray) -> Evaluation:
        """The energy of the configuration q [NQ] with joints points_m [21, 3]."""
        residuals = [term.residual(q, points_m) for term in self._terms]
        residual = np.concatenate(residuals)
        if self._vectors is None:
            self._vectors = self._vector_of_rows(residuals)
        robust = residual[: len(self._vectors)]
        excess = np.bincount(self._vectors, robust * robust) / self._bounds
        agreement = 1.0 / (1.0 + excess)
        plain = residual[len(robust) :]
        cost = 0.5 * float(self._bounds @ (excess * agreement) + plain @ plain)
        return Evaluation(q, points_m, residual, agreement, cost)

    def normal_equations(self, at: Evaluation, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """J^T J [NV, NV] and J^T r [NV], reweighted; moves [21, 3, NV] are of the same q."""
        jacobian = np.concatenate([t.jacobian(at.q, at.points_m, moves) for t in self._terms])
        residual = at.residual.copy()
        scales = at.agreement[self._vectors]
        jacobian[: len(scales)] *= scales[:, None]
        residual[: len(scales)] *= scales
        return jacobian.T @ jacobian, residual @ jacobian

    def _vector_of_rows(self, residuals: Sequence[np.ndarray]) -> np.ndarray:
        """[K] for each residual under the kernel, the number of the vector that it belongs to."""
        sizes: list[int] = []
        for term, residual in zip(self._terms, residuals):
            if term.bounds is not None:
                sizes += [len(residual) // len(term.bounds)] * len(term.bounds)
        return np.arange(len(sizes)).repeat(sizes)
