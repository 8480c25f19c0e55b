"""From ROS messages to images and cameras, and back.

Nothing here keeps state.  Encodings are those of sensor_msgs; OpenCV names a
Bayer pattern by its second row, so its BayerRG is ROS's bayer_bggr.
"""

from __future__ import annotations

import array
from dataclasses import dataclass

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from vnect_ros.camera import Camera, is_calibrated
from vnect_ros.errors import CameraError, ImageError, describe
from vnect_ros.msg import Skeleton


@dataclass(frozen=True)
class _Encoding:
    channels: int
    """Bytes or, with 16 bits, pairs of bytes a pixel takes."""
    to_rgb: int | None
    """OpenCV's conversion; None where it is RGB already."""
    bits: int = 8


_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
ENCODINGS = {
    "rgb8": _Encoding(3, None),
    "bgr8": _Encoding(3, cv2.COLOR_BGR2RGB),
    "rgba8": _Encoding(4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Encoding(4, cv2.COLOR_BGRA2RGB),
    "mono8": _Encoding(1, cv2.COLOR_GRAY2RGB),
    "mono16": _Encoding(1, cv2.COLOR_GRAY2RGB, bits=16),
    "yuv422": _Encoding(2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": _Encoding(2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": _Encoding(2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": _Encoding(2, cv2.COLOR_YUV2RGB_YUY2),
    **{f"bayer_{p}8": _Encoding(1, code) for p, code in _BAYER.items()},
    **{f"bayer_{p}16": _Encoding(1, code, bits=16) for p, code in _BAYER.items()},
}
"""What `image_from_message` reads; "uyvy" and "yuyv" are newer names of the two YUV ones."""


def stamp_s(stamp: object) -> float:
    """Seconds of a builtin_interfaces/Time."""
    return stamp.sec + stamp.nanosec * 1e-9  # type: ignore[attr-defined]


def image_from_message(message: Image | CompressedImage) -> np.ndarray:
    """The image as [H, W, 3] uint8 RGB; rgb8 without padding is not copied.

    16-bit images are read by their upper 8 bits.

    Raises:
        ImageError: encoding, size, step or data do not make an image.
    """
    if isinstance(message, CompressedImage):
        return _decompressed(message)
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise ImageError(describe("image encoding", message.encoding, ", ".join(ENCODINGS)))
    width, height, step = message.width, message.height, message.step
    if width == 0 or height == 0:
        raise ImageError(describe("image size", f"{width}x{height}", "at least 1x1"))
    if width % 2 and encoding.channels == 2:
        raise ImageError(describe("image width", width, f"an even number for {message.encoding}"))
    row = width * encoding.channels * encoding.bits // 8
    if step < row:
        accepted = f"at least {row} bytes for {width} {message.encoding} pixels"
        raise ImageError(describe("image step", step, accepted))
    if len(message.data) != step * height:
        raise ImageError(
            describe("image data", f"{len(message.data)} bytes", f"{step * height} (step * height)")
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, :row]
    if encoding.bits == 16:  # the upper byte of each value
        rows = rows[:, 0 if message.is_bigendian else 1 :: 2]
    pixels = np.ascontiguousarray(rows).reshape(height, width, encoding.channels)
    if encoding.to_rgb is None:
        return pixels
    try:
        return cv2.cvtColor(pixels, encoding.to_rgb)
    except cv2.error as error:  # e.g. a Bayer image of one row
        raise ImageError(f"{message.encoding} image of {width}x{height}: {error}") from error


def _decompressed(message: CompressedImage) -> np.ndarray:
    data = bytes(message.data)
    kind = "JPEG" if data[:2] == b"\xff\xd8" else "PNG" if data[1:4] == b"PNG" else ""
    end = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}.get(kind)
    got = f"{len(data)} bytes of format {message.format!r}"
    if end is None:
        raise ImageError(describe("compressed image", got, "a JPEG or PNG image"))
    # OpenCV fills what a torn image lacks with grey, and says nothing.
    if end not in data[-1024:]:
        raise ImageError(describe("compressed image", f"{got}, cut off", f"a whole {kind} image"))
    image = None
    try:
        image = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise ImageError(f"compressed image: {error}") from error
    if image is None:
        raise ImageError(describe("compressed image", f"{got}, damaged", f"a whole {kind} image"))
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def camera_from_message(
    info: CameraInfo | None, width: int, height: int, fallback_fov_deg: float
) -> tuple[Camera, str]:
    """The camera of an image of that size, and what is amiss with it ("" if nothing).

    Args:
        info: the last CameraInfo, or None where none came.
        fallback_fov_deg: vertical field of view taken where `info` does not serve.
    """
    reason = "no CameraInfo"
    if info is not None:
        try:
            camera = _calibrated(info)
            if (camera.width, camera.height) == (width, height):
                return camera, ""
            size = f"CameraInfo is of {camera.width}x{camera.height}, the image {width}x{height}"
            skew = abs(camera.width * height - camera.height * width)
            if skew <= max(camera.width, camera.height):
                return camera.scaled(width, height), f"{size}: intrinsics are scaled"
            reason = size
        except CameraError as error:
            reason = f"CameraInfo {error}"
    guess = Camera.from_field_of_view(width, height, fallback_fov_deg)
    return guess, (
        f"{reason}: the camera is taken as uncalibrated with a vertical field of view of "
        f"{fallback_fov_deg:g} degrees; distance and scale are a guess"
    )


def _calibrated(info: CameraInfo) -> Camera:
    if np.isfinite(info.k).all() and not is_calibrated(list(info.k)):
        raise CameraError("K is zero (the driver is not calibrated)")
    roi = info.roi
    return Camera.from_info(
        info.width,
        info.height,
        [float(value) for value in info.k],
        [float(value) for value in info.d],
        info.distortion_model,
        binning=(info.binning_x, info.binning_y),
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height),
    )


def camera_info(camera: Camera, header: Header) -> CameraInfo:
    """The CameraInfo of a camera's images; K zero where it is not calibrated (REP-104)."""
    info = CameraInfo(header=header, width=camera.width, height=camera.height)
    if camera.calibrated:
        info.distortion_model = camera.model
        info.d = list(camera.distortion) or [0.0] * (4 if camera.model == "equidistant" else 5)
        info.k = camera.matrix.ravel()
        info.r = np.eye(3).ravel()
        info.p = np.hstack([camera.matrix, np.zeros((3, 1))]).ravel()
    return info


def image_message(image: np.ndarray, header: Header) -> Image:
    """An rgb8 message of [H, W, 3] uint8 RGB."""
    height, width = image.shape[:2]
    data = array.array("B")  # anything else is copied byte by byte
    data.frombytes(np.ascontiguousarray(image).data)
    return Image(
        header=header, height=height, width=width, encoding="rgb8", step=3 * width, data=data
    )


@dataclass(frozen=True)
class Placement:
    """Where the skeleton's numbers are given: another frame seen from the camera's."""

    rotation: np.ndarray
    """[3, 3] target from camera."""
    translation_m: np.ndarray
    """[3] the camera's origin in the target frame."""

    def points(self, points_m: np.ndarray) -> np.ndarray:
        """[..., 3] points of the camera frame in the target frame [m]."""
        return points_m @ self.rotation.T + self.translation_m


IN_CAMERA = Placement(np.eye(3), np.zeros(3))


def lost_skeleton(header: Header, body_id: str) -> Skeleton:
    """What says that a person is no longer tracked."""
    return Skeleton(header=header, id=body_id, state=Skeleton.LOST)
