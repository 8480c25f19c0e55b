"""Images and cameras out of messages: every encoding, and every way to be wrong."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sensor_msgs", reason="needs ROS 2")
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from vnect_ros.camera import Camera
from vnect_ros.errors import ImageError, VnectError
from vnect_ros.ros import convert

pytestmark = pytest.mark.ros


def scene() -> np.ndarray:
    """[48, 64, 3] uint8 RGB: smooth, and red, green and blue in different corners."""
    y, x = np.mgrid[0:48, 0:64]
    planes = [220 - 3 * x, 30 + 4 * y, 20 + 2 * x + y]
    return np.stack(planes, axis=2).clip(16, 235).astype(np.uint8)


def encode(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """[H, bytes a row] of the picture, by the definitions of the encodings."""
    height, width = rgb.shape[:2]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    alpha = np.full((height, width, 1), 9, np.uint8)
    if encoding == "rgb8":
        rows = rgb
    elif encoding == "bgr8":
        rows = rgb[:, :, ::-1]
    elif encoding == "rgba8":
        rows = np.concatenate([rgb, alpha], axis=2)
    elif encoding == "bgra8":
        rows = np.concatenate([rgb[:, :, ::-1], alpha], axis=2)
    elif encoding == "mono8":
        rows = grey
    elif encoding == "mono16":
        rows = (grey.astype("<u2") << 8 | 77).view(np.uint8)
    elif encoding in ("yuv422", "uyvy", "yuv422_yuy2", "yuyv"):
        rows = yuv422(rgb, luma_first=encoding in ("yuv422_yuy2", "yuyv"))
    else:
        pattern = encoding.removeprefix("bayer_").rstrip("0123456789")
        mosaic = np.empty((height, width), np.uint8)
        for i, colour in enumerate(pattern):
            row, column = divmod(i, 2)
            mosaic[row::2, column::2] = rgb[row::2, column::2, "rgb".index(colour)]
        rows = (mosaic.astype("<u2") << 8 | 5).view(np.uint8) if "16" in encoding else mosaic
    return np.ascontiguousarray(rows).reshape(height, -1)


def yuv422(rgb: np.ndarray, luma_first: bool) -> np.ndarray:
    """BT.601 with limited range, two pixels sharing their chroma."""
    r, g, b = np.moveaxis(rgb.astype(float), 2, 0)
    y = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255
    u = 128 + (-37.797 * r - 74.203 * g + 112 * b) / 255
    v = 128 + (112 * r - 93.786 * g - 18.214 * b) / 255
    u, v = ((c[:, ::2] + c[:, 1::2]) / 2 for c in (u, v))
    order = [y[:, ::2], u, y[:, 1::2], v] if luma_first else [u, y[:, ::2], v, y[:, 1::2]]
    return np.stack(order, axis=2).round().astype(np.uint8).reshape(len(rgb), -1)


def message(rows: np.ndarray, width: int, encoding: str, padding: int = 0) -> Image:
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=170)
    data = array.array("B", padded.tobytes())
    return Image(
        header=Header(frame_id="cam"), height=len(rows), width=width, encoding=encoding,
        step=padded.shape[1], data=data,
    )  # fmt: skip


@pytest.mark.parametrize("padding", [0, 10])
@pytest.mark.parametrize("encoding", sorted(convert.ENCODINGS))
def test_every_encoding_gives_the_picture(encoding, padding):
    rgb = scene()
    image = convert.image_from_message(message(encode(rgb, encoding), 64, encoding, padding))
    assert image.shape == rgb.shape and image.dtype == np.uint8
    expected, inside = rgb, (slice(2, -2), slice(2, -2))
    if encoding.startswith("mono"):
        expected = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    error = np.abs(image[inside].astype(int) - expected[inside])
    exact = encoding[:3] in ("rgb", "bgr", "mon")
    assert error.max() <= (0 if exact else 12)


def test_big_endian_16_bits():
    grey = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20
    little = message(grey.astype("<u2").view(np.uint8), 64, "mono16")
    big = message(grey.astype(">u2").view(np.uint8), 64, "mono16")
    big.is_bigendian = 1
    np.testing.assert_array_equal(
        convert.image_from_message(little), convert.image_from_message(big)
    )


def test_rgb8_is_not_copied():
    sent = message(encode(scene(), "rgb8"), 64, "rgb8")
    image = convert.image_from_message(sent)
    assert np.shares_memory(image, np.frombuffer(sent.data, np.uint8))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"encoding": "32FC1"}, "encoding: got '32FC1', accepted: rgb8, bgr8"),
        ({"step": 100}, "step: got 100, accepted: at least 192"),
        ({"width": 0}, "size: got '0x48'"),
        ({"height": 47}, "data: got '9216 bytes', accepted: 9024"),
        ({"step": 200}, "data: got '9216 bytes'"),
        ({"width": 63, "encoding": "yuv422"}, "width: got 63, accepted: an even number"),
        ({"data": array.array("B")}, "data: got '0 bytes'"),
    ],
)
def test_a_wrong_image_is_refused_by_name(changes, named):
    wrong = message(encode(scene(), "rgb8"), 64, "rgb8")
    for key, value in changes.items():
        setattr(wrong, key, value)
    with pytest.raises(ImageError) as refused:
        convert.image_from_message(wrong)
    assert named in str(refused.value)


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_compressed_images(extension):
    rgb = scene()
    _, coded = cv2.imencode(extension, rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
    sent = CompressedImage(format=extension[1:], data=array.array("B", coded.tobytes()))
    error = np.abs(convert.image_from_message(sent).astype(int) - rgb)
    assert error.mean() < 3
    for torn in (coded.tobytes()[: len(coded) // 2], b"", b"\x00" * 99):
        sent.data = array.array("B", torn)
        with pytest.raises(ImageError, match="compressed image"):
            convert.image_from_message(sent)


@settings(max_examples=150, deadline=None)
@given(
    encoding=st.sampled_from([*sorted(convert.ENCODINGS), "8UC3", ""]),
    width=st.integers(0, 9),
    height=st.integers(0, 9),
    step=st.integers(0, 40),
    size=st.integers(0, 200),
    big=st.integers(0, 1),
)
def test_any_image_is_read_or_refused(encoding, width, height, step, size, big):
    sent = Image(
        height=height, width=width, encoding=encoding, step=step, is_bigendian=big,
        data=array.array("B", bytes(size)),
    )  # fmt: skip
    try:
        image = convert.image_from_message(sent)
    except ImageError:
        return
    assert image.shape == (height, width, 3) and image.dtype == np.uint8


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400), start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n"]))
def test_any_bytes_are_decoded_or_refused(data, start):
    sent = CompressedImage(format="jpeg", data=array.array("B", start + data + b"\xff\xd9IEND"))
    try:
        image = convert.image_from_message(sent)
    except ImageError:
        return
    assert image.ndim == 3


def info(**changes) -> CameraInfo:
    made = convert.camera_info(Camera(640, 480, 500.0, 510.0, 320.0, 240.0), Header())
    for key, value in changes.items():
        setattr(made, key, value)
    return made


def test_a_camera_survives_the_message():
    bent = (0.1, -0.2, 1e-3, 1e-4, 0.0)
    camera = Camera(640, 480, 500.0, 510.0, 321.0, 239.0, "plumb_bob", bent)
    sent = convert.camera_info(camera, Header())
    read, remark = convert.camera_from_message(sent, 640, 480, 54.0)
    assert read == camera and remark == ""


def test_binning_and_region_of_interest():
    cut = info(binning_x=2, binning_y=2)
    cut.roi.x_offset, cut.roi.y_offset, cut.roi.width, cut.roi.height = 100, 80, 400, 300
    camera, remark = convert.camera_from_message(cut, 200, 150, 54.0)
    assert remark == "" and (camera.fx, camera.width, camera.height) == (250.0, 200, 150)


@pytest.mark.parametrize(
    ("given_info", "named"),
    [
        (None, "no CameraInfo"),
        (info(k=np.zeros(9)), "K is zero"),
        (info(k=np.full(9, np.nan)), "K: got nan"),
        (info(distortion_model="magic"), "distortion_model: got 'magic'"),
        (info(width=640, height=640), "CameraInfo is of 640x640, the image 640x480"),
    ],
)
def test_without_a_usable_calibration_a_guess_is_taken_and_said(given_info, named):
    camera, remark = convert.camera_from_message(given_info, 640, 480, 60.0)
    assert not camera.calibrated
    assert camera.fy == pytest.approx(240.0 / np.tan(np.radians(30.0)))
    assert named in remark and "guess" in remark


def test_intrinsics_of_another_resolution_are_scaled_and_said():
    camera, remark = convert.camera_from_message(info(), 1280, 960, 54.0)
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
    camera, _ = convert.camera_from_message(wild, 640, 480, 54.0)
    assert np.isfinite(camera.matrix).all() and (camera.width, camera.height) == (640, 480)


def test_images_survive_the_message():
    sent = convert.image_message(scene(), Header(frame_id="cam"))
    np.testing.assert_array_equal(convert.image_from_message(sent), scene())


def test_errors_are_ours():
    assert issubclass(ImageError, VnectError)
