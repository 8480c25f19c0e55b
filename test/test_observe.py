"""Closed-form position of the body, and frames that say too little."""

import numpy as np
import people
import pytest

from vnect_ros.fitting import observe
from vnect_ros.records import Joints


def rays_of(points):
    return points[:, :2] / points[:, 2:]


def test_the_root_is_where_the_rays_meet_the_body():
    rng = np.random.default_rng(0)
    for _ in range(20):
        local = rng.normal(0, 0.4, (21, 3))
        root = rng.uniform((-2, -1, 2), (2, 1, 8))
        found = observe.root_position(local, rays_of(local + root), rng.uniform(0.2, 1, 21))
        assert np.allclose(found, root, atol=1e-6)


def test_one_wrong_ray_moves_the_root_little_and_an_unseen_one_not_at_all():
    local = people.recorded("walk", 1).relative_m()[0]
    root = np.array([0.3, 0.1, 4.0])
    rays = rays_of(local + root)
    rays[4] += 0.2
    found = observe.root_position(local, rays, np.ones(21))
    assert np.linalg.norm(found - root) < 0.15
    weight = np.ones(21)
    weight[4] = 0.0
    assert np.allclose(observe.root_position(local, rays, weight), root, atol=1e-9)


def test_rays_that_leave_the_distance_open_or_meet_behind_give_no_root():
    local = people.recorded("walk", 1).relative_m()[0]
    one = np.zeros(21)
    one[14] = 1.0
    assert observe.root_position(local, rays_of(local + (0.0, 0.0, 4.0)), one) is None
    assert observe.root_position(local, -rays_of(local + (0.0, 0.0, 4.0)), np.ones(21)) is None


@pytest.mark.parametrize("spoilt", ["pixels_px", "root_relative_m", "confidence"])
def test_joints_that_are_not_finite_are_not_seen(spoilt):
    joints = people.seen(people.recorded("walk", 1)).joints[0]
    values = {
        name: getattr(joints, name).copy()
        for name in ("pixels_px", "root_relative_m", "confidence")
    }
    values[spoilt][3] = np.nan
    measured = observe.measurement(Joints(**values), people.CAMERA)
    assert not measured.seen[3]
    assert measured.seen.sum() == 20
    assert np.isfinite(measured.local_m).all()
    assert np.isfinite(measured.rays).all()
    values[spoilt][:] = np.nan
    assert observe.measurement(Joints(**values), people.CAMERA) is None
    assert observe.measurement(None, people.CAMERA) is None
