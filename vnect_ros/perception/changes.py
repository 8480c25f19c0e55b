"""Which parts of the image changed since they were last looked at."""

from __future__ import annotations

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


class Changes:
    """Samples of the image as they were when a window last showed them to the network.

    What is seen in a large window says nothing about smaller people, so that each size
    of window has samples of its own.
    """

    def __init__(self) -> None:
        self._step = 1
        self._now = np.zeros((0, 0), np.int16)
        self._then: dict[int, np.ndarray] = {}

    def update(self, image: np.ndarray) -> None:
        """Take a new image [H, W, 3]."""
        self._step = max(-(-max(image.shape[:2]) // CELLS), 1)
        self._now = image[:: self._step, :: self._step, 1].astype(np.int16)

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
        def span(first_px: float) -> slice:
            ends = np.array([first_px, first_px + window.size_px]) / self._step
            low, high = np.maximum(np.round(ends), 0).astype(int).tolist()
            return slice(low, high)

        return span(window.top_px), span(window.left_px)
