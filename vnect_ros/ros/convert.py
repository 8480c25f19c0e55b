"""From our records to ROS messages.  Nothing here keeps state."""

from __future__ import annotations

import array
from dataclasses import dataclass

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from vnect_ros.camera import Camera
from vnect_ros.msg import Skeleton

JPEG_QUALITY = 95
"""image_transport's own default."""


def stamp_s(stamp: object) -> float:
    """Seconds of a builtin_interfaces/Time."""
    return stamp.sec + stamp.nanosec * 1e-9  # type: ignore[attr-defined]


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
    data = _bytes(np.ascontiguousarray(image))
    return Image(
        header=header, height=height, width=width, encoding="rgb8", step=3 * width, data=data
    )


def compressed_message(image: np.ndarray, header: Header) -> CompressedImage:
    """A JPEG message of [H, W, 3] uint8 RGB, as image_transport's compressed plugin makes it."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    format_ = "rgb8; jpeg compressed bgr8"
    return CompressedImage(header=header, format=format_, data=_bytes(encoded))


def _bytes(values: np.ndarray) -> array.array[int]:
    """The form in which a message takes bytes at once; anything else it copies one by one."""
    data = array.array("B")
    data.frombytes(values.data)
    return data


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
