"""The node's first and last stage on their own, for the benchmark to time."""

from __future__ import annotations

import numpy as np
import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from vnect_ros.camera import Camera
from vnect_ros.config import NodeConfig
from vnect_ros.messages.images import ImageReader
from vnect_ros.records import Pose
from vnect_ros.ros import convert
from vnect_ros.ros.image_input import load_cv_bridge
from vnect_ros.ros.naming import DEFAULT_ID
from vnect_ros.ros.publishers import Publishers


class RosStages:
    """Converts messages and publishes poses exactly as the node does."""

    def __init__(self, camera: Camera) -> None:
        """Make a node with the outputs of ours, in a ROS context of its own."""
        self._camera, self._config = camera, NodeConfig()
        self._reader = ImageReader(load_cv_bridge())
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = LifecycleNode("vnect_benchmark", context=self._context)
        self._publishers = Publishers(self._node, DEFAULT_ID, None)
        self._node.trigger_configure()
        self._node.trigger_activate()

    def message(self, image: np.ndarray, stamp_s: float) -> Image:
        """The message a camera would send of an image [H, W, 3] uint8 RGB."""
        return convert.image_message(image, self._header(stamp_s))

    def convert(self, message: Image) -> np.ndarray:
        """The image [H, W, 3] uint8 RGB of a message."""
        return self._reader.read(message)

    def publish(self, poses: list[Pose], stamp_s: float) -> None:
        """Publish the poses of one image on all topics."""
        self._publishers.publish(poses, self._camera, self._header(stamp_s), self._config)

    def close(self) -> None:
        """Take the node back."""
        self._publishers.destroy()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def _header(self, stamp_s: float) -> Header:
        stamp = Time(nanoseconds=int(stamp_s * 1e9)).to_msg()
        return Header(stamp=stamp, frame_id="camera_optical_frame")
