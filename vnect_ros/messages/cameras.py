"""From sensor_msgs/CameraInfo to cameras: rclpy's messages, and those read from bags."""

from __future__ import annotations

from typing import Any

from vnect_ros.camera import Camera
from vnect_ros.errors import CameraError


def camera_from_message(
    info: Any | None,
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


def _calibrated(info: Any, rectified: bool) -> Camera:
    """The camera that a CameraInfo states.

    Raises:
        CameraError: it cannot be one.
    """
    k, d, p = (_field(info, name) for name in ("k", "d", "p"))
    if rectified and not any(p) and not any(d):  # P is left out: K is it
        rectified = False
    roi = info.roi
    return Camera.from_info(
        info.width,
        info.height,
        k,
        d,
        info.distortion_model,
        binning=(info.binning_x, info.binning_y),
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height),
        rectified=rectified,
        p=p,
    )


def _field(info: Any, name: str) -> list[float]:
    """An array of a CameraInfo; ROS 1 writes their names large."""
    values = getattr(info, name) if hasattr(info, name) else getattr(info, name.upper())
    return [float(value) for value in values]


def is_rectified(topic: str, configured: str) -> bool:
    """Whether images are rectified: as configured, or "auto", by their topic's name.

    image_pipeline names rectified topics image_rect, image_rect_color, and so on.
    """
    if configured != "auto":
        return configured == "true"
    return any(part.startswith("image_rect") for part in topic.split("/"))
