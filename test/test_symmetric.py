"""Cholesky's ways to an inverse and a step, against NumPy's general ones."""

import numpy as np
import pytest

from vnect_ros.fitting import symmetric


def definite(size, condition, seed=0):
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(size, size)))
    matrix = axes @ np.diag(np.geomspace(1.0, condition, size)) @ axes.T
    return (matrix + matrix.T) / 2.0


@pytest.mark.parametrize("size", [1, 3, 42])
@pytest.mark.parametrize("condition", [1.0, 1e6])
def test_the_inverse_agrees_with_the_general_one(size, condition):
    matrix = definite(size, condition)
    kept = matrix.copy()
    inverse = symmetric.inverse(matrix)
    assert np.allclose(inverse, np.linalg.inv(matrix), rtol=0.0, atol=1e-9)
    assert np.array_equal(inverse, inverse.T)
    assert np.array_equal(matrix, kept)
    shifted = symmetric.inverse(matrix, 0.5)
    assert np.allclose(shifted, np.linalg.inv(matrix + 0.5 * np.eye(size)), rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("smallest", [0.0, -1e-3])
def test_what_is_not_positive_definite_is_refused(smallest):
    matrix = np.diag([2.0, 1.0, smallest])
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        symmetric.inverse(matrix)


@pytest.mark.parametrize("place", [(0, 0), (2, 1), (2, 2)])
def test_nan_is_refused(place):
    matrix = np.eye(3)
    matrix[place] = matrix[place[::-1]] = np.nan
    with pytest.raises(np.linalg.LinAlgError):
        symmetric.inverse(matrix)
