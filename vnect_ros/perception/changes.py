"""Which parts of the image changed since they were last looked at.

Somebody who is tracked alone changes it all the time: that person, and what is uncovered, does not
count.  The network sees who is near in every frame anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from vnect_ros.records import Crop

CELLS: Final = 96
"""Samples along the longer side of an image."""
CHANGE: Final = 12
"""Difference of a sample above noise and compression [grey levels of 255]."""
NEVER: Final = -256
"""A sample that no window showed yet."""
SHARE: Final = 0.02
"""Share of a window's samples that must have changed."""
BESIDE: Final = 0.25
"""What is a person's beside the joints' box (clothes, shadows), in parts of its longer edge."""


class Changes:
    """Samples of the image as they were when a window last showed them to the network.

    What is seen in a large window says nothing about smaller people, so that each size
    of window has samples of its own.
    """

    def __init__(self) -> None:
        self._step = 1
        self._now = np.zeros((0, 0), np.int16)
        self._then: dict[int, np.ndarray] = {}
        self._covered: list[tuple[slice, slice]] = []
        self._sums: dict[int, np.ndarray] = {}
        """By size of window, samples above and left of each that changed."""

    def update(self, image: np.ndarray, known_px: Sequence[np.ndarray] = ()) -> None:
        """Take a new image [H, W, 3].

        Args:
            known_px: [21, 2] each: where the joints of people are who do not count.
        """
        self._step = max(-(-max(image.shape[:2]) // CELLS), 1)
        self._now = image[:: self._step, :: self._step, 1].astype(np.int16)
        self._sums.clear()
        uncovered = self._covered
        known = [joints for joints in known_px if np.isfinite(joints).all()]
        self._covered = [self._about(joints) for joints in known]
        for then in self._then.values():
            if then.shape != self._now.shape:
                continue
            for part in self._covered + uncovered:
                np.copyto(then[part], self._now[part], where=then[part] != NEVER)

    def in_window(self, window: Crop) -> bool:
        """Whether a window shows something new."""
        size = round(window.size_px)
        then = self._then.get(size)
        if then is None or then.shape != self._now.shape:
            return True
        sums = self._sums.get(size)
        if sums is None:
            changed = np.abs(self._now - then) > CHANGE
            sums = self._sums[size] = cv2.integral(changed.view(np.uint8))
        rows, columns = self._part(window)
        top, bottom, _ = rows.indices(self._now.shape[0])
        left, right, _ = columns.indices(self._now.shape[1])
        count = max(bottom - top, 0) * max(right - left, 0)
        if not count:
            return False
        new = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        return bool(new / count >= SHARE)

    def looked(self, window: Crop) -> None:
        """The network is shown a window of this image."""
        size = round(window.size_px)
        then = self._then.get(size)
        if then is None or then.shape != self._now.shape:
            then = self._then[size] = np.full_like(self._now, NEVER)
        self._sums.pop(size, None)
        part = self._part(window)
        then[part] = self._now[part]

    def _part(self, window: Crop) -> tuple[slice, slice]:
        left_px, top_px, size_px = window.left_px, window.top_px, window.size_px
        return self._between(left_px, top_px, left_px + size_px, top_px + size_px)

    def _about(self, joints_px: np.ndarray) -> tuple[slice, slice]:
        low_px, high_px = joints_px.min(axis=0), joints_px.max(axis=0)
        beside_px = BESIDE * (high_px - low_px).max()
        return self._between(*(low_px - beside_px).tolist(), *(high_px + beside_px).tolist())

    def _between(
        self, left_px: float, top_px: float, right_px: float, bottom_px: float
    ) -> tuple[slice, slice]:
        """The samples between two corners of the image."""
        ends_px = (left_px, top_px, right_px, bottom_px)
        left, top, right, bottom = (max(round(end / self._step), 0) for end in ends_px)
        return slice(top, bottom), slice(left, right)
