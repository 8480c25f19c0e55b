"""What a frame has besides its image: the floor, depth, boxes of people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.validate_topic_name import validate_topic_name
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from vnect_ros.config import NodeConfig
from vnect_ros.errors import ConfigError, describe
from vnect_ros.records import Plane
from vnect_ros.ros import detections
from vnect_ros.ros.depth_input import DepthInput
from vnect_ros.ros.detections import DetectionInput
from vnect_ros.ros.target_frame import GroundFrame


@dataclass(frozen=True)
class Extras:
    """Where each comes from; None where the node is not to use it."""

    floor: GroundFrame | None = None
    depth: DepthInput | None = None
    detections: DetectionInput | None = None

    @classmethod
    def configured(cls, node: Node, config: NodeConfig, floor: GroundFrame | None) -> Extras:
        """Those that a configuration asks for.

        Raises:
            ConfigError: a topic's name is none, or its messages are not installed.
        """
        depth = _topic(node, "depth_image", config.depth_image)
        detected = _topic(node, "detections", config.detections)
        if detected:
            detections.message_type()  # or it is refused here
        return cls(
            floor,
            DepthInput(depth) if depth else None,
            DetectionInput(detected) if detected else None,
        )

    def subscribe(self, subscribe: Callable[[type, str, Callable[[Any], None]], Any]) -> list[Any]:
        """The subscriptions, each made by a function of message type, topic and callback."""
        made = []
        if self.depth is not None:
            made.append(subscribe(Image, self.depth.topic, self.depth.put))
        if self.detections is not None:
            kind = detections.message_type()
            made.append(subscribe(kind, self.detections.topic, self.detections.put))
        return made

    def of(
        self, header: Header, width: int, height: int, config: NodeConfig
    ) -> tuple[Plane | None, np.ndarray | None, np.ndarray | None]:
        """Floor, depth [height, width] and boxes [N, 4] of an image, in the order of `Frame`.

        Args:
            header: the image's.
            width, height: of the image [px].
            config: the node's, as it is now.
        """
        labels = [label.strip() for label in config.detection_labels.split(",") if label.strip()]
        return (
            None if self.floor is None else self.floor.plane(header),
            None if self.depth is None else self.depth.depth_m(header, width, height),
            None
            if self.detections is None
            else self.detections.boxes_px(header, width, height, labels),
        )

    def states(self) -> dict[str, tuple[str, str]]:
        """What the last image had of each, and why it had none, for diagnostics."""
        named = {"floor": self.floor, "depth": self.depth, "detections": self.detections}
        return {name: (e.used, e.fault) for name, e in named.items() if e is not None}


def _topic(node: Node, key: str, name: str) -> str:
    """The topic that an option names, remapping applied; "" for none.

    Raises:
        ConfigError: it is no topic's name.
    """
    if not name:
        return ""
    try:
        validate_topic_name(name)
    except InvalidTopicNameException as error:
        raise ConfigError(describe(key, name, "a topic's name")) from error
    return str(node.resolve_topic_name(name))
