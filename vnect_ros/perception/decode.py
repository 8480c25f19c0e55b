"""Maps become joints: where they are, how sure that is, and how far from the pelvis."""

from __future__ import annotations

import functools
from typing import NamedTuple

import cv2
import numpy as np

from vnect_ros import native
from vnect_ros.config import DecodeConfig
from vnect_ros.perception.crop import outside
from vnect_ros.records import Crop, Maps
from vnect_ros.skeleton import MIRROR, NUM_JOINTS, PELVIS

_FLOOR = 0.02
"""Heat below this share of the peak is taken for noise by the logarithm."""
_LARGEST_GAIN = 2.0
"""How much higher than its highest cell a peak may be taken to be."""
_PAIR_COST = 0.05
"""Heat that a left and a right joint at one place cost; 0.05 was best on held-out images."""
_PAIR_CELLS = 2.0
"""Standard deviation of "one place" [cells]."""
LEFT_RIGHT_PAIRS = np.array([(j, m) for j, m in enumerate(MIRROR) if j < m], dtype=np.int64)
"""[P, 2] pairs of a left and a right joint."""
_ALL = np.arange(NUM_JOINTS, dtype=np.int64)
_REACH = 0.1
"""Distance from where a joint is expected at which `spatial_prior` falls [share of the input]."""


class Prior(NamedTuple):
    """What each cell of the heatmaps is multiplied by: a Gaussian about each joint, and a rest."""

    across: np.ndarray
    """[21, w] float32, and"""
    down: np.ndarray
    """[21, h] float32: the Gaussian is their product, 1 at its top."""
    hysteresis: float
    """Share of the Gaussian; the rest is the same everywhere."""


def spatial_prior(maps: Maps, expected_px: np.ndarray, hysteresis: float) -> Prior:
    """1 where the last pose expects each joint, less elsewhere.

    Where a heatmap has two maxima of like height (the left knee and the right)
    this keeps to the one that was followed before.

    Args:
        expected_px: [21, 2] of the input.
        hysteresis: how much less, far away: 0 favours nothing.
    """
    _, height, width = maps.heatmaps.shape
    cells = ((expected_px + 0.5) / maps.stride_px - 0.5).astype(np.float32)
    reach = np.float32(_REACH * width * np.sqrt(2.0))
    across = np.exp(-(((np.arange(width, dtype=np.float32) - cells[:, :1]) / reach) ** 2))
    down = np.exp(-(((np.arange(height, dtype=np.float32) - cells[:, 1:]) / reach) ** 2))
    return Prior(across, down, hysteresis)


def find_joints(maps: Maps, prior: Prior | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The maximum of every heatmap, between the cells.

    A left and a right joint whose maxima fall together are told apart if either
    has another maximum that is nearly as high.

    Around the highest cell the heat is taken for a Gaussian: its logarithm is a
    paraboloid, whose top one Newton step finds (as in DARK, Zhang et al. 2020).
    The height of that top does not depend on where between the cells it lies.

    Args:
        prior: tells which maximum is taken, not its place or height.

    Returns:
        pixels [21, 2] float64 of the input, and peaks [21] float64: the height
        of each top, 0 or more, about 1 for a joint that is plainly seen.
    """
    heat, cells = _contiguous(maps), np.empty(NUM_JOINTS, dtype=np.int64)
    _, height, width = heat.shape
    across, down, hysteresis = prior or (None, None, 0.0)
    native.maxima(
        heat, height, width, across, down, hysteresis, LEFT_RIGHT_PAIRS,
        _PAIR_COST, _PAIR_CELLS, cells,
    )  # fmt: skip
    return tops(maps, _ALL, cells)


def tops(maps: Maps, joints: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tops of the heat about given cells, one Newton step from them.

    Args:
        joints: [N] int64 the map of each.
        cells: [N] int64 flat index of each in its map.

    Returns:
        pixels [N, 2] float64 of the input, and heights [N] float64.
    """
    heat = _contiguous(maps)
    _, height, width = heat.shape
    places, heights = np.empty((len(joints), 2)), np.empty(len(joints))
    native.tops(heat, height, width, joints, cells, _FLOOR, _LARGEST_GAIN, places, heights)
    return (places + 0.5) * maps.stride_px - 0.5, heights


def peaks(maps: Maps, lowest: float) -> tuple[np.ndarray, np.ndarray]:
    """The cells that are higher than their eight neighbours; the first of those that are equal.

    Args:
        lowest: least heat of a cell.

    Returns:
        [N] int64 the map of each, and [N] int64 its flat index there; in this order.
    """
    heat = _contiguous(maps)
    _, height, width = heat.shape
    # No two of them touch.
    most = NUM_JOINTS * ((height + 1) // 2) * ((width + 1) // 2)
    joints, cells = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    count = native.peaks(heat, height, width, lowest, joints, cells)
    return joints[:count].copy(), cells[:count].copy()


def _contiguous(maps: Maps) -> np.ndarray:
    """[21, h, w] float32 the heatmaps for `native`."""
    return np.ascontiguousarray(maps.heatmaps, dtype=np.float32)


class Keypoints(NamedTuple):
    """What the heatmaps of one window show."""

    pixels_px: np.ndarray
    """[21, 2] float64 in the image [px]."""
    confidence: np.ndarray
    """[21] float64 in [0, 1]; 0 for a joint that is not seen."""


def read_keypoints(
    maps: Maps,
    crop: Crop,
    shape: tuple[int, ...],
    curve: tuple[tuple[float, float], ...],
    config: DecodeConfig,
    expected_px: np.ndarray | None = None,
) -> Keypoints:
    """The joints of a window in the image, those outside of it counted as not seen.

    Args:
        crop: the window that the maps are of.
        shape: of the image, (height, width, ...).
        curve: the bundle's confidence curve, see `confidence`.
        expected_px: [21, 2] where the last pose expects the joints in the image:
            of maxima of like height those near it are taken.  None: no preference.
    """
    prior = None
    if expected_px is not None:
        prior = spatial_prior(maps, crop.input_from_image(expected_px), config.hysteresis)
    pixels_px, peaks = find_joints(maps, prior)
    sure = confidence(peaks, curve)
    sure[sure < config.min_confidence] = 0.0
    pixels_px = crop.image_from_input(pixels_px)
    # What the network makes of the black outside the image is no observation.
    sure[outside(pixels_px, shape, maps.stride_px * crop.scale / 2.0)] = 0.0
    return Keypoints(pixels_px, sure)


def confidence(heights: np.ndarray, curve: tuple[tuple[float, float], ...]) -> np.ndarray:
    """[21] float64 in [0, 1]: the probability that a joint is right, from its peak.

    Args:
        heights: [21], of `find_joints`.
        curve: the bundle's (peak, probability) pairs, measured on images that
            were held out of training; between them a straight line.
    """
    return np.interp(heights, *points(curve))


@functools.lru_cache(maxsize=8)
def points(curve: tuple[tuple[float, float], ...]) -> np.ndarray:
    """[2, N] heights and probabilities of a confidence curve; not to be written to."""
    return np.array(curve).T


def read_locations(maps: Maps, pixels_px: np.ndarray) -> np.ndarray:
    """The location maps, each read at its joint and told from the pelvis.

    Args:
        pixels_px: [21, 2] of the input; outside it the nearest cell is read.

    Returns:
        [21, 3] float64, root-relative [m], in the axes of the maps.
    """
    _, _, height, width = maps.locations_m.shape
    if maps.locations_m.strides[2:] == (0, 0):  # the same in every cell
        located = maps.locations_m[:, :, 0, 0].T.astype(np.float64)
        return located - located[PELVIS]
    cells = (np.asarray(pixels_px) + 0.5) / maps.stride_px - 0.5
    x, y = cells[:, 0].clip(0.0, width - 1.0), cells[:, 1].clip(0.0, height - 1.0)
    x0, y0 = x.astype(int), y.astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    u, v = x - x0, y - y0
    # The four cells about each joint, and what each counts.
    rows, columns = np.array([y0, y0, y1, y1]), np.array([x0, x1, x0, x1])
    shares = np.array([(1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v])
    values = maps.locations_m[:, np.arange(NUM_JOINTS), rows, columns]
    located = (values * shares).sum(axis=1).T
    return located - located[PELVIS]


def shape_consistency(
    pixels_px: np.ndarray, root_relative_m: np.ndarray, weights: np.ndarray
) -> float:
    """How well the flat and the spatial joints tell of the same body, in [0, 1].

    The share of the pixels' spread that one scale and shift of the locations'
    x and y explains: near 1 for a person, low for a background that excites
    some heatmaps.

    Args:
        pixels_px: [21, 2].
        root_relative_m: [21, 3] in axes whose x and y are those of the pixels.
        weights: [21] not negative.
    """
    total = weights.sum()
    if total <= 0.0:
        return 0.0
    share = (weights / total)[:, None]
    flat = pixels_px - (share * pixels_px).sum(axis=0)
    solid = root_relative_m[:, :2] - (share * root_relative_m[:, :2]).sum(axis=0)
    spread = (share * flat * flat).sum() * (share * solid * solid).sum()
    common = (share * flat * solid).sum()
    return float(common * common / spread) if spread > 1e-12 and common > 0.0 else 0.0


def average_scales(full: Maps, wider: Maps, scale: float) -> Maps:
    """The mean of two windows' maps, on the cells of the first.

    Args:
        full: of the person's window.
        wider: of the window with the same centre in which all is smaller.
        scale: how much smaller (0.7 in the paper).
    """
    _, height, width = full.heatmaps.shape
    transform = np.array(
        [
            [scale, 0.0, (width - 1.0) / 2.0 * (1.0 - scale)],
            [0.0, scale, (height - 1.0) / 2.0 * (1.0 - scale)],
        ]
    )

    def enlarged(planes: np.ndarray) -> np.ndarray:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = [cv2.warpAffine(p, transform, (width, height), flags=flags) for p in planes]
        return np.stack(warped)

    locations = wider.locations_m.reshape(-1, height, width)
    return Maps(
        heatmaps=(full.heatmaps + enlarged(wider.heatmaps)) / 2.0,
        locations_m=(full.locations_m + enlarged(locations).reshape(full.locations_m.shape)) / 2.0,
        stride_px=full.stride_px,
        presence=full.presence,
    )
