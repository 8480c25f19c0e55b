"""Random cameras about a person, and the window that the network would see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vnect_ros.skeleton import NORMALISED_KNEE_NECK_M, PELVIS, knee_neck_length
from vnect_ros.synthetic.retarget import about, swing, unit
from vnect_ros.synthetic.scene import View

SIZES = ((640, 480), (1280, 720), (960, 540), (480, 640), (720, 1280), (640, 640), (640, 360))


@dataclass(frozen=True)
class Camera:
    """A full camera: its intrinsics and where it stands."""

    k: np.ndarray
    transform_camera_from_world: np.ndarray
    width: int
    height: int


def look_at(eye_m: np.ndarray, target_m: np.ndarray) -> np.ndarray:
    """[4, 4] camera from world of an upright camera that looks at a point."""
    z = unit(target_m - eye_m)
    x = unit(np.cross(z, [0.0, 0.0, 1.0]))
    transform = np.eye(4)
    transform[:3, :3] = np.stack([x, np.cross(z, x), z])
    transform[:3, 3] = -transform[:3, :3] @ eye_m
    return transform


def intrinsics(width: int, height: int, fov_y_rad: float) -> np.ndarray:
    """[3, 3] K of an ideal camera."""
    f = 0.5 * height / np.tan(0.5 * fov_y_rad)
    return np.array([[f, 0, (width - 1) / 2.0], [0, f, (height - 1) / 2.0], [0, 0, 1.0]])


def sample_camera(rng: np.random.Generator, joints_world_m: np.ndarray) -> Camera:
    """A camera that has the person, or a good part of them, in its picture."""
    for _ in range(20):
        camera = _camera(rng, joints_world_m)
        t = camera.transform_camera_from_world
        points = joints_world_m @ t[:3, :3].T + t[:3, 3]
        pixels = points @ camera.k.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        inside = (pixels > 0).all(axis=1) & (pixels < [camera.width - 1, camera.height - 1]).all(
            axis=1
        )
        if (points[:, 2] > 0.25).all() and inside.sum() >= 9:
            break
    return camera


def _camera(rng: np.random.Generator, joints_world_m: np.ndarray) -> Camera:
    width, height = SIZES[rng.integers(len(SIZES))]
    k = intrinsics(width, height, np.deg2rad(rng.uniform(30, 78)))
    low, high = joints_world_m.min(axis=0), joints_world_m.max(axis=0)
    target = (low + high) / 2.0 + rng.normal(0, 0.05, 3)
    extent = np.linalg.norm(high - low) * 0.8 + 0.2
    share = rng.uniform(0.22, 0.85) if rng.random() < 0.88 else rng.uniform(0.85, 1.6)
    edge = height if rng.random() < 0.7 else min(width, height)
    far = float(np.clip(k[1, 1] * extent / (share * edge), 1.1, 14.0))
    level = rng.choice([rng.normal(1.35, 0.3), rng.uniform(0.15, 3.0)], p=[0.6, 0.4])
    rise = np.clip((max(level, 0.1) - target[2]) / far, -0.75, 0.9)
    azimuth = rng.uniform(-np.pi, np.pi)
    flat = np.sqrt(1 - rise**2)
    eye = target + far * np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), rise])
    eye[2] = max(eye[2], 0.1)
    # room to move in the picture without leaving it; now and then more than that
    slack = np.maximum(1.0 - share * edge / np.array([width, height]), 0.04) / 2.0
    slack *= 0.75 if rng.random() < 0.8 else 1.5
    pixel = np.array([width, height]) * (0.5 + rng.uniform(-1, 1, 2) * slack)
    ray = np.linalg.solve(k, [pixel[0], pixel[1], 1.0])
    roll = rng.normal(0, np.deg2rad(4)) if rng.random() < 0.85 else rng.normal(0, np.deg2rad(20))
    transform = np.eye(4)
    transform[:3, :3] = swing(np.array([0, 0, 1.0]), ray) @ about([0, 0, 1], roll)
    return Camera(k, transform @ look_at(eye, target), width, height)


@dataclass(frozen=True)
class Window:
    """A square crop of a camera's image."""

    left_px: float
    top_px: float
    size_px: float


def sample_window(rng: np.random.Generator, camera: Camera, joints_px: np.ndarray) -> Window:
    """The window that a tracker might use: the visible joints' box × 1.45, not quite right."""
    bounds = np.array([camera.width, camera.height], float)
    inside = ((joints_px > -0.5) & (joints_px < bounds - 0.5)).all(axis=1)
    points = joints_px[inside] if inside.sum() >= 4 else np.clip(joints_px, 0, bounds)
    low, high = points.min(axis=0), points.max(axis=0)
    size = max((high - low).max() * 1.45, 24.0) * rng.uniform(0.8, 1.25)
    centre = (low + high) / 2.0 + size * np.clip(rng.normal(0, 0.05, 2), -0.12, 0.12)
    left, top = centre - size / 2.0
    return Window(float(left), float(top), float(size))


def window_view(camera: Camera, window: Window, size: int) -> View:
    """The window as a camera of its own, `size` pixels square."""
    scale = size / window.size_px
    k = np.diag([scale, scale, 1.0]) @ camera.k
    # pixel areas correspond: (p + 0.5 - corner) * scale - 0.5
    k[0, 2] += (0.5 - window.left_px) * scale - 0.5
    k[1, 2] += (0.5 - window.top_px) * scale - 0.5
    return View(k, camera.transform_camera_from_world, size, size)


def rotation_camera_from_crop(k_crop: np.ndarray, size: int) -> np.ndarray:
    """[3, 3] the shortest rotation of the optical axis onto the ray through the crop's centre."""
    centre = (size - 1) / 2.0
    return swing(np.array([0.0, 0.0, 1.0]), np.linalg.solve(k_crop, [centre, centre, 1.0]))


def crop_labels(joints_camera_m: np.ndarray, k_crop: np.ndarray, size: int) -> np.ndarray:
    """[21, 3] root-relative joints in the crop-ray frame, body size normalised."""
    relative = joints_camera_m - joints_camera_m[PELVIS]
    relative = relative @ rotation_camera_from_crop(k_crop, size)
    return relative * (NORMALISED_KNEE_NECK_M / knee_neck_length(joints_camera_m))
