"""Follow people with the colour image of a RealSense (package realsense2_camera).

ros2 launch vnect_ros realsense.launch.py rviz:=true depth:=true

The arguments of vnect.launch.py may be given as well (`--show-args`).  Start the driver
yourself with `camera:=false`; its topics are then expected under their usual names.
"""

from pathlib import Path

from launch import LaunchDescription
from launch_ros.actions import Node

from vnect_ros.ros import launching

ALIGNED = "/camera/camera/aligned_depth_to_color/image_raw"
SHARE = Path(__file__).resolve().parents[1]
ARGUMENTS = {
    **launching.OTHERS,
    "image": ("/camera/camera/color/image_raw", "topic of the images"),
    "camera_info": ("/camera/camera/color/camera_info", "topic of the CameraInfo"),
    "camera": ("true", "start the driver"),
    "depth": ("false", "measure people by the depth image, aligned to the colour image"),
    "color_profile": ("640,480,30", "width, height and rate of the colour stream"),
}


def start(values: launching.Values) -> list[Node]:
    """The camera's driver, and what vnect.launch.py starts."""
    depth = launching.boolean("depth", values["depth"])
    if depth and not values["depth_image"]:
        values = {**values, "depth_image": ALIGNED}
    vnect = launching.vnect_nodes(values, SHARE)
    if not launching.boolean("camera", values["camera"]):
        return vnect
    own = {
        "enable_color": True,
        "enable_depth": depth,
        "align_depth.enable": depth,
        "rgb_camera.color_profile": values["color_profile"],
    }
    camera = Node(
        package="realsense2_camera",
        executable="realsense2_camera_node",
        name="camera",
        namespace="camera",
        parameters=[own],
        output="screen",
    )
    return [camera, *vnect]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    return launching.description(__file__, start, ARGUMENTS)
