"""A registered depth image: how far away, and so how large, a fitted person is.

Depth shows the surface, a few centimetres before a joint; it has holes, pixels between
two surfaces, and whatever stands in front.  So each seen joint gives its own ratio of
measured to fitted distance, and what most of them agree on is taken.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from vnect_ros.skeleton import INDEX

_USED: Final = np.array(
    [INDEX[name] for name in ("neck", "pelvis", "spine")]
    + [
        INDEX[f"{side}_{name}"]
        for side in ("right", "left")
        for name in ("shoulder", "elbow", "hip", "knee", "ankle")
    ]
)
_INSET: Final = np.array([0.035, 0.065, 0.065] + 2 * [0.035, 0.025, 0.06, 0.035, 0.025])
"""How far a joint lies behind the surface, parts of the person's height."""
_PATCH: Final = 2
"""Depth is the median over this many pixels to each side."""
_RANGE_M: Final = (0.15, 20.0)
_FILLED: Final = 0.4
"""Share of a patch that must have a depth."""
_SPREAD_M: Final = 0.12
"""Within a patch and between joints, depths farther apart than this do not agree [m]."""
_LEAST_JOINTS: Final = 5
_AGREEING: Final = 0.6
"""Share of the joints with a depth that must agree."""
_STD_M: Final = 0.03
"""Error of the distance that the agreeing joints show together [m]."""


class DepthReading(NamedTuple):
    """What a depth image shows of a person."""

    ratio: float
    """Measured distance over the fitted one."""
    std: float
    """Standard deviation of the ratio."""


def measure(
    points_m: np.ndarray,
    pixels_px: np.ndarray,
    seen: np.ndarray,
    depth_m: np.ndarray,
    height_m: float,
) -> DepthReading | None:
    """Compare a fit's distances with a depth image.

    Args:
        points_m: [21, 3] the fitted joints, camera frame [m].
        pixels_px: [21, 2] where they are seen in the image [px].
        seen: [21] bool: joints that the image shows.
        depth_m: [H, W] float32 of the same camera; not finite or not positive: none [m].
        height_m: of the person.

    Returns:
        The ratio, or None where too few joints agree on one.
    """
    ratios, z = [], points_m[_USED, 2]
    for k, joint in enumerate(_USED):
        if not seen[joint] or not z[k] > _RANGE_M[0]:
            continue
        surface_m = _surface(depth_m, pixels_px[joint])
        if surface_m is not None:
            ratios.append((surface_m + _INSET[k] * height_m) / z[k])
    if len(ratios) < _LEAST_JOINTS:
        return None
    values = np.array(ratios)
    reach = _SPREAD_M / float(np.median(z))
    # The value that most others are near to: a median would follow what stands in front.
    votes = (np.abs(values[:, None] - values) < reach * np.maximum(values, 1.0)).sum(axis=1)
    best = values[votes.argmax()]
    agreeing = values[np.abs(values - best) < reach * max(best, 1.0)]
    if len(agreeing) < max(_LEAST_JOINTS, _AGREEING * len(values)):
        return None
    ratio = float(np.median(agreeing))
    return DepthReading(ratio, math.hypot(_STD_M / float(np.median(z)), 0.01))


def _surface(depth_m: np.ndarray, pixel_px: np.ndarray) -> float | None:
    """Depth about a pixel [m], or None at holes and at the edges of what is seen."""
    if not np.isfinite(pixel_px).all():
        return None
    x, y = round(float(pixel_px[0])), round(float(pixel_px[1]))
    height, width = depth_m.shape
    if not (0 <= x < width and 0 <= y < height):
        return None
    patch = depth_m[
        max(y - _PATCH, 0) : y + _PATCH + 1, max(x - _PATCH, 0) : x + _PATCH + 1
    ].ravel()
    valid = patch[np.isfinite(patch) & (patch > _RANGE_M[0]) & (patch < _RANGE_M[1])]
    if len(valid) < _FILLED * len(patch) or np.ptp(np.quantile(valid, (0.2, 0.8))) > _SPREAD_M:
        return None
    return float(np.median(valid))
