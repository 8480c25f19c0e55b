"""Levenberg-Marquardt on the body's manifold, within the joints' limits (`src/solver.c`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vnect_ros.fitting.objective import Objective

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
    best, information = objective.minimise(start_q, small_step, small_gain, max_iterations)
    return Solution(*best, information)
