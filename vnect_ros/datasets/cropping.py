"""From a whole photograph with its truth to a sample, by the pipeline's own geometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.config import CropConfig
from vnect_ros.datasets.sample import Sample, inside
from vnect_ros.perception import crop as cropping
from vnect_ros.records import Crop
from vnect_ros.skeleton import NORMALISED_KNEE_NECK_M, NUM_JOINTS, PELVIS, knee_neck_length

CROP: Final = CropConfig(margin=1.45, min_size_px=16.0)
"""How a person is framed: by more than tracking does, for the augmentation zooms in and shifts;
small ones are not left out."""


@dataclass(frozen=True)
class Truth:
    """What a data set knows of one person in one photograph."""

    joints_px: np.ndarray
    """[21, 2] pixels of the photograph."""
    visible: np.ndarray
    """[21] weight; 0 where the data set does not have the joint."""
    joints_camera_m: np.ndarray | None = None
    """[21, 3] in the camera's optical frame; NaN where the data set lacks the joint."""
    camera: Camera | None = None
    """Needed where there are locations."""


def crop_sample(image: np.ndarray, truth: Truth, size: int = 256) -> Sample:
    """Cut a person out of a photograph.

    Args:
        image: [H, W, 3] uint8 RGB.
        truth: what is known.
        size: edge of the sample [px].

    Returns:
        A sample with locations in the crop-ray frame at the normalised body size;
        their weight is 0 where they are unknown, or the body's size is.
    """
    crop = cropping.around(truth.joints_px[truth.visible > 0], CROP, size)
    joints_px = crop.input_from_image(np.nan_to_num(truth.joints_px))
    joints_m, weight, focal_px = np.zeros((NUM_JOINTS, 3)), np.zeros(NUM_JOINTS), 0.0
    if truth.joints_camera_m is not None and truth.camera is not None:
        joints_m, weight = crop_ray_labels(truth.joints_camera_m, truth.camera, crop)
        focal_px = truth.camera.fx / crop.scale
    return Sample(
        cropping.cut(image, crop),
        joints_px.astype(np.float32),
        (truth.visible * inside(joints_px, size)).astype(np.float32),
        joints_m.astype(np.float32),
        weight.astype(np.float32),
        focal_px,
    )


def crop_ray_labels(
    joints_camera_m: np.ndarray, camera: Camera, crop: Crop
) -> tuple[np.ndarray, np.ndarray]:
    """What the location maps of a window should hold.

    Args:
        joints_camera_m: [21, 3] in the camera's optical frame [m]; NaN where unknown.

    Returns:
        [21, 3] root-relative, in the axes of the camera that looks through the crop's
        centre, at the normalised body size [m], and [21] weights: 0 for a joint that is
        unknown, and for all where the body's size is.
    """
    rotation = camera.rotation_camera_from_crop(crop.centre_px)
    relative = (joints_camera_m - joints_camera_m[PELVIS]) @ rotation
    length = float(knee_neck_length(relative))
    if not np.isfinite(length) or length < 1e-3:
        return np.zeros((NUM_JOINTS, 3)), np.zeros(NUM_JOINTS)
    known = np.isfinite(relative).all(axis=1)
    return np.nan_to_num(relative * NORMALISED_KNEE_NECK_M / length), known.astype(float)
