"""Symmetric positive definite matrices, by Cholesky's decomposition.

NumPy knows of no symmetry in an inverse or a solution, and takes twice as long.
Each raises numpy.linalg.LinAlgError where the matrix is not positive definite.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack


def inverse(matrix: np.ndarray) -> np.ndarray:
    """[N, N] float64 inverse of [N, N], exactly symmetric."""
    half, _ = lapack.dpotri(_lower(matrix), lower=True, overwrite_c=True)
    # The other half is zero, so that only the diagonal is counted twice.
    whole: np.ndarray = half + half.T
    whole.flat[:: len(whole) + 1] /= 2.0
    return whole


def inverse_root(matrix: np.ndarray) -> np.ndarray:
    """[N, N] float64 lower triangular R, R^T R the inverse of [N, N]."""
    root: np.ndarray
    root, _ = lapack.dtrtri(_lower(matrix), lower=True, overwrite_c=True)
    return root


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[N] float64 x with matrix [N, N] x = right [N]."""
    _, x, failure = lapack.dposv(matrix.T, right, lower=True)
    _check(failure)
    solution: np.ndarray = x
    return solution


def _lower(matrix: np.ndarray) -> np.ndarray:
    """[N, N] lower triangular L in LAPACK's order of memory, L L^T the matrix."""
    lower: np.ndarray
    # The transpose of a C array is the same matrix, in LAPACK's order.
    lower, failure = lapack.dpotrf(matrix.T, lower=True, clean=True)
    _check(failure)
    return lower


def _check(failure: int) -> None:
    if failure:
        raise np.linalg.LinAlgError("the matrix is not positive definite")
