"""Pixels out of image messages: every encoding, and every way to be wrong."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sensor_msgs", reason="needs ROS 2")
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from vnect_ros.errors import ImageError
from vnect_ros.messages.images import ENCODINGS, ImageReader
from vnect_ros.ros import convert
from vnect_ros.ros.image_input import load_cv_bridge

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
    elif encoding in ("rgb16", "bgr16", "rgba16", "bgra16", "mono16"):
        eight = encode(rgb, f"{encoding[:-2]}8")
        rows = (eight.astype("<u2") << 8 | 77).view(np.uint8)
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


@pytest.fixture(params=["ours", "cv_bridge"])
def reader(request):
    """Without cv_bridge and with it: the pictures must be the same."""
    bridge = None
    if request.param == "cv_bridge":
        pytest.importorskip("cv_bridge")
        bridge = load_cv_bridge()
        assert bridge is not None
    return ImageReader(bridge)


@pytest.mark.parametrize("padding", [0, 10])
@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_every_encoding_gives_the_picture(reader, encoding, padding):
    rgb = scene()
    image = reader.read(message(encode(rgb, encoding), 64, encoding, padding))
    assert image.shape == rgb.shape and image.dtype == np.uint8
    expected, inside = rgb, (slice(2, -2), slice(2, -2))
    if encoding.startswith("mono"):
        expected = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    error = np.abs(image[inside].astype(int) - expected[inside])
    exact = encoding[:3] in ("rgb", "bgr", "mon")
    assert error.max() <= (0 if exact else 12)


def test_cv_bridge_converts_what_it_reads():
    """It is asked for 8-bit images of whole rows, and its answer is taken."""
    asked = []

    class Bridge:
        def imgmsg_to_cv2(self, image, encoding):
            asked.append((image.encoding, encoding))
            if image.encoding == "bayer_grbg8":
                raise KeyError(image.encoding)  # as cv_bridge 1.13 does
            return np.full((image.height, image.width, 3), 7, np.uint8)

    reader = ImageReader(Bridge())
    assert (reader.read(message(encode(scene(), "rgba8"), 64, "rgba8")) == 7).all()
    for encoding in ("rgb8", "mono16", "yuv422"):
        assert (reader.read(message(encode(scene(), encoding), 64, encoding)) != 7).any()
    assert (reader.read(message(encode(scene(), "rgba8"), 64, "rgba8", padding=3)) != 7).any()
    for _ in range(2):
        image = reader.read(message(encode(scene(), "bayer_grbg8"), 64, "bayer_grbg8"))
        assert (image != 7).any()
    assert asked == [("rgba8", "rgb8"), ("bayer_grbg8", "rgb8")]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("encoding", sorted(e for e in ENCODINGS if e.endswith("16")))
def test_16_bit_images_are_scaled_by_the_bits_in_use(encoding, bits):
    """White is the sensor's, and stays what it is when a darker image follows."""
    bright = scene()
    bright[0:8, 0:8] = 255
    reader = ImageReader()
    for rgb in (bright, bright // 4):
        full = encode(rgb, encoding).view("<u2")
        sent = message((full >> (16 - bits)).view(np.uint8), 64, encoding)
        expected = ImageReader().read(
            message(encode(rgb, encoding[:-2] + "8"), 64, encoding[:-2] + "8")
        )
        assert np.abs(reader.read(sent).astype(int) - expected).max() <= 2


def test_16_bits_that_are_aligned_to_the_left():
    rgb = scene()
    values = encode(rgb, "rgb16").view("<u2") & 0xFFC0  # 10 bits, shifted by 6
    np.testing.assert_array_equal(
        ImageReader().read(message(values.view(np.uint8), 64, "rgb16")), rgb
    )


def test_big_endian_16_bits():
    grey = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20
    little = message(grey.astype("<u2").view(np.uint8), 64, "mono16")
    big = message(grey.astype(">u2").view(np.uint8), 64, "mono16")
    big.is_bigendian = 1
    np.testing.assert_array_equal(ImageReader().read(little), ImageReader().read(big))


def test_rgb8_is_not_copied():
    sent = message(encode(scene(), "rgb8"), 64, "rgb8")
    image = ImageReader().read(sent)
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
        ImageReader().read(wrong)
    assert named in str(refused.value)


def coded(extension: str, rgb: np.ndarray) -> bytes:
    done, data = cv2.imencode(extension, rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
    assert done
    return data.tobytes()


def compressed(data: bytes) -> CompressedImage:
    return CompressedImage(format="jpeg", data=array.array("B", data))


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_compressed_images(extension):
    rgb = scene()
    whole = coded(extension, rgb)
    error = np.abs(ImageReader().read(compressed(whole)).astype(int) - rgb)
    assert error.mean() < 3
    for torn in (whole[: len(whole) // 2], whole[:-1], b"", b"\x00" * 99):
        with pytest.raises(ImageError, match="compressed image"):
            ImageReader().read(compressed(torn))


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@pytest.mark.parametrize("tail", ["zeros", "ones", "the last image", "noise"])
def test_bytes_behind_the_end_of_a_compressed_image(extension, tail):
    """Drivers hand over whole pages or buffers; what was in them before does not matter."""
    whole = coded(extension, scene())
    behind = {
        "zeros": bytes(5000),
        "ones": b"\xff" * 5000,
        "the last image": whole[100:],
        "noise": np.random.default_rng(1).bytes(5000),
    }[tail]
    image = ImageReader().read(compressed(whole + behind))
    np.testing.assert_array_equal(image, ImageReader().read(compressed(whole)))
    torn = whole[: len(whole) // 2] + bytes(5000)
    with pytest.raises(ImageError, match="cut off"):
        ImageReader().read(compressed(torn))


def test_a_thumbnail_is_not_the_end_of_a_torn_jpeg():
    whole = coded(".jpg", scene())
    thumbnail = b"Exif\x00\x00" + coded(".jpg", scene()[::4, ::4])
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    with_thumbnail = whole[:2] + segment + whole[2:]
    assert ImageReader().read(compressed(with_thumbnail)).shape == (48, 64, 3)
    with pytest.raises(ImageError, match="cut off"):
        ImageReader().read(compressed(with_thumbnail[: len(with_thumbnail) - len(whole) // 2]))


@pytest.mark.parametrize("bits", [10, 16])
def test_compressed_images_of_16_bits(bits):
    grey = np.arange(48 * 64).reshape(48, 64)
    grey = grey * ((1 << bits) - 1) // grey.max()
    _, data = cv2.imencode(".png", grey.astype(np.uint16))
    image = ImageReader().read(compressed(data.tobytes()))
    np.testing.assert_array_equal(image[:, :, 1], grey >> (bits - 8))


@settings(max_examples=150, deadline=None)
@given(
    encoding=st.sampled_from([*sorted(ENCODINGS), "8UC3", ""]),
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
        image = ImageReader().read(sent)
    except ImageError:
        return
    assert image.shape == (height, width, 3) and image.dtype == np.uint8


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400), start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n"]))
def test_any_bytes_are_decoded_or_refused(data, start):
    sent = CompressedImage(format="jpeg", data=array.array("B", start + data + b"\xff\xd9IEND"))
    try:
        image = ImageReader().read(sent)
    except ImageError:
        return
    assert image.ndim == 3


def test_images_survive_the_message():
    sent = convert.image_message(scene(), Header(frame_id="cam"))
    np.testing.assert_array_equal(ImageReader().read(sent), scene())
