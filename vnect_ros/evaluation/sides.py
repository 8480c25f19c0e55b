"""Left and right: from which side a person is seen, and whether a method exchanges them."""

from __future__ import annotations

from typing import Final

import numpy as np

from vnect_ros.datasets.lspet import MIRROR14
from vnect_ros.evaluation import metrics, pck
from vnect_ros.skeleton import INDEX

VIEWS: Final = ("front", "side", "back")
CLEAR: Final = 0.1
"""Sides count as exchanged where the exchanged joints fit better by more than so many torsos."""


def views(joints_m: np.ndarray) -> np.ndarray:
    """[N] str, one of VIEWS: within 45 degrees of showing the chest, of the back, or neither.

    Args:
        joints_m: [N, 21, 3], x right, y down, z away from the camera; the person may lie.
    """

    def middle(*names: str) -> np.ndarray:
        at: np.ndarray = np.mean([joints_m[:, INDEX[n]] for n in names], axis=0)
        return at

    across = middle("left_shoulder", "left_hip") - middle("right_shoulder", "right_hip")
    up = middle("left_shoulder", "right_shoulder") - middle("left_hip", "right_hip")
    forward = np.cross(across, up)
    away = forward[:, 2] / np.maximum(np.linalg.norm(forward, axis=1), 1e-9)
    limit = np.sqrt(0.5)
    return np.where(away < -limit, "front", np.where(away > limit, "back", "side"))


def exchanged(predicted_px: np.ndarray, joints14: np.ndarray) -> np.ndarray:
    """[N] bool: the 12 limb joints fit the truth clearly better with left and right exchanged.

    Args:
        predicted_px: [N, 21, 2] or [N, 14, 2].
        joints14: [N, 14, 3] truth, of which the joints that are visible on both sides count.
    """
    predicted = pck.annotated_joints(predicted_px)
    seen = joints14[..., 2] > 0.5
    both = (seen & seen[:, list(MIRROR14)])[:, :12]
    own, other = (
        np.where(both, np.linalg.norm((p - joints14[..., :2])[:, :12], axis=-1), 0.0).sum(axis=1)
        for p in (predicted, predicted[:, list(MIRROR14)])
    )
    torso, _ = pck.torso_px(joints14)
    gain: np.ndarray = (own - other) / np.maximum(both.sum(axis=1), 1)
    return gain > CLEAR * torso


def by_view(flags: np.ndarray, view: np.ndarray) -> dict[str, dict[str, float]]:
    """Share of [N] bool, and how many people it is of, by view and over all."""
    rows = {"all": np.ones(len(view), bool), **{name: view == name for name in VIEWS}}
    return {
        name: {"share": metrics.mean(flags[kept].astype(float)), "n": int(kept.sum())}
        for name, kept in rows.items()
    }
