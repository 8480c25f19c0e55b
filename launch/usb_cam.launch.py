"""Follow people with a USB camera (package usb_cam).

ros2 launch vnect_ros usb_cam.launch.py video_device:=/dev/video2 rviz:=true
ros2 launch vnect_ros usb_cam.launch.py camera_info_url:=file:///home/me/camera.yaml

The arguments of vnect.launch.py may be given as well (`--show-args`).
"""

from pathlib import Path

from launch import LaunchDescription
from launch_ros.actions import Node

from vnect_ros.ros import launching

SHARE = Path(__file__).resolve().parents[1]
ARGUMENTS = {
    **launching.OTHERS,
    "image": ("/camera/image_raw", "topic of the images"),
    "camera_info": ("/camera/camera_info", "topic of the CameraInfo"),
    "video_device": ("/dev/video0", "the camera"),
    "camera_info_url": ("", "calibration of camera_calibration, as file:// or package:// URL"),
    "camera_params": ("", "YAML of usb_cam's own parameters (pixel_format, image_width, ...)"),
}


def start(values: launching.Values) -> list[Node]:
    """The camera's driver, and what vnect.launch.py starts."""
    own = {
        "video_device": values["video_device"],
        "camera_name": "camera",
        "frame_id": "camera_optical_frame",
        "camera_info_url": values["camera_info_url"],
    }
    file = values["camera_params"]
    camera = Node(
        package="usb_cam",
        executable="usb_cam_node_exe",
        name="usb_cam",
        namespace="camera",
        parameters=[own, *([launching.existing("camera_params", file)] if file else [])],
        remappings=[("image_raw", values["image"]), ("camera_info", values["camera_info"])],
        output="screen",
    )
    return [camera, *launching.vnect_nodes(values, SHARE)]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    return launching.description(__file__, start, ARGUMENTS)
