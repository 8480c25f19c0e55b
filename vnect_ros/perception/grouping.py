"""Several people in one window: which maxima of its heatmaps belong together.

A location map states, where its joint is seen, the joint's place relative to the own
pelvis.  Two maxima of one person therefore differ in the image as their locations do,
times one scale: any two of them propose a scale, and the proposal that most others agree
with is a person.  Its maxima are taken away, and the rest is asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from vnect_ros.config import DecodeConfig
from vnect_ros.perception.assignment import size_px
from vnect_ros.perception.crop import outside
from vnect_ros.perception.decode import Keypoints, confidence, points, tops
from vnect_ros.perception.decode import peaks as maxima
from vnect_ros.records import Crop, Maps
from vnect_ros.skeleton import INDEX, MIRROR, NUM_JOINTS

TRUNK: Final = tuple(INDEX[name] for name in ("pelvis", "spine", "neck"))
"""Each person is put together about one of these joints."""
TOLERANCE_M: Final = 0.3
"""A maximum this far from where a proposal has its joint is not that person's [m]."""
KNOWN_RADIUS: Final = 0.12
"""A maximum this near to the same joint of somebody who is tracked, or to that of the other
side, is that one's, in parts of the size."""
MIN_APART_M: Final = 0.2
"""Joints whose locations are nearer than this propose no scale [m]."""
MAX_GROUPS: Final = 6
"""People taken from one window at most."""
_STAND_M: Final = 1.7
"""Height of the body that networks are trained on [m]."""
SMALLEST_CELLS: Final = 8.0
"""Whoever is smaller in the maps has no joints that could be told apart [cells]."""
_LARGEST: Final = 2.0
"""A body larger than this is not seen as a whole, in parts of the window."""
_MIRROR: Final = np.array(MIRROR)


class Peaks(NamedTuple):
    """The maxima of a window's heatmaps, ordered by their joints."""

    joints: np.ndarray
    """[N] index of the joint."""
    pixels_px: np.ndarray
    """[N, 2] in the image [px]."""
    confidence: np.ndarray
    """[N] in (0, 1]."""
    locations_m: np.ndarray
    """[N, 2] x and y of the joint's location map there [m]."""

    def keep(self, chosen: np.ndarray) -> Peaks:
        """Those of a mask [N]."""
        return Peaks(*(values[chosen] for values in self))


class Group(NamedTuple):
    """The maxima of one person."""

    keypoints: Keypoints
    """Those without a maximum are not seen, and in the middle of the others."""
    pelvis_px: np.ndarray
    """[2] where the person's pelvis is or would be seen in the image [px]."""
    size_px: float
    """Height of the person if upright [px]."""

    @property
    def seen(self) -> int:
        """Joints that are seen."""
        return int((self.keypoints.confidence > 0.0).sum())


def people_in(
    maps: Maps,
    crop: Crop,
    shape: tuple[int, ...],
    curve: tuple[tuple[float, float], ...],
    config: DecodeConfig,
    known_px: Sequence[np.ndarray] = (),
    min_joints: int = 0,
) -> list[Group]:
    """The people whom a window shows besides those who are known, the surest first.

    Args:
        shape: of the image, (height, width, ...); joints outside of it do not count.
        curve: the bundle's confidence curve, see `decode.confidence`.
        known_px: [21, 2] each: where the joints of people are who are tracked.
        min_joints: least joints of each; 0: `config.min_joints`.
    """
    min_joints = min_joints or config.min_joints
    peaks = _unknown(find_peaks(maps, crop, shape, curve, config.min_confidence), known_px)
    smallest_px = maps.stride_px * crop.scale * SMALLEST_CELLS
    groups: list[Group] = []
    while len(groups) < MAX_GROUPS and len(np.unique(peaks.joints)) >= min_joints:
        best = _best(peaks, (smallest_px / _STAND_M, _LARGEST * crop.size_px / _STAND_M))
        if best is None:
            break
        weights, about, scale = best
        pelvis_px = peaks.pixels_px[about] - scale * peaks.locations_m[about]
        group = Group(_joints(peaks, weights), pelvis_px, scale * _STAND_M)
        if group.seen < min_joints:
            break
        groups.append(group)
        peaks = peaks.keep(weights == 0.0)
    return groups


def find_peaks(
    maps: Maps,
    crop: Crop,
    shape: tuple[int, ...],
    curve: tuple[tuple[float, float], ...],
    min_confidence: float,
) -> Peaks:
    """The cells of a window's heatmaps that are higher than their eight neighbours.

    Args:
        min_confidence: least confidence of a maximum.
    """
    heights, probabilities = points(curve)
    joints, cells = maxima(maps, float(np.interp(min_confidence, probabilities, heights)))
    pixels_px, height = tops(maps, joints, cells)
    pixels_px = crop.image_from_input(pixels_px)
    inner = ~outside(pixels_px, shape, maps.stride_px * crop.scale / 2.0)
    joints, pixels_px, height = joints[inner], pixels_px[inner], height[inner]
    y, x = np.divmod(cells[inner], maps.heatmaps.shape[2])
    located_m = maps.locations_m[:2, joints, y, x].T.astype(np.float64)
    return Peaks(joints, pixels_px, confidence(height, curve), located_m)


def _unknown(peaks: Peaks, known_px: Sequence[np.ndarray]) -> Peaks:
    """The maxima that are nobody's who is tracked."""
    new = np.ones(len(peaks.joints), bool)
    for joints_px in known_px:
        near_px = KNOWN_RADIUS * size_px(joints_px)
        for of_side in (peaks.joints, _MIRROR[peaks.joints]):
            off = peaks.pixels_px - joints_px[of_side]
            new &= (off**2).sum(axis=1) > near_px**2
    return peaks.keep(new)


def _best(peaks: Peaks, scales: tuple[float, float]) -> tuple[np.ndarray, int, float] | None:
    """The best proposal; None where there is none.

    Args:
        scales: least and largest pixels of a metre.

    Returns:
        [N] how well each maximum agrees with it, the one that it is put together about,
        and its pixels of a metre.
    """
    trunk = np.flatnonzero(np.isin(peaks.joints, TRUNK))
    flat_px = peaks.pixels_px[None] - peaks.pixels_px[trunk, None]
    solid_m = peaks.locations_m[None] - peaks.locations_m[trunk, None]
    square = (solid_m**2).sum(axis=-1)
    scale = (flat_px * solid_m).sum(axis=-1) / np.maximum(square, 1e-9)
    sound = (square > MIN_APART_M**2) & (scale > scales[0]) & (scale < scales[1])
    about, by = np.nonzero(sound)
    if not len(about):
        return None
    off_m = flat_px[about] / scale[about, by][:, None, None] - solid_m[about]
    nearness = np.maximum(1.0 - (off_m**2).sum(axis=-1) / TOLERANCE_M**2, 0.0)
    weights = peaks.confidence * nearness
    first = np.flatnonzero(np.diff(peaks.joints, prepend=-1))
    score = np.maximum.reduceat(weights, first, axis=1).sum(axis=1)
    best = int(score.argmax())
    return weights[best], int(trunk[about[best]]), float(scale[about[best], by[best]])


def _joints(peaks: Peaks, weights: np.ndarray) -> Keypoints:
    """A person's joints: of each joint the best maximum; those without one in their middle."""
    order = np.argsort(weights)
    order = order[weights[order] > 0.0]
    pixels_px = np.tile(peaks.pixels_px[order].mean(axis=0), (NUM_JOINTS, 1))
    sure = np.zeros(NUM_JOINTS)
    pixels_px[peaks.joints[order]] = peaks.pixels_px[order]
    sure[peaks.joints[order]] = peaks.confidence[order]
    return Keypoints(pixels_px, sure)
