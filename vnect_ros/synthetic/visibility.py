"""Which joints a picture shows and which something hides."""

from __future__ import annotations

import numpy as np

from vnect_ros.skeleton import INDEX, JOINT_NAMES, NUM_JOINTS
from vnect_ros.synthetic.bodies import JOINT_PARTS, PARTS
from vnect_ros.synthetic.scene import Picture

_ALLOWED = np.zeros((NUM_JOINTS, len(PARTS)), bool)
for _name, _parts in JOINT_PARTS.items():
    _ALLOWED[INDEX[_name], [PARTS.index(p) for p in _parts]] = True

# How far behind the skin a joint may lie and still count as seen, of the height.
_DEPTH = np.full(NUM_JOINTS, 0.075)
for _name in ("pelvis", "spine", "neck", "right_hip", "left_hip"):
    _DEPTH[INDEX[_name]] = 0.13
for _name in ("right_shoulder", "left_shoulder", "head", "head_top"):
    _DEPTH[INDEX[_name]] = 0.10


def hidden(
    joints_px: np.ndarray, joints_camera_m: np.ndarray, picture: Picture, height_m: float,
    radius_px: int = 3,
) -> np.ndarray:  # fmt: skip
    """[21] bool: something other than the joint's own parts lies before it.

    A joint is seen when, within `radius_px` of it, the picture shows a part that
    it belongs to, no further before it than flesh is thick there.
    """
    size_y, size_x = picture.part.shape
    result = np.ones(len(JOINT_NAMES), bool)
    for j, ((x, y), (_, _, z)) in enumerate(zip(joints_px, joints_camera_m)):
        if not np.isfinite(x + y):
            continue
        column, row = round(float(x)), round(float(y))
        if not (0 <= column < size_x and 0 <= row < size_y):
            continue
        rows = slice(max(row - radius_px, 0), row + radius_px + 1)
        columns = slice(max(column - radius_px, 0), column + radius_px + 1)
        own = _ALLOWED[j][picture.part[rows, columns]]
        near = z - picture.depth_m[rows, columns] < _DEPTH[j] * height_m
        result[j] = not bool((own & near).any())
    return result
