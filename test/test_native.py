"""The C code of the fit against NumPy's general ways, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vnect_ros import native
from vnect_ros.body import kinematics as kin
from vnect_ros.body import urdf
from vnect_ros.fitting import energy
from vnect_ros.fitting.energy import FRAME_S
from vnect_ros.fitting.motion import Motion
from vnect_ros.fitting.objective import Objective
from vnect_ros.fitting.observe import PARENTS
from vnect_ros.skeleton import (
    CHAINS,
    KNEE_NECK_WEIGHTS,
    MIRROR,
    NUM_JOINTS,
    PELVIS,
    bone_lengths,
)

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
    covariance, q = definite(rng), configuration(rng)
    points, moves = MODEL.jacobian(q)
    expected = np.einsum("jai,ik,jak->ja", moves, covariance, moves)
    found_points, found = MODEL.variance_m2(q, covariance)
    assert np.array_equal(found_points, points)
    assert np.allclose(found, expected)
    assert not MODEL.variance_m2(q, -covariance)[1].any()
    covariance[4, 3] = covariance[3, 4] = np.nan
    assert np.isnan(MODEL.variance_m2(q, covariance)[1][1:3]).any()


@pytest.mark.parametrize("fastest", [0.5, 1e3])
def test_what_is_published_follows_from_the_configuration(fastest):
    rng = np.random.default_rng(9)
    q, v, covariance = configuration(rng), rng.normal(0, 0.5, kin.NV), definite(rng)
    unseen_s = rng.uniform(0, 3, NUM_JOINTS)
    unseen_s[:2] = 0.0, np.inf
    factor, lasting_m2, of_depth, unseen_m2, unseen_after_s = 1.7, (0.1, 0.2, 0.3), 0.02, 0.06, 0.8
    stated = np.array((factor, *lasting_m2, of_depth, unseen_m2, unseen_after_s, fastest))
    found = MODEL.describe(q, v, covariance, unseen_s, stated)
    points, moves = MODEL.jacobian(q)
    assert np.array_equal(found.points_m, points)
    assert np.array_equal(found.transform_camera_from_body, kin.body_transform(q))
    velocities = moves @ v
    speeds = np.linalg.norm(velocities, axis=1)
    assert (speeds > 0.5).any()
    velocities *= np.minimum(1.0, fastest / speeds)[:, None]
    assert np.allclose(found.velocities_mps, velocities)
    variance = np.einsum("jai,ik,jak->ja", moves, covariance, moves) * factor + lasting_m2
    variance[:, 2] += (of_depth * points[:, 2]) ** 2
    variance += unseen_m2 * (1.0 - np.exp(-unseen_s / unseen_after_s))[:, None]
    assert np.allclose(found.std_axes_m, np.sqrt(variance))
    assert np.allclose(found.std_m, np.sqrt(variance.mean(axis=1)))
    covariance[3, 3] = np.nan
    assert MODEL.describe(q, v, covariance, unseen_s, stated) is None


def objective_of(rng, q):
    """A problem whose answer is some way off q."""
    wanted = MODEL.forward(MODEL.integrate(q, rng.normal(0, 0.2, kin.NV), limited=True))
    joints = np.arange(NUM_JOINTS)
    places = energy.stack(native.PLACE, joints, np.eye(3) / 0.06)
    places[:, energy.TARGET][:, :3] = wanted / 0.06 + rng.normal(0, 0.5, (NUM_JOINTS, 3))
    places[:, energy.BOUND] = 9.0
    prior = energy.Smoothness(q, definite(rng) * 10.0)
    return Objective(MODEL, [places], energy.rest_weight(), prior)


@pytest.mark.parametrize("small", [(3e-3, 2e-2), (1e-9, 1e-9)])
def test_minimising_is_levenberg_and_marquardts_method(small):
    """Step by step as the parts of it that are tested alone do it."""
    rng = np.random.default_rng(10)
    for iterations in (1, 4, 30):
        start = configuration(rng)
        objective = objective_of(rng, start)
        beyond = start.copy()
        beyond[kin.ROOT_Q + 3] = kin.UPPER[3] + 1.0
        start[kin.ROOT_Q + 3] = kin.UPPER[3]
        best, damping = objective.evaluate(start, MODEL.forward(start)), 1e-4
        for _ in range(iterations):
            information, gradient = objective.normal_equations(best, MODEL.jacobian(best.q)[1])
            for _ in range(6):
                step, moved = np.empty(kin.NV), np.empty(kin.NQ)
                MODEL.native.newton_step(best.q, information, gradient, damping, step, moved)
                trial = objective.evaluate(moved, MODEL.forward(moved))
                if trial.cost < best.cost:
                    break
                damping *= 10.0
            else:
                break
            damping = max(damping / 10.0, 1e-9)
            gain, best = best.cost - trial.cost, trial
            if gain < small[1] * best.cost or np.abs(step).max() < small[0]:
                break
        found, information_there = objective.minimise(beyond, *small, iterations)
        assert found.cost == pytest.approx(best.cost, rel=1e-9)
        assert np.allclose(found.q, best.q, atol=1e-9)
        assert np.allclose(found.points_m, best.points_m, atol=1e-9)
        assert np.allclose(found.agreement, best.agreement, atol=1e-9)
        assert np.allclose(information_there, information, rtol=1e-9, atol=1e-6)
        assert beyond[kin.ROOT_Q + 3] == kin.UPPER[3] + 1.0


def test_a_minimum_of_no_definite_problem_is_an_error():
    q = kin.neutral()
    nothing = Objective(MODEL, [np.empty((0, native.VECTOR_SIZE))], -energy.rest_weight())
    with pytest.raises(np.linalg.LinAlgError):
        nothing.minimise(q, 1e-4, 1e-4, 3)


def compared(measured, predicted, gates):
    """`native.gate` by NumPy."""
    local, rays, confidence = measured
    points, variance, lengths = predicted
    distance = max(points[PELVIS, 2], 0.1)
    expected = points - points[PELVIS]
    expected_rays = points[:, :2] / np.maximum(points[:, 2:], 0.1)
    factor = lengths / np.maximum(bone_lengths(local), 1e-9)
    with_lengths = CHAINS @ ((local - local[PARENTS]) * factor[:, None])
    off_m = np.linalg.norm(with_lengths - expected, axis=1)
    off_ray = np.abs(rays - expected_rays) * distance
    space = off_m > gates[0] + gates[2] * np.sqrt(variance.sum(axis=1))
    along = (off_ray > gates[1] + gates[2] * np.sqrt(variance[:, :2])).any(axis=1)
    off = np.array((space, along)) & (confidence > 0.0)
    scale = lengths @ KNEE_NECK_WEIGHTS / (bone_lengths(local) @ KNEE_NECK_WEIGHTS)
    weights = LIMBS * np.minimum(confidence, confidence[list(MIRROR)])
    exchanged = []
    for seen, wanted in ((local * scale, expected), (rays * distance, expected_rays * distance)):
        kept, swapped = (
            weights @ np.linalg.norm(side - wanted, axis=1) / weights.sum(axis=1)
            for side in (seen, seen[list(MIRROR)])
        )
        exchanged.append((kept > gates[3]) & (swapped < gates[4] * kept))
    return with_lengths, off, np.array(exchanged)


LIMBS = np.zeros((2, NUM_JOINTS))
LIMBS[0, 2:8] = LIMBS[1, 8:14] = 1.0


def test_frames_are_held_against_their_prediction_by_the_formulas():
    rng = np.random.default_rng(11)
    gates = np.array((0.3, 0.2, 2.0, 0.1, 0.5))
    mirror, lengths = np.array(MIRROR, dtype=np.int64), MODEL.lengths_m
    found = []
    for _ in range(40):
        points = MODEL.forward(configuration(rng))
        variance = rng.uniform(0, 0.02, (NUM_JOINTS, 3))
        local = 0.8 * (points - points[PELVIS]) + rng.normal(0, 0.08, (NUM_JOINTS, 3))
        local -= local[PELVIS]
        rays = points[:, :2] / points[:, 2:] + rng.normal(0, 0.04, (NUM_JOINTS, 2))
        confidence = rng.uniform(0.2, 1, NUM_JOINTS)
        confidence[rng.integers(0, NUM_JOINTS, 3)] = 0.0
        for limb in LIMBS > 0.0:
            if rng.random() < 0.5:
                local = np.where(limb[:, None], local[mirror], local)
                rays = np.where(limb[:, None], rays[mirror], rays)
        out, off = np.empty((NUM_JOINTS, 3)), np.empty((2, NUM_JOINTS), dtype=bool)
        exchanged = np.empty((2, 2), dtype=bool)
        any_exchanged = native.gate(
            local, rays, confidence, points, variance, lengths, PELVIS, PARENTS, mirror,
            LIMBS, KNEE_NECK_WEIGHTS, gates, out, off, exchanged,
        )  # fmt: skip
        wanted = compared((local, rays, confidence), (points, variance, lengths), gates)
        assert np.allclose(out, wanted[0], atol=1e-12)
        assert np.array_equal(off, wanted[1])
        assert np.array_equal(exchanged, wanted[2])
        assert any_exchanged == exchanged.any()
        found.append((off.mean(), exchanged.mean()))
    assert 0.05 < np.mean(found, axis=0)[0] < 0.95
    assert 0.05 < np.mean(found, axis=0)[1] < 0.95


def test_bones_are_as_long_as_they_are_along_the_fitted_ones():
    rng = np.random.default_rng(12)
    seen, fitted = rng.normal(0, 1, (2, NUM_JOINTS, 3))
    weight, lengths = rng.uniform(-0.5, 1, NUM_JOINTS), bone_lengths(fitted)
    counts = (weight > 0.0) & (weight[PARENTS] > 0.0)
    products = ((seen - seen[PARENTS]) * (fitted - fitted[PARENTS])).sum(axis=1)
    along = (products / np.maximum(lengths, 1e-9))[counts].sum()
    found = native.length_along(weight, seen, fitted, lengths, PARENTS)
    assert found == pytest.approx((along, lengths[counts].sum()))
    assert 0 < counts.sum() < NUM_JOINTS


def test_what_is_not_below_the_largest_is_not_seen():
    rng = np.random.default_rng(13)
    given, rays = rng.normal(0, 1, (NUM_JOINTS, 3)), rng.normal(0, 1, (NUM_JOINTS, 2))
    confidence = np.full(NUM_JOINTS, 0.5)
    given[3, 1], rays[4, 0], confidence[5:8] = np.inf, -60.0, (np.nan, -1.0, 7.0)
    local, seen_rays, sure = np.empty((NUM_JOINTS, 3)), rays.copy(), np.empty(NUM_JOINTS)
    count = native.measure(given, confidence, PELVIS, 50.0, local, seen_rays, sure)
    assert count == NUM_JOINTS - 4
    assert np.array_equal(np.flatnonzero(sure == 0.0), (3, 4, 5, 6))
    assert sure[7] == 1.0 and sure[8] == 0.5
    assert not local[3].any() and not seen_rays[3:5].any()
    kept = [j for j in range(NUM_JOINTS) if j != 3]
    assert np.allclose(local[kept], (given - given[PELVIS])[kept])


def test_a_smoothed_step_is_the_one_euro_filters():
    rng = np.random.default_rng(14)
    q, wanted = configuration(rng), configuration(rng)
    speed, out = rng.uniform(0, 1, kin.NV), np.empty(kin.NQ)
    dt_s, of_speed_hz, lever_m, rest_hz, rise = 0.04, 1.3, 0.3, 1.7, 4.0

    def share(cutoff_hz):
        return 1.0 / (1.0 + 1.0 / (2.0 * np.pi * cutoff_hz * dt_s))

    change = MODEL.difference(q, wanted)
    levers = np.where(np.arange(kin.NV) < 3, 1.0, lever_m)
    wanted_speed = speed + share(of_speed_hz) * (np.abs(change) * levers / dt_s - speed)
    cutoff_hz = rest_hz + rise * wanted_speed
    cutoff_hz[:3], cutoff_hz[3:6] = cutoff_hz[:3].max(), cutoff_hz[3:6].max()
    expected = MODEL.integrate(q, share(cutoff_hz) * change, limited=True)
    constants = np.array((dt_s, of_speed_hz, lever_m, rest_hz, rise))
    MODEL.native.smooth(q, wanted, constants, speed, out)
    assert np.allclose(speed, wanted_speed)
    assert np.allclose(out, expected)


def test_motions_are_held_against_their_bounds():
    rng = np.random.default_rng(15)
    last, points, velocity = rng.normal(0, 1, (3, NUM_JOINTS, 3))
    now = (points - last) / 0.1
    expected = np.maximum(
        np.linalg.norm(now, axis=1) / 10.0, np.linalg.norm(now - velocity, axis=1) / 0.1 / 100.0
    )
    times = np.empty(NUM_JOINTS)
    most = native.beyond(points, last, velocity, np.array((0.1, 10.0, 100.0)), times)
    assert np.allclose(times, expected)
    assert most == times.max()


def test_the_residual_is_of_joints_that_are_seen_and_followed():
    rng = np.random.default_rng(16)
    projected, seen = rng.normal(0, 9, (2, NUM_JOINTS, 2))
    confidence, rejected = np.ones(NUM_JOINTS), np.zeros(NUM_JOINTS, dtype=bool)
    confidence[2:5], rejected[4:8] = 0.0, True
    shown = np.empty((NUM_JOINTS, 2))
    found = native.residual(projected, seen, confidence, rejected, shown)
    counts = [0, 1, *range(8, NUM_JOINTS)]
    square = ((projected - seen)[counts] ** 2).sum(axis=1).mean()
    assert found == pytest.approx(np.sqrt(square))
    assert np.array_equal(shown, np.where(confidence[:, None] > 0.0, seen, projected))
    assert np.isnan(native.residual(projected, seen, 0.0 * confidence, rejected, shown))


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


@pytest.mark.parametrize(
    ("parents", "match"),
    [
        (PARENTS.astype(np.int32), "int64"),
        (PARENTS.astype(np.float64), "int64"),
        (PARENTS[:-1].copy(), "accepted: 21"),
        (np.where(PARENTS == 14, 21, PARENTS), "index 21"),
        (np.where(PARENTS == 14, -1, PARENTS), "index -1"),
    ],
)
def test_indices_of_joints_that_are_not_there_are_refused(parents, match):
    joints, out = np.zeros((NUM_JOINTS, 3)), np.empty((NUM_JOINTS, 3))
    with pytest.raises(ValueError, match=match):
        native.with_lengths(joints, np.ones(NUM_JOINTS), parents, out)
    cycle = np.roll(np.arange(NUM_JOINTS), 1)  # no tree: some answer, and an end
    native.with_lengths(joints, np.ones(NUM_JOINTS), cycle, out)


def test_maps_and_cells_that_are_not_there_are_refused():
    heat, cells = np.zeros((2, 4, 5), np.float32), np.zeros(2, np.int64)
    out = np.empty((2, 2)), np.empty(2)
    pairs, no_prior = np.array([[0, 1]]), (None, None, 0.0)
    native.maxima(heat, 4, 5, *no_prior, pairs, 0.1, 2.0, cells)
    with pytest.raises(ValueError, match="accepted: at most 64 maps"):
        native.maxima(heat, 3, 5, *no_prior, pairs, 0.1, 2.0, cells)
    with pytest.raises(ValueError, match="no wider than 512"):
        native.maxima(np.zeros(600, np.float32), 1, 600, *no_prior, pairs, 0.1, 2.0, cells)
    with pytest.raises(ValueError, match="index 2, accepted: from 0 on, below 2"):
        native.maxima(heat, 4, 5, *no_prior, pairs + 1, 0.1, 2.0, cells)
    with pytest.raises(ValueError, match="a prior and cells of 2 maps"):
        native.maxima(heat, 4, 5, *no_prior, pairs, 0.1, 2.0, np.zeros(3, np.int64))
    short = np.zeros(9, np.float32), np.zeros(8, np.float32), 0.3
    with pytest.raises(ValueError, match="a prior and cells of 2 maps"):
        native.maxima(heat, 4, 5, *short, pairs, 0.1, 2.0, cells)
    first = np.zeros(2, np.int64)
    for maps, at, match in ((first + 2, first, "below 2"), (first, first + 20, "below 20")):
        with pytest.raises(ValueError, match=match):
            native.tops(heat, 4, 5, maps, at, 0.02, 2.0, *out)
    with pytest.raises(ValueError, match="float32"):
        native.peaks(heat.astype(np.float64), 4, 5, 0.5, first, first.copy())
    assert native.peaks(heat, 4, 5, 0.0, np.empty(1, np.int64), np.empty(1, np.int64)) == 1


def test_more_than_fits_is_refused():
    many = np.zeros(65)
    with pytest.raises(ValueError, match="at most 64"):
        native.beyond(np.zeros((65, 3)), np.zeros((65, 3)), np.zeros((65, 3)), np.ones(3), many)
    vectors = np.zeros((2, native.VECTOR_SIZE))
    for target in (np.zeros(3), np.zeros((2, 5))):
        with pytest.raises(ValueError, match="target"):
            native.weigh(vectors, None, 1.0, 0.0, target, np.empty_like(vectors))
    with pytest.raises(ValueError, match="bool"):
        native.residual(np.zeros((1, 2)), np.zeros((1, 2)), np.ones(1), np.ones(1), np.ones((1, 2)))
    with pytest.raises(ValueError, match="configuration"):
        native.root_transform(np.zeros(6), np.empty(16))
    with pytest.raises(ValueError, match="accepted: from 0 on, below 21"):
        native.measure(
            np.zeros((21, 3)),
            np.zeros(21),
            21,
            1.0,
            np.zeros((21, 3)),
            np.zeros((21, 2)),
            np.ones(21),
        )


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
