"""One training sample, and how an affine change of the image changes it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vnect_ros.skeleton import MIRROR


@dataclass(frozen=True)
class Sample:
    """A person in a square crop with what is known of the joints."""

    image: np.ndarray
    """[S, S, 3] uint8 RGB."""
    joints_px: np.ndarray
    """[21, 2] float32 in pixels of `image`."""
    visible: np.ndarray
    """[21] float32 weight of each heatmap; 0 where the position is unknown.  A joint that
    is known to be outside has its weight and an empty heatmap."""
    joints_m: np.ndarray
    """[21, 3] float32 root-relative [m], crop-ray frame, normalised body size."""
    weight_3d: np.ndarray
    """[21] float32 weight of each joint's location; 0 where it is unknown."""
    focal_px: float = 0.0
    """Focal length of the camera in pixels of `image`; 0 if unknown."""
    gravity: np.ndarray = field(default_factory=lambda: np.zeros(3, np.float32))
    """[3] float32 unit vector of gravity in the crop-ray frame; zeros: unknown."""
    present: float = 1.0
    """1 if the picture shows a person, 0 if not."""


def inside(joints_px: np.ndarray, size: int) -> np.ndarray:
    """[..., 21] bool: which of the joints [..., 21, 2] lie in a picture of that edge."""
    within: np.ndarray = np.all((joints_px > -0.5) & (joints_px < size - 0.5), axis=-1)
    return within


def mirrored(sample: Sample) -> Sample:
    """The sample seen in a mirror: left and right change names."""
    order = list(MIRROR)
    size = sample.image.shape[1]
    joints_px = sample.joints_px[order].copy()
    joints_px[:, 0] = size - 1 - joints_px[:, 0]
    joints_m = sample.joints_m[order] * np.array([-1, 1, 1], np.float32)
    return Sample(
        np.ascontiguousarray(sample.image[:, ::-1]),
        joints_px,
        sample.visible[order],
        joints_m,
        sample.weight_3d[order],
        sample.focal_px,
        sample.gravity * np.array([-1, 1, 1], np.float32),
        sample.present,
    )
