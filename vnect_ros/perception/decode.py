"""Maps become joints: where they are, how sure that is, and how far from the pelvis."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

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
LEFT_RIGHT_PAIRS = np.array([(j, m) for j, m in enumerate(MIRROR) if j < m]).T
"""[2, P] pairs of a left and a right joint."""
_ALL = np.arange(NUM_JOINTS)
_REACH = 0.1
"""Distance from where a joint is expected at which `spatial_prior` falls [share of the input]."""


def spatial_prior(
    maps: Maps,
    expected_px: np.ndarray | None,
    hysteresis: float,
) -> np.ndarray:
    """[21, h, w] float32: 1 where the last pose expects each joint, less elsewhere.

    Where a heatmap has two maxima of like height (the left knee and the right)
    this keeps to the one that was followed before.

    Args:
        expected_px: [21, 2] of the input; None: nothing is expected.
        hysteresis: how much less, far away: 0 favours nothing.
    """
    if expected_px is None:
        return np.ones_like(maps.heatmaps)
    near = _nearness(maps, expected_px)
    return np.float32(1.0 - hysteresis) + np.float32(hysteresis) * near


def _nearness(maps: Maps, points_px: np.ndarray) -> np.ndarray:
    """[21, h, w] float32: a Gaussian about each joint [21, 2] of the input, 1 at its top."""
    _, height, width = maps.heatmaps.shape
    cells = ((points_px + 0.5) / maps.stride_px - 0.5).astype(np.float32)
    reach = np.float32(_REACH * width * np.sqrt(2.0))
    across = np.exp(-(((np.arange(width, dtype=np.float32) - cells[:, :1]) / reach) ** 2))
    down = np.exp(-(((np.arange(height, dtype=np.float32) - cells[:, 1:]) / reach) ** 2))
    near: np.ndarray = down[:, :, None] * across[:, None, :]
    return near


def find_joints(maps: Maps, prior: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The maximum of every heatmap, between the cells.

    A left and a right joint whose maxima fall together are told apart if either
    has another maximum that is nearly as high.

    Around the highest cell the heat is taken for a Gaussian: its logarithm is a
    paraboloid, whose top one Newton step finds (as in DARK, Zhang et al. 2020).
    The height of that top does not depend on where between the cells it lies.

    Args:
        prior: [21, h, w] of `spatial_prior`: tells which maximum is taken, not its
            place or height.

    Returns:
        pixels [21, 2] float64 of the input, and peaks [21] float64: the height
        of each top, 0 or more, about 1 for a joint that is plainly seen.
    """
    heat = maps.heatmaps
    cells = _maxima(heat if prior is None else heat * prior)
    return tops(maps, _ALL, cells)


def tops(maps: Maps, joints: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tops of the heat about given cells, one Newton step from them.

    Args:
        joints: [N] the map of each.
        cells: [N] flat index of each in its map.

    Returns:
        pixels [N, 2] float64 of the input, and heights [N] float64.
    """
    heat = maps.heatmaps
    _, height, width = heat.shape
    patch = heat[_about(joints, cells, heat.shape)].astype(np.float64)
    y, x = np.divmod(cells, width)
    highest = np.maximum(patch[:, 1, 1], 1e-6)
    log = np.log(np.maximum(patch, _FLOOR * highest[:, None, None]))
    slope = np.stack([log[:, 1, 2] - log[:, 1, 0], log[:, 2, 1] - log[:, 0, 1]], axis=1) / 2.0
    xx = log[:, 1, 2] - 2.0 * log[:, 1, 1] + log[:, 1, 0]
    yy = log[:, 2, 1] - 2.0 * log[:, 1, 1] + log[:, 0, 1]
    xy = (log[:, 2, 2] - log[:, 2, 0] - log[:, 0, 2] + log[:, 0, 0]) / 4.0
    determinant = xx * yy - xy * xy
    inner = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
    domed = inner & (xx < 0.0) & (determinant > 1e-9)
    divisor = np.where(domed, determinant, 1.0)
    offset = np.stack(
        [xy * slope[:, 1] - yy * slope[:, 0], xy * slope[:, 0] - xx * slope[:, 1]], axis=1
    )
    offset = np.where(domed[:, None], offset / divisor[:, None], 0.0).clip(-0.5, 0.5)
    gain = np.exp((slope * offset).sum(axis=1) / 2.0).clip(1.0, _LARGEST_GAIN)
    top = np.stack([x, y], axis=1) + offset
    return (top + 0.5) * maps.stride_px - 0.5, np.maximum(patch[:, 1, 1], 0.0) * gain


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


def _maxima(heat: np.ndarray) -> np.ndarray:
    """[21] flat index of the cell that each map [21, h, w] has its joint in."""
    width = heat.shape[2]
    flat = heat.reshape(NUM_JOINTS, -1)
    cells = flat.argmax(axis=1)
    square = _square(cells[LEFT_RIGHT_PAIRS[0]], cells[LEFT_RIGHT_PAIRS[1]], width)
    one, other = LEFT_RIGHT_PAIRS[:, square <= (2.0 * _PAIR_CELLS) ** 2]
    if not len(one):
        return cells
    # Each is in its first or its second maximum: four ways for a pair.
    choices = np.stack([cells, _second(heat, cells)], axis=1)
    heats = np.take_along_axis(flat, choices, axis=1)
    square = _square(choices[one, :, None], choices[other, None, :], width)
    score = heats[one, :, None] + heats[other, None, :]
    score = score - _PAIR_COST * np.exp(-square / (2.0 * _PAIR_CELLS**2))
    of_one, of_other = np.divmod(score.reshape(-1, 4).argmax(axis=1), 2)
    cells[one], cells[other] = choices[one, of_one], choices[other, of_other]
    return cells


def _square(a: np.ndarray, b: np.ndarray, width: int) -> np.ndarray:
    """Square of the distance between cells of maps so many cells wide [cells^2]."""
    return (a % width - b % width) ** 2 + (a // width - b // width) ** 2


def _second(heat: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """[21] the highest cell of each map [21, h, w] that is not about the one given [21]."""
    rest = heat.copy()
    rest[_about(_ALL, cells, heat.shape)] = -np.inf
    return rest.reshape(NUM_JOINTS, -1).argmax(axis=1)


def _about(joints: np.ndarray, cells: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Index of the [N, 3, 3] cells about one of each joint's map; at an edge some twice."""
    _, height, width = shape
    y, x = np.divmod(cells, width)
    rows = np.minimum(np.maximum(y[:, None] + (-1, 0, 1), 0), height - 1)
    columns = np.minimum(np.maximum(x[:, None] + (-1, 0, 1), 0), width - 1)
    return joints[:, None, None], rows[:, :, None], columns[:, None, :]


def confidence(peaks: np.ndarray, curve: tuple[tuple[float, float], ...]) -> np.ndarray:
    """[21] float64 in [0, 1]: the probability that a joint is right, from its peak.

    Args:
        peaks: [21], of `find_joints`.
        curve: the bundle's (peak, probability) pairs, measured on images that
            were held out of training; between them a straight line.
    """
    heights, probabilities = np.array(curve).T
    return np.interp(peaks, heights, probabilities)


def read_locations(maps: Maps, pixels_px: np.ndarray) -> np.ndarray:
    """The location maps, each read at its joint and told from the pelvis.

    Args:
        pixels_px: [21, 2] of the input; outside it the nearest cell is read.

    Returns:
        [21, 3] float64, root-relative [m], in the axes of the maps.
    """
    _, _, height, width = maps.locations_m.shape
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
