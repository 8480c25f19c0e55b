"""The time that each stage of a step takes."""

from __future__ import annotations

from collections.abc import Callable


class Stopwatch:
    """Adds up the time of each stage of a step."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Stand still until `start`.

        Args:
            clock: time [s].
        """
        self._clock = clock

    def start(self) -> None:
        """Begin a step."""
        self._laps: dict[str, float] = dict.fromkeys(
            ("crop", "network", "decode", "filter", "fit"), 0.0
        )
        self._begin = self._last = self._clock()

    def lap(self, stage: str) -> None:
        """What passed since the last lap was spent on `stage`."""
        now = self._clock()
        self._laps[stage] += now - self._last
        self._last = now

    def stop(self) -> dict[str, float]:
        """The time of each stage, and their "total" [s]."""
        return {**self._laps, "total": self._last - self._begin}
