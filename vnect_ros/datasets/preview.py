"""Samples with their joints drawn, to be looked at."""

from __future__ import annotations

import cv2
import numpy as np

from vnect_ros import drawing
from vnect_ros.datasets.sample import Sample


def draw(sample: Sample, zoom: float = 1.0, hidden: np.ndarray | None = None) -> np.ndarray:
    """A sample's image with its joints.

    Joints whose place is known are discs, hidden ones rings; a small white dot marks
    one whose location in space is known.

    Args:
        hidden: [21] bool: joints that something is in front of.

    Returns:
        [S * zoom, S * zoom, 3] uint8 RGB.
    """
    image = cv2.resize(sample.image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
    points = (sample.joints_px + 0.5) * zoom - 0.5
    known = sample.visible > 0
    drawing.bones(image, points, known)
    drawing.joints(image, points, known, 2, hidden)
    for x, y in points[known & (sample.weight_3d > 0)].round().astype(int):
        cv2.circle(image, (int(x), int(y)), 0, (255, 255, 255), -1)
    return image
