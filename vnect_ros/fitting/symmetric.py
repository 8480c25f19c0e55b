"""Symmetric positive definite matrices, by Eigen's Cholesky decomposition.

NumPy's and SciPy's inverses go through BLAS, whose threads wait for each other over matrices
as small as these: on a busy machine for longer than the fit takes.  Eigen, which Pinocchio
brings, uses the caller's thread alone.

Each raises numpy.linalg.LinAlgError where the matrix is not positive definite.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np


def inverse(matrix: np.ndarray) -> np.ndarray:
    """[N, N] float64 inverse of [N, N], exactly symmetric."""
    half = _finite(_factor(matrix).solve(_half_identity(len(matrix))))
    return half + half.T


@lru_cache(maxsize=4)
def _half_identity(size: int) -> np.ndarray:
    return np.eye(size) / 2.0


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[N] float64 x with matrix [N, N] x = right [N]."""
    return _finite(_factor(matrix).solve(right))


def _factor(matrix: np.ndarray) -> Any:
    """The decomposition of a matrix [N, N]."""
    decompose, success = _eigen()
    factor = decompose(matrix)
    if factor.info() != success:
        raise np.linalg.LinAlgError("the matrix is not positive definite")
    return factor


@lru_cache(maxsize=1)
def _eigen() -> tuple[Any, int]:
    """Eigen's decomposition, and what it gives where it succeeded."""
    import eigenpy  # late, as Pinocchio is

    return eigenpy.LLT, int(eigenpy.ComputationInfo.Success)


def _finite(solution: np.ndarray) -> np.ndarray:
    """A solution [N, ...]: Eigen takes NaN in a matrix for positive, and its last row is NaN."""
    if not math.isfinite(solution.flat[-1]):
        raise np.linalg.LinAlgError("the matrix is not finite")
    return solution
