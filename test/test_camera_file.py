"""Calibrations as the field's tools write them, and what is not one."""

from __future__ import annotations

import gzip

import cv2
import numpy as np
import pytest

from vnect_ros.camera import Camera
from vnect_ros.errors import CameraError
from vnect_ros.recordings.camera_file import read_camera_file

D = (-0.28, 0.07, 0.0002, 0.0001)
CALIBRATION = """
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [500.0, 0.0, 319.5, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.28, 0.07, 0.0002, 0.0001, 0.0]
projection_matrix:
  rows: 3
  cols: 4
  data: [450.0, 0.0, 321.0, 0.0, 0.0, 460.0, 241.0, 0.0, 0.0, 0.0, 1.0, 0.0]
"""
ECHO = """header:
  stamp:
    sec: 1700000000
    nanosec: 5
  frame_id: camera
height: 480
width: 640
distortion_model: plumb_bob
d:
- -0.28
- 0.07
- 0.0002
- 0.0001
- 0.0
k:
- 500.0
- 0.0
- 319.5
- 0.0
- 510.0
- 239.5
- 0.0
- 0.0
- 1.0
r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
p: [450.0, 0.0, 321.0, 0.0, 0.0, 460.0, 241.0, 0.0, 0.0, 0.0, 1.0, 0.0]
binning_x: 0
binning_y: 0
roi:
  x_offset: 0
  y_offset: 0
  height: 0
  width: 0
  do_rectify: false
---
"""
KALIBR = """cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [-0.28, 0.07, 0.0002, 0.0001]
  distortion_model: radtan
  intrinsics: [500.0, 510.0, 319.5, 239.5]
  resolution: [640, 480]
  rostopic: /cam0/image_raw
"""
SECOND = """cam1:
  camera_model: pinhole
  distortion_coeffs: [-0.03, 0.01, -0.008, 0.002]
  distortion_model: equidistant
  intrinsics: [300.0, 300.0, 320.0, 240.0]
  resolution: [640, 480]
"""
PINHOLE = (640, 480, 500.0, 510.0, 319.5, 239.5, "plumb_bob")


def written(folder, text):
    file = folder / "camera.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    "text",
    [
        CALIBRATION,
        "\ufeff" + CALIBRATION,
        ECHO,
        ECHO + ECHO + ECHO[:80],  # interrupted
        "A message was lost!!!\n\ttotal count change:1\n---\n" + ECHO,
        ECHO.replace("d:\n", "D:\n").replace("k:\n", "K:\n").replace("p: ", "P: "),  # ROS 1
        KALIBR,
        KALIBR.replace("cam0:\n", "").replace("  ", ""),
    ],
)
def test_the_same_camera_by_every_tool(tmp_path, text):
    camera = read_camera_file(written(tmp_path, text))
    assert camera == Camera(*PINHOLE, distortion=(*D, *camera.distortion[4:]))
    assert not any(camera.distortion[4:]) and camera.calibrated


def test_of_several_cameras_the_one_that_is_named(tmp_path):
    file = written(tmp_path, KALIBR + SECOND)
    assert read_camera_file(f"{file}#cam0") == Camera(*PINHOLE, distortion=D)
    second = Camera(
        640, 480, 300.0, 300.0, 320.0, 240.0, "equidistant", (-0.03, 0.01, -0.008, 0.002)
    )
    assert read_camera_file(f"{file}#cam1") == second
    for name in ("", "#cam2"):
        with pytest.raises(CameraError, match="accepted: FILE#NAME with one of cam0, cam1"):
            read_camera_file(f"{file}{name}")


def test_a_path_may_hold_the_sign_that_names_a_camera(tmp_path):
    (tmp_path / "#1").mkdir()
    file = written(tmp_path / "#1", KALIBR + SECOND)
    assert read_camera_file(f"{file}#cam1").model == "equidistant"
    assert read_camera_file(written(tmp_path / "#1", CALIBRATION)).width == 640


@pytest.mark.parametrize("text", [CALIBRATION, ECHO])
def test_of_rectified_images_the_projection_matrix_holds(tmp_path, text):
    camera = read_camera_file(written(tmp_path, text), rectified=True)
    assert camera == Camera(640, 480, 450.0, 460.0, 321.0, 241.0)


def test_an_echo_states_binning_and_roi(tmp_path):
    text = ECHO.replace("binning_x: 0", "binning_x: 2").replace("binning_y: 0", "binning_y: 2")
    text = text.replace("  height: 0\n  width: 0", "  height: 400\n  width: 600")
    camera = read_camera_file(written(tmp_path, text))
    assert (camera.width, camera.height, camera.fx) == (300, 200, 250.0)


def opencv_file(folder):
    storage = cv2.FileStorage(str(folder / "opencv.yml"), cv2.FILE_STORAGE_WRITE)
    storage.write("camera_matrix", np.eye(3) * 500.0)
    storage.release()
    return (folder / "opencv.yml").read_text()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "an empty file"),
        ("# nothing\n---\n", "an empty file"),
        ("<?xml version='1.0'?><opencv_storage/>", "OpenCV's FileStorage"),
        ("<launch/>", "XML"),
        ("# oST version 5.0\n\n[image]\n\nwidth\n640\n", "INI file"),
        ("hello", "got 'text'"),
        ("fx: 500\nfy: 500\n", "the fields fx, fy"),
        ("a: [1, 2\n", "no YAML"),
        (CALIBRATION.replace("image_height", "height"), "image_height: got None"),
        (CALIBRATION.replace("500.0, ", "", 1), "9 numbers"),
        (CALIBRATION.replace("500.0", "'five'", 1), "a finite number"),
        (CALIBRATION.replace("319.5", "0.0"), "principal point"),
        ("camera_matrix: [[500, 0, 320], [0, 500, 240], [0, 0, 1]]\n", "image_width: got None"),
        ("image_width: 9\nimage_height: 9\ncamera_matrix: [[1]]\n", "cannot be read as a camera"),
        ("image_width:\nimage_height: 9\n", "cannot be read as a camera"),
        (ECHO.replace("500.0", "0.0"), "uncalibrated"),
        (KALIBR.replace("pinhole", "omni"), "camera_model: got 'omni', accepted: pinhole"),
        (KALIBR.replace("radtan", "fov"), "distortion_model: got 'fov', accepted: radtan"),
    ],
)
def test_what_is_no_camera_is_told_with_what_is_accepted(tmp_path, text, named):
    file = written(tmp_path, text)
    with pytest.raises(CameraError) as caught:
        read_camera_file(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert named in str(caught.value) and "accepted: " in str(caught.value)


def test_files_of_other_kinds(tmp_path):
    with pytest.raises(CameraError, match=r"OpenCV's FileStorage.*accepted: a YAML"):
        read_camera_file(written(tmp_path, opencv_file(tmp_path)))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(b"calibration"))
    with pytest.raises(CameraError, match=r"an archive.*ost\.yaml"):
        read_camera_file(tmp_path / "a.tar.gz")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(CameraError, match="cannot be read as a camera"):
        read_camera_file(tmp_path / "image.png")
    with pytest.raises(CameraError, match=r"absent\.yaml: cannot be read: .*No such file"):
        read_camera_file(tmp_path / "absent.yaml")
    with pytest.raises(CameraError, match="projection matrix"):
        read_camera_file(written(tmp_path, KALIBR), rectified=True)
