"""The C code of the fit against NumPy's general ways, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vnect_ros import native
from vnect_ros.body import kinematics as kin
from vnect_ros.body import urdf
from vnect_ros.fitting.energy import FRAME_S
from vnect_ros.fitting.motion import Motion
from vnect_ros.skeleton import NUM_JOINTS

MODEL = kin.Kinematics(urdf.mean_bone_lengths(1.75))


def configuration(rng):
    q = kin.neutral()
    q[:3] = rng.uniform((-1, -1, 2.5), (1, 1, 5))
    q[3:7] = rng.normal(0, 1, 4)
    q[3:7] /= np.linalg.norm(q[3:7])
    q[kin.ROOT_Q :] = rng.uniform(kin.LOWER, kin.UPPER)
    return q


def definite(rng, size=kin.NV):
    rows = rng.normal(0, 1, (2 * size, size))
    return rows.T @ rows / size


def test_steps_are_damped_newton_steps_that_leave_what_is_fixed():
    rng = np.random.default_rng(1)
    for damping in (1e-4, 10.0):
        q, information, gradient = configuration(rng), definite(rng), rng.normal(0, 1, kin.NV)
        q[kin.ROOT_Q + 5], q[kin.ROOT_Q + 6] = kin.LOWER[5], kin.UPPER[6]
        gradient[kin.ROOT_V + 5], gradient[kin.ROOT_V + 6] = 1.0, -1.0
        step, moved = np.empty(kin.NV), np.empty(kin.NQ)
        MODEL.native.newton_step(q, information, gradient, damping, step, moved)
        free = np.ones(kin.NV, dtype=bool)
        free[kin.ROOT_V :] = kin.OBSERVED
        free[[kin.ROOT_V + 5, kin.ROOT_V + 6]] = False
        matrix = information + damping * np.diag(np.diag(information))
        expected = -np.linalg.solve(matrix[np.ix_(free, free)], gradient[free])
        assert np.allclose(step[free], expected, atol=1e-10)
        assert not step[~free].any()
        wanted = MODEL.integrate(q, step)
        wanted[kin.ROOT_Q :] = np.clip(wanted[kin.ROOT_Q :], kin.LOWER, kin.UPPER)
        assert np.array_equal(moved, wanted)


def test_angles_that_the_gradient_pushes_off_their_limit_are_free():
    rng = np.random.default_rng(2)
    q, information, gradient = configuration(rng), definite(rng), np.zeros(kin.NV)
    q[kin.ROOT_Q + 5] = kin.LOWER[5]
    gradient[kin.ROOT_V + 5] = -1.0
    step, moved = np.empty(kin.NV), np.empty(kin.NQ)
    MODEL.native.newton_step(q, information, gradient, 1e-4, step, moved)
    assert step[kin.ROOT_V + 5] > 0.0


def test_a_motion_is_the_kalman_filter_of_its_formulas():
    """Predicted and corrected as NumPy does by the formulas of `fitting.motion`."""
    rng = np.random.default_rng(3)
    motion = Motion(MODEL, configuration(rng))
    q, v = motion.q, rng.normal(0, 0.3, kin.NV)
    motion.v[:] = v
    covariance, cross = motion.covariance.copy(), np.zeros((kin.NV, kin.NV))
    speed = motion._speed_covariance.copy()
    for dt_s in (0.03, 0.05, 0.02):
        kept = np.exp(-dt_s / 0.4)
        ahead = 0.4 * (1.0 - kept)
        _, moves = MODEL.jacobian(q)
        speeds = np.linalg.norm(moves @ v, axis=1)
        rows = (moves / (12.0 * (0.07 / 0.2) ** 0.5 + 15.0 * speeds)[:, None, None]).reshape(
            -1, kin.NV
        )
        noise = np.linalg.inv(rows.T @ rows + np.eye(kin.NV) / 80.0**2) * (FRAME_S * dt_s)
        q = MODEL.integrate(q, v * ahead, limited=True)
        v = kept * v
        covariance = covariance + ahead * (cross + cross.T) + ahead**2 * speed + noise * dt_s**2 / 3
        cross = kept * (cross + ahead * speed) + noise * dt_s / 2
        speed = kept**2 * speed + noise
        motion.predict(dt_s, 0.2)
        assert_is(motion, q, v, covariance, cross, speed)

        prior = np.linalg.inv(covariance + 1e-9 * np.eye(kin.NV))
        information = prior + definite(rng) * 100.0
        corrected = MODEL.integrate(q, rng.normal(0, 0.02, kin.NV), limited=True)
        moved = MODEL.difference(q, corrected)
        gain = prior @ cross
        covariance = np.linalg.inv(information + 1e-9 * np.eye(kin.NV))
        v = v + moved @ gain
        angles, rates = corrected[kin.ROOT_Q :], v[kin.ROOT_V :]
        outward = ((angles <= kin.LOWER) & (rates < 0)) | ((angles >= kin.UPPER) & (rates > 0))
        rates[outward | ~kin.OBSERVED] = 0.0
        speed = speed - gain.T @ (cross - covariance @ gain)
        cross = covariance @ gain
        motion.correct(corrected, information, motion.information())
        q = corrected
        assert_is(motion, q, v, covariance, cross, speed)


def assert_is(motion, q, v, covariance, cross, speed):
    pairs = [(motion.q, q), (motion.v, v), (motion.covariance, covariance)]
    pairs += [(motion._cross, cross), (motion._speed_covariance, speed)]
    for found, expected in pairs:
        assert np.allclose(found, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


def test_a_motion_that_is_not_seen_stays_bounded():
    motion = Motion(MODEL, configuration(np.random.default_rng(4)))
    for _ in range(400):
        motion.predict(0.1, 0.2)
        assert np.diag(motion.covariance).max() <= 9.0 + 1e-9
        assert np.linalg.eigvalsh(motion.covariance).min() > 0.0
    assert np.diag(motion.covariance).max() == pytest.approx(9.0)


def test_variances_of_joints_are_the_covariance_seen_through_the_jacobian():
    rng = np.random.default_rng(5)
    covariance = definite(rng)
    _, moves = MODEL.jacobian(configuration(rng))
    expected = np.einsum("jai,ik,jak->ja", moves, covariance, moves)
    assert np.allclose(MODEL.variance_m2(moves, covariance), expected)
    assert not MODEL.variance_m2(moves, -covariance).any()
    covariance[4, 3] = covariance[3, 4] = np.nan
    assert np.isnan(MODEL.variance_m2(moves, covariance)[1:3]).any()


def test_quaternions_are_those_of_scipy():
    rng = np.random.default_rng(6)
    near_half_turns = (
        np.diag([1.0, -1.0, -1.0]),
        np.diag([-1.0, 1.0, -1.0]),
        np.diag([-1.0, -1.0, 1.0]),
    )
    for rotation in [*Rotation.random(50, rng=7).as_matrix(), *near_half_turns, np.eye(3)]:
        found = kin.quaternion_from_rotation(rotation)
        expected = Rotation.from_matrix(rotation).as_quat()
        assert abs(found @ expected) == pytest.approx(1.0)
        assert np.linalg.norm(found) == pytest.approx(1.0)
    for q in (configuration(rng) for _ in range(5)):
        transform = kin.body_transform(q)
        assert np.allclose(transform[:3, :3], Rotation.from_quat(q[3:7]).as_matrix())
        assert np.array_equal(transform[:3, 3], q[:3])


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 0.2499, 0.2501, 1.0, 3.1])
def test_the_root_moves_on_its_manifold(angle):
    """A constant velocity in the body's axes, followed in many small steps."""
    rng = np.random.default_rng(8)
    axis = rng.normal(0, 1, 3)
    tangent = np.zeros(kin.NV)
    tangent[:3], tangent[3:6] = rng.normal(0, 1, 3), angle * axis / np.linalg.norm(axis)
    start = configuration(rng)
    end = MODEL.integrate(start, tangent)
    expected = start.copy()
    for _ in range(4096):
        expected = MODEL.integrate(expected, tangent / 4096)
    assert np.allclose(end, expected, atol=1e-9)
    turned = Rotation.from_quat(start[3:7]) * Rotation.from_rotvec(tangent[3:6])
    assert abs(end[3:7] @ turned.as_quat()) == pytest.approx(1.0)
    assert np.allclose(MODEL.difference(start, end), tangent, atol=1e-9)


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ((np.zeros(kin.NQ - 1), np.zeros((NUM_JOINTS, 3))), ValueError),
        ((np.zeros(kin.NQ, np.float32), np.zeros((NUM_JOINTS, 3))), ValueError),
        ((np.zeros(kin.NQ, np.int64), np.zeros((NUM_JOINTS, 3))), ValueError),
        ((np.zeros(2 * kin.NQ)[::2], np.zeros((NUM_JOINTS, 3))), BufferError),
        ((np.zeros(kin.NQ), np.zeros((3, NUM_JOINTS)).T), BufferError),
        ((np.zeros(kin.NQ), np.broadcast_to(0.0, (NUM_JOINTS, 3))), BufferError),
        (([0.0] * kin.NQ, np.zeros((NUM_JOINTS, 3))), TypeError),
        ((np.zeros(kin.NQ),), TypeError),
    ],
)
def test_other_arrays_are_refused(arrays, error):
    with pytest.raises((error, ValueError) if error is BufferError else error):
        MODEL.native.forward(*arrays)


def test_vectors_of_joints_that_are_not_there_are_refused():
    q = kin.neutral()
    points = MODEL.forward(q)
    for joint in (-1.0, 21.0, np.nan):
        vectors = np.zeros((2, native.VECTOR_SIZE))
        vectors[1, 1] = joint
        with pytest.raises(ValueError, match="joints that the body has"):
            MODEL.native.energy(q, points, vectors, None, None, None, None, np.empty(2))
    with pytest.raises(ValueError, match="VECTOR_SIZE"):
        MODEL.native.energy(q, points, np.zeros(18), None, None, None, None, np.empty(1))


@pytest.mark.parametrize("parents", [[0, 0], [-1, 1], [-2, 0], [-1]])
def test_trees_with_links_before_their_parents_are_refused(parents):
    two = np.zeros(2)
    with pytest.raises(ValueError, match="accepted"):
        native.Body(parents, np.zeros((2, 3)), two, two, [1, 1], [-1], 0)
