"""Random cameras about a person, and the window that a tracker would show the network."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.config import CropConfig
from vnect_ros.perception import crop as cropping
from vnect_ros.records import Crop
from vnect_ros.synthetic.retarget import about, swing, unit
from vnect_ros.synthetic.scene import View

SIZES: Final = (
    (640, 480), (1280, 720), (960, 540), (480, 640), (720, 1280), (640, 640), (640, 360),
)  # fmt: skip
_FRAMING: Final = CropConfig(min_size_px=24.0)


def look_at(eye_m: np.ndarray, target_m: np.ndarray) -> np.ndarray:
    """[4, 4] camera from world of an upright camera that looks at a point."""
    z = unit(target_m - eye_m)
    x = unit(np.cross(z, [0.0, 0.0, 1.0]))
    transform = np.eye(4)
    transform[:3, :3] = np.stack([x, np.cross(z, x), z])
    transform[:3, 3] = -transform[:3, :3] @ eye_m
    return transform


def ideal_camera(width: int, height: int, fov_y_deg: float) -> Camera:
    """A camera without distortion of that vertical field of view, exactly known."""
    made = Camera.from_field_of_view(width, height, fov_y_deg)
    return dataclasses.replace(made, calibrated=True)


def sample_view(rng: np.random.Generator, joints_world_m: np.ndarray) -> View:
    """A camera that has the person, or a good part of them, in its picture."""
    for _ in range(20):
        view = _view(rng, joints_world_m)
        pixels, points = view.project(joints_world_m)
        bounds = np.array([view.camera.width, view.camera.height]) - 1.0
        inside = ((pixels > 0) & (pixels < bounds)).all(axis=1)
        if (points[:, 2] > 0.25).all() and inside.sum() >= 9:
            break
    return view


def _view(rng: np.random.Generator, joints_world_m: np.ndarray) -> View:
    width, height = SIZES[rng.integers(len(SIZES))]
    camera = ideal_camera(width, height, rng.uniform(30, 78))
    low, high = joints_world_m.min(axis=0), joints_world_m.max(axis=0)
    target = (low + high) / 2.0 + rng.normal(0, 0.05, 3)
    extent = np.linalg.norm(high - low) * 0.8 + 0.2
    share = rng.uniform(0.22, 0.85) if rng.random() < 0.88 else rng.uniform(0.85, 1.6)
    edge = height if rng.random() < 0.7 else min(width, height)
    far = float(np.clip(camera.fy * extent / (share * edge), 1.1, 14.0))
    level = rng.choice([rng.normal(1.35, 0.3), rng.uniform(0.15, 3.0)], p=[0.6, 0.4])
    rise = np.clip((max(level, 0.1) - target[2]) / far, -0.75, 0.9)
    azimuth = rng.uniform(-np.pi, np.pi)
    flat = np.sqrt(1 - rise**2)
    eye = target + far * np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), rise])
    eye[2] = max(eye[2], 0.1)
    # room to move in the picture without leaving it; now and then more than that
    slack = np.maximum(1.0 - share * edge / np.array([width, height]), 0.04) / 2.0
    slack *= 0.75 if rng.random() < 0.8 else 1.5
    ray = camera.ray(np.array([width, height]) * (0.5 + rng.uniform(-1, 1, 2) * slack))
    roll = rng.normal(0, np.deg2rad(4)) if rng.random() < 0.85 else rng.normal(0, np.deg2rad(20))
    transform = np.eye(4)
    transform[:3, :3] = swing(np.array([0, 0, 1.0]), ray) @ about([0, 0, 1], roll)
    return View(camera, transform @ look_at(eye, target))


def sample_window(
    rng: np.random.Generator, camera: Camera, joints_px: np.ndarray, size: int
) -> Crop:
    """The window that a tracker might use: about the joints in the picture, not quite right.

    Args:
        joints_px: [21, 2] in the camera's image; NaN behind the camera.
        size: edge of the network's input [px].
    """
    shape = (camera.height, camera.width)
    inside = ~cropping.outside(np.nan_to_num(joints_px, nan=-1e4), shape, 0.0)
    if inside.sum() >= 4:
        points = joints_px[inside]
    else:
        points = np.clip(np.nan_to_num(joints_px), 0, shape[::-1])
    framed = cropping.around(points, _FRAMING, size)
    edge = framed.size_px * rng.uniform(0.8, 1.25)
    shift = edge * np.clip(rng.normal(0, 0.05, 2), -0.12, 0.12)
    return Crop.about(framed.centre_px + shift, edge, size)
