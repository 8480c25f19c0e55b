"""The messages of one person: made once, then filled in image by image.

An image's messages are a thousand objects, and making them in Python takes
longer than to send them.  Publishing copies a message, so that the next
image's numbers may be written into the same one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from vnect_ros.body.kinematics import quaternion_from_rotation
from vnect_ros.body.urdf import Q_NAMES
from vnect_ros.msg import Joint, Skeleton
from vnect_ros.records import Pose
from vnect_ros.ros import body_frames
from vnect_ros.ros.convert import IN_CAMERA, Placement
from vnect_ros.skeleton import JOINT_NAMES


class PersonMessages:
    """Whoever is tracked under an id.

    Each method writes a pose into its message and returns it: it holds good
    until the method's next call.
    """

    def __init__(self, body_id: str) -> None:
        """Make the messages with all that stays: names and frames."""
        self.body_id = body_id
        root = TransformStamped(child_frame_id=f"body_{body_id}")
        links = [
            TransformStamped(
                header=Header(frame_id=f"{parent}_{body_id}"), child_frame_id=f"{child}_{body_id}"
            )
            for parent, child in body_frames.EDGES
        ]
        self._transforms = [root, *links]
        self._skeleton = Skeleton(id=body_id, joints=[Joint(name=name) for name in JOINT_NAMES])
        self._joint_state = JointState(name=[f"{name}_{body_id}" for name in Q_NAMES])

    def transforms(self, pose: Pose, header: Header) -> list[TransformStamped]:
        """`body_<id>` under the image's frame, then every link of the URDF under its parent.

        Args:
            header: the image's.
        """
        root, *links = self._transforms
        body = pose.transform_camera_from_body
        root.header = header
        _put_xyz(root.transform.translation, body[:3, 3].tolist())
        _put_xyzw(root.transform.rotation, quaternion_from_rotation(body[:3, :3]).tolist())
        local = body_frames.local(pose.q, pose.bone_lengths_m)
        places = zip(links, local.translations_m.tolist(), local.quaternions_xyzw.tolist())
        for link, xyz, xyzw in places:
            link.header.stamp = header.stamp
            _put_xyz(link.transform.translation, xyz)
            _put_xyzw(link.transform.rotation, xyzw)
        return self._transforms

    def skeleton(
        self, pose: Pose, header: Header, calibrated: bool, at: Placement = IN_CAMERA
    ) -> Skeleton:
        """The skeleton; `latency` is set at publishing.

        Args:
            header: the image's stamp, and the frame that `at` places the pose in.
            calibrated: whether the camera was.
        """
        skeleton, body = self._skeleton, pose.transform_camera_from_body
        skeleton.header = header
        skeleton.state = getattr(Skeleton, pose.state.name)
        turn = quaternion_from_rotation(at.rotation @ body[:3, :3])
        _put_xyz(skeleton.pose.position, at.points(body[:3, 3]).tolist())
        _put_xyzw(skeleton.pose.orientation, turn.tolist())
        self._fill_joints(pose, at)
        skeleton.height = float(pose.height_m)
        measured = bool(np.isfinite(pose.height_std_m))
        skeleton.height_std = float(pose.height_std_m) if measured else 0.0
        skeleton.scale = Skeleton.SCALE_MEASURED if measured else Skeleton.SCALE_ASSUMED
        skeleton.calibration = getattr(Skeleton, f"CALIBRATION_{pose.calibration.name}")
        skeleton.bone_lengths = pose.bone_lengths_m.astype(np.float32).tolist()
        skeleton.camera_calibrated = calibrated
        skeleton.residual = float(pose.residual_px)
        skeleton.observation_age = float(pose.observation_age_s)
        return skeleton

    def _fill_joints(self, pose: Pose, at: Placement) -> None:
        rows = zip(
            self._skeleton.joints,
            at.points(pose.joints_camera_m).tolist(),
            body_frames.rotated(at.rotation, pose.orientations_xyzw).tolist(),
            (pose.velocities_mps @ at.rotation.T).tolist(),
            pose.joints_px.astype(np.float32),
            pose.confidence.tolist(),
            pose.std_m.tolist(),
            pose.joint_states.tolist(),
        )
        for joint, xyz, xyzw, velocity, pixel, confidence, std_m, state in rows:
            _put_xyz(joint.pose.position, xyz)
            _put_xyzw(joint.pose.orientation, xyzw)
            _put_xyz(joint.velocity, velocity)
            joint.pixel = pixel
            joint.confidence, joint.position_std, joint.state = confidence, std_m, state

    def joint_state(self, pose: Pose, header: Header) -> JointState:
        """The body's angles [rad] under the names of its URDF.

        Args:
            header: the image's.
        """
        self._joint_state.header.stamp = header.stamp
        self._joint_state.position = pose.q.tolist()
        return self._joint_state


def _put_xyz(to: Any, xyz: list[float]) -> None:
    """Into a Point or Vector3."""
    to.x, to.y, to.z = xyz


def _put_xyzw(to: Any, xyzw: list[float]) -> None:
    """Into a Quaternion."""
    to.x, to.y, to.z, to.w = xyzw
