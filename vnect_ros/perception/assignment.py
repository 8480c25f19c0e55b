"""Several people in one image: whose reading a window's maps are, and whose each joint is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from vnect_ros.perception.decode import Keypoints

MAX_DISTANCE: Final = 0.22
"""A reading this far from a prediction, in parts of the person's size, is not that person's."""
CLAIM_RADIUS: Final = 0.05
"""The same joint of two people nearer than this is one joint, in parts of the smaller size."""
KNOWN_RADIUS: Final = 0.12
"""A joint of a search window this near to the same joint of somebody who is tracked is that
one's, in parts of the size."""
NO_MATCH: Final = 1e6


def preload() -> None:
    """Import what the matching of several people needs: it takes as long as several frames."""
    _matching()


def size_px(pixels_px: np.ndarray) -> float:
    """The longer side of the box about joints [N, 2]; at least 1 [px]."""
    return max(float(np.ptp(pixels_px, axis=0).max()), 1.0)


def distance(keypoints: Keypoints, expected_px: np.ndarray) -> float:
    """Mean distance of the seen joints from predicted ones [21, 2], in parts of their size."""
    seen = keypoints.confidence > 0.0
    if not seen.any():
        return np.inf
    off = keypoints.pixels_px[seen] - expected_px[seen]
    return float(np.sqrt((off**2).sum(axis=1)).mean()) / size_px(expected_px)


def assign(readings: Sequence[Keypoints], expected: Sequence[np.ndarray | None]) -> list[int]:
    """Which reading each person gets: the whole set is matched at the least distance.

    A person's window may show another person who stands in front; after two people
    crossed, both windows may have followed the same one or the other one.

    Args:
        readings: of each person's window.
        expected: [21, 2] where each person's motion predicts the joints [px]; None:
            nothing is predicted, and the person keeps the own window's reading.

    Returns:
        For each person the index of a reading; no reading is given twice.
    """
    chosen = list(range(len(readings)))
    known = [i for i in chosen if expected[i] is not None]
    known_px = [px for px in expected if px is not None]
    if len(known) < 2:
        return chosen
    cost = np.array([[distance(readings[j], px) for j in known] for px in known_px])
    cost[cost > MAX_DISTANCE] = NO_MATCH
    # The own window's reading goes first among equals, so that noise exchanges nobody.
    cost[np.arange(len(known)), np.arange(len(known))] -= 1e-3
    for row, column in zip(*_matching()(cost)):
        chosen[known[row]] = known[column]
    return chosen


def unclaimed(keypoints: Keypoints, known_px: Sequence[np.ndarray]) -> Keypoints:
    """The joints of a search window without those of people who are tracked already.

    Args:
        known_px: [21, 2] each: where those people's joints are expected in the image.
    """
    confidence = keypoints.confidence.copy()
    for joints_px in known_px:
        apart = ((keypoints.pixels_px - joints_px) ** 2).sum(axis=1)
        confidence[apart < (KNOWN_RADIUS * size_px(joints_px)) ** 2] = 0.0
    return Keypoints(keypoints.pixels_px, confidence)


def settle_claims(
    keypoints: Sequence[Keypoints], expected: Sequence[np.ndarray | None]
) -> list[Keypoints]:
    """A joint that two people claim goes to the one whose prediction it fits better.

    For the other it is not seen: a person in front hides that joint.
    """
    settled = [Keypoints(k.pixels_px, k.confidence.copy()) for k in keypoints]
    sizes = [size_px(k.pixels_px) for k in keypoints]
    for i, one in enumerate(settled):
        for j in range(i + 1, len(settled)):
            other = settled[j]
            apart = one.pixels_px - other.pixels_px
            same = (apart**2).sum(axis=1) < (CLAIM_RADIUS * min(sizes[i], sizes[j])) ** 2
            same &= (one.confidence > 0.0) & (other.confidence > 0.0)
            if not same.any():
                continue
            first_wins = _error(one, expected[i], sizes[i]) <= _error(other, expected[j], sizes[j])
            other.confidence[same & first_wins] = 0.0
            one.confidence[same & ~first_wins] = 0.0
    return settled


def _matching() -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    from scipy.optimize import linear_sum_assignment  # one person needs no part of SciPy

    matching: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] = linear_sum_assignment
    return matching


def _error(keypoints: Keypoints, expected_px: np.ndarray | None, size: float) -> np.ndarray:
    """[21] distance from the prediction, in parts of the size, less a tenth of the confidence."""
    if expected_px is None:
        return MAX_DISTANCE - 0.1 * keypoints.confidence
    off = keypoints.pixels_px - expected_px
    error: np.ndarray = np.sqrt((off**2).sum(axis=1)) / size - 0.1 * keypoints.confidence
    return error


def are_one(
    one_px: np.ndarray, other_px: np.ndarray, radius: float, seen: np.ndarray | None = None
) -> bool:
    """Whether two sets of joints [21, 2] are near to each other in the mean.

    Args:
        radius: in parts of the size of the smaller set.
        seen: [21] bool, the joints that count; None: all.
    """
    if seen is not None:
        one_px, other_px = one_px[seen], other_px[seen]
    apart = np.sqrt(((one_px - other_px) ** 2).sum(axis=1)).mean()
    return bool(apart < radius * min(size_px(one_px), size_px(other_px)))
