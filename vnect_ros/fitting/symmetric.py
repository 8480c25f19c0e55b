"""Symmetric positive definite matrices, by Cholesky's decomposition on the caller's thread.

NumPy's and SciPy's inverses go through BLAS, whose threads wait for each other over matrices
as small as these: on a busy machine for longer than the fit takes.
"""

from __future__ import annotations

import numpy as np

from vnect_ros import native


def inverse(matrix: np.ndarray, jitter: float = 0.0) -> np.ndarray:
    """[N, N] float64 inverse of [N, N] plus so much on its diagonal, exactly symmetric.

    Raises:
        numpy.linalg.LinAlgError: that is not positive definite.
    """
    inverted = np.empty_like(matrix)
    native.inverse(matrix, jitter, inverted)
    return inverted
