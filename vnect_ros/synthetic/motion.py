"""Motion capture as joint positions, and what may be done to them.

Body axes as everywhere in this package: x to the person's left, y to the back,
z up; metres.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from vnect_ros.errors import ConfigError, describe
from vnect_ros.skeleton import INDEX, MIRROR, NUM_JOINTS, PARENTS

HELD_OUT_PREFIX = "test__"
HELD_OUT = ("train__directing_traffic__directing_traffic_4",
            "train__basketball_signal__basketball_signal_5")  # fmt: skip
"""Clips kept out of training, besides all whose name begins with HELD_OUT_PREFIX."""

UPPER = tuple(
    INDEX[n] for n in (
        "spine", "neck", "head", "head_top",
        "right_shoulder", "right_elbow", "right_wrist", "right_hand",
        "left_shoulder", "left_elbow", "left_wrist", "left_hand",
    )
)  # fmt: skip
"""Joints above the pelvis."""


def is_held_out(name: str) -> bool:
    """Whether a clip is kept out of training."""
    return name.startswith(HELD_OUT_PREFIX) or name in HELD_OUT


def load_motion(path: Path, held_out: bool | None = None) -> dict[str, np.ndarray]:
    """Clips [T, 21, 3] by name.

    The file holds millimetres, z up, in a left-handed frame (with y forward
    the person's left lies at +x); here y is turned round, which makes the
    frame right-handed and brings it into the body axes.

    Args:
        path: a npz of [T, 21, 3] arrays in millimetres.
        held_out: only the held-out clips, only the others, or (None) all.

    Raises:
        ConfigError: the file is missing or an array has another shape.
    """
    if not Path(path).is_file():
        raise ConfigError(describe("motion", str(path), "an npz file of [T, 21, 3] clips"))
    clips = {}
    with np.load(path) as data:
        for name in sorted(data.files):
            if data[name].shape[1:] != (NUM_JOINTS, 3):
                raise ConfigError(describe(name, data[name].shape, "[T, 21, 3]"))
            if held_out is None or is_held_out(name) == held_out:
                clips[name] = data[name].astype(np.float64) * [1e-3, -1e-3, 1e-3]
    return clips


def mirrored(joints_m: np.ndarray) -> np.ndarray:
    """[..., 21, 3] the same pose with left and right exchanged."""
    return joints_m[..., list(MIRROR), :] * [-1.0, 1.0, 1.0]


def _descendants() -> tuple[tuple[int, ...], ...]:
    below: list[list[int]] = [[] for _ in range(NUM_JOINTS)]
    for joint in range(NUM_JOINTS):
        parent = joint
        while PARENTS[parent] != parent:
            parent = PARENTS[parent]
            below[parent].append(joint)
    return tuple(tuple(b) for b in below)


DESCENDANTS = _descendants()
"""For each joint, all that move with it."""


def turned(joints_m: np.ndarray, joint: int, rotation: np.ndarray) -> np.ndarray:
    """[21, 3] the pose with everything below `joint` turned about it by [3, 3] `rotation`."""
    result = joints_m.copy()
    below = list(DESCENDANTS[joint])
    result[below] = (joints_m[below] - joints_m[joint]) @ rotation.T + joints_m[joint]
    return result


def pelvis_axes(joints_m: np.ndarray) -> np.ndarray:
    """[3, 3] axes (columns) of the pelvis: left, back, up to the spine."""
    from vnect_ros.synthetic.retarget import frame

    at = {n: joints_m[INDEX[n]] for n in ("pelvis", "spine", "right_hip", "left_hip")}
    return frame(at["spine"] - at["pelvis"], at["left_hip"] - at["right_hip"])


def mixed(upper_m: np.ndarray, lower_m: np.ndarray) -> np.ndarray:
    """[21, 3] the upper body of one pose on the legs of another."""
    turn = pelvis_axes(lower_m) @ pelvis_axes(upper_m).T
    result, pelvis, above = lower_m.copy(), INDEX["pelvis"], list(UPPER)
    result[above] = (upper_m[above] - upper_m[pelvis]) @ turn.T + lower_m[pelvis]
    return result


def heading(joints_m: np.ndarray) -> float:
    """The direction the hips face, as a turn about z from facing -y [rad]."""
    left = joints_m[INDEX["left_hip"]] - joints_m[INDEX["right_hip"]]
    return float(np.arctan2(left[1], left[0]))


def perturbed(joints_m: np.ndarray, rng: np.random.Generator, sigma_rad: float) -> np.ndarray:
    """[21, 3] the pose with every joint turned a little; knees and elbows stay hinges."""
    result = joints_m.copy()
    for name in ("spine", "neck", "head"):
        turn = Rotation.from_rotvec(rng.normal(0, 0.5 * sigma_rad, 3)).as_matrix()
        result = turned(result, INDEX[name], turn)
    for side in ("right", "left"):
        for top, hinge, end, spread in (
            ("shoulder", "elbow", "wrist", 1.6), ("hip", "knee", "ankle", 0.8),
        ):  # fmt: skip
            turn = Rotation.from_rotvec(rng.normal(0, spread * sigma_rad, 3)).as_matrix()
            result = turned(result, INDEX[f"{side}_{top}"], turn)
            upper = result[INDEX[f"{side}_{hinge}"]] - result[INDEX[f"{side}_{top}"]]
            lower = result[INDEX[f"{side}_{end}"]] - result[INDEX[f"{side}_{hinge}"]]
            axis = np.cross(upper, lower)
            sine = np.linalg.norm(axis) / (np.linalg.norm(upper) * np.linalg.norm(lower))
            if sine > 0.2:
                angle = rng.normal(0, spread * sigma_rad)
                angle = max(angle, -0.8 * np.arcsin(min(sine, 1.0)))
                turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()
                result = turned(result, INDEX[f"{side}_{hinge}"], turn)
    return result
