"""From ROS messages to cameras, and from ours to messages.  Nothing here keeps state."""

from __future__ import annotations

import array
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from vnect_ros.camera import Camera, is_calibrated
from vnect_ros.errors import CameraError
from vnect_ros.msg import Skeleton


def stamp_s(stamp: object) -> float:
    """Seconds of a builtin_interfaces/Time."""
    return stamp.sec + stamp.nanosec * 1e-9  # type: ignore[attr-defined]


def camera_from_message(
    info: CameraInfo | None,
    width: int,
    height: int,
    fallback_fov_deg: float,
    rectified: bool = False,
) -> tuple[Camera, str]:
    """The camera of an image of that size, and what is amiss with it ("" if nothing).

    Args:
        info: the last CameraInfo, or None where none came.
        width, height: of the image [px].
        fallback_fov_deg: vertical field of view taken where `info` does not serve [deg].
        rectified: the image is rectified: P holds for it, K and D for the raw one.
    """
    reason = "no CameraInfo"
    if info is not None:
        try:
            camera = _calibrated(info, rectified)
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


def _calibrated(info: CameraInfo, rectified: bool) -> Camera:
    """The camera that a CameraInfo states.

    Raises:
        CameraError: it cannot be one.
    """
    matrix, name = [float(value) for value in info.k], "K"
    distortion, model = [float(value) for value in info.d], info.distortion_model
    if rectified and (any(info.p) or any(distortion)):  # else K is P, which is left out
        matrix, name = [float(info.p[i]) for i in (0, 1, 2, 4, 5, 6, 8, 9, 10)], "P"
        distortion, model = [], ""
    if np.isfinite(matrix).all() and not is_calibrated(matrix):
        raise CameraError(f"{name} is zero (the driver is not calibrated)")
    roi = info.roi
    return Camera.from_info(
        info.width,
        info.height,
        matrix,
        distortion,
        model,
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
