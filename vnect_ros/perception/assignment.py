"""Several people in one image: whose reading a window's maps are, and whose each joint is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from vnect_ros.perception.decode import Keypoints

MAX_DISTANCE: Final = 0.22
"""A reading this far from a prediction, in parts of the person's size, is not that person's."""
MISSING_DISTANCE: Final = 0.35
"""The same for somebody who was not seen for long ..."""
MISSING_COLOURS: Final = 12.0
"""... whose colours must not differ by more."""
CLAIM_RADIUS: Final = 0.05
"""The same joint of two people nearer than this is one joint, in parts of the smaller size."""
OWN_SHARE: Final = 0.5
"""Of the joints that a person's reading shows, the least share that nobody else has a better
claim to."""
SAME_RADIUS: Final = 0.1
"""Readings of two windows this near, in the mean over their joints, are of one person, in parts
of the size."""
COLOUR_WEIGHT: Final = 0.01
"""Distance that a difference of colours counts for."""
ALIKE: Final = 8.0
"""Difference of colours that light and shade make."""
NO_MATCH: Final = 10.0
"""Cost of leaving a person without a reading: people are given as many as possible."""
SIZE_WEIGHT: Final = 0.5
"""Distance that a size counts for which is e times another."""
COVER_MARGIN: Final = 0.05
"""A body reaches this far beyond the box about its joints, in parts of the size."""
COVERED_SHARE: Final = 0.25
"""Of the joints, the share that somebody nearer covers of whom nothing may be seen: a network
that is shown two people at one place shows the nearer one alone."""


def preload() -> None:
    """Import what the matching of several people needs: it takes as long as several frames."""
    _matching()


def size_px(pixels_px: np.ndarray) -> float:
    """The longer side of the box about joints [N, 2]; at least 1 [px]."""
    return max(float(np.ptp(pixels_px, axis=0).max()), 1.0)


def distance(keypoints: Keypoints, expected_px: np.ndarray) -> float:
    """Mean distance of the seen joints from predicted ones [21, 2], in parts of their size.

    Joints of which nothing is predicted (NaN) do not count.  People of different sizes
    differ by the logarithm of the ratio besides.
    """
    known = np.isfinite(expected_px[:, 0])
    seen = (keypoints.confidence > 0.0) & known
    if not seen.any():
        return np.inf
    found_px, wanted_px = keypoints.pixels_px[seen], expected_px[seen]
    off = np.sqrt(((found_px - wanted_px) ** 2).sum(axis=1)).mean() / size_px(expected_px[known])
    spread = [np.linalg.norm(p - p.mean(axis=0)) + 1e-6 for p in (found_px, wanted_px)]
    return float(off + SIZE_WEIGHT * abs(np.log(spread[0] / spread[1])))


def assign(
    readings: Sequence[Keypoints],
    expected: Sequence[np.ndarray],
    colours_apart: np.ndarray,
    missing: Sequence[bool] = (),
) -> list[int | None]:
    """Which reading each person gets: the whole set is matched at the least distance.

    Args:
        readings: whoever the windows show, in no order.
        expected: [21, 2] where each person's motion predicts the joints [px].
        colours_apart: [people, readings] difference of their colours (`appearance`).
        missing: of each person, whether not seen for long: the prediction may be farther off,
            but the colours must be alike.

    Returns:
        For each person the index of a reading, none given twice; None: hidden.
    """
    if not len(readings) or not len(expected):
        return [None] * len(expected)
    cost = np.array([[distance(k, px) for k in readings] for px in expected])
    cost += COLOUR_WEIGHT * np.maximum(colours_apart - ALIKE, 0.0)
    possible = cost < MAX_DISTANCE
    if any(missing):
        of = np.array(missing, bool)
        possible[of] = (cost[of] < MISSING_DISTANCE) & (colours_apart[of] < MISSING_COLOURS)
    cost = np.where(possible, cost, NO_MATCH)
    chosen: list[int | None] = [None] * len(expected)
    for row, column in zip(*matched(cost)):
        if possible[row, column]:
            chosen[row] = int(column)
    return chosen


def distinct(readings: Sequence[Keypoints]) -> list[int]:
    """The indices of readings none of which shows the same person as one before it."""
    kept: list[int] = []
    for i, reading in enumerate(readings):
        if not any(_show_one(reading, readings[j]) for j in kept):
            kept.append(i)
    return kept


def _show_one(one: Keypoints, other: Keypoints) -> bool:
    both = (one.confidence > 0.0) & (other.confidence > 0.0)
    return bool(both.any()) and are_one(one.pixels_px, other.pixels_px, SAME_RADIUS, both)


def settle_claims(
    keypoints: Sequence[Keypoints], expected: Sequence[np.ndarray]
) -> list[Keypoints]:
    """A joint that two people claim goes to the one whose prediction it fits better.

    For the other it is not seen: a person in front hides that joint.  Who keeps less
    than `OWN_SHARE` of the joints read the others' joints alone, and is not seen at all.
    """
    settled = [Keypoints(k.pixels_px, k.confidence.copy()) for k in keypoints]
    sizes = [size_px(k.pixels_px) for k in keypoints]
    for i, one in enumerate(settled):
        for j in range(i + 1, len(settled)):
            other = settled[j]
            same = _same_joint(one.pixels_px, other.pixels_px, min(sizes[i], sizes[j]))
            same &= (one.confidence > 0.0) & (other.confidence > 0.0)
            if not same.any():
                continue
            first_wins = _error(one, expected[i], sizes[i]) <= _error(other, expected[j], sizes[j])
            other.confidence[same & first_wins] = 0.0
            one.confidence[same & ~first_wins] = 0.0
    for claimed, own in zip(keypoints, settled):
        if (own.confidence > 0.0).sum() < OWN_SHARE * (claimed.confidence > 0.0).sum():
            own.confidence[:] = 0.0
    return settled


def _same_joint(one_px: np.ndarray, other_px: np.ndarray, size: float) -> np.ndarray:
    """[21] bool: which joints two people share."""
    apart = one_px - other_px
    same: np.ndarray = (apart**2).sum(axis=1) < (CLAIM_RADIUS * size) ** 2
    return same


def is_covered(joints_px: np.ndarray, nearer_px: Sequence[np.ndarray]) -> bool:
    """Whether somebody with joints [21, 2] may be hidden by one of the people before them."""
    for body_px in nearer_px:
        margin_px = COVER_MARGIN * size_px(body_px)
        low_px, high_px = body_px.min(axis=0) - margin_px, body_px.max(axis=0) + margin_px
        inside = ((joints_px > low_px) & (joints_px < high_px)).all(axis=1)
        if inside.mean() >= COVERED_SHARE:
            return True
    return False


def matched(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a matrix [M, N] >= 0, as many pairs as there can be, of the least sum."""
    if min(cost.shape) == 1:  # one person, or one reading, needs no part of SciPy
        row, column = np.unravel_index(np.argmin(cost), cost.shape)
        return np.array([row]), np.array([column])
    sparse, matching = _matching()
    height, width = cost.shape
    columns, begins = np.tile(np.arange(width), height), np.arange(height + 1) * width
    # an entry of 0 would be none; the same for all pairs changes no order of sums
    edges = sparse((cost.ravel() + 1.0, columns, begins), shape=cost.shape)
    rows_and_columns: tuple[np.ndarray, np.ndarray] = matching(edges)
    return rows_and_columns


def _matching() -> tuple[Any, Any]:
    """SciPy's, from the module that takes half as long to import as `scipy.optimize`."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    return csr_matrix, min_weight_full_bipartite_matching


def _error(keypoints: Keypoints, expected_px: np.ndarray, size: float) -> np.ndarray:
    """[21] distance from the prediction, in parts of the size, less a tenth of the confidence."""
    off = keypoints.pixels_px - expected_px
    apart = np.sqrt((off**2).sum(axis=1)) / size
    unknown = np.isnan(apart)
    if unknown.any():
        apart[unknown] = apart[~unknown].mean() if not unknown.all() else np.inf
    error: np.ndarray = apart - 0.1 * keypoints.confidence
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
