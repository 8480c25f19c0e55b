"""Which parts of the image changed since they were last looked at.

Somebody who is tracked alone changes it all the time: that person, and what is uncovered, does not
count.  The network sees who is near in every frame anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

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

    def update(self, image: np.ndarray, known_px: Sequence[np.ndarray] = ()) -> None:
        """Take a new image [H, W, 3].

        Args:
            known_px: [21, 2] each: where the joints of people are who do not count.
        """
        self._step = max(-(-max(image.shape[:2]) // CELLS), 1)
        self._now = image[:: self._step, :: self._step, 1].astype(np.int16)
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
        then = self._then.get(round(window.size_px))
        if then is None or then.shape != self._now.shape:
            return True
        part = self._part(window)
        changed = np.abs(self._now[part] - then[part]) > CHANGE
        return bool(changed.size and changed.mean() >= SHARE)

    def looked(self, window: Crop) -> None:
        """The network is shown a window of this image."""
        then = self._then.get(round(window.size_px))
        if then is None or then.shape != self._now.shape:
            then = self._then[round(window.size_px)] = np.full_like(self._now, NEVER)
        part = self._part(window)
        then[part] = self._now[part]

    def _part(self, window: Crop) -> tuple[slice, slice]:
        first_px = np.array((window.left_px, window.top_px))
        return self._between(first_px, first_px + window.size_px)

    def _about(self, joints_px: np.ndarray) -> tuple[slice, slice]:
        low_px, high_px = joints_px.min(axis=0), joints_px.max(axis=0)
        beside_px = BESIDE * (high_px - low_px).max()
        return self._between(low_px - beside_px, high_px + beside_px)

    def _between(self, low_px: np.ndarray, high_px: np.ndarray) -> tuple[slice, slice]:
        """The samples between two corners (x, y) of the image."""
        ends = np.array((low_px, high_px)) / self._step
        (left, top), (right, bottom) = np.maximum(np.round(ends), 0).astype(int).tolist()
        return slice(top, bottom), slice(left, right)
