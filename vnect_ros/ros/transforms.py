"""Where the camera is in other frames when an image is taken, by /tf and /tf_static.

rclpy's own listener (tf2_ros) reads every message, in Python: those of tracked bodies,
60 transforms a person and image, would keep the thread busy that receives images.  They
are known by their first bytes here and left unread.
"""

from __future__ import annotations

import re
import time
from threading import Condition
from typing import Final

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.time import Time
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from vnect_ros.errors import ImageError
from vnect_ros.ros import transform_buffer
from vnect_ros.ros.transform_buffer import NoTransform

WAIT_S: Final = 0.05
"""How long a transform may come behind its image [s]."""
SET_BACK_NS: Final = 5_000_000_000
"""A frame's transform older than its last by more is of a clock that was set back."""
_STATIC = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_BODY = re.compile(rb"\x00body_([a-zA-Z][a-zA-Z0-9]{4})\x00")
_HEAD = 300
"""Bytes that the first transform's names stand in."""


class TransformListener:
    """Fills a buffer in the executor's thread; `lookup` may be called from any."""

    def __init__(self, node: Node) -> None:
        """Begin to listen."""
        self._node, self._changed = node, Condition()
        self._buffer = transform_buffer.make()
        self._newest_ns: dict[str, int] = {}
        self._subscriptions = [
            node.create_subscription(TFMessage, "/tf", self._on_tf, 100, raw=True),
            node.create_subscription(TFMessage, "/tf_static", self._on_tf_static, _STATIC),
        ]

    def lookup(self, target: str, header: Header) -> np.ndarray:
        """[4, 4] float64: the header's frame, placed in the target frame at its stamp.

        Waits for a transform that is expected to come within WAIT_S.

        Raises:
            ImageError: there is none.
        """
        source, stamp_ns = header.frame_id.lstrip("/"), Time.from_msg(header.stamp).nanoseconds
        deadline = time.monotonic() + WAIT_S
        with self._changed:
            while True:
                try:
                    return self._buffer.lookup(target.lstrip("/"), source, stamp_ns)
                except NoTransform as error:
                    left_s = deadline - time.monotonic()
                    if left_s <= 0.0 or not error.may_come:
                        raise ImageError(
                            f"no transform from {source!r} to {target!r}: {error}"
                        ) from error
                self._changed.wait(left_s)

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _on_tf(self, serialized: bytes) -> None:
        if not is_of_body(serialized):
            self._put(deserialize_message(serialized, TFMessage), is_static=False)

    def _on_tf_static(self, message: TFMessage) -> None:
        self._put(message, is_static=True)

    def _put(self, message: TFMessage, is_static: bool) -> None:
        with self._changed:
            for transform in message.transforms:
                if not is_static:
                    self._forget_the_future(transform)
                self._buffer.put(transform, is_static)
            self._changed.notify_all()

    def _forget_the_future(self, transform: TransformStamped) -> None:
        """What came before the clock was set back holds no more."""
        child = transform.child_frame_id
        stamp_ns = Time.from_msg(transform.header.stamp).nanoseconds
        if stamp_ns < self._newest_ns.get(child, stamp_ns) - SET_BACK_NS:
            self._buffer.clear()
            self._newest_ns.clear()
        self._newest_ns[child] = stamp_ns


def is_of_body(serialized: bytes) -> bool:
    """Whether a TFMessage is that of a tracked body: `body_<id>` first, then its links."""
    first = _BODY.search(serialized, 0, _HEAD)
    return first is not None and b"head_top_" + first[1] in serialized
