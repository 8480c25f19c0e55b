"""Levenberg-Marquardt on the body's manifold, within the joints' limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vnect_ros.body.kinematics import NQ, NV, Kinematics, put_within_limits
from vnect_ros.fitting.objective import Objective

_FIRST_DAMPING: Final = 1e-4
_ATTEMPTS: Final = 6
_SMALL: Final = (3e-3, 2e-2)
"""A step with no component above the first [m, rad], or that lowers the energy by less
than the second share of it, ends the search."""
_TINY: Final = (1e-4, 1e-4)
"""Likewise for a thorough search."""


@dataclass(frozen=True)
class Solution:
    """Where the search ended."""

    q: np.ndarray
    """[NQ], within the limits."""
    points_m: np.ndarray
    """[21, 3] the joints in the camera frame."""
    agreement: np.ndarray
    """[K] of each residual vector, in the order of the terms."""
    cost: float
    information: np.ndarray
    """[NV, NV] Gauss-Newton Hessian of all terms close to q."""


def minimise(
    kinematics: Kinematics,
    objective: Objective,
    start_q: np.ndarray,
    max_iterations: int,
    *,
    thorough: bool = False,
) -> Solution:
    """Find the configuration of least energy near a start.

    The energy never rises above the start's (once put within the limits).

    Args:
        start_q: [NQ]; angles outside of their limits are put on them first.
        max_iterations: Jacobians to evaluate at most, one or more.
        thorough: go on until nothing changes; else until what changes is far below
            the noise, as suits a frame whose start is the last one's answer.
    """
    small_step, small_gain = _TINY if thorough else _SMALL
    q = start_q.copy()
    put_within_limits(q)
    points, _ = kinematics.jacobian(q)
    best, damping = objective.evaluate(q, points), _FIRST_DAMPING
    for _ in range(max_iterations):
        _, moves = kinematics.jacobian(best.q)
        information, gradient = objective.normal_equations(best, moves)
        for _ in range(_ATTEMPTS):
            step, moved = np.empty(NV), np.empty(NQ)
            kinematics.native.newton_step(best.q, information, gradient, damping, step, moved)
            # Most steps are taken, and then the Jacobian is needed: by the next, or the next frame.
            trial = objective.evaluate(moved, kinematics.jacobian(moved)[0])
            if trial.cost < best.cost:
                break
            damping *= 10.0
        else:
            break
        damping = max(damping / 10.0, 1e-9)
        gain, best = best.cost - trial.cost, trial
        if gain < small_gain * best.cost or np.abs(step).max() < small_step:
            break
    return Solution(best.q, best.points_m, best.agreement, best.cost, information)
