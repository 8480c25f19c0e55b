"""Follow the person in a video, or in the bundled clip, and show it in RViz.

ros2 launch vnect_ros demo.launch.py
ros2 launch vnect_ros demo.launch.py video:=walk.mp4 fov:=50
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

ARGUMENTS = {
    "video": ("", "video file, folder of images or number of a webcam; empty: the bundled clip"),
    "camera": ("", "YAML of camera_calibration"),
    "fov": ("", "vertical field of view in place of a calibration [deg]"),
    "rviz": ("true", "show it in RViz"),
}
OPTICAL = ["--roll", "-1.5707963", "--yaw", "-1.5707963"]
"""The optical axes (x right, z forward) in those of the camera's body (x forward, z up)."""


def start(context: LaunchContext) -> list:
    """The nodes, once the arguments have values."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    source = [values["video"]] if values["video"] else []
    for name in ("camera", "fov"):
        source += [f"--{name}", values[name]] if values[name] else []
    vnect = str(Path(__file__).resolve().parent / "vnect.launch.py")
    return [
        Node(package="vnect_ros", executable="video_publisher", arguments=source, output="screen"),
        Node(
            package="tf2_ros",
            executable="static_transform_publisher",
            arguments=[
                *OPTICAL, "--frame-id", "camera_link", "--child-frame-id", "camera_optical_frame"
            ],
        ),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(vnect), launch_arguments={"rviz": values["rviz"]}.items()
        ),
    ]  # fmt: skip


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes; those of vnect.launch.py may be given as well."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
