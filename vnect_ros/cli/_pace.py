"""Frames at their own rate, and what each of them took: the same for us and for baselines."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

RATE_HZ = 30.0
"""Of the share of a core that is shown."""


def there_and_back(
    images: Sequence[np.ndarray], step_s: float
) -> Iterator[tuple[np.ndarray, float]]:
    """The images again and again, backwards too so that nobody jumps, and their stamps [s]."""
    for i, image in enumerate(itertools.cycle([*images, *images[-2:0:-1]])):
        yield image, i * step_s


def play(
    frames: Iterable[tuple[np.ndarray, float]], step: Callable[[np.ndarray, float], Any], skip: int
) -> dict[str, float]:
    """Process frames when they are due, or as soon after as may be.

    Args:
        frames: image [H, W, 3] uint8 RGB, and stamp [s].
        step: processes one.
        skip: so many frames at the beginning warm the libraries up and do not count.

    Returns:
        Figures of the frames that count.
    """
    laps_s: list[float] = []
    begin, used_s = time.perf_counter(), 0.0
    for i, (image, stamp_s) in enumerate(frames):
        if i == skip:
            used_s = time.process_time()
        due = max(begin + stamp_s, time.perf_counter())  # how late it wakes up counts
        time.sleep(max(due - time.perf_counter(), 0.0))
        step(image, stamp_s)
        laps_s.append(time.perf_counter() - due)
    used_s = time.process_time() - used_s
    return figures(np.array(laps_s[skip:]), used_s)


def figures(laps_s: np.ndarray, used_s: float) -> dict[str, float]:
    """Of frames that took so long each [s], and of processor time for all of them [s]."""
    cpu_s = used_s / len(laps_s)
    return {
        **spread_ms(laps_s),
        "cpu_ms_a_frame": cpu_s * 1e3,
        "core_at_30_hz": cpu_s * RATE_HZ,
    }


def spread_ms(laps_s: np.ndarray) -> dict[str, float]:
    """Median, 95 and 99.9 % and the longest of durations [s], in milliseconds."""
    median, p95, p999 = np.percentile(laps_s, (50.0, 95.0, 99.9)) * 1e3
    longest = np.max(laps_s) * 1e3
    return {"median_ms": median, "p95_ms": p95, "p999_ms": p999, "longest_ms": longest}
