"""Contact sheets: training samples as the network sees them, joints drawn."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vnect_ros.datasets.sample import Sample
from vnect_ros.skeleton import BONES, SIDE

_COLOURS = {"right": (255, 60, 60), "left": (60, 120, 255), "centre": (60, 220, 60)}


def draw(sample: Sample, zoom: int = 1) -> np.ndarray:
    """Draw a sample's joints over its image: right red, left blue, centre green.

    Known joints are filled; a bone is drawn if both its ends are known.  A small
    white dot marks a joint whose location in space is known.

    Returns:
        [S * zoom, S * zoom, 3] uint8 RGB.
    """
    image = cv2.resize(sample.image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
    points = np.round((np.nan_to_num(sample.joints_px) + 0.5) * zoom - 0.5).astype(int)
    for parent, joint in BONES:
        if sample.visible[parent] > 0 and sample.visible[joint] > 0:
            start, end = tuple(map(int, points[parent])), tuple(map(int, points[joint]))
            cv2.line(image, start, end, _COLOURS[SIDE[joint]], 1, cv2.LINE_AA)
    for joint, point in enumerate(points):
        if sample.visible[joint] > 0:
            at = tuple(map(int, point))
            cv2.circle(image, at, 2, _COLOURS[SIDE[joint]], -1, cv2.LINE_AA)
            if sample.weight_3d[joint] > 0:
                cv2.circle(image, at, 0, (255, 255, 255), -1)
    return image


def contact_sheet(samples: Sequence[Sample], columns: int = 8, zoom: int = 1) -> np.ndarray:
    """Lay drawn samples of equal size out in rows.

    Returns:
        [H, W, 3] uint8 RGB.
    """
    tiles = [draw(s, zoom) for s in samples]
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)
