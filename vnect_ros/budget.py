"""How many windows the network may look at in an image, where it is slower than the camera."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import numpy as np

SHARE: Final = 0.5
"""Of the time between two images, what steps may take in the mean: the rest is for messages."""
SAVED: Final = 1.5
"""What short steps leave is saved up to so many periods: a search's window now and then fits in."""
STEPS: Final = 20
"""Steps that the time of a window and the period are taken from ..."""
FEWEST: Final = 5
"""... and from so few on; before, nothing is limited."""
USUAL: Final = 25.0
"""Percentile of the times between images that counts for the period: where steps take too long,
images are passed over, and most of these times are several periods."""


class Budget:
    """Keeps the steps of a pipeline within the time that its images leave it.

    The time of a window is the median of what the last steps took for each of theirs.  Each
    image adds a share of the camera's period to what may be spent, and each step takes from it
    what it took.  One window is looked at in each image, however long that takes.
    """

    def __init__(self) -> None:
        self._periods_s: deque[float] = deque(maxlen=STEPS)
        self._windows_s: deque[float] = deque(maxlen=STEPS)
        self._stamp_s = math.nan
        self._saved_s = math.inf

    def windows(self, stamp_s: float) -> int | None:
        """How many windows fit into the step of an image, at least 1; None: any number.

        Args:
            stamp_s: of the image [s].
        """
        elapsed_s, self._stamp_s = stamp_s - self._stamp_s, stamp_s
        if elapsed_s > 0.0:
            self._periods_s.append(elapsed_s)
        if min(len(self._periods_s), len(self._windows_s)) < FEWEST:
            return None
        period_s = float(np.percentile(self._periods_s, USUAL))
        self._saved_s = min(self._saved_s + SHARE * period_s, SAVED * period_s)
        return max(int(self._saved_s / max(float(np.median(self._windows_s)), 1e-6)), 1)

    def spend(self, windows: int, duration_s: float) -> None:
        """Take a step into account.

        Args:
            windows: that the network looked at.
            duration_s: of the whole step [s].
        """
        self._saved_s = max(self._saved_s - duration_s, 0.0)
        if windows:
            self._windows_s.append(duration_s / windows)
