"""Every term's Jacobian against finite differences, and what its weight means."""

import dataclasses

import numpy as np
import pytest

from vnect_ros.body import kinematics as kin
from vnect_ros.body import urdf
from vnect_ros.config import FitConfig
from vnect_ros.fitting import energy
from vnect_ros.fitting.inverse import with_lengths
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
    return energy.Observation(with_lengths(local, LENGTHS), rays, *weights, local)


def terms(rng, q):
    seen = observation(rng, q)
    expected = MODEL.integrate(q, rng.normal(0, 0.3, kin.NV))
    root = rng.normal(0, 3, (kin.NV, kin.NV))
    return {
        "E_IK": energy.InverseKinematics(seen, 1.3),
        "E_proj": energy.Projection(seen, 44.0, 3.5),
        "E_smooth": energy.Smoothness(MODEL, expected, root),
        "E_depth": energy.Depth(MODEL.forward(expected), 0.11, 0.04),
        "E_range": energy.Range(3.7, 0.05),
        "E_rest": energy.Rest(rng.random(kin.NUM_ANGLES) < 0.3, 0.04),
    }


@pytest.mark.parametrize("singular", [False, True])
@pytest.mark.parametrize("name", ["E_IK", "E_proj", "E_smooth", "E_depth", "E_range", "E_rest"])
def test_jacobians_agree_with_finite_differences(name, singular):
    rng = np.random.default_rng(7)
    for _ in range(3):
        q = configuration(rng, singular)
        term = terms(rng, q)[name]
        points, moves = MODEL.jacobian(q)
        jacobian = term.jacobian(q, points, moves)
        assert jacobian.shape == (len(term.residual(q, points)), kin.NV)
        scale = max(1.0, np.abs(jacobian).max())
        step = 1e-6
        for i in range(kin.NV):
            tangent = np.zeros(kin.NV)
            tangent[i] = step
            ahead, behind = MODEL.integrate(q, tangent), MODEL.integrate(q, -tangent)
            slope = term.residual(ahead, MODEL.forward(ahead)) - term.residual(
                behind, MODEL.forward(behind)
            )
            assert np.abs(slope / (2 * step) - jacobian[:, i]).max() < 1e-6 * scale


@pytest.mark.parametrize("name", ["E_IK", "E_proj"])
def test_reweighting_gives_the_slope_of_the_robust_cost(name):
    rng = np.random.default_rng(8)
    q = configuration(rng)
    term = terms(rng, q)[name]
    residual = term.residual(q, MODEL.forward(q))
    residual[3:6] += 20.0
    jacobian = rng.normal(0, 1, (len(residual), 4))
    scales = term.scales(residual)
    gradient = (jacobian * scales[:, None]).T @ (residual * scales)
    step = 1e-6
    for i in range(4):
        ahead = term.cost(residual + step * jacobian[:, i])
        behind = term.cost(residual - step * jacobian[:, i])
        assert (ahead - behind) / (2 * step) == pytest.approx(gradient[i], rel=1e-4, abs=1e-6)


def test_one_outlier_costs_a_bounded_amount():
    rng = np.random.default_rng(9)
    q = configuration(rng)
    seen = observation(rng, q, noise=0.0)
    costs = []
    for far in (0.3, 3.0, 30.0):
        local = seen.local_m.copy()
        local[4] += far
        moved = energy.Observation(local, seen.rays, np.ones(21), np.ones(21), local)
        term = energy.InverseKinematics(moved, 1.0)
        costs.append(term.cost(term.residual(q, MODEL.forward(q))))
    assert costs[0] < costs[1] < costs[2] < 1.05 * costs[1]


def test_joints_without_confidence_do_not_count():
    rng = np.random.default_rng(10)
    q = configuration(rng)
    points = MODEL.forward(q)
    seen = observation(rng, q)
    wild = dataclasses.replace(seen, local_m=seen.local_m + 0, rays=seen.rays + 0)
    wild.local_m[5] += 100.0
    wild.rays[5] += 100.0
    for a, b in zip(
        energy.data_terms(seen, FitConfig(), 3.0), energy.data_terms(wild, FitConfig(), 3.0)
    ):
        assert a.cost(a.residual(q, points)) == pytest.approx(b.cost(b.residual(q, points)))


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
    for term in energy.data_terms(
        energy.Observation(local, rays, one, one, local), FitConfig(), 4.0
    ):
        assert np.abs(term.residual(q, points)).max() == pytest.approx(1.0)


def test_points_behind_the_camera_give_finite_residuals():
    rng = np.random.default_rng(11)
    q = configuration(rng)
    seen = observation(rng, q)
    q[2] = -3.0
    points, moves = MODEL.jacobian(q)
    for term in energy.data_terms(seen, FitConfig(), 1.0):
        assert np.isfinite(term.residual(q, points)).all()
        assert np.isfinite(term.jacobian(q, points, moves)).all()
