"""Start RViz in the frame of the images, looking at the body, on the topics of a node.

The fixed frame is `--frame`, else the node's `target_frame`, else the frame of the first image.
In an optical frame, whose z axis points forward, the view is the camera's own.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import rclpy
import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from rcl_interfaces.srv import GetParameters
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import qos_profile_sensor_data
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CompressedImage, Image

from vnect_ros.config import NodeConfig
from vnect_ros.errors import VnectError
from vnect_ros.ros.ending import end_ros
from vnect_ros.ros.naming import body_id

ASKED = ("body_id", "image_transport", "max_people", "target_frame", "ground_frame")
ANSWER_TIMEOUT_S = 10.0
FIXED = "<Fixed Frame>"
OPTICAL_VIEW = {"Pitch": -1.5697963, "Yaw": 4.712389, "Focal Point": {"X": 0, "Y": 0, "Z": 3}}
"""Along the z axis, with the y axis down, at what is 3 m ahead."""
UPRIGHT_VIEW = {"Pitch": 0.35, "Yaw": 3.6, "Focal Point": {"X": 2.5, "Y": 0, "Z": 0}}
"""From behind the camera, for frames with z up and x forward."""


def main(args: list[str] | None = None) -> int:
    """Wait for the frame, write RViz's configuration, and become RViz."""
    arguments = sys.argv[1:] if args is None else args
    parsed = _parse(remove_ros_args(["rviz", *arguments])[1:])
    rclpy.init(args=["rviz", *arguments])
    try:
        rviz2 = _executable()
        node = rclpy.create_node("vnect_rviz")
        display = adapted(
            yaml.safe_load(Path(parsed.config).read_text(encoding="utf-8")),
            frame=parsed.frame,
            node=node,
        )
    except VnectError as error:
        print(f"rviz: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        end_ros()
    file = Path(tempfile.gettempdir()) / f"vnect_{os.getpid()}.rviz"
    file.write_text(yaml.safe_dump(display, sort_keys=False), encoding="utf-8")
    ros = arguments[arguments.index("--ros-args") :] if "--ros-args" in arguments else []
    return os.execv(rviz2, [rviz2, "-d", str(file), *ros])


def adapted(display: dict[str, Any], frame: str, node: Node) -> dict[str, Any]:
    """RViz's configuration for the node `vnect` in the same namespace.

    Args:
        display: what config/vnect.rviz holds.
        frame: fixed frame; empty: the node's or the images' own.
    """
    asked = _parameters(node)
    frame = frame or asked["target_frame"]
    optical = not frame or "optical" in frame
    frame = frame or _frame_of_images(node, asked["image_transport"])
    manager = display["Visualization Manager"]
    manager["Global Options"]["Fixed Frame"] = frame
    shown = {each["Class"].rpartition("/")[2]: each for each in manager["Displays"]}
    shown["MarkerArray"]["Topic"]["Value"] = node.resolve_topic_name("markers")
    shown["Image"]["Topic"]["Value"] = node.resolve_topic_name("debug/image")
    shown["Grid"]["Enabled"] = bool(asked["ground_frame"]) or not optical
    shown["Grid"]["Reference Frame"] = asked["ground_frame"] or FIXED
    view = manager["Views"]["Current"]
    view.update(OPTICAL_VIEW if optical else UPRIGHT_VIEW)
    one = asked["max_people"] == 1 and bool(asked["body_id"])
    shown["RobotModel"]["Enabled"] = one
    view["Target Frame"] = FIXED
    if one:
        human = body_id(asked["body_id"], node.get_namespace())
        urdf = node.resolve_topic_name(f"bodies/{human}/urdf")
        shown["RobotModel"]["Description Topic"]["Value"] = urdf
        view["Target Frame"] = f"body_{human}"
        view["Focal Point"] = {"X": 0, "Y": 0, "Z": 0}
    return display


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rviz", description=__doc__)
    parser.add_argument("--config", required=True, metavar="FILE", help="config/vnect.rviz")
    parser.add_argument("--frame", default="", help="fixed frame (default: the images' own)")
    return parser.parse_args(arguments)


def _executable() -> str:
    """RViz 2.

    Raises:
        VnectError: it is not installed.
    """
    try:
        return os.path.join(get_package_prefix("rviz2"), "lib", "rviz2", "rviz2")
    except PackageNotFoundError as error:
        raise VnectError(f"RViz is not installed: {error}") from None


def _parameters(node: Node) -> dict[str, Any]:
    """Options of the node `vnect`; their defaults where it does not answer."""
    defaults = {name: getattr(NodeConfig(), name) for name in ASKED}
    client = node.create_client(GetParameters, "vnect/get_parameters")
    if not client.wait_for_service(timeout_sec=ANSWER_TIMEOUT_S):
        node.get_logger().warning("the node vnect does not answer: RViz is set up for its defaults")
        return defaults
    future = client.call_async(GetParameters.Request(names=list(ASKED)))
    rclpy.spin_until_future_complete(node, future, timeout_sec=ANSWER_TIMEOUT_S)
    if not future.done() or future.result() is None:
        return defaults
    return dict(zip(ASKED, map(parameter_value_to_python, future.result().values)))


def _frame_of_images(node: Node, transport: str) -> str:
    """The frame that the first image states; waits for one."""
    found: list[str] = []
    compressed = transport == "compressed"
    topic = node.resolve_topic_name("image") + ("/compressed" if compressed else "")
    node.create_subscription(
        CompressedImage if compressed else Image,
        topic,
        lambda image: found.append(image.header.frame_id),
        qos_profile_sensor_data,
    )
    told_s = time.monotonic()
    while not found:
        rclpy.spin_once(node, timeout_sec=0.1)
        if time.monotonic() - told_s > ANSWER_TIMEOUT_S:
            told_s = time.monotonic()
            node.get_logger().info(f"waiting for an image on {topic}: RViz needs its frame")
    return found[-1]


if __name__ == "__main__":
    raise SystemExit(main())
