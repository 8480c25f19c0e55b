"""The outputs of one person: parts of the common messages, and the topics of their own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Header, String
from visualization_msgs.msg import Marker

from vnect_ros.body import urdf
from vnect_ros.camera import Camera
from vnect_ros.config import NodeConfig
from vnect_ros.msg import Skeleton
from vnect_ros.records import Pose
from vnect_ros.ros import convert, hri, markers
from vnect_ros.ros.convert import Placement
from vnect_ros.ros.hri import HriBody
from vnect_ros.ros.markers import PersonMarkers
from vnect_ros.ros.person_messages import PersonMessages

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

LATCHED: Final = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class PersonPublisher:
    """Publishes whoever is known by an id."""

    def __init__(self, node: LifecycleNode, body_id: str, publish_hri: bool = False) -> None:
        """Make the publishers of `bodies/<id>/...`; the node is active.

        Args:
            body_id: of 5 characters (REP-155).
            publish_hri: under `/humans/bodies/<id>` as well.

        Raises:
            ConfigError: hri_msgs is not installed.
        """
        self.body_id = body_id
        self.person = ""
        """The pipeline's id of whoever is tracked; "" for nobody."""
        self.header = Header()
        """Stamp and frame of the last skeleton."""
        self.lost_at = time.monotonic()
        """When the person was lost, by a steady clock [s]."""
        self._node = node
        self._messages, self._markers = PersonMessages(body_id), PersonMarkers(body_id)
        make = node.create_lifecycle_publisher
        names = [f"{root}/{body_id}" for root in ("bodies", hri.ROOT)[: 1 + publish_hri]]
        self._states = [make(JointState, f"{name}/joint_states", 10) for name in names]
        self._urdfs = [make(String, f"{name}/urdf", LATCHED) for name in names]
        for publisher in (*self._states, *self._urdfs):
            publisher.on_activate(None)
        self._hri = HriBody(node, body_id) if publish_hri else None
        self._lengths_m = np.empty(0)

    def skeleton(self, pose: Pose, placed: Header, at: Placement, calibrated: bool) -> Skeleton:
        """The skeleton; whoever has it is tracked from now on.

        Args:
            placed: the image's stamp, and the frame that `at` places the pose in.
            calibrated: whether the camera was.
        """
        self.person, self.header = pose.id, placed
        return self._messages.skeleton(pose, placed, calibrated, at)

    def transforms(self, pose: Pose, header: Header) -> list[TransformStamped]:
        """`body_<id>` under the image's frame, and the links of the body.

        Args:
            header: the image's.
        """
        return self._messages.transforms(pose, header)

    def markers(
        self, pose: Pose, placed: Header, at: Placement, lifetime: Duration
    ) -> list[Marker]:
        """Bones, joints and a caption; RViz removes them by itself after `lifetime`."""
        return self._markers.fill(pose, placed, at, lifetime)

    def publish(self, pose: Pose, header: Header, config: NodeConfig) -> None:
        """The URDF, where the bones changed, and the joint angles.

        Args:
            header: the image's.
        """
        if not np.array_equal(pose.bone_lengths_m, self._lengths_m):
            self._describe(urdf.urdf(pose.bone_lengths_m, self.body_id))
            self._lengths_m = pose.bone_lengths_m.copy()
        heard = [p for p in self._states if p.get_subscription_count()]
        if config.publish_joint_states and heard:
            angles = self._messages.joint_state(pose, header)
            for publisher in heard:
                publisher.publish(angles)

    def publish_hri(self, pose: Pose, image: np.ndarray, camera: Camera, header: Header) -> None:
        """Where the body is in the image, if that is wanted; see `HriBody.publish`."""
        if self._hri is not None:
            self._hri.publish(pose, image, camera, header)

    def _describe(self, description: str) -> None:
        for publisher in self._urdfs:
            publisher.publish(String(data=description))

    def lose(self, stamp: object | None) -> tuple[Skeleton, list[Marker]]:
        """Nobody is tracked under this id any more; the body in RViz vanishes.

        Args:
            stamp: of the image that shows it; None where none came: then the last
                pose's stands, for nothing newer is known.

        Returns:
            The skeleton that is LOST, and what takes the markers away.
        """
        placed = Header(stamp=stamp or self.header.stamp, frame_id=self.header.frame_id)
        self.person, self.lost_at = "", time.monotonic()
        if len(self._lengths_m):
            self._describe(urdf.urdf(self._lengths_m, self.body_id, visuals=False))
            self._lengths_m = np.empty(0)
        return convert.lost_skeleton(placed, self.body_id), markers.removal(placed, self.body_id)

    def destroy(self) -> None:
        """Take the publishers back."""
        for publisher in (*self._states, *self._urdfs):
            self._node.destroy_lifecycle_publisher(publisher)
        if self._hri is not None:
            self._hri.destroy()
