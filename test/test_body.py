"""The URDF of the body: well formed, human limits, heights and names."""

from xml.etree import ElementTree

import numpy as np
import pytest

from vnect_ros.body import urdf
from vnect_ros.skeleton import BONES, INDEX, JOINT_NAMES, MIRROR, bone_lengths

LENGTHS = urdf.mean_bone_lengths(1.70)
_LIMB_JOINTS = (
    "y_shoulder",
    "p_shoulder",
    "r_shoulder",
    "elbow",
    "y_hip",
    "p_hip",
    "r_hip",
    "knee",
)
REP_155 = ["waist", "r_head", "y_head", "p_head"] + [
    f"{side}_{joint}" for side in "lr" for joint in _LIMB_JOINTS
]


def test_the_urdf_is_one_tree_that_holds_every_joint_with_its_suffix():
    robot = ElementTree.fromstring(urdf.urdf(LENGTHS, "ab12c"))
    links = [link.get("name") for link in robot.iter("link")]
    joints = [joint.get("name") for joint in robot.findall("joint")]
    children = [joint.find("child").get("link") for joint in robot.findall("joint")]
    assert len(set(links)) == len(links)
    assert len(set(joints)) == len(joints)
    assert sorted([*children, "body_ab12c"]) == sorted(links)
    assert all(name.endswith("_ab12c") for name in links + joints)
    for name in JOINT_NAMES:
        assert f"{name}_ab12c" in links
    for name in REP_155:
        assert f"{name}_ab12c" in joints
    for name in urdf.Q_NAMES:
        assert f"{name}_ab12c" in joints


def test_limits_are_real_and_hold_the_angle_of_ease():
    for joint in ElementTree.fromstring(urdf.urdf(LENGTHS)).findall("joint"):
        if joint.get("type") == "revolute":
            limit = joint.find("limit")
            assert float(limit.get("lower")) < float(limit.get("upper"))
    for segment in urdf.MOVING:
        assert segment.low <= segment.rest <= segment.high
        assert np.linalg.norm(segment.axis) == pytest.approx(1.0)


def test_the_body_can_be_seen():
    robot = ElementTree.fromstring(urdf.urdf(LENGTHS, "ab12c"))
    shapes = list(robot.iter("visual"))
    assert len(shapes) > 30
    assert all(float(c.get("length")) > 0 for c in robot.iter("cylinder"))


@pytest.mark.parametrize("height", [0.9, 1.7, 2.1])
def test_lengths_give_back_the_height(height):
    lengths = urdf.mean_bone_lengths(height)
    assert urdf.standing_height(lengths) == pytest.approx(height)
    assert urdf.standing_height(urdf.scaled_to_height(lengths * 1.3, height)) == pytest.approx(
        height
    )


def test_symmetry_takes_the_mean_of_both_sides():
    lengths = np.random.default_rng(0).uniform(0.1, 0.5, 21)
    even = urdf.symmetric(lengths)
    assert np.allclose(even, even[list(MIRROR)])
    i, j = INDEX["left_knee"], INDEX["right_knee"]
    assert even[i] == pytest.approx((lengths[i] + lengths[j]) / 2.0)


def test_bones_of_the_urdf_have_the_lengths_asked_for():
    robot = ElementTree.fromstring(urdf.urdf(LENGTHS))
    place = {"body": np.zeros(3)}
    for joint in robot.findall("joint"):
        offset = np.array([float(x) for x in joint.find("origin").get("xyz").split()])
        place[joint.find("child").get("link")] = place[joint.find("parent").get("link")] + offset
    standing = np.array([place[name] for name in JOINT_NAMES])
    assert np.allclose(bone_lengths(standing), LENGTHS, atol=1e-8)
    assert standing[INDEX["left_wrist"], 1] > 0.1 > -0.1 > standing[INDEX["right_wrist"], 1]
    assert standing[INDEX["left_toe"], 0] > 0.1
    top, toe = standing[INDEX["head_top"], 2], standing[INDEX["left_toe"], 2]
    assert top - toe == pytest.approx(1.70, abs=0.05)
    for p, c in BONES:
        direction = (standing[c] - standing[p]) / LENGTHS[c]
        assert np.allclose(direction, urdf.REST_DIRECTIONS[c], atol=1e-6)
