"""The video publisher as a process: on time, refusing what it cannot publish, ending when asked."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from rclpy.qos import qos_profile_sensor_data
from ros_rig import wait
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from videos import UNEVEN_S, damaged, encode, greys, undecodable

from vnect_ros.camera import Camera
from vnect_ros.messages.cameras import camera_from_message
from vnect_ros.messages.images import ImageReader
from vnect_ros.ros import video_publisher

pytestmark = pytest.mark.ros
CHECKOUT = Path(__file__).resolve().parents[1]
CALIBRATION = """
image_width: 64
image_height: 48
camera_matrix: {rows: 3, cols: 3, data: [60, 0, 31.5, 0, 60, 23.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0, 0, 0, 0]}
projection_matrix: {rows: 3, cols: 4, data: [50, 0, 31.5, 0, 0, 50, 23.5, 0, 0, 0, 1, 0]}
"""


def started(*arguments):
    command = [sys.executable, "-m", "vnect_ros.ros.video_publisher", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(*arguments):
    """The exit status and what was written to stderr."""
    process = started(*arguments)
    try:
        _, errors = process.communicate(timeout=60.0)
    finally:
        process.kill()
    return process.returncode, errors


def hear(rig):
    """All that is published from now on, by type."""
    heard = {Image: [], CameraInfo: []}
    for kind, topic in ((Image, "/image"), (CameraInfo, "/camera_info")):
        rig.here.create_subscription(kind, topic, heard[kind].append, qos_profile_sensor_data)
    return heard


@pytest.fixture
def calibration(tmp_path):
    (tmp_path / "camera.yaml").write_text(CALIBRATION)
    return tmp_path / "camera.yaml"


def test_frames_are_never_published_before_their_time(ros_domain, tmp_path):
    file = encode(tmp_path / "a.webm", greys(len(UNEVEN_S)), UNEVEN_S, "libvpx")
    status, errors = ended(file, "--once", "--log", tmp_path / "log.npz")
    assert status == 0, errors
    stamps_s = np.load(tmp_path / "log.npz")["stamps_s"]
    assert len(stamps_s) == len(UNEVEN_S)
    assert (stamps_s - stamps_s[0] > UNEVEN_S - video_publisher.LATE_S - 0.01).all()


def test_what_cannot_be_decoded_ends_it_with_an_error(ros_domain, tmp_path):
    status, errors = ended(undecodable(encode(tmp_path / "a.mp4", greys(5))))
    assert status == 1 and "a.mp4 (unknown codec)" in errors and "Traceback" not in errors
    status, errors = ended(damaged(encode(tmp_path / "b.mp4", greys(5)), list(range(5))))
    assert status == 1 and "at least one frame" in errors and "Traceback" not in errors


def test_lost_frames_are_told(ros_domain, tmp_path):
    file = damaged(encode(tmp_path / "a.mp4", greys(8)), [3, 4])
    status, errors = ended(file, "--once", "--log", tmp_path / "log.npz")
    assert status == 0 and "2 frames are lost" in errors
    assert len(np.load(tmp_path / "log.npz")["stamps_s"]) == 6


@pytest.mark.parametrize("size", [(64, 64), (48, 64)])
def test_a_calibration_of_another_aspect_is_refused(ros_domain, tmp_path, calibration, size):
    file = encode(tmp_path / "a.mp4", greys(5, size))
    status, errors = ended(file, "--camera", calibration)
    assert status == 1 and "camera size: got '64x48', accepted: the aspect of" in errors
    np.savez(tmp_path / "a_truth.npz", fx=60.0, fy=60.0, cx=31.5, cy=23.5, width=64, height=48)
    status, errors = ended(file)
    assert status == 1 and "camera size: got '64x48', accepted: the aspect of" in errors


@pytest.mark.parametrize("kind", ["mcap", "ros1"])
def test_a_bag_is_played(rig, tmp_path, kind):
    pytest.importorskip("rosbags", reason="needs rosbags")
    from bags import FIRST_NS, FRAME_ID, BagMaker, bag_path

    camera = Camera(64, 48, 60.0, 60.0, 31.0, 24.0, "plumb_bob", (-0.2, 0.05, 0.0, 0.0, 0.0))
    path = bag_path(tmp_path, kind)
    with BagMaker(path, kind) as bag:
        bag.write("/cam/camera_info", bag.info(FIRST_NS, camera), FIRST_NS)
        for i, image in enumerate(greys(8)):
            stamp_ns = FIRST_NS + i * 200_000_000
            bag.write("/cam/image_raw/compressed", bag.compressed(stamp_ns, image), stamp_ns)
    heard = hear(rig)
    process = started(path, "--once", "--wait", "30", "--log", tmp_path / "log.npz")
    try:
        _, errors = process.communicate(timeout=60.0)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    stamps_s = np.load(tmp_path / "log.npz")["stamps_s"]
    assert (stamps_s - stamps_s[0] > np.arange(8) * 0.2 - video_publisher.LATE_S - 0.01).all()
    # Best effort, of a process that has just begun: not every message need arrive.
    assert len(heard[Image]) >= 4 and len(heard[CameraInfo]) >= 4
    shown = [np.frombuffer(message.data, np.uint8).mean() for message in heard[Image]]
    assert shown == sorted(shown) and set(shown) <= {image.mean() for image in greys(8)}
    assert {message.header.frame_id for message in heard[Image]} == {FRAME_ID}
    assert camera_from_message(heard[CameraInfo][-1], 64, 48, 54.0) == (camera, "")


def test_images_of_another_size_as_jpegs(rig, tmp_path, calibration):
    video = encode(tmp_path / "greys.mp4", greys(8))
    heard = hear(rig)
    jpegs = []
    rig.here.create_subscription(
        CompressedImage, "/image/compressed", jpegs.append, qos_profile_sensor_data
    )
    process = started(
        video, "--camera", calibration, "--size", "128x72", "--compressed", "--fps", "5", "--once",
        "--wait", "30",
    )  # fmt: skip
    try:
        _, errors = process.communicate(timeout=60.0)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert len(jpegs) >= 4 and not heard[Image]
    message = jpegs[-1]
    assert message.format == "rgb8; jpeg compressed bgr8"
    image = ImageReader(None).read(message)
    assert image.shape == (72, 128, 3)
    assert image[:, :14].max() < 16 and image[:, 114:].max() < 16, "black beside"
    assert image[:, 18:110].mean() == pytest.approx(greys(8)[-1].mean(), abs=4)
    camera, fault = camera_from_message(heard[CameraInfo][-1], 128, 72, 54.0)
    assert fault == "" and (camera.fx, camera.cx) == (90.0, 63.5)


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_asked_to(rig, tmp_path, calibration, name):
    """In the middle of a long pause between two frames of a video that is repeated for ever."""
    file = encode(tmp_path / "a.mp4", greys(2, (128, 96)), np.array([0.0, 3000.0]))
    heard = hear(rig)
    process = started(file, "--camera", calibration, "--rectified", "--wait", "30")
    try:
        wait(lambda: heard[Image] and heard[CameraInfo], "the first frame", 50.0)
        process.send_signal(name)
        _, errors = process.communicate(timeout=30.0)
    finally:
        process.kill()
    assert process.returncode == 0 and "Traceback" not in errors
    info = heard[CameraInfo][0]
    assert (info.width, info.k[0], any(info.d)) == (128, 100.0, False)
    assert (heard[Image][0].width, heard[Image][0].header) == (128, info.header)
