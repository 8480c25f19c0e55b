"""What other networks' keypoints are among VNect's 21 joints: MoveNet's 17, BlazePose's 39."""

from __future__ import annotations

from typing import Final

import numpy as np

from vnect_ros.skeleton import (
    INDEX,
    MIRROR,
    NORMALISED_KNEE_NECK_M,
    NUM_JOINTS,
    PELVIS,
    bone_lengths,
    knee_neck_length,
    with_bone_lengths,
)

BLAZEPOSE: Final = {
    "head": (7, 8), "neck": (11, 12), "pelvis": (23, 24),
    "right_shoulder": (12,), "right_elbow": (14,), "right_wrist": (16,), "right_hand": (18, 20),
    "left_shoulder": (11,), "left_elbow": (13,), "left_wrist": (15,), "left_hand": (17, 19),
    "right_hip": (24,), "right_knee": (26,), "right_ankle": (28,), "right_toe": (32,),
    "left_hip": (23,), "left_knee": (25,), "left_ankle": (27,), "left_toe": (31,),
}  # fmt: skip
"""Landmarks whose mean stands for a joint of ours (the neck: for the shoulders' middle)."""
COCO17: Final = {
    "head": (3, 4), "neck": (5, 6), "pelvis": (11, 12),
    "right_shoulder": (6,), "right_elbow": (8,), "right_wrist": (10,),
    "left_shoulder": (5,), "left_elbow": (7,), "left_wrist": (9,),
    "right_hip": (12,), "right_knee": (14,), "right_ankle": (16,),
    "left_hip": (11,), "left_knee": (13,), "left_ankle": (15,),
}  # fmt: skip
"""The same of COCO's 17 keypoints (MoveNet's order)."""
BLAZEPOSE_SIZE, COCO17_SIZE = 39, 17
SCORE: Final = 0.2
"""Least score of a keypoint of Thunder that is used."""


def vnect_joints(keypoints: np.ndarray) -> np.ndarray:
    """[..., 21, D] of [..., 39, D] landmarks or [..., 17, D] keypoints; NaN without a source.

    Ears stand for the head.  Of positions the neck, a quarter of the way from the
    shoulders to the head, and what no keypoint is near (spine, head top) are placed
    between and beyond their neighbours.
    """
    table = {BLAZEPOSE_SIZE: BLAZEPOSE, COCO17_SIZE: COCO17}[keypoints.shape[-2]]
    out = np.full((*keypoints.shape[:-2], NUM_JOINTS, keypoints.shape[-1]), np.nan)
    for name, sources in table.items():
        out[..., INDEX[name], :] = keypoints[..., list(sources), :].mean(axis=-2)
    pelvis, ears = out[..., PELVIS, :], out[..., INDEX["head"], :]
    shoulders = out[..., INDEX["neck"], :].copy()
    neck = shoulders + 0.25 * (ears - shoulders)
    out[..., INDEX["neck"], :] = neck
    out[..., INDEX["spine"], :] = pelvis + 0.45 * (neck - pelvis)
    out[..., INDEX["head_top"], :] = ears + 0.75 * (ears - neck)
    return out


def vnect_scores(keypoints: np.ndarray) -> np.ndarray:
    """[..., 21] the least score of a joint's sources in [..., 17, 3] keypoints; 0 without one."""
    out = np.zeros((*keypoints.shape[:-2], NUM_JOINTS))
    for name, sources in COCO17.items():
        out[..., INDEX[name]] = keypoints[..., list(sources), 2].min(axis=-1)
    return out


def locations(world_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """BlazePose's metres as our labels: root-relative, both sides alike, of normalised size.

    BlazePose heavy makes the left thigh a fifth longer than the right one, the left upper
    arm a quarter shorter, whoever is seen from wherever; so each bone gets the mean length
    of the two sides.

    Args:
        world_m: [N, 39, 3].

    Returns:
        [N, 21, 3] and [N] bool: whether the body has a believable size at all.
    """
    joints_m = vnect_joints(world_m.astype(np.float64))
    joints_m -= joints_m[:, PELVIS : PELVIS + 1]
    lengths = bone_lengths(joints_m)
    joints_m = with_bone_lengths(joints_m, (lengths + lengths[:, list(MIRROR)]) / 2.0)
    length = knee_neck_length(joints_m)
    scale = NORMALISED_KNEE_NECK_M / np.maximum(length, 0.3)
    return joints_m * scale[:, None, None], length > 0.5
