"""Positions and Jacobians against finite differences and against a reader of the URDF."""

import numpy as np
import pytest
from urdf_reader import link_transforms

from vnect_ros.body import kinematics as kin
from vnect_ros.body import urdf
from vnect_ros.skeleton import JOINT_NAMES, PELVIS, bone_lengths

LENGTHS = urdf.mean_bone_lengths(1.75)
MODEL = kin.Kinematics(LENGTHS)


def random_q(rng, spread=1.0):
    q = kin.neutral()
    q[:3] = rng.normal(0, 2, 3)
    q[3:7] = rng.normal(0, 1, 4)
    q[3:7] /= np.linalg.norm(q[3:7])
    middle, half = (kin.UPPER + kin.LOWER) / 2, (kin.UPPER - kin.LOWER) / 2
    q[kin.ROOT_Q :] = middle + spread * half * rng.uniform(-1, 1, kin.NUM_ANGLES)
    return q


def singular_q(rng):
    """Both shoulders and hips swung onto their singular directions."""
    q = random_q(rng)
    for name in ("l_y_shoulder", "r_y_shoulder", "l_p_hip", "r_p_hip"):
        q[kin.ROOT_Q + urdf.Q_NAMES.index(name)] = np.pi / 2
    return q


@pytest.mark.parametrize("make", [random_q, singular_q])
def test_jacobian_agrees_with_finite_differences(make):
    rng = np.random.default_rng(1)
    for _ in range(5):
        q = make(rng)
        points, jacobian = MODEL.jacobian(q)
        assert np.allclose(points, MODEL.forward(q))
        step = 1e-6
        for i in range(kin.NV):
            tangent = np.zeros(kin.NV)
            tangent[i] = step
            ahead = MODEL.forward(MODEL.integrate(q, tangent))
            behind = MODEL.forward(MODEL.integrate(q, -tangent))
            assert np.abs((ahead - behind) / (2 * step) - jacobian[:, :, i]).max() < 1e-7


def test_integrate_and_difference_undo_each_other():
    rng = np.random.default_rng(2)
    for scale in (1e-9, 1e-3, 1.0):
        q, tangent = random_q(rng), rng.normal(0, scale, kin.NV)
        moved = MODEL.integrate(q, tangent)
        assert np.allclose(MODEL.difference(q, moved), tangent, atol=1e-9)
        assert np.linalg.norm(moved[3:7]) == pytest.approx(1.0)


def test_links_are_where_the_published_urdf_puts_them():
    """A reader of the URDF and of the joint angles alone finds the same transforms."""
    rng = np.random.default_rng(3)
    q = random_q(rng)
    angles = {f"{n}_x": a for n, a in zip(urdf.Q_NAMES, q[kin.ROOT_Q :])}
    links = link_transforms(urdf.urdf(LENGTHS, "x"), angles)
    place = {name: kin.body_transform(q) @ link for name, link in links.items()}
    still, sure = np.zeros(kin.NV), np.zeros((kin.NV, kin.NV))
    found = MODEL.describe(q, still, sure, np.zeros(21), np.ones(8))
    points, quaternions = MODEL.forward(q), found.orientations_xyzw
    assert np.array_equal(found.points_m, points)
    for j, name in enumerate(JOINT_NAMES):
        assert np.allclose(points[j], place[f"{name}_x"][:3, 3], atol=1e-7)
        rotation = kin.rotation_from_quaternion(quaternions[j])
        assert np.allclose(rotation, place[f"{name}_x"][:3, :3], atol=1e-7)


def test_poses_keep_the_bone_lengths_and_new_lengths_take_effect():
    rng = np.random.default_rng(4)
    model = kin.Kinematics(LENGTHS)
    q = random_q(rng)
    assert np.allclose(bone_lengths(model.forward(q)), LENGTHS, atol=1e-7)
    model.set_lengths(LENGTHS * 1.1)
    points = model.forward(q)
    assert np.allclose(bone_lengths(points), LENGTHS * 1.1, atol=1e-7)
    assert np.allclose(points[PELVIS], q[:3])


def test_quaternions_and_rotations_undo_each_other():
    rng = np.random.default_rng(5)
    for _ in range(50):
        rotation = kin.rotation_from_quaternion(random_q(rng)[3:7])
        again = kin.rotation_from_quaternion(kin.quaternion_from_rotation(rotation))
        assert np.allclose(rotation, again, atol=1e-12)


def test_what_an_angle_moves_is_the_same_at_every_pose():
    rng = np.random.default_rng(13)
    for _ in range(20):
        _, moves = MODEL.jacobian(random_q(rng))
        moved = np.abs(moves[:, :, kin.ROOT_V :]).max(axis=1) > 1e-9
        assert np.array_equal(kin.shown_by(), moved.astype(float))
