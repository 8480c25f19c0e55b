"""Start the node `vnect`, and RViz on request.

ros2 launch vnect_ros vnect.launch.py image:=/camera/image_raw camera_info:=/camera/camera_info

Every option of the node is an argument (`--show-args`).  One that is left empty is not passed
on: the parameter file's value or the node's own default holds.
"""

from pathlib import Path

from launch import LaunchDescription

from vnect_ros.ros import launching

SHARE = Path(__file__).resolve().parents[1]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    return launching.description(
        __file__, lambda values: launching.vnect_nodes(values, SHARE), launching.OTHERS
    )
