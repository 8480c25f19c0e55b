"""Who is tracked, how often each person is measured and how near: for /diagnostics."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

import numpy as np

from vnect_ros.records import Pose, State

WINDOW_S: Final = 5.0
"""Time that rates are taken over [s]."""


def rate_hz(times_s: deque[float], now_s: float) -> float:
    """Events a second over the last WINDOW_S [Hz].

    Args:
        times_s: when they happened, by a steady clock [s].
        now_s: by the same clock [s].
    """
    recent = sum(now_s - t <= WINDOW_S for t in times_s)
    if not recent:
        return 0.0
    return recent / min(WINDOW_S, max(now_s - times_s[0], 0.2))


class PeopleStatistics:
    """Of the people in the last images, by the ids they are published under."""

    def __init__(self) -> None:
        self._measured_at: dict[str, deque[float]] = {}
        self._ages_s: dict[str, float] = {}
        self._skipped = 0
        self._nearest_m: float | None = None

    def update(self, now_s: float, people: Mapping[str, Pose], skipped: int) -> None:
        """Take an image's poses.

        Args:
            now_s: by a steady clock [s].
            people: everybody who is tracked, by id.
            skipped: people whom the network did not look at in this image.
        """
        self._skipped += skipped
        for gone in set(self._measured_at) - set(people):
            del self._measured_at[gone]
        for body_id, pose in people.items():
            times = self._measured_at.setdefault(body_id, deque(maxlen=300))
            if pose.state is State.MEASURED:
                times.append(now_s)
        self._ages_s = {body_id: pose.observation_age_s for body_id, pose in people.items()}
        distances = [np.linalg.norm(p.joints_camera_m, axis=1).min() for p in people.values()]
        self._nearest_m = float(min(distances)) if distances else None

    def values(self, now_s: float) -> dict[str, str]:
        """Texts by key, for a DiagnosticStatus."""
        rates = [f"{i}: {rate_hz(t, now_s):.1f}" for i, t in self._measured_at.items()]
        ages = [f"{i}: {age_s:.2f}" for i, age_s in self._ages_s.items()]
        return {
            "people": str(len(self._ages_s)),
            "measured rate of each person [Hz]": ", ".join(rates),
            "observation age of each person [s]": ", ".join(ages),
            "people not looked at, over all images": str(self._skipped),
            "nearest joint [m]": "" if self._nearest_m is None else f"{self._nearest_m:.2f}",
        }
