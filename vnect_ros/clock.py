"""The one place that decides whether an image is new, repeated, late, or of a clock set back."""

from __future__ import annotations

import math
from enum import Enum
from typing import Final

SAME_S: Final = 1e-6
"""Stamps nearer than this are the same: a conversion on the way rounds."""
LATE_S: Final = 0.5
"""An image older than the last by up to this came late; by more, the clock was set back."""


class Arrival(Enum):
    """How an image's stamp follows the last accepted one."""

    NEW = "new"
    REPEATED = "repeated"
    """The last image's stamp again."""
    LATE = "late"
    """Overtaken by a newer image."""
    SET_BACK = "set back"
    """From a clock that was set back, or a recording that begins anew."""


class ClockGuard:
    """Remembers the newest accepted stamp; whoever comes behind it may trust dt_s > 0."""

    def __init__(self) -> None:
        self.last_s = -math.inf
        """Stamp of the last accepted image [s]; -inf before the first."""

    def judge(self, stamp_s: float, late_s: float = LATE_S) -> Arrival:
        """How an image follows the last accepted one; changes nothing.

        Args:
            stamp_s: of the image [s].
            late_s: an image older than the last by up to this came late; by more,
                the clock was set back [s].
        """
        ahead_s = stamp_s - self.last_s
        if ahead_s >= SAME_S:
            return Arrival.NEW
        if ahead_s > -SAME_S:
            return Arrival.REPEATED
        return Arrival.LATE if ahead_s >= -late_s else Arrival.SET_BACK

    def accept(self, stamp_s: float) -> None:
        """Take an image's stamp for the newest [s]."""
        self.last_s = stamp_s

    def reset(self) -> None:
        """Forget the last stamp: any next image is new."""
        self.last_s = -math.inf
