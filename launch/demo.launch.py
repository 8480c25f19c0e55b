"""Follow the people in a video, or in the bundled clip, and show them in RViz.

ros2 launch vnect_ros demo.launch.py
ros2 launch vnect_ros demo.launch.py video:=walk.mp4 fov:=50

The arguments of vnect.launch.py may be given as well (`--show-args`).
"""

from pathlib import Path

from launch import LaunchDescription
from launch_ros.actions import Node

from vnect_ros.ros import launching

SHARE = Path(__file__).resolve().parents[1]
ARGUMENTS = {
    **launching.OTHERS,
    "video": ("", "video, bag, folder of images or number of a webcam; empty: the bundled clip"),
    "camera": ("", "YAML of camera_calibration"),
    "fov": ("", "vertical field of view in place of a calibration [deg]"),
    "rviz": ("true", "show it in RViz"),
    "rviz_frame": ("camera_link", "fixed frame of RViz"),
}
OPTICAL = ["--roll", "-1.5707963", "--yaw", "-1.5707963"]
"""The optical axes (x right, z forward) in those of the camera's body (x forward, z up)."""


def start(values: launching.Values) -> list[Node]:
    """A camera that plays the video, its place in TF, and what vnect.launch.py starts."""
    source = [values["video"]] if values["video"] else []
    if source and not values["video"].isdigit():
        launching.existing("video", values["video"])
    if values["camera"]:
        source += ["--camera", launching.existing("camera", values["camera"])]
    source += ["--fov", values["fov"]] if values["fov"] else []
    frames = ["--frame-id", "camera_link", "--child-frame-id", "camera_optical_frame"]
    return [
        Node(
            package="vnect_ros",
            executable="video_publisher",
            arguments=source,
            namespace=values["namespace"],
            remappings=launching.camera_topics(values),
            output="screen",
        ),
        Node(
            package="tf2_ros",
            executable="static_transform_publisher",
            arguments=[*OPTICAL, *frames],
        ),
        *launching.vnect_nodes(values, SHARE),
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    return launching.description(__file__, start, ARGUMENTS)
