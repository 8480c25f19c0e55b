"""The launch files: every option is an argument, and nothing starts that cannot go on."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("launch.actions", reason="launch has no wheel: a stock ROS has it")
pytest.importorskip("launch_ros", reason="launch_ros has no wheel: a stock ROS has it")
from launch import LaunchContext
from launch.actions import DeclareLaunchArgument
from launch_ros.utilities import evaluate_parameters

from vnect_ros.config import NodeConfig, flatten
from vnect_ros.errors import ConfigError
from vnect_ros.ros import launching

pytestmark = pytest.mark.ros
LAUNCH = Path(__file__).resolve().parents[1] / "launch"
FILES = sorted(LAUNCH.glob("*.launch.py"))
STARTED = "process started with pid"
ROS2_LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
file, *argv = sys.argv[1:]
given = [tuple(word.split(":=", 1)) for word in argv]
service = LaunchService(argv=argv)
source = AnyLaunchDescriptionSource(file)
include = IncludeLaunchDescription(source, launch_arguments=given)
service.include_launch_description(LaunchDescription([include]))
sys.exit(service.run())
"""
"""What `ros2 launch FILE NAME:=VALUE` does."""
BRINGUP = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

def generate_launch_description():
    source = PythonLaunchDescriptionSource({file!r})
    include = IncludeLaunchDescription(source, launch_arguments=[("person_height", "1.9")])
    return LaunchDescription([DeclareLaunchArgument("robot", default_value=""), include])
"""


def module_of(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("launch_file", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arguments_of(file: Path) -> dict[str, DeclareLaunchArgument]:
    entities = module_of(file).generate_launch_description().entities
    return {each.name: each for each in entities if isinstance(each, DeclareLaunchArgument)}


def values(**changes: str) -> dict[str, str]:
    """What the arguments are where none is given but these."""
    empty = dict.fromkeys(launching.PARAMETERS, "")
    return empty | {name: value for name, (value, _) in launching.OTHERS.items()} | changes


def start(file: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", ROS2_LAUNCH, str(file), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_every_option_is_an_argument_of_every_launch_file(file):
    arguments = arguments_of(file)
    assert set(launching.PARAMETERS) | set(launching.OTHERS) <= set(arguments)
    assert set(launching.PARAMETERS.values()) == set(flatten(NodeConfig()))
    assert {"person_height", "max_people", "body_id", "use_sim_time", "log_level"} <= set(arguments)
    for name in launching.PARAMETERS:
        assert arguments[name].default_value[0].text == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"person_height": "tall"}, "person_height: got 'tall', accepted: a number"),
        ({"person_height": "9"}, "person_height: got 9.0, accepted: at most 2.5"),
        ({"use_sim_time": "yes"}, "use_sim_time: got 'yes', accepted: true, false"),
        ({"rviz": "maybe"}, "rviz: got 'maybe', accepted: true, false"),
        ({"log_level": "loud"}, "log_level: got 'loud', accepted: debug, info"),
        ({"params_file": "/nowhere"}, "params_file: got '/nowhere', accepted: an existing path"),
    ],
)
def test_a_value_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        launching.vnect_nodes(values(**changes), LAUNCH.parent)


@pytest.mark.parametrize(
    ("file", "argument", "message"),
    [
        ("vnect.launch.py", "person_heigth:=1.9", "launch argument: got 'person_heigth', accepted"),
        ("demo.launch.py", "vido:=walk.mp4", "launch argument: got 'vido', accepted"),
        ("demo.launch.py", "video:=nowhere.mp4", "video: got 'nowhere.mp4', accepted"),
        ("demo.launch.py", "rviz:=true", "rviz2 of rviz2 is not installed"),
        ("usb_cam.launch.py", "rviz:=false", "usb_cam_node_exe of usb_cam is not installed"),
        ("realsense.launch.py", "rviz:=false", "realsense2_camera_node of realsense2_camera is"),
    ],
)
def test_what_cannot_go_on_starts_nothing(tmp_path, file, argument, message):
    prefix = prefix_with(tmp_path, vnect_ros=["vnect", "video_publisher", "rviz"],
                         tf2_ros=["static_transform_publisher"])  # fmt: skip
    process = start(LAUNCH / file, argument, AMENT_PREFIX_PATH=str(prefix))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert message in output and STARTED not in output


def test_parameters_reach_the_node_and_the_arguments_of_who_includes_it_are_left_alone(
    rig, tmp_path
):
    bringup = tmp_path / "bringup.launch.py"
    bringup.write_text(BRINGUP.format(file=str(LAUNCH / "vnect.launch.py")))
    process = start(
        bringup, "robot:=ur5", "max_people:=1", "target_frame:=1", "autostart:=false",
        "body_id:=abcde", "publish_tf:=false", "use_sim_time:=true", "namespace:=cell",
    )  # fmt: skip
    try:
        wanted = {
            "fit.person_height": 1.9, "max_people": 1, "target_frame": "1", "body_id": "abcde",
            "autostart": False, "publish_tf": False, "use_sim_time": True,
        }  # fmt: skip
        assert {key: rig.get(key, "/cell/vnect") for key in wanted} == wanted
    finally:
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert output.count(STARTED) == 1


@pytest.mark.parametrize("depth", ["true", "false"])
def test_a_realsense_gives_depth_where_it_is_asked_for(depth):
    realsense = module_of(LAUNCH / "realsense.launch.py")
    own = {name: default for name, (default, _) in realsense.ARGUMENTS.items()}
    parameters = {}
    for node in realsense.start(values(**own) | {"depth": depth}):
        for given in evaluate_parameters(LaunchContext(), node._Node__parameters):
            parameters |= given
    on = depth == "true"
    assert parameters["enable_depth"] is on and parameters["align_depth.enable"] is on
    assert ("depth_image" in parameters) is on
    assert not on or parameters["depth_image"] == realsense.ALIGNED


def prefix_with(folder: Path, **packages: list[str]) -> Path:
    """An install prefix in which only these executables are found; none of them runs."""
    index = folder / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    for package, executables in packages.items():
        (index / package).touch()
        place = folder / "lib" / package
        place.mkdir(parents=True)
        for name in executables:
            (place / name).write_text("#!/bin/sh\nexit 3\n")
            (place / name).chmod(0o755)
    return folder
