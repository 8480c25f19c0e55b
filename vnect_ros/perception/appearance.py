"""The colours of a person's body and clothes: who is who after two people hid each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from vnect_ros.perception.assignment import size_px
from vnect_ros.perception.decode import Keypoints
from vnect_ros.skeleton import INDEX


def _pairs(*names: str) -> np.ndarray:
    """[M, 2] joints between which a colour is taken; "side" stands for both sides."""
    pairs = []
    for name in names:
        for side in ("right", "left") if "side" in name else ("",):
            a, b = name.replace("side", side).split()
            pairs.append((INDEX[a], INDEX[b]))
    return np.array(pairs)


PARTS: Final = (
    _pairs("head head"),
    _pairs("neck spine", "spine spine", "spine pelvis"),
    _pairs("side_shoulder side_elbow"),
    _pairs("side_hip side_knee"),
    _pairs("side_knee side_ankle"),
)
"""Parts of the body that mostly have one colour: head, chest, upper arms, thighs, shins."""
RADIUS: Final = 0.015
"""Half the edge of the square that each colour is the mean of, in parts of the person's size."""
APART: Final = 0.08
"""Who is this near to a part of another one's body may hide it, in parts of the size."""
LIGHT: Final = 0.5
"""What a difference of lightness counts, light and shade being the most of it."""
_ALL: Final = np.concatenate(PARTS)
_STARTS: Final = np.cumsum([0, *(len(part) for part in PARTS[:-1])])


def colours(
    image: np.ndarray, keypoints: Keypoints, others: Sequence[Keypoints] = ()
) -> np.ndarray:
    """[5, 3] colours of PARTS in CIELAB, lightness scaled by LIGHT; NaN where a part is not seen.

    Args:
        image: [H, W, 3] uint8 RGB.
        others: further people, who may hide what they are near to.
    """
    height, width = image.shape[:2]
    pixels_px, confidence = keypoints
    radius = max(round(RADIUS * size_px(pixels_px)), 1)
    centres = pixels_px[_ALL].mean(axis=1).round().astype(int)
    seen = (confidence[_ALL] > 0.0).all(axis=1)
    seen &= ((centres >= 0) & (centres < (width, height))).all(axis=1)
    for other in others:
        seen &= _apart(centres, other)
    found = np.zeros((len(_ALL), 3))
    for i in np.flatnonzero(seen):
        x, y = centres[i]
        patch = image[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
        found[i] = patch.mean(axis=(0, 1))
    lab = cv2.cvtColor((found / 255.0).astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
    count = np.add.reduceat(seen.astype(float), _STARTS)
    total = np.add.reduceat(lab * seen[:, None], _STARTS, axis=0)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = total / count[:, None] * (LIGHT, 1.0, 1.0)
    return mean


def _apart(centres_px: np.ndarray, other: Keypoints) -> np.ndarray:
    """[M] bool: which places [M, 2] are away from another one's body."""
    body = other.pixels_px[_ALL].mean(axis=1)[(other.confidence[_ALL] > 0.0).all(axis=1)]
    off = centres_px[:, None] - body
    near_px = APART * size_px(other.pixels_px)
    apart: np.ndarray = ((off**2).sum(axis=-1) > near_px**2).all(axis=1)
    return apart


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance of the colours of the parts that both show; NaN where there is none."""
    apart = np.sqrt(((one - other) ** 2).sum(axis=1))
    both = np.isfinite(apart)
    return float(apart[both].mean()) if both.any() else float("nan")
