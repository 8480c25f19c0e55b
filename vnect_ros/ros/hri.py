"""Bodies as ROS4HRI has them (REP-155), for who uses libhri: regions, crops, 2D keypoints.

REP-155's frames, joint states and URDF are ours already; `person_publisher` sends the
latter two under `/humans/bodies/<id>` as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from vnect_ros.camera import Camera
from vnect_ros.errors import ConfigError, describe
from vnect_ros.records import Pose
from vnect_ros.ros import convert
from vnect_ros.skeleton import JOINT_NAMES

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

ROOT: Final = "/humans/bodies"
MARGIN: Final = 0.1
"""Of the box around the joints that lies between it and the region's edge: clothes, hair."""


def messages() -> Any:
    """The module hri_msgs.msg.

    Raises:
        ConfigError: hri_msgs is not installed.
    """
    try:
        import hri_msgs.msg
    except ImportError as error:
        accepted = f"False without the package hri_msgs ({error})"
        raise ConfigError(describe("publish_hri", True, accepted)) from error
    return hri_msgs.msg


class HriBody:
    """Publishes where in the image one body is, under `/humans/bodies/<id>`."""

    def __init__(self, node: LifecycleNode, body_id: str) -> None:
        """Make the publishers; the node is active."""
        self._node, self._msg = node, messages()
        kinds = {
            "roi": self._msg.NormalizedRegionOfInterest2D,
            "cropped": Image,
            "skeleton2d": self._msg.Skeleton2D,
        }
        self._publishers = {
            name: node.create_lifecycle_publisher(kind, f"{ROOT}/{body_id}/{name}", 1)
            for name, kind in kinds.items()
        }
        for publisher in self._publishers.values():
            publisher.on_activate(None)

    def publish(self, pose: Pose, image: np.ndarray, camera: Camera, header: Header) -> None:
        """Publish the keypoints and, where the body is in the image, its region.

        Args:
            image: [H, W, 3] uint8 RGB; it is cropped if somebody looks.
            header: the image's.
        """
        skeleton = self._msg.Skeleton2D(header=header)
        fill_keypoints(skeleton, pose, camera)
        self._publishers["skeleton2d"].publish(skeleton)
        box = region_px(camera.project(pose.joints_camera_m), camera)
        if box is None:
            return
        left, top, right, bottom = box
        width, height = camera.width, camera.height
        self._publishers["roi"].publish(
            self._msg.NormalizedRegionOfInterest2D(
                header=header, xmin=left / width, ymin=top / height,
                xmax=right / width, ymax=bottom / height, c=float(pose.confidence.mean()),
            )
        )  # fmt: skip
        cropped = self._publishers["cropped"]
        if cropped.get_subscription_count():
            cropped.publish(convert.image_message(image[top:bottom, left:right], header))

    def destroy(self) -> None:
        """Take the publishers back."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)


def region_px(joints_px: np.ndarray, camera: Camera) -> tuple[int, int, int, int] | None:
    """The region of a body: first column and row, and those behind the last [px].

    Args:
        joints_px: [21, 2] the fitted joints in the image, NaN behind the camera.

    Returns:
        None if nothing of it is in the image.
    """
    joints_px = joints_px[np.isfinite(joints_px).all(axis=1)]
    if not len(joints_px):
        return None
    low, high = joints_px.min(axis=0), joints_px.max(axis=0)
    margin = MARGIN * (high - low).max()
    size = (camera.width, camera.height)
    left, top = np.clip(np.floor(low - margin + 0.5), 0, size).astype(int).tolist()
    right, bottom = np.clip(np.ceil(high + margin + 0.5), 0, size).astype(int).tolist()
    return (left, top, right, bottom) if left < right and top < bottom else None


def fill_keypoints(skeleton: Any, pose: Pose, camera: Camera) -> None:
    """Write the joints that OpenPose's COCO model shares with ours into a Skeleton2D.

    The others (nose, eyes, ears) and those outside the image are 0 and of confidence 0, as
    keypoints that OpenPose does not detect.
    """
    size = np.array([camera.width, camera.height])
    places = (pose.joints_px + 0.5) / size  # a pixel's coordinates are those of its middle
    is_inside = ((places >= 0.0) & (places <= 1.0)).all(axis=1)
    rows = zip(JOINT_NAMES, places.tolist(), pose.confidence.tolist(), is_inside.tolist())
    for name, (x, y), confidence, inside in rows:
        code = getattr(skeleton, name.upper(), None)
        if inside and code is not None:
            point = skeleton.skeleton[code]
            point.x, point.y, point.c = x, y, confidence
