"""Observed people for the tests of the fit: natural motion, and a network's errors on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vnect_ros.body import kinematics as kin
from vnect_ros.body import urdf
from vnect_ros.camera import Camera
from vnect_ros.records import Joints
from vnect_ros.skeleton import NORMALISED_KNEE_NECK_M, knee_neck_length

CAMERA = Camera(
    1280, 720, 900.0, 905.0, 640.0, 360.0, "plumb_bob", (-0.2, 0.05, 0.0005, -0.0003, 0.0)
)
CLIPS = ("walk", "wave_crouch", "signals", "sit")
_DATA = np.load(Path(__file__).parent / "data" / "motion.npz")


@dataclass(frozen=True)
class Person:
    """True motion."""

    joints_m: np.ndarray
    """[T, 21, 3] camera frame."""
    height_m: float
    fps: float = 30.0

    def stamps_s(self) -> np.ndarray:
        return 100.0 + np.arange(len(self.joints_m)) / self.fps

    def relative_m(self) -> np.ndarray:
        return self.joints_m - self.joints_m[:, 14:15]


def recorded(name: str, frames: int | None = None) -> Person:
    """One of CLIPS: a body that is not quite the fit's, in natural motion."""
    return Person(_DATA[f"joints_{name}"][:frames].astype(float), float(_DATA[f"height_{name}"]))


def waving(seconds=4.0, fps=30.0, hertz=1.5, swing_rad=0.55, height_m=1.75) -> Person:
    """A standing person 3.5 m away waves the right arm; a wrist of up to 3 m/s."""
    rng = np.random.default_rng(5)
    lengths = urdf.mean_bone_lengths(height_m) * np.exp(rng.normal(0, 0.05, 21))
    lengths = urdf.scaled_to_height(urdf.symmetric(lengths), height_m)
    model = kin.Kinematics(lengths)
    q = standing()
    frames = []
    for t in np.arange(0.0, seconds, 1.0 / fps):
        swing = swing_rad * np.sin(2.0 * np.pi * hertz * t)
        set_angle(q, "r_p_shoulder", 1.6 + swing)
        set_angle(q, "r_r_shoulder", 0.5)
        set_angle(q, "r_elbow", 0.6)
        frames.append(model.forward(q))
    return Person(np.array(frames), height_m, fps)


def standing(at_m=(0.0, 0.0, 3.5)) -> np.ndarray:
    """The configuration of a person at rest who faces the camera."""
    q = kin.neutral()
    q[:3] = at_m
    # Body x (forward) is the camera's -z, body z (up) its -y.
    q[3:7] = kin.quaternion_from_rotation(
        np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
    )
    return q


def set_angle(q: np.ndarray, name: str, angle_rad: float) -> None:
    q[kin.ROOT_Q + urdf.Q_NAMES.index(name)] = angle_rad


def _correlated(rng, shape, dt_s, tau_s):
    """[T, ...] unit Gaussian noise that forgets with a time constant."""
    keep = np.exp(-dt_s / tau_s)
    out = np.empty(shape)
    state = rng.normal(size=shape[1:])
    for t in range(shape[0]):
        state = keep * state + np.sqrt(1.0 - keep**2) * rng.normal(size=shape[1:])
        out[t] = state
    return out


@dataclass(frozen=True)
class Seen:
    """What a network makes of a person."""

    joints: list[Joints]
    raw_m: np.ndarray
    """[T, 21, 3] P^L brought back to the person's true size: what the fit competes with."""


def seen(
    person: Person,
    seed: int = 0,
    camera: Camera = CAMERA,
    pixels: float = 4.0,
    metres: float = 0.040,
    outliers: float = 0.03,
) -> Seen:
    """Observe a person with realistic errors.

    Args:
        pixels: deviation of K, pixels of a 224 crop: half drifts (0.3 s), half
            is new each frame and heavy-tailed (Student's t, 3 degrees).
        metres: deviation of P^L: half drifts (0.4 s), half is new each frame.
        outliers: share of joints whose P^L is off by 0.3 m a component.
    """
    rng = np.random.default_rng(seed)
    shape = person.joints_m.shape
    dt_s = 1.0 / person.fps
    truth_px = camera.project(person.joints_m)
    scale = 1.45 * (truth_px.max(axis=1) - truth_px.min(axis=1)).max(axis=1) / 224.0
    heavy = np.clip(rng.standard_t(3, size=(*shape[:2], 2)) / np.sqrt(3.0), -6.0, 6.0)
    error = (_correlated(rng, (*shape[:2], 2), dt_s, 0.3) + heavy) / np.sqrt(2.0)
    pixels_px = truth_px + error * pixels * scale[:, None, None]
    local = (_correlated(rng, shape, dt_s, 0.4) + rng.normal(size=shape)) * metres / np.sqrt(2.0)
    wild = rng.random(shape[:2]) < outliers
    local[wild] = rng.normal(size=shape)[wild] * 0.3
    local[:, 14] = 0.0
    raw_m = person.relative_m() + local
    norm = NORMALISED_KNEE_NECK_M / knee_neck_length(person.joints_m).mean()
    doubt = 0.13 * np.linalg.norm(error, axis=-1) + rng.normal(0.0, 0.05, shape[:2])
    confidence = np.clip(0.95 - doubt, 0.26, 0.98)
    if pixels == 0.0:
        confidence = np.full_like(confidence, 0.9)
    joints = [Joints(p, r * norm, c) for p, r, c in zip(pixels_px, raw_m, confidence)]
    return Seen(joints, raw_m)


def mpjpe_m(joints_m: np.ndarray, truth_m: np.ndarray) -> float:
    """Mean root-relative error."""
    error = joints_m - joints_m[..., 14:15, :] - truth_m + truth_m[..., 14:15, :]
    return float(np.linalg.norm(error, axis=-1).mean())


def acceleration_error(joints_m: np.ndarray, truth_m: np.ndarray, fps: float) -> float:
    """Mean error of the second difference [m/s^2]."""
    error = joints_m - truth_m
    second = error[2:] - 2.0 * error[1:-1] + error[:-2]
    return float(np.linalg.norm(second, axis=-1).mean() * fps**2)
