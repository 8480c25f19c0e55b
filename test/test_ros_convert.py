"""Cameras out of CameraInfo, and every way for it to be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sensor_msgs", reason="needs ROS 2")
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from vnect_ros.camera import Camera
from vnect_ros.messages.cameras import camera_from_message
from vnect_ros.ros import convert

pytestmark = pytest.mark.ros


def info(**changes) -> CameraInfo:
    made = convert.camera_info(Camera(640, 480, 500.0, 510.0, 320.0, 240.0), Header())
    for key, value in changes.items():
        setattr(made, key, value)
    return made


def test_a_camera_survives_the_message():
    bent = (0.1, -0.2, 1e-3, 1e-4, 0.0)
    camera = Camera(640, 480, 500.0, 510.0, 321.0, 239.0, "plumb_bob", bent)
    sent = convert.camera_info(camera, Header())
    read, remark = camera_from_message(sent, 640, 480, 54.0)
    assert read == camera and remark == ""


def test_binning_and_region_of_interest():
    cut = info(binning_x=2, binning_y=2)
    cut.roi.x_offset, cut.roi.y_offset, cut.roi.width, cut.roi.height = 100, 80, 400, 300
    camera, remark = camera_from_message(cut, 200, 150, 54.0)
    assert remark == "" and (camera.fx, camera.width, camera.height) == (250.0, 200, 150)


@pytest.mark.parametrize(
    ("given_info", "named"),
    [
        (None, "no CameraInfo"),
        (info(k=np.zeros(9)), "K is zero"),
        (info(k=np.full(9, np.nan)), "K: got nan"),
        (
            info(distortion_model="magic", d=[0.1, 0.0, 0.0, 0.0, 0.0]),
            "distortion_model: got 'magic'",
        ),
        (info(width=640, height=640), "CameraInfo is of 640x640, the image 640x480"),
    ],
)
def test_without_a_usable_calibration_a_guess_is_taken_and_said(given_info, named):
    camera, remark = camera_from_message(given_info, 640, 480, 60.0)
    assert not camera.calibrated
    assert camera.fy == pytest.approx(240.0 / np.tan(np.radians(30.0)))
    assert named in remark and "guess" in remark


def test_intrinsics_of_another_resolution_are_scaled_and_said():
    camera, remark = camera_from_message(info(), 1280, 960, 54.0)
    assert camera.calibrated and camera.fx == 1000.0
    assert "640x480" in remark and "scaled" in remark


@settings(max_examples=60, deadline=None)
@given(
    k=st.lists(st.floats(width=64), min_size=9, max_size=9),
    d=st.lists(st.floats(-1, 1), max_size=6),
    size=st.tuples(st.integers(0, 4000), st.integers(0, 4000)),
)
def test_any_camera_info_gives_a_camera(k, d, size):
    wild = CameraInfo(width=size[0], height=size[1], k=k, d=d, distortion_model="plumb_bob")
    camera, _ = camera_from_message(wild, 640, 480, 54.0)
    assert np.isfinite(camera.matrix).all() and (camera.width, camera.height) == (640, 480)


def rectified_info() -> CameraInfo:
    """A driver's: K and D are of the raw image, P is of the rectified one."""
    made = info(k=Camera(640, 480, 575.0, 586.0, 325.0, 235.0).matrix.ravel())
    made.d = [-0.36, 0.13, 0.0, 0.0, -0.02]
    return made


def test_p_holds_for_rectified_images():
    raw, _ = camera_from_message(rectified_info(), 640, 480, 54.0)
    camera, remark = camera_from_message(rectified_info(), 640, 480, 54.0, rectified=True)
    assert remark == "" and not camera.is_distorted and raw.is_distorted
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500.0, 510.0, 320.0, 240.0)
    assert raw.fx == 575.0


def test_p_is_cut_and_binned_as_k_is():
    cut = rectified_info()
    cut.binning_x = cut.binning_y = 2
    cut.roi.x_offset, cut.roi.y_offset, cut.roi.width, cut.roi.height = 100, 80, 400, 300
    camera, remark = camera_from_message(cut, 200, 150, 54.0, rectified=True)
    assert remark == "" and (camera.fx, camera.width, camera.height) == (250.0, 200, 150)


def test_rectified_images_without_p():
    missing = rectified_info()
    missing.p = np.zeros(12)
    camera, remark = camera_from_message(missing, 640, 480, 54.0, rectified=True)
    assert not camera.calibrated and "P is zero" in remark
    missing.d = [0.0] * 5  # without distortion P is K
    camera, remark = camera_from_message(missing, 640, 480, 54.0, rectified=True)
    assert remark == "" and camera.fx == 575.0
