"""Every term's Jacobian against finite differences, and what its weight means."""

import dataclasses

import numpy as np
import pytest

from vnect_ros.body import kinematics as kin
from vnect_ros.body import urdf
from vnect_ros.config import FitConfig
from vnect_ros.fitting import energy
from vnect_ros.fitting.objective import Objective
from vnect_ros.fitting.observe import Measurement, Observation
from vnect_ros.skeleton import NUM_JOINTS

LENGTHS = urdf.mean_bone_lengths(1.75)
MODEL = kin.Kinematics(LENGTHS)


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
    local = points - points[14] + rng.normal(0, noise, (NUM_JOINTS, 3))
    rays = points[:, :2] / points[:, 2:] + rng.normal(0, noise / 4, (NUM_JOINTS, 2))
    weights = rng.uniform(0, 1, (2, NUM_JOINTS))
    weights[:, 5] = 0.0
    measured = Measurement(local, rays, weights.max(axis=0))
    return Observation(measured, measured.with_lengths(LENGTHS), *weights)


def terms(rng, q):
    seen = observation(rng, q)
    expected = MODEL.integrate(q, rng.normal(0, 0.3, kin.NV))
    root = rng.normal(0, 3, (kin.NV, kin.NV))
    joints = {
        "E_IK": energy.InverseKinematics(seen, 1.3),
        "E_proj": energy.Projection(seen, 44.0, 3.5),
        "E_depth": energy.Depth(MODEL.forward(expected), 0.11, 0.04),
        "E_range": energy.Range(3.7, 0.05),
    }
    priors = {
        "E_smooth": energy.Smoothness(MODEL, expected, root.T @ root),
        "E_rest": energy.Rest(rng.random(kin.NUM_ANGLES) < 0.3, 0.04),
    }
    return joints, priors


def jacobian_of(term, points, moves):
    jacobian = np.full((len(term.residual(points)), kin.NV), np.nan)
    term.jacobian(points, moves, jacobian)
    return jacobian


def derivatives_of(prior, q):
    information, gradient = np.zeros((kin.NV, kin.NV)), np.zeros(kin.NV)
    prior.add_to(q, information, gradient)
    return information, gradient


def slope(function, q, step=1e-6):
    """[NV, ...] central differences of a function of the configuration by its tangent."""
    ends = [[MODEL.integrate(q, sign * step * axis) for sign in (1, -1)] for axis in np.eye(kin.NV)]
    return np.array([(function(ahead) - function(behind)) / (2 * step) for ahead, behind in ends])


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("name", ["E_IK", "E_proj", "E_depth", "E_range"])
def test_jacobians_agree_with_finite_differences(name, singular):
    rng = np.random.default_rng(7)
    for _ in range(3):
        q = configuration(rng, singular)
        term = terms(rng, q)[0][name]
        jacobian = jacobian_of(term, *MODEL.jacobian(q))
        scale = max(1.0, np.abs(jacobian).max())
        numeric = slope(lambda moved, term=term: term.residual(MODEL.forward(moved)), q).T
        assert np.abs(numeric - jacobian).max() < 1e-6 * scale


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("name", ["E_smooth", "E_rest"])
def test_derivatives_of_priors_agree_with_finite_differences(name, singular):
    rng = np.random.default_rng(7)
    for _ in range(3):
        q = configuration(rng, singular)
        prior = terms(rng, q)[1][name]
        information, gradient = derivatives_of(prior, q)
        assert np.abs(slope(prior.cost, q) - gradient).max() < 1e-6 * np.abs(gradient).max()
        if name == "E_rest":
            second = slope(lambda moved, prior=prior: derivatives_of(prior, moved)[1], q)
            assert np.allclose(information, second, rtol=1e-6, atol=1e-9)


def test_the_information_of_e_smooth_is_that_of_the_difference():
    rng = np.random.default_rng(12)
    for _ in range(3):
        q = configuration(rng)
        expected = MODEL.integrate(q, rng.normal(0, 0.3, kin.NV))
        root = rng.normal(0, 3, (kin.NV, kin.NV))
        prior = energy.Smoothness(MODEL, expected, root.T @ root)
        rows = root @ slope(lambda moved, e=expected: MODEL.difference(e, moved), q).T
        information, _ = derivatives_of(prior, q)
        assert np.allclose(information, rows.T @ rows, atol=1e-6 * np.abs(information).max())
        at_start, gradient = derivatives_of(prior, expected)
        assert np.array_equal(at_start, root.T @ root)
        assert not gradient.any()


def test_the_normal_equations_are_those_of_the_robust_energy():
    """Their right side is the energy's slope, far from the minimum and with outliers too."""
    rng = np.random.default_rng(8)
    q = configuration(rng)
    named, priors = terms(rng, q)
    named["E_IK"]._local_m[[3, 7]] += 2.0
    objective = Objective(list(named.values()), list(priors.values()))
    points, moves = MODEL.jacobian(q)
    at = objective.evaluate(q, points)
    assert at.agreement.min() < 0.05 < 0.9 < at.agreement.max()
    information, gradient = objective.normal_equations(at, moves)
    numeric = slope(lambda moved: objective.evaluate(moved, MODEL.forward(moved)).cost, q)
    assert numeric == pytest.approx(gradient, rel=1e-4, abs=1e-3)
    rows = []
    for term in named.values():
        jacobian = jacobian_of(term, points, moves)
        if term.bounds is not None:
            alone = Objective([term]).evaluate(q, points)
            jacobian = jacobian * alone.agreement.repeat(len(jacobian) // NUM_JOINTS)[:, None]
        rows.append(jacobian)
    expected = sum(j.T @ j for j in rows) + sum(
        derivatives_of(prior, q)[0] for prior in priors.values()
    )
    assert np.allclose(information, expected, rtol=1e-9, atol=1e-6 * np.abs(expected).max())
    costs = [float(r @ r) / 2 for t in list(named.values())[2:] for r in [t.residual(points)]]
    costs += [prior.cost(q) for prior in priors.values()]
    data = Objective([named["E_IK"], named["E_proj"]]).evaluate(q, points).cost
    assert at.cost == pytest.approx(data + sum(costs))


def test_one_outlier_costs_a_bounded_amount():
    rng = np.random.default_rng(9)
    q = configuration(rng)
    seen = observation(rng, q, noise=0.0)
    costs = []
    for far in (0.3, 3.0, 30.0):
        local = seen.local_m.copy()
        local[4] += far
        moved = Observation(seen.measurement, local, np.ones(21), np.ones(21))
        objective = Objective([energy.InverseKinematics(moved, 1.0)])
        costs.append(objective.evaluate(q, MODEL.forward(q)).cost)
    assert costs[0] < costs[1] < costs[2] < 1.05 * costs[1]


def test_joints_without_confidence_do_not_count():
    rng = np.random.default_rng(10)
    q = configuration(rng)
    points = MODEL.forward(q)
    seen = observation(rng, q)
    local, rays = seen.local_m.copy(), seen.measurement.rays.copy()
    local[5] += 100.0
    rays[5] += 100.0
    measured = dataclasses.replace(seen.measurement, rays=rays)
    wild = dataclasses.replace(seen, measurement=measured, local_m=local)
    for a, b in zip(
        energy.data_terms(seen, FitConfig(), 3.0), energy.data_terms(wild, FitConfig(), 3.0)
    ):
        costs = [Objective([term]).evaluate(q, points).cost for term in (a, b)]
        assert costs[0] == pytest.approx(costs[1])


def test_weights_stand_for_the_deviations_the_module_states():
    points = MODEL.forward(kin.neutral()) + (0.0, 0.0, 4.0)
    one = np.zeros(NUM_JOINTS)
    one[4] = 1.0
    local = points - points[14]
    local[4, 0] += 0.060
    rays = points[:, :2] / points[:, 2:]
    rays[4, 0] += 0.060 / 44**0.5 * 4.0 / 4.0
    q = kin.neutral()
    q[2] = 4.0
    observed = Observation(Measurement(local, rays, one), local, one, one)
    for term in energy.data_terms(observed, FitConfig(), 4.0):
        assert np.abs(term.residual(points)).max() == pytest.approx(1.0)


def test_points_behind_the_camera_give_finite_residuals():
    rng = np.random.default_rng(11)
    q = configuration(rng)
    seen = observation(rng, q)
    q[2] = -3.0
    points, moves = MODEL.jacobian(q)
    for term in energy.data_terms(seen, FitConfig(), 1.0):
        assert np.isfinite(term.residual(points)).all()
        assert np.isfinite(jacobian_of(term, points, moves)).all()
