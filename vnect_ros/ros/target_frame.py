"""The target frame: where skeletons and markers are placed, by tf2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from vnect_ros.errors import ConfigError, ImageError, describe
from vnect_ros.ros.convert import Placement

if TYPE_CHECKING:
    from rclpy.node import Node

WAIT_S = 0.05
"""How long a transform may come behind its image."""


class TargetFrame:
    """Listens to /tf and places the camera in a frame of the user's choice."""

    def __init__(self, node: Node, frame: str) -> None:
        """Begin to listen.

        Raises:
            ConfigError: tf2_ros is not installed.
        """
        try:
            import tf2_ros
        except ImportError as error:
            accepted = "'' (the image's own frame): tf2_ros is not installed"
            raise ConfigError(describe("target_frame", frame, accepted)) from error
        self._tf2, self.frame = tf2_ros, frame
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def placement(self, header: Header) -> tuple[Placement, Header]:
        """The camera in the target frame at the image's time, and the header that says so.

        Raises:
            ImageError: there is no such transform.
        """
        from rclpy.duration import Duration
        from rclpy.time import Time

        try:
            found = self._buffer.lookup_transform(
                self.frame, header.frame_id, Time.from_msg(header.stamp), Duration(seconds=WAIT_S)
            ).transform
        except self._tf2.TransformException as error:
            raise ImageError(
                f"target_frame: no transform from {header.frame_id!r} to {self.frame!r}: {error}"
            ) from error
        turn, shift = found.rotation, found.translation
        rotation = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
        placement = Placement(rotation, np.array([shift.x, shift.y, shift.z]))
        return placement, Header(stamp=header.stamp, frame_id=self.frame)

    def close(self) -> None:
        """Stop listening."""
        self._listener.unregister()
