"""Symmetric positive definite matrices, by Eigen's Cholesky decomposition.

NumPy's and SciPy's inverses go through BLAS, whose threads wait for each other over matrices
as small as these: on a busy machine for longer than the fit takes.  Eigen, which Pinocchio
brings, uses the caller's thread alone.

Each raises numpy.linalg.LinAlgError where the matrix is not positive definite.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def inverse(matrix: np.ndarray) -> np.ndarray:
    """[N, N] float64 inverse of [N, N], exactly symmetric."""
    root = inverse_root(matrix)
    return root.T @ root


def inverse_root(matrix: np.ndarray) -> np.ndarray:
    """[N, N] float64 R, R^T R the inverse of [N, N]."""
    # With L L^T the matrix: its inverse times L is L^-T.
    factor = _factor(matrix)
    root: np.ndarray = _finite(factor.solve(factor.matrixL())).T
    return root


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[N] float64 x with matrix [N, N] x = right [N]."""
    return _finite(_factor(matrix).solve(right))


def _factor(matrix: np.ndarray) -> Any:
    """The decomposition of a matrix [N, N]."""
    import eigenpy  # late, as Pinocchio is

    factor = eigenpy.LLT(matrix)
    if factor.info() != eigenpy.ComputationInfo.Success:
        raise np.linalg.LinAlgError("the matrix is not positive definite")
    return factor


def _finite(solution: np.ndarray) -> np.ndarray:
    """A solution [N, ...]: Eigen takes NaN in a matrix for positive, and its last row is NaN."""
    if not math.isfinite(solution.flat[-1]):
        raise np.linalg.LinAlgError("the matrix is not finite")
    return solution
