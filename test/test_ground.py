"""The floor: height and distance from standing feet, and feet that neither sink nor slide."""

from __future__ import annotations

import numpy as np
import people
import pytest
from test_energy import residual

from vnect_ros.body.kinematics import NV, Kinematics
from vnect_ros.body.urdf import mean_bone_lengths
from vnect_ros.config import FitConfig
from vnect_ros.fitting.fitter import Fitter
from vnect_ros.fitting.ground import SOLES, ground
from vnect_ros.fitting.objective import Objective
from vnect_ros.fitting.scale import Surroundings
from vnect_ros.records import Plane, State
from vnect_ros.skeleton import INDEX, JOINT_NAMES, PELVIS

# The recorded motion stands on z = 0 before a camera at 1.4 m that looks at (0, 0, 0.9) from 3.8 m.
PITCH = np.arctan2(0.5, 3.8)
UP = np.array([0.0, -np.cos(PITCH), -np.sin(PITCH)])
FLOOR = Plane(UP, -1.4)


def track(person, joints, floor, **options):
    """The poses of a person of unknown height, and which soles were taken to stand."""
    fitter = Fitter(FitConfig(**options))
    floors = floor if isinstance(floor, list) else [floor] * len(joints)
    poses, standing = [], []
    for stamp_s, seen, below in zip(person.stamps_s(), joints, floors):
        poses.append(fitter.update(stamp_s, seen, people.CAMERA, Surroundings(below)))
        standing.append(fitter._scale.standing.copy())
    return poses, np.array(standing)


def root_errors(poses, person):
    found = np.array([pose.joints_camera_m[PELVIS] for pose in poses])
    true = person.joints_m[:, PELVIS]
    return np.linalg.norm(found - true, axis=1) / np.linalg.norm(true, axis=1)


@pytest.mark.parametrize("name", people.CLIPS)
def test_height_and_distance_follow_from_the_floor(name):
    person = people.recorded(name)
    noisy = people.seen(person).joints
    poses, _ = track(person, noisy, FLOOR)
    assert poses[90].height_m == pytest.approx(person.height_m, abs=0.05), "after three seconds"
    assert abs(poses[-1].height_m - person.height_m) < 3.0 * poses[-1].height_std_m
    assert root_errors(poses, person)[90:].mean() < 0.03
    without, _ = track(person, noisy, None)
    assert all(np.isnan(pose.height_std_m) for pose in without)
    np.testing.assert_allclose([pose.height_m for pose in without], 1.7)


@pytest.mark.parametrize("name", ["walk", "signals"])
def test_who_is_looked_at_in_every_second_frame_is_measured_too(name):
    """Of several people each has a turn: a foot stands on meanwhile."""
    person = people.recorded(name)
    noisy = people.seen(person).joints
    turns = [joints if i % 2 == 0 else None for i, joints in enumerate(noisy)]
    poses, _ = track(person, turns, FLOOR)
    assert {pose.state for pose in poses[1::2]} == {State.PREDICTED}
    assert poses[100].height_m == pytest.approx(person.height_m, abs=0.05)
    assert root_errors(poses, person)[100:].mean() < 0.04


@pytest.mark.parametrize("height_m", [1.1, 1.45, 1.95])
def test_children_and_tall_people_are_measured_too(height_m):
    short = people.recorded("signals")
    foot = short.joints_m[:, SOLES].mean(axis=(0, 1))
    foot = foot - (foot @ UP + 1.4) * UP  # on the floor below the feet
    factor = height_m / short.height_m
    person = people.Person(foot + (short.joints_m - foot) * factor, height_m)
    poses, _ = track(person, people.seen(person).joints, FLOOR)
    assert poses[-1].height_m == pytest.approx(height_m, abs=0.06)
    assert root_errors(poses, person)[90:].mean() < 0.03


def test_until_it_is_measured_the_height_is_as_configured_and_says_so():
    person = people.recorded("walk")
    poses, _ = track(person, people.seen(person).joints, FLOOR, person_height=1.75)
    known = [np.isfinite(pose.height_std_m) for pose in poses]
    first = known.index(True)
    assert 3 < first < 90 and all(known[first:])
    np.testing.assert_allclose([pose.height_m for pose in poses[: first - 1]], 1.75)


def test_standing_feet_sink_and_slide_less():
    person = people.recorded("wave_crouch")
    joints = people.seen(person).joints

    def errors(weight):
        poses, standing = track(person, joints, FLOOR, weight_ground=weight)
        found = np.array([pose.joints_camera_m for pose in poses])[90:, SOLES]
        off = np.abs((found - person.joints_m[90:, SOLES]) @ UP)
        slide = np.linalg.norm(np.diff(found, axis=0), axis=2)
        held = standing[90:]
        return off[held].mean(), slide[held[1:]].mean()

    (off, slide), (free_off, free_slide) = errors(0.3), errors(0.0)
    assert off < 0.7 * free_off and slide < 0.8 * free_slide


def lifted(person, rise_m):
    """The same motion, all of it higher by rise_m [T] along the floor's normal."""
    return people.Person(person.joints_m + np.asarray(rise_m)[:, None, None] * UP, person.height_m)


@pytest.mark.parametrize("rise_m", [0.18, 0.36])
def test_who_steps_onto_something_is_not_bent_to_the_floor(rise_m):
    still = people.recorded("signals")
    times = np.arange(len(still.joints_m)) / 30.0
    person = lifted(still, rise_m * np.clip((times - 3.0) / 0.6, 0.0, 1.0))
    clean = people.seen(person, pixels=0.0, metres=0.0, outliers=0.0).joints
    poses, standing = track(person, clean, FLOOR)
    assert standing[60:85].any() and not standing[130:].any()
    assert poses[-1].height_m == pytest.approx(person.height_m, abs=0.05)
    feet = np.array([pose.joints_camera_m for pose in poses])[130:, SOLES]
    assert np.abs((feet - person.joints_m[130:, SOLES]) @ UP).max() < 0.05
    assert root_errors(poses, person)[130:].max() < 0.03


def test_who_jumps_is_not_held_down():
    still = people.recorded("signals")
    times = np.arange(len(still.joints_m)) / 30.0
    flight = np.maximum(0.0, 3.0 * (times % 1.5) - 4.905 * (times % 1.5) ** 2)
    person = lifted(still, np.where(times > 2.9, flight, 0.0))
    clean = people.seen(person, pixels=0.0, metres=0.0, outliers=0.0).joints
    poses, standing = track(person, clean, FLOOR)
    rise = (person.joints_m[:, SOLES] - still.joints_m[:, SOLES]) @ UP
    air = rise.min(axis=1) > 0.2
    assert air.sum() > 20 and not standing[air].any()
    held, _ = track(person, clean, FLOOR, weight_ground=0.0)
    top = rise.min(axis=1) > 0.3
    for i in np.nonzero(top)[0]:
        apart = poses[i].joints_camera_m - held[i].joints_camera_m
        assert np.abs(apart @ UP).max() < 0.06
    assert poses[-1].height_m == pytest.approx(person.height_m, abs=0.06)


def test_who_sits_is_not_taken_for_small():
    """The thighs are level: the feet may stand, but no height is read from a bent body."""
    still = people.recorded("signals")
    person = people.Person(_seated(still.joints_m), still.height_m)
    poses, _ = track(
        person, people.seen(person, pixels=0.0, metres=0.0, outliers=0.0).joints, FLOOR
    )
    assert poses[-1].state is State.MEASURED and np.isnan(poses[-1].height_std_m)


def _seated(joints_m):
    """Move trunk and head so that the pelvis is at the knees' height, behind them."""
    seated = joints_m.copy()
    upper = [i for i in range(21) if not any(p in JOINT_NAMES[i] for p in ("knee", "ankle", "toe"))]
    knees = joints_m[:, [INDEX["right_knee"], INDEX["left_knee"]]].mean(axis=1)
    pelvis = joints_m[:, PELVIS]
    drop = (pelvis - knees) @ UP
    backwards = np.cross(UP, [1.0, 0.0, 0.0])
    shift = -drop[:, None] * UP + drop[:, None] * backwards
    seated[:, upper] += shift[:, None]
    return seated


def test_feet_stand_before_a_camera_that_moves():
    """With the camera's motion in a fixed frame, what stands is told from what the camera does."""
    person = people.recorded("signals")
    times = np.arange(len(person.joints_m)) / 30.0
    ground_from_still = np.eye(4)
    forward = np.cross([1.0, 0.0, 0.0], UP)
    ground_from_still[:3, :3] = np.stack([[1.0, 0.0, 0.0], forward, UP])
    ground_from_still[2, 3] = 1.4
    shift = 1.2 * times  # sideways, at a walking pace
    moving = people.Person(person.joints_m - shift[:, None, None] * [1.0, 0.0, 0.0], 1.85)
    floors = []
    for s in shift:
        transform = ground_from_still.copy()
        transform[0, 3] = s
        floors.append(Plane.of_ground(transform))
    np.testing.assert_allclose(floors[0].normal, UP)
    assert floors[0].offset_m == pytest.approx(-1.4)
    joints = people.seen(moving, pixels=0.0, metres=0.0, outliers=0.0).joints
    poses, standing = track(moving, joints, floors)
    assert standing[40:].any(axis=1).mean() > 0.8
    assert poses[90].height_m == pytest.approx(1.85, abs=0.05)
    _, untold = track(moving, joints, FLOOR)
    assert untold[40:].mean() < 0.1


def test_e_ground_holds_heights_and_places_along_the_floor():
    rng = np.random.default_rng(3)
    heights_m, places_m = np.array([0.05, 0.05, 0.1]), rng.normal(0, 0.3, (3, 3))
    joints, weight, dt_s = SOLES[:3], 0.7, 1 / 25
    points = rng.normal(0, 0.3, (21, 3))
    found = residual(ground(joints, heights_m, places_m, FLOOR, weight, dt_s), points)
    off_m = points[joints] @ UP - FLOOR.offset_m - heights_m
    assert found[:, 0] == pytest.approx(off_m * np.sqrt(weight) / 0.02)
    moved_m = points[joints] - places_m
    moved_m -= (moved_m @ UP)[:, None] * UP
    slide = np.sqrt(weight / (dt_s * 30.0)) / 0.01
    assert np.allclose(found[:, 1:], moved_m * slide)


def test_the_derivatives_of_e_ground_are_those_of_its_energy():
    rng = np.random.default_rng(3)
    kinematics = Kinematics(mean_bone_lengths(1.75))
    q = people.standing()
    heights_m, places_m = np.array([0.05, 0.05, 0.1]), rng.normal(0, 0.3, (3, 3))
    term = ground(SOLES[:3], heights_m, places_m, FLOOR, 0.7, 1 / 25)
    objective = Objective(kinematics, [term])
    points, moves = kinematics.jacobian(q)
    at = objective.evaluate(q, points)
    assert at.agreement.min() < 0.1
    _, exact = objective.normal_equations(at, moves)
    numeric = np.empty(NV)
    for k, axis in enumerate(np.eye(NV)):
        ends = [kinematics.integrate(q, sign * 1e-6 * axis) for sign in (1.0, -1.0)]
        costs = [objective.evaluate(end, kinematics.forward(end)).cost for end in ends]
        numeric[k] = (costs[0] - costs[1]) / 2e-6
    np.testing.assert_allclose(exact, numeric, atol=1e-4 * np.abs(exact).max())


def test_a_frame_of_the_floor_and_the_camera_lead_there_and_back():
    transform = np.eye(4)
    transform[:3, :3] = np.stack([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    transform[:3, 3] = (0.3, -0.2, 1.1)
    plane = Plane.of_ground(transform)
    points = np.random.default_rng(0).normal(size=(5, 3))
    ground = plane.ground_from_camera(points)
    np.testing.assert_allclose(plane.camera_from_ground(ground), points, atol=1e-12)
    np.testing.assert_allclose(points @ plane.normal - plane.offset_m, ground[:, 2], atol=1e-12)
