"""The entry of an image: a message in, a Frame or a named refusal out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from vnect_ros.camera import Camera
from vnect_ros.clock import Arrival, ClockGuard
from vnect_ros.config import NodeConfig
from vnect_ros.errors import ImageError, describe
from vnect_ros.messages.cameras import camera_from_message, is_rectified
from vnect_ros.messages.images import ImageReader
from vnect_ros.records import Frame
from vnect_ros.ros import convert
from vnect_ros.ros.extras import Extras

WAITING: Final = "waiting for a CameraInfo"


@dataclass(frozen=True)
class Refusal:
    """Why an image is not used."""

    reason: str
    is_fault: bool = True
    """False where nothing is wrong with the image: its turn has not come."""


class ImageInput:
    """Makes frames of one camera's messages, from the activation of the node on."""

    def __init__(self, clock: ClockGuard, topic: str, extras: Extras) -> None:
        """Know nothing of the camera yet.

        Args:
            clock: judges stamps; the pipeline's.
            topic: that the images come from: its name may say that they are rectified.
            extras: what its frames have besides the image.
        """
        self.info: CameraInfo | None = None
        """The newest; set from the executor's thread, all else is the worker's."""
        self.camera_fault = ""
        """What is amiss with the camera's intrinsics; "" if nothing."""
        self.camera_used = "calibrated"
        """How its intrinsics are used, where nothing is amiss."""
        self._clock, self._topic, self._extras = clock, topic, extras
        self._reader = ImageReader(load_cv_bridge())
        self._camera: Camera | None = None
        self._first_image_at: float | None = None

    def read(
        self, message: Image | CompressedImage, config: NodeConfig, stale: bool = False
    ) -> Frame | Refusal:
        """One image.

        Args:
            config: the node's, as it is now.
            stale: nothing had come for `timeout_s`, so that a late image, however
                little it is late, is of a clock that was set back.
        """
        try:
            stamp_s = self._stamp_s(message.header, 0.0 if stale else config.timeout_s)
            if config.max_rate and 0.0 < stamp_s - self._clock.last_s < 0.9 / config.max_rate:
                return Refusal("more images than max_rate", is_fault=False)
            image = self._reader.read(message)
        except ImageError as error:
            return Refusal(str(error))
        camera = self._camera_of(image, config)
        if camera is None:
            return Refusal(WAITING, is_fault=False)
        extras = self._extras.of(message.header, camera.width, camera.height, config)
        return Frame(image, camera, stamp_s, *extras)

    def _stamp_s(self, header: Header, late_s: float) -> float:
        """The stamp [s] of an image that may be used.

        Raises:
            ImageError: no frame, no stamp, or an image that is not newer than the last.
        """
        stamp_s = convert.stamp_s(header.stamp)
        if not header.frame_id:
            raise ImageError(describe("image frame_id", "", "the camera's optical frame"))
        if stamp_s <= 0.0:
            raise ImageError(describe("image stamp", stamp_s, "the time the image was taken"))
        arrival = self._clock.judge(stamp_s, late_s)
        if arrival is Arrival.REPEATED:
            raise ImageError(describe("image stamp", f"{stamp_s:.6f} again", "each stamp once"))
        if arrival is Arrival.LATE:
            back_s = self._clock.last_s - stamp_s
            late = f"{stamp_s:.6f}, {back_s:.3f} s before the last one"
            raise ImageError(describe("image stamp", late, "images in the order they were taken"))
        return stamp_s

    def _camera_of(self, image: np.ndarray, config: NodeConfig) -> Camera | None:
        """The camera that took an image [h, w, 3]; None while its CameraInfo may still come."""
        height, width = image.shape[:2]
        if self._first_image_at is None:
            self._first_image_at = time.monotonic()
        waited_s = time.monotonic() - self._first_image_at
        if self.info is None and waited_s < config.camera_info_timeout_s:
            self.camera_fault = WAITING
            return None
        rectified = is_rectified(self._topic, config.rectified)
        camera, self.camera_fault = camera_from_message(
            self.info, width, height, config.fallback_fov, rectified
        )
        self.camera_used = "calibrated, rectified images: P is used" if rectified else "calibrated"
        if camera != self._camera:  # else keep what the old one has worked out
            self._camera = camera
        return self._camera


def load_cv_bridge() -> Any | None:
    """A CvBridge, or None where cv_bridge is not installed or does not load."""
    try:
        from cv_bridge import CvBridge

        return CvBridge()
    except Exception:  # built against another NumPy it raises more than ImportError
        return None
