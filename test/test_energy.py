"""Every term against its formula and finite differences, and what its weight means."""

import dataclasses

import numpy as np
import pytest

from vnect_ros import native
from vnect_ros.body import kinematics as kin
from vnect_ros.body import urdf
from vnect_ros.config import FitConfig
from vnect_ros.fitting import energy
from vnect_ros.fitting.objective import Objective
from vnect_ros.fitting.observe import Measurement, Observation
from vnect_ros.skeleton import NUM_JOINTS, PELVIS

LENGTHS = urdf.mean_bone_lengths(1.75)
MODEL = kin.Kinematics(LENGTHS)
NO_TERM = np.empty((0, native.VECTOR_SIZE))


def configuration(rng, singular=False):
    q = kin.neutral()
    q[:3] = rng.uniform((-1, -1, 2.5), (1, 1, 5))
    q[3:7] = rng.normal(0, 1, 4)
    q[3:7] /= np.linalg.norm(q[3:7])
    q[kin.ROOT_Q :] = rng.uniform(kin.LOWER, kin.UPPER)
    if singular:
        for name in ("l_y_shoulder", "r_y_shoulder", "l_p_hip", "r_p_hip"):
            q[kin.ROOT_Q + urdf.Q_NAMES.index(name)] = np.pi / 2 - 1e-9
        q[kin.ROOT_Q + urdf.Q_NAMES.index("l_elbow")] = 0.0
        q[kin.ROOT_Q + urdf.Q_NAMES.index("r_knee")] = 0.0
    return q


def observation(rng, q, noise=0.05):
    points = MODEL.forward(q)
    local = points - points[PELVIS] + rng.normal(0, noise, (NUM_JOINTS, 3))
    rays = points[:, :2] / points[:, 2:] + rng.normal(0, noise / 4, (NUM_JOINTS, 2))
    weights = rng.uniform(0, 1, (2, NUM_JOINTS))
    weights[:, 5] = 0.0
    measured = Measurement(local, rays, weights.max(axis=0))
    return Observation(measured, measured.with_lengths(LENGTHS), *weights)


def terms(rng, q):
    """Each term by its name, and the two priors."""
    seen = observation(rng, q)
    expected = MODEL.integrate(q, rng.normal(0, 0.3, kin.NV))
    root = rng.normal(0, 3, (kin.NV, kin.NV))
    joints = {
        "E_IK": energy.inverse_kinematics(seen, 1.3),
        "E_proj": energy.projection(seen, 44.0, 3.5),
        "E_depth": energy.depth_change(MODEL.forward(expected), 0.11, 0.04),
        "E_range": energy.pelvis_distance(3.7, 0.05),
    }
    priors = {
        "rest_weight": energy.rest_weight(rng.random(kin.NUM_ANGLES) < 0.3, 0.04),
        "smoothness": energy.Smoothness(expected, root.T @ root),
    }
    return joints, priors


def residual(term, points):
    """[K, 4] what `native.VECTOR_SIZE` says of residual vectors, by NumPy."""
    kind, joints = term[:, 0], term[:, 1].astype(int)
    at = points[joints]
    depth = np.maximum(at[:, 2:], 0.05)
    looked_at = {
        native.PLACE: at,
        native.RELATIVE: at - points[PELVIS],
        native.RAY: np.hstack([at[:, :2] / depth, np.ones_like(depth)]),
    }
    x = np.choose(kind.astype(int)[:, None], [looked_at[k] for k in range(3)])
    matrix = term[:, energy.MATRIX].reshape(-1, 4, 3)
    return np.einsum("kij,kj->ki", matrix, x) - term[:, energy.TARGET]


def derivatives(objective, q):
    points, moves = MODEL.jacobian(q)
    return objective.normal_equations(objective.evaluate(q, points), moves)


def slope(function, q, step=1e-6):
    """[NV, ...] central differences of a function of the configuration by its tangent."""
    ends = [[MODEL.integrate(q, sign * step * axis) for sign in (1, -1)] for axis in np.eye(kin.NV)]
    return np.array([(function(ahead) - function(behind)) / (2 * step) for ahead, behind in ends])


def cost(objective, q):
    return objective.evaluate(q, MODEL.forward(q)).cost


@pytest.mark.parametrize("name", ["E_IK", "E_proj", "E_depth", "E_range"])
def test_residuals_are_those_of_the_formulas(name):
    rng = np.random.default_rng(6)
    q = configuration(rng)
    points, last = MODEL.forward(q), MODEL.forward(configuration(rng))
    seen = observation(rng, q)
    of_place = np.sqrt(1.3 * seen.local_weight)[:, None] / 0.060
    of_ray = np.sqrt(44.0 * seen.ray_weight)[:, None] * 3.5 / (4.0 * 0.060)
    rays = points[:, :2] / points[:, 2:] - seen.measurement.rays
    expected, term = {
        "E_IK": (
            (points - points[PELVIS] - seen.local_m) * of_place,
            energy.inverse_kinematics(seen, 1.3),
        ),
        "E_proj": (rays * of_ray, energy.projection(seen, 44.0, 3.5)),
        "E_depth": (
            (points - last)[:, 2:] * np.sqrt(0.2 / 0.11 / (energy.FRAME_S * 0.04)) / 10.0,
            energy.depth_change(last, 0.2, 0.04),
        ),
        "E_range": (
            (points[PELVIS, 2:] - 3.7)[None] / 0.05,
            energy.pelvis_distance(3.7, 0.05),
        ),
    }[name]
    found = residual(term, points)
    assert np.allclose(found[:, : expected.shape[1]], expected, atol=1e-9)
    assert not found[:, expected.shape[1] :].any()
    squared = (expected**2).sum(axis=1)
    bounds = term[:, energy.BOUND]
    if name in ("E_IK", "E_proj"):
        squared = squared / (1.0 + squared / bounds)
    assert cost(Objective(MODEL, [term]), q) == pytest.approx(squared.sum() / 2.0)


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("name", ["E_IK", "E_proj", "E_depth", "E_range"])
def test_jacobians_agree_with_finite_differences(name, singular):
    rng = np.random.default_rng(7)
    for _ in range(3):
        q = configuration(rng, singular)
        term = terms(rng, q)[0][name]
        term[:, energy.BOUND] = 0.0
        information, gradient = derivatives(Objective(MODEL, [term]), q)
        jacobian = slope(lambda moved, t=term: residual(t, MODEL.forward(moved)).ravel(), q).T
        assert np.abs(information - jacobian.T @ jacobian).max() < 1e-6 * information.max()
        expected = residual(term, MODEL.forward(q)).ravel() @ jacobian
        assert np.abs(gradient - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("name", ["smoothness", "rest_weight"])
def test_derivatives_of_priors_agree_with_finite_differences(name, singular):
    rng = np.random.default_rng(7)
    for _ in range(3):
        q = configuration(rng, singular)
        objective = Objective(MODEL, [NO_TERM], **{name: terms(rng, q)[1][name]})
        information, gradient = derivatives(objective, q)
        numeric = slope(lambda moved, o=objective: cost(o, moved), q)
        assert np.abs(numeric - gradient).max() < 1e-6 * np.abs(gradient).max()
        if name == "rest_weight":
            second = slope(lambda moved, o=objective: derivatives(o, moved)[1], q)
            assert np.allclose(information, second, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("apart", [1e-3, 0.1, 0.24, 0.26, 0.6])
def test_the_information_of_e_smooth_is_that_of_the_difference(apart):
    """On both sides of the angle where series give way to quotients."""
    rng = np.random.default_rng(12)
    for _ in range(3):
        q = configuration(rng)
        tangent = rng.normal(0, 0.3, kin.NV)
        tangent[3:6] *= apart / np.linalg.norm(tangent[3:6])
        expected = MODEL.integrate(q, tangent)
        root = rng.normal(0, 3, (kin.NV, kin.NV))
        prior = energy.Smoothness(expected, root.T @ root)
        objective = Objective(MODEL, [NO_TERM], smoothness=prior)
        rows = root @ slope(lambda moved, e=expected: MODEL.difference(e, moved), q).T
        information, _ = derivatives(objective, q)
        assert np.allclose(information, rows.T @ rows, atol=1e-6 * np.abs(information).max())
        at_start, gradient = derivatives(objective, expected)
        assert np.allclose(at_start, root.T @ root, rtol=1e-12, atol=1e-12)
        assert np.abs(gradient).max() < 1e-12


def test_the_normal_equations_are_those_of_the_robust_energy():
    """Their right side is the energy's slope, far from the minimum and with outliers too."""
    rng = np.random.default_rng(8)
    q = configuration(rng)
    named, priors = terms(rng, q)
    named["E_IK"][[3, 7], energy.TARGET] += 100.0
    objective = Objective(MODEL, list(named.values()), **priors)
    points, moves = MODEL.jacobian(q)
    at = objective.evaluate(q, points)
    assert at.agreement.min() < 0.05 < 0.9 < at.agreement[: 2 * NUM_JOINTS].max()
    assert (at.agreement[2 * NUM_JOINTS :] == 1.0).all()
    information, gradient = objective.normal_equations(at, moves)
    numeric = slope(lambda moved: cost(objective, moved), q)
    assert numeric == pytest.approx(gradient, rel=1e-4, abs=1e-3)
    expected, row, costs = 0.0, 0, []
    for term in named.values():
        jacobian = slope(lambda moved, t=term: residual(t, MODEL.forward(moved)), q)
        jacobian = jacobian * at.agreement[row : row + len(term), None]
        jacobian = jacobian.reshape(kin.NV, -1)
        expected = expected + jacobian @ jacobian.T
        row += len(term)
        costs.append(cost(Objective(MODEL, [term]), q))
    for name, prior in priors.items():
        alone = Objective(MODEL, [NO_TERM], **{name: prior})
        expected = expected + derivatives(alone, q)[0]
        costs.append(cost(alone, q))
    assert np.allclose(information, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    assert at.cost == pytest.approx(sum(costs))


def test_one_outlier_costs_a_bounded_amount():
    rng = np.random.default_rng(9)
    q = configuration(rng)
    seen = observation(rng, q, noise=0.0)
    costs = []
    for far in (0.3, 3.0, 30.0):
        local = seen.local_m.copy()
        local[4] += far
        moved = Observation(seen.measurement, local, np.ones(21), np.ones(21))
        costs.append(cost(Objective(MODEL, [energy.inverse_kinematics(moved, 1.0)]), q))
    assert costs[0] < costs[1] < costs[2] < 1.05 * costs[1]


def test_joints_without_confidence_do_not_count():
    rng = np.random.default_rng(10)
    q = configuration(rng)
    seen = observation(rng, q)
    local, rays = seen.local_m.copy(), seen.measurement.rays.copy()
    local[5] += 100.0
    rays[5] += 100.0
    measured = dataclasses.replace(seen.measurement, rays=rays)
    wild = dataclasses.replace(seen, measurement=measured, local_m=local)
    for a, b in zip(
        energy.data_terms(seen, FitConfig(), 3.0), energy.data_terms(wild, FitConfig(), 3.0)
    ):
        costs = [cost(Objective(MODEL, [term]), q) for term in (a, b)]
        assert costs[0] == pytest.approx(costs[1])


def test_weights_stand_for_the_deviations_the_module_states():
    points = MODEL.forward(kin.neutral()) + (0.0, 0.0, 4.0)
    one = np.zeros(NUM_JOINTS)
    one[4] = 1.0
    local = points - points[PELVIS]
    local[4, 0] += 0.060
    rays = points[:, :2] / points[:, 2:]
    rays[4, 0] += 0.060 / 44**0.5 * 4.0 / 4.0
    q = kin.neutral()
    q[2] = 4.0
    observed = Observation(Measurement(local, rays, one), local, one, one)
    for term in energy.data_terms(observed, FitConfig(), 4.0):
        assert np.abs(residual(term, points)).max() == pytest.approx(1.0)


def test_points_behind_the_camera_give_finite_residuals():
    rng = np.random.default_rng(11)
    q = configuration(rng)
    seen = observation(rng, q)
    q[2] = -3.0
    for term in energy.data_terms(seen, FitConfig(), 1.0):
        objective = Objective(MODEL, [term])
        assert np.isfinite(cost(objective, q))
        assert all(np.isfinite(part).all() for part in derivatives(objective, q))
