"""A person's messages: what they say of a pose, and that nothing of the last pose stays."""

from __future__ import annotations

import dataclasses

import numpy as np
import people
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from rclpy.duration import Duration
from std_msgs.msg import Header
from urdf_reader import link_transforms

from vnect_ros.body.kinematics import rotation_from_quaternion
from vnect_ros.body.urdf import urdf
from vnect_ros.fitting import Fitter
from vnect_ros.msg import Skeleton
from vnect_ros.records import JointState
from vnect_ros.ros.convert import IN_CAMERA, Placement
from vnect_ros.ros.markers import PersonMarkers
from vnect_ros.ros.person_messages import PersonMessages
from vnect_ros.skeleton import BONES, JOINT_NAMES

pytestmark = pytest.mark.ros
TURNED = Placement(rotation_from_quaternion((0.1, -0.7, 0.5, 0.5)), np.array([1.0, -2.0, 3.0]))


@pytest.fixture(scope="module")
def poses():
    person = people.recorded("walk", 40)
    fitter, seen = Fitter(), people.seen(person, seed=1).joints
    return [fitter.update(t, j, people.CAMERA) for t, j in zip(person.stamps_s(), seen)]


def header(stamp: int) -> Header:
    made = Header(frame_id="camera")
    made.stamp.sec = stamp
    return made


def transform(xyz, xyzw) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_quaternion((xyzw.x, xyzw.y, xyzw.z, xyzw.w))
    matrix[:3, 3] = xyz.x, xyz.y, xyz.z
    return matrix


def messages(pose, stamp, at, made=None):
    person, shown = made or (PersonMessages("human"), PersonMarkers("human"))
    return (
        person.transforms(pose, header(stamp)),
        person.skeleton(pose, header(stamp), True, at),
        person.joint_state(pose, header(stamp)),
        shown.fill(pose, header(stamp), at, Duration(seconds=0.5)),
    )


@pytest.mark.parametrize("at", [IN_CAMERA, TURNED], ids=["camera", "turned"])
def test_nothing_of_an_earlier_pose_stays(poses, at):
    """Messages that were filled before are the same as those made anew."""
    states = np.full(21, JointState.REJECTED, dtype=np.uint8)
    other = dataclasses.replace(
        poses[10], joint_states=states, residual_px=float("nan"), height_std_m=0.1,
        observation_age_s=0.2,
    )  # fmt: skip
    kept = PersonMessages("human"), PersonMarkers("human")
    messages(other, 1, TURNED, kept)
    again, anew = messages(poses[-1], 2, at, kept), messages(poses[-1], 2, at)
    for one, two in zip(again, anew):
        assert one == two


def test_transforms_place_every_link_of_the_urdf(poses):
    pose = poses[-1]
    tf, *_ = messages(pose, 7, TURNED)
    places = {"camera": np.eye(4)}
    for stamped in tf:
        assert stamped.header.stamp.sec == 7
        local = transform(stamped.transform.translation, stamped.transform.rotation)
        places[stamped.child_frame_id] = places[stamped.header.frame_id] @ local
    angles = {f"{name}_human": angle for name, angle in zip(pose.q_names, pose.q)}
    for name, link in link_transforms(urdf(pose.bone_lengths_m, "human"), angles).items():
        # The text of a URDF has nine digits.
        expected = pose.transform_camera_from_body @ link
        assert np.abs(places[name] - expected).max() < 1e-8


def test_the_skeleton_is_placed_and_turned_as_a_whole(poses):
    pose = poses[-1]
    _, skeleton, state, _ = messages(pose, 7, TURNED)
    target = np.eye(4)
    target[:3, :3], target[:3, 3] = TURNED.rotation, TURNED.translation_m
    body = transform(skeleton.pose.position, skeleton.pose.orientation)
    assert np.abs(body - target @ pose.transform_camera_from_body).max() < 1e-9
    assert [joint.name for joint in skeleton.joints] == list(JOINT_NAMES)
    for j, joint in enumerate(skeleton.joints):
        place = transform(joint.pose.position, joint.pose.orientation)
        assert np.abs(place[:3, 3] - TURNED.points(pose.joints_camera_m[j])).max() < 1e-9
        turn = TURNED.rotation @ rotation_from_quaternion(pose.orientations_xyzw[j])
        assert np.abs(place[:3, :3] - turn).max() < 1e-9
        velocity = np.array([joint.velocity.x, joint.velocity.y, joint.velocity.z])
        assert np.abs(velocity - TURNED.rotation @ pose.velocities_mps[j]).max() < 1e-9
        assert np.abs(joint.pixel - pose.joints_px[j]).max() < 1e-3
        assert joint.state == pose.joint_states[j]
        assert joint.confidence == pytest.approx(pose.confidence[j])
        assert joint.position_std == pytest.approx(pose.std_m[j])
    assert skeleton.id == "human" and skeleton.state == Skeleton.MEASURED
    assert np.allclose(skeleton.bone_lengths, pose.bone_lengths_m, atol=1e-6)
    assert dict(zip(state.name, state.position)) == {
        f"{name}_human": angle for name, angle in zip(pose.q_names, pose.q)
    }


def test_the_scale_is_measured_where_the_height_has_a_deviation(poses):
    def skeleton(**changes):
        return messages(dataclasses.replace(poses[-1], **changes), 7, IN_CAMERA)[1]

    measured = skeleton(height_m=1.82, height_std_m=0.03, observation_age_s=0.1)
    assert (measured.scale, measured.height_std) == (Skeleton.SCALE_MEASURED, 0.03)
    assert (measured.height, measured.observation_age) == (1.82, 0.1)
    assumed = skeleton(height_std_m=float("nan"))
    assert (assumed.scale, assumed.height_std) == (Skeleton.SCALE_ASSUMED, 0.0)
    assert assumed.observation_age == 0.0


def test_markers_join_the_joints_and_pale_what_is_not_seen(poses):
    states = poses[-1].joint_states.copy()
    states[:] = JointState.MEASURED
    states[4] = JointState.PREDICTED
    pose = dataclasses.replace(poses[-1], joint_states=states)
    *_, shown = messages(pose, 7, TURNED)
    bones, joints, caption = shown
    points = np.array([(p.x, p.y, p.z) for p in joints.points])
    assert np.abs(points - TURNED.points(pose.joints_camera_m)).max() < 1e-9
    assert bones.points == [joints.points[end] for bone in BONES for end in bone]
    assert [c.a < 1.0 for c in joints.colors] == [j == 4 for j in range(21)]
    ends = [child for _, child in BONES for _ in range(2)]
    assert bones.colors == [joints.colors[child] for child in ends]
    assert caption.text == "human: MEASURED"
    assert all(m.header == header(7) and m.lifetime.nanosec == 500_000_000 for m in shown)
