"""How long an image waits and is worked on, stage by stage: for /diagnostics and `demo`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

import numpy as np

WINDOW: Final = 300
"""Images that percentiles are taken over."""
SHARES: Final = (50.0, 95.0)
_SUFFIX: Final = ", p50 / p95 [ms]"
STAGES: Final = (
    "stamp to received",
    "received to taken",
    "taken to stepped",
    "stepped to published",
)
"""By the executor; by the worker; by the pipeline; the skeletons, before they are handed to DDS."""


class StageTimes:
    """Of the last images."""

    def __init__(self) -> None:
        self._durations_s: dict[str, deque[float]] = {s: deque(maxlen=WINDOW) for s in STAGES}

    def add(self, durations_s: Mapping[str, float]) -> None:
        """Take an image's [s], by stage."""
        for stage, duration_s in durations_s.items():
            self._durations_s[stage].append(duration_s)

    def values(self) -> dict[str, str]:
        """Texts by key, for a DiagnosticStatus."""
        return {
            stage + _SUFFIX: " / ".join(f"{ms:.2f}" for ms in np.percentile(times_s, SHARES) * 1e3)
            for stage, times_s in self._durations_s.items()
            if times_s
        }


def read(values: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile [ms] of each stage that a DiagnosticStatus has."""
    found = {}
    for stage in STAGES:
        if stage + _SUFFIX in values:
            median, p95 = values[stage + _SUFFIX].split(" / ")
            found[stage] = float(median), float(p95)
    return found
