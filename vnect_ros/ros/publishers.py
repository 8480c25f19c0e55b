"""The node's outputs: one image's poses on all topics, each stamp at most once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header, String
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from vnect_ros import drawing
from vnect_ros.body import urdf
from vnect_ros.camera import Camera
from vnect_ros.config import NodeConfig
from vnect_ros.msg import SkeletonArray
from vnect_ros.records import Pose, State
from vnect_ros.ros import convert, markers
from vnect_ros.ros.markers import PersonMarkers
from vnect_ros.ros.person import PersonMessages

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

    from vnect_ros.ros.target_frame import Target

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Outputs:
    """Publishes poses; knows who was published last, so that a loss is said once."""

    def __init__(self, node: LifecycleNode, body_id: str, target: Target | None) -> None:
        """Make the publishers.

        Args:
            body_id: of whoever is tracked; "" takes each pose's own.
            target: places skeletons and markers in another frame; None: the image's.
        """
        self._node, self._fixed_id, self._target = node, body_id, target
        make = node.create_lifecycle_publisher
        self._skeletons = make(SkeletonArray, "skeletons", 10)
        self._markers = make(MarkerArray, "markers", 10)
        self._tf = make(TFMessage, "/tf", 100)
        self._debug = make(Image, "debug/image", 1)
        self._bodies: dict[str, tuple] = {}
        self._person, self._shown = PersonMessages(body_id), PersonMarkers(body_id)
        self._tracked: tuple[str, Header] | None = None
        self._urdf_lengths_m = np.empty(0)
        self._debug_at = -np.inf

    def publish(
        self, poses: list[Pose], camera: Camera, header: Header, config: NodeConfig
    ) -> float:
        """Publish one image's poses.

        Args:
            header: the image's.

        Returns:
            The latency from the image's stamp to publishing [s].

        Raises:
            ImageError: the target frame cannot be had at the image's time.
        """
        pose = next((p for p in poses if p.state is not State.LOST), None)
        if pose is None:
            latency_s = self.lose(header)
            if latency_s is None:
                latency_s = self._publish_skeletons(header, [])
            return latency_s
        body_id = self._fixed_id or pose.id
        if self._tracked is not None and self._tracked[0] != body_id:
            self.lose(header)
        if self._person.body_id != body_id:
            self._person, self._shown = PersonMessages(body_id), PersonMarkers(body_id)
        at, placed = convert.IN_CAMERA, header
        if self._target is not None:
            at, placed = self._target.placement(header)
        if config.publish_tf:
            self._tf.publish(self._person.transforms(pose, header))
        skeleton = self._person.skeleton(pose, placed, camera.calibrated, at)
        latency_s = self._publish_skeletons(placed, [skeleton])
        self._publish_body(pose, header, body_id, config)
        if config.publish_markers:
            lifetime = Duration(seconds=config.timeout_s)
            self._markers.publish(self._shown.fill(pose, placed, at, lifetime))
        self._tracked = body_id, placed
        return latency_s

    def lose(self, header: Header | None = None) -> float | None:
        """Say once that whoever was tracked no longer is.

        Args:
            header: of the image that says so; None where none came: then the
                last pose's stamp stands, for nothing newer is known.

        Returns:
            The latency [s], or None if nobody was tracked.
        """
        if self._tracked is None:
            return None
        body_id, last = self._tracked
        stamp = last.stamp if header is None else header.stamp
        placed = Header(stamp=stamp, frame_id=last.frame_id)
        self._tracked = None
        self._markers.publish(markers.removal(placed, body_id))
        return self._publish_skeletons(placed, [convert.lost_skeleton(placed, body_id)])

    def publish_debug(
        self, image: np.ndarray, poses: list[Pose], camera: Camera, header: Header, rate: float
    ) -> None:
        """The image with the skeleton drawn in, if someone looks, at most `rate` times a second."""
        now_s = time.monotonic()
        if now_s - self._debug_at < 0.9 / rate or not self._debug.get_subscription_count():
            return
        self._debug_at = now_s
        for pose in poses:
            fitted_px = None
            if pose.state is not State.LOST:
                fitted_px = camera.project(pose.joints_camera_m)
            image = drawing.overlay(image, pose, fitted_px)
        self._debug.publish(convert.image_message(image, header))

    def destroy(self) -> None:
        """Take the publishers back."""
        bodies = [publisher for pair in self._bodies.values() for publisher in pair]
        for publisher in [self._skeletons, self._markers, self._tf, self._debug, *bodies]:
            self._node.destroy_lifecycle_publisher(publisher)
        self._bodies.clear()

    def _publish_skeletons(self, header: Header, skeletons: list) -> float:
        now = self._node.get_clock().now()
        stamp = Time.from_msg(header.stamp, clock_type=now.clock_type)
        latency_s = (now - stamp).nanoseconds * 1e-9
        for skeleton in skeletons:
            skeleton.latency = latency_s
        self._skeletons.publish(SkeletonArray(header=header, skeletons=skeletons))
        return latency_s

    def _publish_body(self, pose: Pose, header: Header, body_id: str, config: NodeConfig) -> None:
        """URDF (when the bones changed) and joint angles under bodies/<id>/."""
        if body_id not in self._bodies:
            for publisher in (p for pair in self._bodies.values() for p in pair):
                self._node.destroy_lifecycle_publisher(publisher)
            make = self._node.create_lifecycle_publisher
            states = make(JointState, f"bodies/{body_id}/joint_states", 10)
            described = make(String, f"bodies/{body_id}/urdf", LATCHED)
            for publisher in (states, described):
                publisher.on_activate(None)  # the node is active already
            self._bodies = {body_id: (states, described)}
            self._urdf_lengths_m = np.empty(0)
        states, described = self._bodies[body_id]
        if not np.array_equal(pose.bone_lengths_m, self._urdf_lengths_m):
            described.publish(String(data=urdf.urdf(pose.bone_lengths_m, body_id)))
            self._urdf_lengths_m = pose.bone_lengths_m.copy()
        if config.publish_joint_states:
            states.publish(self._person.joint_state(pose, header))
