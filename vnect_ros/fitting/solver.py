"""Levenberg-Marquardt on the body's manifold, within the joints' limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vnect_ros.body.kinematics import (
    LOWER,
    NV,
    OBSERVED,
    ROOT_Q,
    ROOT_V,
    UPPER,
    Kinematics,
    put_within_limits,
)
from vnect_ros.fitting import symmetric
from vnect_ros.fitting.energy import Term

_FIRST_DAMPING = 1e-4
_ATTEMPTS = 6
_SMALL = (3e-3, 2e-2)
"""A step with no component above the first [m, rad], or that lowers the energy by less
than the second share of it, ends the search."""
_TINY = (1e-4, 1e-4)
"""Likewise for a thorough search."""


@dataclass(frozen=True)
class Solution:
    """Where the search ended."""

    q: np.ndarray
    """[NQ], within the limits."""
    points_m: np.ndarray
    """[21, 3] the joints in the camera frame."""
    residuals: tuple[np.ndarray, ...]
    """The residual of each term, in the order given."""
    cost: float
    information: np.ndarray
    """[NV, NV] Gauss-Newton Hessian of all terms close to q."""
    iterations: int


def minimise(
    kinematics: Kinematics,
    terms: Sequence[Term],
    start_q: np.ndarray,
    max_iterations: int,
    *,
    thorough: bool = False,
) -> Solution:
    """Find the configuration of least energy near a start.

    The energy never rises above the start's (once put within the limits).

    Args:
        start_q: [NQ]; angles outside of their limits are put on them first.
        max_iterations: Jacobians to evaluate at most.
        thorough: go on until nothing changes; else until what changes is far below
            the noise, as suits a frame whose start is the last one's answer.
    """
    small_step, small_gain = _TINY if thorough else _SMALL
    q = start_q.copy()
    put_within_limits(q)
    damping = _FIRST_DAMPING
    points, moves = kinematics.jacobian(q)
    residuals, cost = _energy(terms, q, points)
    iteration = 0
    for iteration in range(1, max_iterations + 1):
        information, gradient = _normal_equations(terms, residuals, q, points, moves)
        free = _free(q, gradient)
        accepted, gain = False, 0.0
        for _ in range(_ATTEMPTS):
            step = _step(information, gradient, free, damping)
            trial_q = kinematics.integrate(q, step)
            put_within_limits(trial_q)
            trial_points = kinematics.forward(trial_q)
            trial_residuals, trial_cost = _energy(terms, trial_q, trial_points)
            if trial_cost < cost:
                accepted, gain = True, cost - trial_cost
                damping = max(damping / 10.0, 1e-9)
                break
            damping *= 10.0
        if not accepted:
            break
        q, points, residuals, cost = trial_q, trial_points, trial_residuals, trial_cost
        if np.abs(step).max() < small_step or gain < small_gain * cost:
            break
        if iteration < max_iterations:
            points, moves = kinematics.jacobian(q)
    return Solution(q, points, tuple(residuals), cost, information, iteration)


def _energy(
    terms: Sequence[Term], q: np.ndarray, points: np.ndarray
) -> tuple[list[np.ndarray], float]:
    residuals = [term.residual(q, points) for term in terms]
    return residuals, sum(term.cost(r) for term, r in zip(terms, residuals))


def _normal_equations(
    terms: Sequence[Term],
    residuals: Sequence[np.ndarray],
    q: np.ndarray,
    points: np.ndarray,
    moves: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """J^T J [NV, NV] and J^T r [NV] of all terms, reweighted."""
    rows, values = [], []
    for term, residual in zip(terms, residuals):
        jacobian = term.jacobian(q, points, moves)
        scales = term.scales(residual)
        if scales is not None:
            jacobian, residual = jacobian * scales[:, None], residual * scales
        rows.append(jacobian)
        values.append(residual)
    jacobian = np.concatenate(rows)
    return jacobian.T @ jacobian, jacobian.T @ np.concatenate(values)


def _free(q: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """[NV] bool: False for angles nothing shows, and those pushed against their limit."""
    free = np.ones(NV, dtype=bool)
    angles, slope = q[ROOT_Q:], gradient[ROOT_V:]
    pushed = ((angles <= LOWER) & (slope > 0.0)) | ((angles >= UPPER) & (slope < 0.0))
    free[ROOT_V:] = OBSERVED & ~pushed
    return free


def _step(
    information: np.ndarray, gradient: np.ndarray, free: np.ndarray, damping: float
) -> np.ndarray:
    kept = free.astype(np.float64)
    matrix = information * kept * kept[:, None]
    diagonal = np.diagonal(information)
    damped = diagonal + damping * np.maximum(diagonal, 1e-6)
    matrix.flat[:: NV + 1] = np.where(free, damped, 1.0)
    return -symmetric.solve(matrix, gradient * kept)
