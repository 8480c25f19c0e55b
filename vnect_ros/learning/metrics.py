"""Reading maps during training, and the validation figures.

PCK@a torso: share of the visible joints whose distance from the truth is below
a times the torso, the distance from left shoulder to right hip.  Crops where one
of these two is not annotated do not count.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from vnect_ros.skeleton import INDEX

LIMBS = tuple(range(2, 14))
JOINTS = 21


def read_maps(maps: torch.Tensor, stride: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take each joint's heatmap maximum, refine it, and read the locations there.

    Args:
        maps: [B, 84, h, w].
        stride: input pixels a cell.

    Returns:
        joints_px [B, 21, 2] and joints_m [B, 21, 3] (root-relative), peak [B, 21].
    """
    maps = maps.float()
    b, _, h, w = maps.shape
    heat = maps[:, :JOINTS]
    peak, flat = heat.flatten(2).max(-1)
    iy, ix = flat // w, flat % w
    around = F.unfold(F.pad(heat.reshape(b * JOINTS, 1, h, w), (1, 1, 1, 1)), 3)
    patch = around.gather(2, flat.reshape(-1, 1, 1).expand(-1, 9, 1)).reshape(b, JOINTS, 3, 3)
    patch = patch.clamp_min(0)
    mass = patch.sum((2, 3)).clamp_min(1e-6)
    # the centroid of 3 cells understates the offset of a Gaussian wider than a cell
    dx = (1.5 * (patch[..., 2] - patch[..., 0]).sum(2) / mass).clamp(-0.5, 0.5)
    dy = (1.5 * (patch[..., 2, :] - patch[..., 0, :]).sum(2) / mass).clamp(-0.5, 0.5)
    x = (ix + dx + 0.5) * stride - 0.5
    y = (iy + dy + 0.5) * stride - 0.5
    read = maps[:, JOINTS:].reshape(b, 3, JOINTS, h * w)
    at = read.gather(3, flat[:, None, :, None].expand(-1, 3, -1, 1))[..., 0]
    joints_m = at.transpose(1, 2) / 10.0
    joints_m = joints_m - joints_m[:, INDEX["pelvis"] : INDEX["pelvis"] + 1]
    return torch.stack([x, y], -1).numpy(), joints_m.numpy(), peak.numpy()


def torso_px(joints_px: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """[N] length of the torso [px], NaN where an end is not annotated."""
    a, b = INDEX["left_shoulder"], INDEX["right_hip"]
    length = np.linalg.norm(joints_px[:, a] - joints_px[:, b], axis=-1)
    known = (visible[:, a] >= 0.9) & (visible[:, b] >= 0.9) & (length > 1e-6)
    return np.where(known, length, np.nan)


def pck(
    predicted_px: np.ndarray,
    true_px: np.ndarray,
    visible: np.ndarray,
    share: float,
    joints: tuple[int, ...] = LIMBS,
) -> float:
    """PCK at `share` of the torso over annotated joints (weight at least 0.9)."""
    torso = torso_px(true_px, visible)
    error = np.linalg.norm(predicted_px - true_px, axis=-1) / torso[:, None]
    counted = (visible >= 0.9) & np.isfinite(torso)[:, None]
    picked = list(joints)
    return float((error[:, picked] < share)[counted[:, picked]].mean())


def mpjpe_m(predicted: np.ndarray, true: np.ndarray, weight: np.ndarray) -> float:
    """Mean distance of root-relative joints with any weight, the pelvis left out [m]."""
    error = np.linalg.norm(predicted - true, axis=-1)
    counted = weight > 0
    counted[:, INDEX["pelvis"]] = False
    return float(error[counted].mean()) if counted.any() else float("nan")


def pck3d(predicted: np.ndarray, true: np.ndarray, weight: np.ndarray) -> float:
    """Share of the 14 joints of the 3DHP protocol with an error strictly below 150 mm."""
    error = np.linalg.norm(predicted - true, axis=-1)[:, :14]
    counted = weight[:, :14] > 0
    return float((error < 0.15)[counted].mean()) if counted.any() else float("nan")
