"""Start the node `vnect`, and RViz on request.

ros2 launch vnect_ros vnect.launch.py image:=/camera/image_raw camera_info:=/camera/camera_info

An argument left empty is not passed on: the node's own default holds (config/vnect.yaml).
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from vnect_ros.ros.naming import body_id

PARAMETERS = {
    "model": "name or folder of the model bundle",
    "backend": "runtime of the network",
    "image_transport": "raw or compressed",
    "target_frame": "frame of skeletons and markers",
}
"""Launch arguments that are parameters of the node under the same name."""
OTHERS = {
    "image": ("image", "topic of the images, without /compressed"),
    "camera_info": ("camera_info", "topic of the CameraInfo"),
    "namespace": ("", "namespace of the node and its topics"),
    "params_file": ("", "YAML of parameters, see config/vnect.yaml"),
    "rviz": ("false", "show markers, TF, robot model and debug image in RViz"),
    "rviz_frame": ("camera_link", "fixed frame of RViz"),
}


def start(context: LaunchContext) -> list[Node]:
    """The nodes, once the arguments have values."""
    values = {name: LaunchConfiguration(name).perform(context) for name in (*PARAMETERS, *OTHERS)}
    namespace = values["namespace"]
    given = {name: values[name] for name in PARAMETERS if values[name]}
    files = [values["params_file"]] if values["params_file"] else []
    nodes = [
        Node(
            package="vnect_ros",
            executable="vnect",
            name="vnect",
            namespace=namespace,
            parameters=[*files, given],
            remappings=[("image", values["image"]), ("camera_info", values["camera_info"])],
            output="screen",
        )
    ]
    if values["rviz"].lower() in ("true", "1"):
        human = f"bodies/{body_id('auto', namespace)}/urdf"
        config = Path(__file__).resolve().parents[1] / "config" / "vnect.rviz"
        nodes.insert(  # first: if RViz is missing, nothing has been started yet
            0,
            Node(
                package="rviz2",
                executable="rviz2",
                namespace=namespace,
                arguments=["-d", str(config), "-f", values["rviz_frame"]],
                remappings=[
                    ("/markers", "markers"),
                    ("/debug/image", "debug/image"),
                    ("/bodies/human/urdf", human),
                ],
            ),
        )
    return nodes


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    arguments = [
        DeclareLaunchArgument(name, default_value="", description=f"{text}; empty: see the config")
        for name, text in PARAMETERS.items()
    ]
    arguments += [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in OTHERS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
