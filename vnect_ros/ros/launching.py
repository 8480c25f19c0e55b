"""What the launch files share: their arguments, and nodes that are known to be able to start.

Every option of the node is a launch argument.  All values are checked, and all files and
executables found, before the first process starts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, SubstitutionFailure
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import ExecutableInPackage

from vnect_ros.config import NodeConfig, flatten, from_texts, options, replace
from vnect_ros.errors import ConfigError, VnectError, describe

SHORT_NAMES = {"fit.person_height": "person_height"}
"""Options whose argument is not called as the option is."""
PARAMETERS = {SHORT_NAMES.get(key, key): key for key in flatten(NodeConfig())}
"""Launch argument to option of the node; an argument left empty is not passed on."""
OTHERS = {
    "image": ("image", "topic of the images, without /compressed"),
    "camera_info": ("camera_info", "topic of the CameraInfo"),
    "namespace": ("", "namespace of the node and its topics"),
    "params_file": ("", "YAML of parameters, see config/vnect.yaml"),
    "use_sim_time": ("", "take the time from /clock"),
    "log_level": ("", "debug, info, warn, error or fatal"),
    "rviz": ("false", "show markers, TF, robot model and debug image in RViz"),
    "rviz_frame": ("", "fixed frame of RViz; empty: target_frame, else the images' own frame"),
}
"""Launch arguments that are none of the node's options: default and description."""
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
OF_LAUNCH = ("launch-prefix", "launch-prefix-filter", "emulate_tty", "sigterm_timeout",
             "sigkill_timeout")  # fmt: skip
"""Arguments that `launch` itself reads."""

Values = Mapping[str, str]


def description(
    file: str, start: Callable[[Values], list[Node]], others: Mapping[str, tuple[str, str]]
) -> LaunchDescription:
    """A launch file whose arguments are the node's options and `others`.

    Args:
        file: the launch file's path (`__file__`).
        start: gives the nodes, once the arguments have values.
        others: name to default and description.
    """
    known = options(NodeConfig())
    declared = [
        DeclareLaunchArgument(
            name,
            default_value="",
            description=f"{known[key].metadata['doc']} (if not given: the parameter file's value,"
            f" else {known[key].default!r})",
        )
        for name, key in PARAMETERS.items()
    ]
    declared += [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in others.items()
    ]

    def run(context: LaunchContext) -> list[Node]:
        names = [argument.name for argument in declared]
        _refuse_unknown(context.argv, file, names)
        nodes = start({name: LaunchConfiguration(name).perform(context) for name in names})
        for node in nodes:
            _refuse_missing(context, node.node_package, node.node_executable)
        if any(node.node_executable == "rviz" for node in nodes):
            _refuse_missing(context, "rviz2", "rviz2")
        return nodes

    return LaunchDescription([*declared, OpaqueFunction(function=run)])


def vnect_nodes(values: Values, share: Path) -> list[Node]:
    """The node `vnect`, and RViz where it is asked for.

    Args:
        values: of the arguments PARAMETERS and OTHERS.
        share: folder that holds config/.

    Raises:
        ConfigError: a value is refused, or the parameter file is missing.
    """
    given = _parameters(values)
    own = {
        key: ParameterValue(value, value_type=str) if isinstance(value, str) else value
        for key, value in given.items()
    }
    vnect = Node(
        package="vnect_ros",
        executable="vnect",
        name="vnect",
        namespace=values["namespace"],
        parameters=[*_parameter_files(values), own] if own else _parameter_files(values),
        remappings=camera_topics(values),
        ros_arguments=_log_level(values),
        output="screen",
    )
    if not boolean("rviz", values["rviz"]):
        return [vnect]
    return [vnect, _rviz(values, given, share)]


def boolean(name: str, text: str) -> bool:
    """The value of an argument that is on or off.

    Raises:
        ConfigError: it is neither.
    """
    accepted = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in accepted:
        raise ConfigError(describe(name, text, "true, false"))
    return accepted[text.lower()]


def existing(name: str, path: str) -> str:
    """The path of an argument that names a file or folder.

    Raises:
        ConfigError: it does not exist.
    """
    if not Path(path).exists():
        raise ConfigError(describe(name, path, "an existing path"))
    return path


def camera_topics(values: Values) -> list[tuple[str, str]]:
    """Remappings of a node that publishes or reads the camera."""
    return [(name, values[name]) for name in ("image", "camera_info")]


def _rviz(values: Values, given: Mapping[str, Any], share: Path) -> Node:
    """RViz, which `vnect_ros.ros.rviz` starts once the images' frame is known."""
    frame = ["--frame", values["rviz_frame"]] if values["rviz_frame"] else []
    return Node(
        package="vnect_ros",
        executable="rviz",
        namespace=values["namespace"],
        arguments=["--config", str(share / "config" / "vnect.rviz"), *frame],
        parameters=[{"use_sim_time": given["use_sim_time"]}] if "use_sim_time" in given else [],
        remappings=camera_topics(values),
        output="screen",
    )


def _parameters(values: Values) -> dict[str, Any]:
    """The node's parameters that were given, in their own types and checked."""
    texts = {key: values[name] for name, key in PARAMETERS.items() if values[name]}
    given = from_texts(NodeConfig(), texts)
    replace(NodeConfig(), given)
    if values["use_sim_time"]:
        given["use_sim_time"] = boolean("use_sim_time", values["use_sim_time"])
    return given


def _parameter_files(values: Values) -> list[str]:
    file = values["params_file"]
    return [existing("params_file", file)] if file else []


def _log_level(values: Values) -> list[str]:
    level = values["log_level"].lower()
    if level and level not in LOG_LEVELS:
        raise ConfigError(describe("log_level", level, ", ".join(LOG_LEVELS)))
    return ["--log-level", level] if level else []


def _refuse_unknown(argv: Sequence[str], file: str, names: Sequence[str]) -> None:
    """Refuse NAME:=VALUE of the command line that nothing reads.

    Only where this launch file was started itself: one that includes it has
    arguments of its own on the same command line.
    """
    if Path(file).name not in (Path(word).name for word in sys.argv):
        return
    for word in argv:
        name = word.partition(":=")[0]
        if name not in (*names, *OF_LAUNCH):
            raise ConfigError(describe("launch argument", name, ", ".join(names)))


def _refuse_missing(context: LaunchContext, package: str, executable: str) -> None:
    """Find an executable now, not when other nodes have started already."""
    try:
        ExecutableInPackage(package=package, executable=executable).perform(context)
    except (PackageNotFoundError, SubstitutionFailure) as error:
        raise VnectError(f"{executable} of {package} is not installed: {error}") from None
