"""From a whole photograph with its truth to a sample: crop, rotate, normalise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vnect_ros.camera import shortest_rotation
from vnect_ros.datasets.sample import Sample
from vnect_ros.skeleton import NORMALISED_KNEE_NECK_M, NUM_JOINTS, PELVIS, knee_neck_length

MARGIN = 1.45
"""Edge of a training crop over the longer edge of the joints' box."""


@dataclass(frozen=True)
class Truth:
    """What a data set knows of one person in one photograph."""

    joints_px: np.ndarray
    """[21, 2] pixels of the photograph."""
    visible: np.ndarray
    """[21] weight; 0 where the data set does not have the joint."""
    joints_camera_m: np.ndarray | None = None
    """[21, 3] in the camera's optical frame; NaN where the data set lacks the joint."""
    k: np.ndarray | None = None
    """[3, 3] intrinsics; needed where there are locations."""


def cut(image: np.ndarray, centre_px: np.ndarray, edge_px: float, size: int) -> np.ndarray:
    """Square window of an image, resized to [size, size, 3]; black outside the image."""
    scale = size / edge_px
    offset = (size - 1) / 2.0 - scale * centre_px
    affine = np.array([[scale, 0.0, offset[0]], [0.0, scale, offset[1]]])
    if scale < 0.7:  # shrink in steps of two, or the image aliases
        steps = int(np.floor(-np.log2(scale)))
        image = cv2.resize(image, None, fx=0.5**steps, fy=0.5**steps, interpolation=cv2.INTER_AREA)
        k = 2.0**steps
        inner = affine[:, :2] * k
        affine = np.column_stack([inner, affine[:, 2] + affine[:, :2] @ np.full(2, (k - 1) / 2.0)])
    return cv2.warpAffine(image, affine, (size, size), flags=cv2.INTER_LINEAR)


def crop_sample(image: np.ndarray, truth: Truth, size: int = 256, margin: float = MARGIN) -> Sample:
    """Cut a person out of a photograph.

    Args:
        image: [H, W, 3] uint8 RGB.
        truth: what is known.
        size: edge of the sample [px].
        margin: edge of the crop over the longer edge of the known joints' box.

    Returns:
        A sample with locations in the crop-ray frame at the normalised body size;
        their weight is 0 where they are unknown, or the body's size is.
    """
    known = truth.visible > 0
    points = truth.joints_px[known]
    low, high = points.min(axis=0), points.max(axis=0)
    centre, edge = (low + high) / 2.0, max(float((high - low).max()) * margin, 16.0)
    scale = size / edge
    joints_px = (np.nan_to_num(truth.joints_px) - centre) * scale + (size - 1) / 2.0
    inside = ((joints_px > -0.5) & (joints_px < size - 0.5)).all(axis=1)
    joints_m, weight = np.zeros((NUM_JOINTS, 3)), np.zeros(NUM_JOINTS)
    focal = 0.0
    if truth.joints_camera_m is not None and truth.k is not None:
        joints_m, weight = normalised_locations(truth.joints_camera_m, truth.k, centre)
        focal = float(truth.k[0, 0]) * scale
    return Sample(
        cut(image, centre, edge, size),
        joints_px.astype(np.float32),
        (truth.visible * inside).astype(np.float32),
        joints_m.astype(np.float32),
        weight.astype(np.float32),
        focal,
    )


def normalised_locations(
    joints_camera_m: np.ndarray, k: np.ndarray, centre_px: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Root-relative locations [21, 3] in the crop-ray frame, and weights [21]."""
    ray = np.linalg.solve(k, np.array([*centre_px, 1.0]))
    crop_from_camera = shortest_rotation(ray / np.linalg.norm(ray), np.array([0.0, 0.0, 1.0]))
    relative = (joints_camera_m - joints_camera_m[PELVIS]) @ crop_from_camera.T
    length = float(knee_neck_length(relative))
    if not np.isfinite(length) or length < 1e-3:
        return np.zeros((NUM_JOINTS, 3)), np.zeros(NUM_JOINTS)
    known = np.isfinite(relative).all(axis=1)
    return np.nan_to_num(relative * NORMALISED_KNEE_NECK_M / length), known.astype(float)
