"""What may be used of the images that come, and which camera took them."""

from __future__ import annotations

import time

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vnect_ros.camera import Camera
from vnect_ros.config import NodeConfig
from vnect_ros.errors import ImageError, describe
from vnect_ros.ros import convert

WAITING = "waiting for a CameraInfo"


class Intake:
    """What was seen of one camera since the node was activated."""

    def __init__(self) -> None:
        self.info: CameraInfo | None = None
        """The newest; set from the executor's thread, all else is the worker's."""
        self.last_stamp_s = -np.inf
        """Of the last image that was processed."""
        self._camera: Camera | None = None
        self._first_image_at: float | None = None

    def stamp_s(self, message: Image | CompressedImage, timeout_s: float, stale: bool) -> float:
        """The image's stamp [s], if the image may be used.

        Args:
            timeout_s: an image that is late by more is of a clock that jumped back [s].
            stale: so is any late one, since nothing had come for so long.

        Raises:
            ImageError: no frame, no stamp, or one that was seen before.
        """
        header = message.header
        stamp_s = convert.stamp_s(header.stamp)
        if not header.frame_id:
            raise ImageError(describe("image frame_id", "", "the camera's optical frame"))
        if stamp_s <= 0.0:
            raise ImageError(describe("image stamp", stamp_s, "the time the image was taken"))
        if abs(stamp_s - self.last_stamp_s) < 1e-6:  # rounding on the way does not make it new
            raise ImageError(describe("image stamp", f"{stamp_s:.6f} again", "each stamp once"))
        back_s = self.last_stamp_s - stamp_s
        if 0.0 < back_s <= timeout_s and not stale:
            late = f"{stamp_s:.6f}, {back_s:.3f} s before the last one"
            raise ImageError(describe("image stamp", late, "images in the order they were taken"))
        return stamp_s

    def too_soon(self, stamp_s: float, max_rate: float) -> bool:
        """Whether this image would be more than `max_rate` [Hz] allows; 0 allows all."""
        return bool(max_rate) and 0.0 < stamp_s - self.last_stamp_s < 0.9 / max_rate

    def camera_of(self, image: np.ndarray, config: NodeConfig) -> tuple[Camera | None, str, bool]:
        """The camera that took an image [h, w, 3].

        Returns:
            The camera, or None while its CameraInfo may still come; what is to be
            remarked of it ("": it is calibrated); and whether it is so different from
            the last image's that tracking cannot go on.
        """
        height, width = image.shape[:2]
        if self._first_image_at is None:
            self._first_image_at = time.monotonic()
        waited_s = time.monotonic() - self._first_image_at
        if self.info is None and waited_s < config.camera_info_timeout_s:
            return None, WAITING, False
        camera, remark = convert.camera_from_message(self.info, width, height, config.fallback_fov)
        before = self._camera
        if camera != before:  # else keep what the old one has worked out
            self._camera = camera
        return self._camera, remark, before is not None and _differ(before, camera)


def _differ(before: Camera, after: Camera) -> bool:
    """Whether tracking cannot go on from one camera to the other."""
    size = (before.width, before.height) != (after.width, after.height)
    zoom = abs(after.fy / before.fy - 1.0) > 0.01
    return size or zoom or before.calibrated != after.calibrated
