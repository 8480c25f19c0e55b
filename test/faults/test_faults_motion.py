"""Bounded motion: what no human does is not published, and said to be set aside.

The images are 1/30 s apart by their stamps, each answered before the next is
sent: what is compared does not depend on how busy the machine is.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from scene import RATE_HZ, positions, seconds, velocities
from stage import NOBODY, Person

from vnect_ros.config import FitConfig
from vnect_ros.msg import Joint, Skeleton
from vnect_ros.skeleton import INDEX, PELVIS

pytestmark = pytest.mark.ros
ROUNDING = 1.02
"""Positions are compared after a way through messages and a body that was re-measured."""


@pytest.fixture(scope="module")
def node(lasting_scene):
    # A network that errs by itself is not filtered away; no timer takes part.
    return lasting_scene.start(timeout_s=30.0, fit__calibration_frames=5)


@pytest.fixture
def scene(node):
    node.stage.shots.clear()
    assert node.rig.trigger("/vnect/reset")[0]
    node.track(8)
    node.forget()
    return node


def stand(scene, person: Person, frames: int = 40) -> Skeleton:
    """The skeleton of a person who stands for a while."""
    number = scene.stage.cast(1, person)
    skeleton = scene.step([number] * frames)[-1].skeletons[0]
    assert skeleton.state == Skeleton.MEASURED
    return skeleton


def joint_states(skeleton) -> np.ndarray:
    return np.array([joint.state for joint in skeleton.joints])


ASYMMETRIC = Person((0.2, 0.0, 3.5), yaw=0.9, raised=-1.2)


def test_a_left_right_flip_of_a_frame(scene, fault_table):
    before = stand(scene, ASYMMETRIC)
    wrong = scene.stage.cast(2, Person(**{**vars(ASYMMETRIC), "flipped": True}))
    right = 1
    answers = [array.skeletons[0] for array in scene.step([wrong] + [right] * 8)]
    moved = np.linalg.norm(positions(answers[0]) - positions(before), axis=1)
    exchanged = np.linalg.norm(
        positions(before)[INDEX["right_hand"]] - positions(before)[INDEX["left_hand"]]
    )
    assert exchanged > 0.3 and moved.max() < exchanged / 4
    for answer in answers:
        assert np.linalg.norm(positions(answer) - positions(before), axis=1).max() < exchanged / 2
    limbs = [INDEX[side + part] for side in ("left_", "right_") for part in ("wrist", "ankle")]
    assert (joint_states(answers[0])[limbs] == Joint.REJECTED).all()
    assert np.linalg.norm(positions(answers[-1]) - positions(before), axis=1).max() < 0.05
    assert (joint_states(answers[-1]) == Joint.MEASURED).all()
    fault_table.add(
        "The network exchanges left and right in a frame",
        "the limbs are REJECTED and stay where they were",
        "1 frame",
    )


@pytest.mark.parametrize("stretched", [0.6, 1.5])
def test_a_jump_in_depth_of_a_frame(scene, fault_table, stretched):
    before = stand(scene, ASYMMETRIC)
    wrong = scene.stage.cast(2, Person(**{**vars(ASYMMETRIC), "stretched": stretched}))
    answers = [array.skeletons[0] for array in scene.step([wrong, 1, 1, 1])]
    # Seen so, the person would be 3.5 m / stretched away.
    assert abs(positions(answers[0])[PELVIS, 2] - positions(before)[PELVIS, 2]) < 0.1
    assert (joint_states(answers[0]) == Joint.REJECTED).sum() > 10
    assert abs(positions(answers[-1])[PELVIS, 2] - positions(before)[PELVIS, 2]) < 0.1
    if stretched < 1.0:
        fault_table.add(
            "A jump in depth of a frame", "joints REJECTED; the person stays where they were",
            "1 frame",
        )  # fmt: skip


def test_somebody_who_jumps_is_followed_within_the_bounds(scene, fault_table):
    """A jump that stays is believed in the end, and approached no faster than humans move."""
    stand(scene, Person((-0.4, 0.0, 3.5)))
    there = scene.stage.cast(3, Person((0.5, 0.0, 3.5), raised=-2.0))
    answers = [a.skeletons[0] for a in scene.step([1] * 3 + [there] * 45)]
    assert all(s.state != Skeleton.LOST for s in answers)
    hold_to_bounds(answers, FitConfig())
    assert abs(positions(answers[-1])[PELVIS, 0] - 0.5) < 0.15
    states = np.array([joint_states(s) for s in answers])
    assert (states == Joint.REJECTED).any() or (states == Joint.LIMITED).any()
    fault_table.add(
        "The person (or the network's mind) jumps, and stays there",
        "first REJECTED, then approached within `fit.max_speed` and `fit.max_acceleration`,"
        " joints LIMITED",
        "0.5 s",
    )


def test_lower_bounds_are_kept_too(scene):
    """With bounds that a waving arm exceeds, the arm lags and says so."""
    assert scene.rig.set(fit__max_speed=1.5)[0] and scene.rig.set(fit__max_acceleration=40.0)[0]
    try:
        swing = [
            scene.stage.cast(10 + i, Person((0.0, 0.0, 3.5), raised=-1.2 - 1.2 * np.sin(i / 4.0)))
            for i in range(60)
        ]
        stand(scene, Person((0.0, 0.0, 3.5), raised=-1.2))
        answers = [a.skeletons[0] for a in scene.step(swing)]
    finally:
        scene.rig.set(fit__max_speed=FitConfig().max_speed)
        scene.rig.set(fit__max_acceleration=FitConfig().max_acceleration)
    hold_to_bounds(answers, FitConfig(max_speed=1.5, max_acceleration=40.0))
    assert (np.array([joint_states(s) for s in answers]) == Joint.LIMITED).any()


def test_gaps_and_returns_are_within_the_bounds(scene):
    """Unseen for a while and then seen elsewhere, the person does not teleport."""
    stand(scene, Person((0.0, 0.0, 3.5)))
    elsewhere = scene.stage.cast(4, Person((0.25, 0.0, 3.3), raised=-2.5))
    answers = [a.skeletons[0] for a in scene.step([NOBODY] * 8 + [elsewhere] * 30)]
    assert {s.state for s in answers} == {Skeleton.PREDICTED, Skeleton.MEASURED}
    hold_to_bounds(answers, FitConfig())
    assert abs(positions(answers[-1])[PELVIS, 0] - 0.25) < 0.1


def hold_to_bounds(skeletons: list[Skeleton], config: FitConfig) -> None:
    """Speeds and accelerations of all joints, by difference of what was published."""
    points = np.array([positions(s) for s in skeletons])
    dt_s = np.diff([seconds(s.header.stamp) for s in skeletons])
    np.testing.assert_allclose(dt_s, 1.0 / RATE_HZ, atol=1e-4)
    velocity = np.diff(points, axis=0) * RATE_HZ
    speed = np.linalg.norm(velocity, axis=2)
    acceleration = np.linalg.norm(np.diff(velocity, axis=0), axis=2) * RATE_HZ
    stated = max(np.linalg.norm(velocities(s), axis=1).max() for s in skeletons)
    print(f"speed {speed.max():.2f} acc {acceleration.max():.1f} stated {stated:.2f}")
    assert speed.max() <= config.max_speed * ROUNDING
    assert acceleration.max() <= config.max_acceleration * ROUNDING
    assert stated <= config.max_speed * ROUNDING
    assert all(np.isfinite(points).all(axis=(1, 2)))
    assert all(a.header.stamp != b.header.stamp for a, b in pairwise(skeletons))
