"""RViz is started in the frame of the images and on the node's own topics."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="needs ROS 2")
from rclpy.qos import qos_profile_sensor_data
from ros_rig import wait
from sensor_msgs.msg import Image
from std_msgs.msg import Header

pytestmark = pytest.mark.ros
CONFIG = Path(__file__).resolve().parents[1] / "config" / "vnect.rviz"
RVIZ2 = """#!/bin/sh
echo "$@" > "$RVIZ_ARGUMENTS.new"
cp "$2" "$RVIZ_CONFIG"
mv "$RVIZ_ARGUMENTS.new" "$RVIZ_ARGUMENTS"
"""


@pytest.fixture
def run_rviz(tmp_path):
    """Runs the executable with an RViz that keeps what it is given."""
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "rviz2").touch()
    (tmp_path / "lib" / "rviz2").mkdir(parents=True)
    rviz2 = tmp_path / "lib" / "rviz2" / "rviz2"
    rviz2.write_text(RVIZ2)
    rviz2.chmod(0o755)
    prefixes = os.pathsep.join([str(tmp_path), os.environ.get("AMENT_PREFIX_PATH", "")])

    def run(*arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "vnect_ros.ros.rviz", "--config", str(CONFIG), *arguments],
            env={
                **os.environ, "AMENT_PREFIX_PATH": prefixes,
                "RVIZ_ARGUMENTS": str(tmp_path / "arguments"),
                "RVIZ_CONFIG": str(tmp_path / "config.rviz"),
            },
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return run


def shown(folder: Path) -> tuple[dict, dict, dict]:
    """RViz's options, its displays by class, and its view."""
    manager = yaml.safe_load((folder / "config.rviz").read_text())["Visualization Manager"]
    displays = {each["Class"].rpartition("/")[2]: each for each in manager["Displays"]}
    return manager["Global Options"], displays, manager["Views"]["Current"]


def test_the_images_own_frame_and_the_nodes_topics(rig, run_rviz, tmp_path):
    rig.start("cell", camera=False, autostart=False, max_people=1, body_id="abcde")
    publisher = rig.here.create_publisher(Image, "/cam/image", qos_profile_sensor_data)
    image = Image(header=Header(frame_id="cam7"), height=1, width=1, encoding="mono8", step=1)
    image.data = b"\0"
    process = run_rviz("--ros-args", "-r", "__ns:=/cell", "-r", "image:=/cam/image")
    try:
        wait(
            lambda: publisher.publish(image) or (tmp_path / "arguments").exists(),
            "RViz to start", 60.0,
        )  # fmt: skip
        assert process.wait(20) == 0
    finally:
        process.kill()
    options, displays, view = shown(tmp_path)
    assert options["Fixed Frame"] == "cam7"
    assert displays["MarkerArray"]["Topic"]["Value"] == "/cell/markers"
    assert displays["Image"]["Topic"]["Value"] == "/cell/debug/image"
    urdf = displays["RobotModel"]["Description Topic"]["Value"]
    assert urdf == "/cell/bodies/abcde/urdf" and displays["RobotModel"]["Enabled"]
    assert view["Target Frame"] == "body_abcde"
    assert view["Pitch"] < -1.5 and not displays["Grid"]["Enabled"]  # z is not up here
    assert "__ns:=/cell" in (tmp_path / "arguments").read_text()


@pytest.mark.parametrize("given", ["argument", "parameter"])
def test_an_upright_frame_that_is_asked_for_needs_no_image(rig, run_rviz, tmp_path, given):
    parameter = {"target_frame": "base_link"} if given == "parameter" else {"ground_frame": "map"}
    rig.start(camera=False, autostart=False, max_people=3, **parameter)
    process = run_rviz(*(["--frame", "base_link"] if given == "argument" else []))
    try:
        assert process.wait(60) == 0
    finally:
        process.kill()
    options, displays, view = shown(tmp_path)
    assert options["Fixed Frame"] == "base_link"
    assert displays["Grid"]["Enabled"] and 0.0 < view["Pitch"] < 1.0
    floor = parameter.get("ground_frame", "<Fixed Frame>")
    assert displays["Grid"]["Reference Frame"] == floor
    # Of several people none has a name that is known beforehand.
    assert not displays["RobotModel"]["Enabled"] and view["Target Frame"] == "<Fixed Frame>"


def test_an_interrupt_while_it_waits_ends_it_quietly(rig, run_rviz):
    rig.start(camera=False, autostart=False)
    process = run_rviz()
    try:
        wait(lambda: rig.here.count_subscribers("/image"), "a subscription to the images", 60.0)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0 and "Traceback" not in errors


def test_without_rviz_the_error_says_so(ros_domain):
    done = subprocess.run(
        [sys.executable, "-m", "vnect_ros.ros.rviz", "--config", str(CONFIG)],
        capture_output=True, text=True, timeout=60,
        env={**os.environ, "AMENT_PREFIX_PATH": "/nowhere"},
    )  # fmt: skip
    assert done.returncode == 1 and "RViz is not installed" in done.stderr
