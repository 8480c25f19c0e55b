"""Projection, distortion and the crop's virtual camera, by round trip and by hand."""

import argparse
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vnect_ros.camera import Camera, shortest_rotation
from vnect_ros.errors import CameraError
from vnect_ros.lens import Lens
from vnect_ros.recordings import frame
from vnect_ros.records import Crop

PLUMB = (-0.32, 0.12, 0.001, -0.0007, -0.02)
RATIONAL = (0.5, -2.7, 0.0005, -0.0002, 1.5, 0.38, -2.5, 1.45)
FISHEYE = (-0.03, 0.01, -0.008, 0.002)
CAMERAS = {
    "pinhole": Camera(1280, 720, 900.0, 910.0, 650.0, 355.0),
    "plumb_bob": Camera(1280, 720, 900.0, 910.0, 650.0, 355.0, "plumb_bob", PLUMB),
    "rational": Camera(1280, 720, 900.0, 910.0, 650.0, 355.0, "rational_polynomial", RATIONAL),
    "fisheye": Camera(1280, 720, 600.0, 605.0, 650.0, 355.0, "equidistant", FISHEYE),
}
cameras = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)


def _grid(camera):
    x, y = np.meshgrid(np.linspace(0, camera.width - 1, 17), np.linspace(0, camera.height - 1, 11))
    return np.stack([x, y], axis=-1)


@cameras
def test_distort_undoes_undistort_all_over_the_image(camera):
    pixels = _grid(camera)
    assert np.abs(camera.distort(camera.undistort(pixels)) - pixels).max() < 1e-3


@cameras
def test_points_along_a_pixels_ray_project_onto_it(camera):
    pixels = _grid(camera)
    points = camera.ray(pixels) * 3.7
    assert np.abs(camera.project(points) - pixels).max() < 1e-3
    assert np.allclose(np.linalg.norm(camera.ray(pixels), axis=-1), 1.0)


def test_projection_agrees_with_opencv():
    camera = CAMERAS["plumb_bob"]
    points = np.random.default_rng(0).uniform((-1, -1, 2), (1, 1, 5), (40, 3))
    zero = np.zeros(3)
    expected, _ = cv2.projectPoints(points, zero, zero, camera.matrix, np.array(PLUMB))
    assert np.abs(camera.project(points) - expected[:, 0]).max() < 1e-6


def test_points_behind_the_camera_have_no_pixel():
    camera = CAMERAS["plumb_bob"]
    pixels = camera.project(np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    assert np.isnan(pixels[:2]).all()
    assert np.isfinite(pixels[2]).all()


@cameras
@given(
    point=st.tuples(st.floats(-1e7, 1e7, allow_nan=False), st.floats(-1e7, 1e7, allow_nan=False))
)
@settings(max_examples=60, deadline=None)
def test_any_finite_pixel_gives_finite_answers(camera, point):
    assert np.isfinite(camera.undistort(np.array(point))).all()
    assert np.isfinite(camera.distort(np.array(point))).all()
    assert np.isfinite(camera.ray(np.array(point))).all()


@cameras
def test_nan_stays_nan_and_leaves_its_neighbours_alone(camera):
    pixels = np.array([[100.0, 100.0], [np.nan, 5.0], [900.0, 600.0]])
    for function in (camera.undistort, camera.distort):
        result = function(pixels)
        assert np.isnan(result[1]).any()
        assert np.allclose(result[[0, 2]], function(pixels[[0, 2]]))


@cameras
@given(x=st.floats(0, 1279), y=st.floats(0, 719))
@settings(max_examples=40, deadline=None)
def test_scaling_the_image_scales_its_pixels(camera, x, y):
    half = camera.scaled(640, 360)
    pixel = np.array([x, y])
    assert np.allclose(half.ray((pixel + 0.5) / 2.0 - 0.5), camera.ray(pixel), atol=1e-6)


def test_field_of_view_spans_the_height_and_is_flagged_a_guess():
    camera = Camera.from_field_of_view(960, 540, 54.0)
    edges = camera.ray(np.array([[479.5, -0.5], [479.5, 539.5]]))
    assert math.degrees(math.acos(float(edges[0] @ edges[1]))) == pytest.approx(54.0)
    assert not camera.calibrated
    assert not camera.scaled(480, 270).calibrated


def test_roi_and_binning_describe_the_delivered_image():
    k = (900.0, 0, 650.0, 0, 910.0, 355.0, 0, 0, 1)
    full = Camera.from_info(1280, 720, k, PLUMB)
    part = Camera.from_info(1280, 720, k, PLUMB, binning=(2, 2), roi=(200, 100, 800, 600))
    assert (part.width, part.height) == (400, 300)
    point = np.array([0.2, 0.1, 2.0])
    expected = (full.project(point) - (200, 100) + 0.5) / 2.0 - 0.5
    assert np.allclose(part.project(point), expected, atol=1e-6)
    assert Camera.from_info(1280, 720, k, PLUMB, binning=(0, 1)) == full


def test_crop_rotation_looks_through_the_crops_centre():
    camera = CAMERAS["plumb_bob"]
    crop = Crop(700.0, 100.0, 300.0, 224)
    rotation = camera.rotation_camera_from_crop(crop.centre_px)
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    ray = camera.ray(crop.centre_px)
    assert np.allclose(rotation @ (0.0, 0.0, 1.0), ray)
    axis = np.cross((0.0, 0.0, 1.0), ray)
    assert np.allclose(rotation @ axis, axis)


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6))
@settings(deadline=None)
def test_shortest_rotation_takes_one_vector_onto_the_other(numbers):
    a, b = np.array(numbers[:3]), np.array(numbers[3:])
    if min(np.linalg.norm(a), np.linalg.norm(b)) < 1e-3:
        return
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    for target in (b, a, -a):
        rotation = shortest_rotation(a, target)
        assert np.allclose(rotation @ a, target, atol=1e-6)
        assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"width": 0}, "width"),
        ({"height": -3}, "height"),
        ({"fx": 0.0}, "fx"),
        ({"fy": float("nan")}, "fy"),
        ({"cx": float("inf")}, "cx"),
        ({"model": "kannala"}, "distortion_model"),
        ({"distortion": (0.1,)}, "distortion"),
        ({"distortion": (0.1, float("nan"), 0, 0)}, "distortion"),
        ({"model": "equidistant", "distortion": (0.1, 0.1, 0, 0, 0)}, "distortion"),
    ],
)
def test_impossible_cameras_are_refused_by_name(changes, named):
    values = {"width": 640, "height": 480, "fx": 500.0, "fy": 500.0, "cx": 320.0, "cy": 240.0}
    with pytest.raises(CameraError, match=named):
        Camera(**{**values, **changes})


def test_an_uncalibrated_camera_info_is_refused_as_such():
    with pytest.raises(CameraError, match="uncalibrated"):
        Camera.from_info(640, 480, [0.0] * 9)
    with pytest.raises(CameraError, match="roi"):
        Camera.from_info(640, 480, [500, 0, 320, 0, 500, 240, 0, 0, 1], roi=(600, 0, 100, 100))
    with pytest.raises(CameraError, match="vertical_fov"):
        Camera.from_field_of_view(640, 480, 0.0)


def k_of(fx, cx, cy, fy=None, skew=0.0):
    return [fx, skew, cx, 0.0, fy or fx, cy, 0.0, 0.0, 1.0]


IMPLAUSIBLE = {
    "a simulator's default at 640x480": (640, 480, k_of(277.0, 160.0, 120.0), "principal point"),
    "a simulator's default at 640x360": (640, 360, k_of(277.0, 160.0, 120.0), "principal point"),
    "a simulator's default at 1920x1080": (1920, 1080, k_of(277.0, 160.0, 120.0), "principal"),
    "six times too large": (640, 480, k_of(3852.0, 1919.5, 1439.5), "principal point"),
    "six times too large, centred": (640, 480, k_of(3852.0, 319.5, 239.5), "9.5 degrees"),
    "six times too small, centred": (640, 480, k_of(100.0, 319.5, 239.5), "145.3 degrees"),
    "three quarters of the image's size": (640, 480, k_of(482.0, 240.0, 180.0), "another size"),
    "no principal point": (640, 480, k_of(642.0, 0.0, 0.0), "principal point"),
    "a principal point outside": (640, 480, k_of(642.0, 320.0, 700.0), "principal point"),
    "column by column": (640, 480, [642.0, 0, 0, 0, 642.0, 0, 320.0, 240.0, 1], "principal point"),
    "a focal length in millimetres": (640, 480, k_of(3.6, 320.0, 240.0), "focal lengths"),
    "fx not as fy": (640, 480, k_of(642.0, 320.0, 240.0, fy=107.0), "fx / fy"),
    "a skew": (640, 480, k_of(642.0, 320.0, 240.0, skew=40.0), "skew"),
    "no size": (0, 0, k_of(642.0, 320.0, 240.0), "size"),
}


@pytest.mark.parametrize("case", IMPLAUSIBLE)
def test_a_matrix_that_no_camera_has_is_refused_by_name(case):
    width, height, k, named = IMPLAUSIBLE[case]
    with pytest.raises(CameraError, match=named):
        Camera.from_info(width, height, k)


def test_binning_that_k_has_already_is_refused():
    binned = [299.5, 0, 254.1, 0, 300.1, 183.9, 0, 0, 1]
    with pytest.raises(CameraError, match="binned already"):
        Camera.from_info(2064, 1544, binned, binning=(4, 4))
    full = [1198.0, 0, 1017.9, 0, 1200.4, 737.1, 0, 0, 1]
    assert Camera.from_info(2064, 1544, full, binning=(4, 4)).fx == pytest.approx(299.5)


@pytest.mark.parametrize(
    "d",
    [
        (3000.0, -2000.0, 1000.0, 500.0, 100.0),
        (1200.0, 0, 0, 0, 0),
        (-3000.0, 0, 0, 0, 0),
        (0, 0, 1000.0, 0, 0),
        (0, 0, 0, 0, 5000.0),
        (0, 0, 0, 0, 0, 3000.0, 0, 0),
        (0, 0, 0, 0, 0, -3000.0, 0, 0),
        (8.0, 0, 0, 0, 0),
        (0, 0, 0, 0, 0, 0, 0, 0, 900.0, 0, 0, 0),
    ],
)
def test_distortion_that_no_lens_has_is_refused(d):
    with pytest.raises(CameraError, match="distortion: got"):
        Camera.from_info(640, 480, k_of(642.0, 320.0, 240.0), d, "rational_polynomial")
    with pytest.raises(CameraError, match="distortion: got"):
        Camera.from_info(
            640, 480, k_of(642.0, 320.0, 240.0), (5000.0, 3000.0, 1000.0, 0.0), "equidistant"
        )


REAL = {
    "a stereo rig": (752, 480, k_of(458.7, 367.2, 248.4), (-0.283, 0.074, 0.0002, 2e-05), ""),
    "a car's": (1392, 512, k_of(984.2, 690.0, 233.2), (-0.373, 0.204, 0.002, 0.001, -0.072), ""),
    "a depth camera's": (640, 480, k_of(517.3, 318.6, 255.3), (0.26, -0.95, -0.005, 0.003, 1.16),
                         ""),
    "rational, near cancellation": (
        1280, 800, k_of(796.0, 641.0, 400.0),
        (9.6, -105.2, 0.0005, -0.0003, 340.1, 9.5, -104.0, 336.8, 0, 0, 0, 0, 0, 0),
        "rational_polynomial",
    ),
    "wide": (640, 480, k_of(270.0, 320.0, 240.0), (-0.31, 0.08, 0, 0, -0.008), ""),
    "a fisheye": (512, 512, k_of(191.0, 254.9, 256.9), (0.003, 0.001, -0.002, 0.0), "equidistant"),
    "a tele lens": (2448, 2048, k_of(7300.0, 1224.0, 1024.0), (-0.1, 1.5, 0, 0, 0), ""),
    "portrait": (720, 1280, k_of(900.0, 355.0, 650.0), (), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", REAL)
def test_what_calibrations_of_real_cameras_state_is_accepted(case):
    width, height, k, d, model = REAL[case]
    camera = Camera.from_info(width, height, k, d, model)
    assert camera.calibrated and (camera.fx, camera.cx) == (k[0], k[2])


@pytest.mark.parametrize("padding", [1, 4, 10])
def test_zeros_behind_the_coefficients_are_padding(padding):
    k = k_of(600.0, 650.0, 355.0)
    padded = Camera.from_info(1280, 720, k, (*FISHEYE, *[0.0] * padding), "equidistant")
    assert padded == Camera(1280, 720, 600.0, 600.0, 650.0, 355.0, "equidistant", FISHEYE)
    with pytest.raises(CameraError, match="4 coefficients for equidistant"):
        Camera.from_info(1280, 720, k, (*FISHEYE, 0.1, *[0.0] * padding), "equidistant")
    assert Lens.stated("plumb_bob", (*PLUMB, *[0.0] * padding)).coefficients[:5] == PLUMB


@pytest.mark.parametrize("model", ["kannala", "equidistant", "plumb_bob", ""])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 14])
def test_no_distortion_is_a_pinhole_whatever_its_name(model, count):
    k = k_of(600.0, 320.0, 240.0)
    camera = Camera.from_info(640, 480, k, [0.0] * count, model)
    assert camera == Camera(640, 480, 600.0, 600.0, 320.0, 240.0) and not camera.is_distorted
    with pytest.raises(CameraError, match="distortion_model: got 'kannala'"):
        Camera.from_info(640, 480, k, (0.1, 0.0, 0.0, 0.0), "kannala")


def test_a_rectified_image_is_described_by_p_alone():
    k, p = k_of(738.0, 330.0, 250.0), [642.0, 0, 318.0, -64.2, 0, 640.0, 238.0, 0, 0, 0, 1.0, 0]
    camera = Camera.from_info(640, 480, k, PLUMB, "kannala", rectified=True, p=p)
    assert camera == Camera(640, 480, 642.0, 640.0, 318.0, 238.0)
    half = Camera.from_info(640, 480, k, PLUMB, rectified=True, p=p, binning=(2, 2))
    assert (half.width, half.fx, half.cx) == (320, 321.0, 158.75)
    for unfit, named in (([], "P: got .*12 numbers"), ([0.0] * 12, "uncalibrated")):
        with pytest.raises(CameraError, match=named):
            Camera.from_info(640, 480, k, PLUMB, rectified=True, p=unfit)


def test_images_of_another_aspect_are_not_of_that_camera():
    camera = CAMERAS["plumb_bob"]
    assert camera.for_image(1280, 720) is camera
    assert camera.for_image(640, 360) == camera.scaled(640, 360)
    assert camera.for_image(853, 480) == camera.scaled(853, 480)
    for size in ((640, 480), (720, 1280)):
        with pytest.raises(CameraError, match="camera size: got '1280x720', accepted: the aspect"):
            camera.for_image(*size)


@pytest.mark.parametrize("size", [(1280, 720), (320, 480), (640, 480)])
def test_a_camera_sees_the_same_in_images_fitted_to_another_size(size):
    camera = Camera(640, 480, 500.0, 510.0, 319.73, 251.2, distortion=(-0.1, 0.02, 0.0, 0.0, 0.0))
    image = np.zeros((480, 640, 3), np.uint8)
    image[100:140, 400:440] = 255
    shown = frame.fitted(image, size)
    assert shown.shape == (size[1], size[0], 3)
    rows, columns = np.nonzero(shown[..., 0] > 127)
    point = camera.ray(np.array([[419.5, 119.5]]))
    seen = camera.fitted(*size).project(point)[0]
    np.testing.assert_allclose(seen, [columns.mean(), rows.mean()], atol=0.3)
    assert (camera.fitted(*size) == camera) == (size == (640, 480))


@pytest.mark.parametrize("text", ["1280", "0x3", "9999x2", "wide", "3x4x5"])
def test_a_size_is_two_numbers(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"size: got '{text}', accepted: WxH"):
        frame.size(text)
    assert frame.size("1280X720") == (1280, 720)
