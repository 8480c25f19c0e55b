"""MPII Human Pose (Andriluka et al., CVPR 2014), annotations as JSON: 2D alone.

The set does not come with this package, and has its own licence, which binds the
weights that are trained on it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np

from vnect_ros.datasets.cropping import Truth
from vnect_ros.datasets.photographs import Entry, Photographs, placed
from vnect_ros.errors import VnectError, describe
from vnect_ros.skeleton import INDEX

JOINTS: Final = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "pelvis", None, "neck", "head_top", "right_wrist", "right_elbow", "right_shoulder",
    "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
"""The set's 16 joints; its thorax (7) has no counterpart."""
_COLUMNS = tuple(None if name is None else INDEX[name] for name in JOINTS)


def stills(
    folder: str | Path, annotations: str = "annot/train.json", size: int = 256
) -> Photographs:
    """`images/` and annotations as JSON: rows of `image`, `joints` [16, 2], `joints_vis` [16].

    The layout of the common conversions of the set; joints are 0-based pixels, a
    negative position is unknown.

    Raises:
        VnectError: the annotations are missing or not as declared.
    """
    file = Path(folder) / annotations
    if not file.is_file():
        raise VnectError(describe("mpii", str(folder), f"a folder with {annotations}"))
    entries = []
    for row in json.loads(file.read_text(encoding="utf-8")):
        if "joints" not in row or len(row["joints"]) != len(JOINTS):
            raise VnectError(describe(f"{file}: joints", row.get("joints"), "16 positions a row"))
        points = np.array(row["joints"], float)
        known = np.array(row["joints_vis"], float) * (points >= 0).all(axis=1)
        if known.sum() < 4:
            continue
        visible = np.nan_to_num(placed(known[:, None], _COLUMNS)[:, 0])
        truth = Truth(np.nan_to_num(placed(points, _COLUMNS)), visible)
        entries.append(Entry(Path(folder) / "images" / row["image"], truth))
    return Photographs(entries, size)
