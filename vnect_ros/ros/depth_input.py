"""Depth images that go with the colour images, by their stamps."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition
from typing import Final

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from vnect_ros.errors import ImageError, describe
from vnect_ros.messages.depth import depth_m
from vnect_ros.ros import convert

_KEPT: Final = 6
_PERIOD_S: Final = 1.0 / 30.0
"""Until two depth images have come [s]."""
_MAX_PERIOD_S: Final = 0.1
"""A person moves too far in half of a longer one [s]."""
_WAIT_S: Final = 0.02
"""Drivers publish both images of an exposure one after the other, within this time [s]."""
_JITTER: Final = 0.1
"""By which stamps depart from an even rate, in periods."""
_MISSING: Final = 3.0
"""So many periods after the last depth image no other is waited for."""


class DepthInput:
    """Gives a colour image the depth image nearest to it in time.

    `put` runs in the executor's thread, everything else in the worker's.
    """

    def __init__(self, topic: str) -> None:
        """Know no depth image yet.

        Args:
            topic: that they come from, for what is reported.
        """
        self.topic = topic
        self.used = ""
        """Which depth image the last image had, in words; "" if it had none."""
        self.fault = ""
        """Why it had none; "" if it had one."""
        self._recent: deque[tuple[float, Image]] = deque(maxlen=_KEPT)
        self._arrived = Condition()

    def put(self, message: Image) -> None:
        """Take a depth image."""
        with self._arrived:
            self._recent.append((convert.stamp_s(message.header.stamp), message))
            self._arrived.notify()

    def depth_m(self, header: Header, width: int, height: int) -> np.ndarray | None:
        """[height, width] float32 of a colour image [m]; None where no depth image fits it.

        Waits briefly for one that is on its way.

        Args:
            header: the colour image's.
            width, height: of the colour image [px].
        """
        self.used, stamp_s = "", convert.stamp_s(header.stamp)
        try:
            message, apart_s = self._nearest(stamp_s)
            if message.header.frame_id != header.frame_id:
                accepted = f"{header.frame_id!r}, the image's, to which it is to be registered"
                raise ImageError(
                    describe("depth image frame_id", message.header.frame_id, accepted)
                )
            if (message.width, message.height) != (width, height):
                got = f"{message.width}x{message.height}"
                accepted = f"{width}x{height}, the image's, to which it is to be registered"
                raise ImageError(describe("depth image size", got, accepted))
            depth = depth_m(message)
        except ImageError as error:
            self.fault = f"{error}; depth is not used"
            return None
        self.fault = ""
        self.used = f"{message.encoding} of {self.topic}, {apart_s * 1e3:+.0f} ms from the image"
        return depth

    def _nearest(self, stamp_s: float) -> tuple[Image, float]:
        """The depth image nearest to a stamp [s], and how much later it was taken [s].

        Raises:
            ImageError: none was taken within half a period.
        """
        deadline_s = time.monotonic() + _WAIT_S
        with self._arrived:
            while True:
                period_s = self._period_s()
                reach_s = (0.5 + _JITTER) * period_s
                found = min(self._recent, key=lambda e: abs(e[0] - stamp_s), default=None)
                if found is not None and abs(found[0] - stamp_s) <= reach_s:
                    return found[1], found[0] - stamp_s
                left_s = deadline_s - time.monotonic()
                if not self._is_due(stamp_s, period_s) or left_s <= 0.0:
                    break
                self._arrived.wait(left_s)
        if found is None:
            raise ImageError(f"no depth image on {self.topic}")
        got = f"{found[0] - stamp_s:+.3f} s from the image"
        raise ImageError(describe("depth image stamp", got, f"within {reach_s:.3f} s"))

    def _is_due(self, stamp_s: float, period_s: float) -> bool:
        """Whether the depth image of that time [s] has been taken, and may yet come."""
        if not self._recent:
            return False
        since_s = stamp_s - self._recent[-1][0]
        return (1.0 - _JITTER) * period_s <= since_s <= _MISSING * period_s

    def _period_s(self) -> float:
        stamps_s = np.array([stamp_s for stamp_s, _ in self._recent])
        if len(stamps_s) < 2:
            return _PERIOD_S
        return min(float(np.median(np.abs(np.diff(stamps_s)))), _MAX_PERIOD_S)
