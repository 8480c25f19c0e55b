"""Projection, distortion and the crop's virtual camera, by round trip and by hand."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vnect_ros.camera import Camera, is_calibrated, shortest_rotation
from vnect_ros.errors import CameraError
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
    assert not is_calibrated([0.0] * 9)
    with pytest.raises(CameraError, match="uncalibrated"):
        Camera.from_info(640, 480, [0.0] * 9)
    with pytest.raises(CameraError, match="roi"):
        Camera.from_info(640, 480, [500, 0, 320, 0, 500, 240, 0, 0, 1], roi=(600, 0, 100, 100))
    with pytest.raises(CameraError, match="vertical_fov"):
        Camera.from_field_of_view(640, 480, 0.0)
