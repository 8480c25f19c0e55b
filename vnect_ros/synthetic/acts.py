"""What a person does in a clip: walking a path, crouching, waving, sitting; on anny's body.

World frame: metres, z up, the floor at 0.  Captured walking is the user's own file; the
rest is made of angles.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from scipy.interpolate import PchipInterpolator

from vnect_ros.skeleton import INDEX, PELVIS
from vnect_ros.synthetic import motion_synthesis
from vnect_ros.synthetic.bodies import BodyModel, Shape
from vnect_ros.synthetic.motion import turned
from vnect_ros.synthetic.poses import DOWN, arm, leg, trunk
from vnect_ros.synthetic.retarget import about, between, frame, swing

Poser = Callable[[np.ndarray, np.ndarray, int], None]
"""Places an arm: (joints [21, 3] to write to, the chest's axes [3, 3], the frame)."""


def standing_source() -> np.ndarray:
    """[21, 3] a relaxed stand, facing -y."""
    joints, chest = trunk(0.05, 0.0, 0.0, np.eye(3))
    for side in ("right", "left"):
        arm(joints, chest, side, DOWN + [0.13, 0.03, 0.0], 0.25, 0.25)
        leg(joints, side, 0.03, 0.035, 0.12, 0.05)
    return joints


def with_arm(joints_m: np.ndarray, side: str, share: np.ndarray, poser: Poser) -> np.ndarray:
    """A sequence with an arm blended towards another pose.

    Args:
        joints_m: [T, 21, 3].
        share: [T] 0 as it was, 1 as `poser` has it.
        poser: called with (joints [21, 3], chest axes [3, 3], frame) to place the arm.
    """
    names = ("shoulder", "elbow", "wrist", "hand")
    ids = [INDEX[f"{side}_{n}"] for n in names]
    result = joints_m.copy()
    for t in np.flatnonzero(share > 1e-4):
        other = joints_m[t].copy()
        chest = _chest_axes(other)
        poser(other, chest, int(t))
        for a, b in itertools.pairwise(ids):
            old, new = joints_m[t, b] - joints_m[t, a], other[b] - other[a]
            turn = between(np.eye(3), swing(old, new), share[t])
            result[t, b] = result[t, a] + turn @ old
    return result


def _chest_axes(joints: np.ndarray) -> np.ndarray:
    up = joints[INDEX["neck"]] - joints[INDEX["spine"]]
    return frame(up, joints[INDEX["left_shoulder"]] - joints[INDEX["right_shoulder"]])


def waving(rate_hz: float, beats_hz: float = 1.5) -> Poser:
    """A poser for `with_arm`: the raised forearm swings from side to side."""

    def poser(joints: np.ndarray, chest: np.ndarray, t: int) -> None:
        beat = np.sin(2 * np.pi * beats_hz * t / rate_hz)
        arm(joints, chest, "right", np.array([0.75, -0.45, 0.05]), -1.35, 1.75 + 0.4 * beat)

    return poser


def path(knots: list[tuple[float, float, float]], stamps_s: np.ndarray) -> np.ndarray:
    """[T, 2] a smooth path through (time [s], x, y) knots; equal neighbours stand still."""
    table = np.array(knots)
    return PchipInterpolator(table[:, 0], table[:, 1:])(np.clip(stamps_s, *table[[0, -1], 0]))


def walking(
    model: BodyModel, shape: Shape, clip_m: np.ndarray, position_m: np.ndarray, rate_hz: float,
    crouch: np.ndarray | None = None, wave: np.ndarray | None = None,
    hold: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """[T, 21, 3] a body that walks a path, and crouches and waves on the way.

    Args:
        clip_m: [N, 21, 3] captured walking.
        position_m: [T, 2] path of the pelvis on the floor.
        crouch: [T] how far the pelvis sinks, in leg lengths.
        wave: [T] 0 to 1.
        hold: [T] 1 to face -y instead of along the path.
    """
    cycle = motion_synthesis.on_body(model, shape, motion_synthesis.walk_cycle(clip_m))
    stand = motion_synthesis.on_body(model, shape, standing_source()[None])[0]
    joints = motion_synthesis.along_path(cycle, stand, shape, position_m, rate_hz, hold)
    t = np.arange(len(joints)) / rate_hz
    joints = _breathing(joints, t)
    if wave is not None:
        joints = with_arm(joints, "right", wave, waving(rate_hz))
    joints = motion_synthesis.on_body(model, shape, joints)
    joints = motion_synthesis.locked(motion_synthesis.standing(joints, shape), rate_hz, shape)
    if crouch is not None:
        reach = shape.joints_m[PELVIS, 2] - shape.joints_m[INDEX["left_ankle"], 2]
        joints = motion_synthesis.lowered(joints, crouch * reach, crouch * 1.05)
        joints = with_arm(joints, "left", crouch.clip(0, 0.6) / 0.6, _on_knee("left"))
        joints = with_arm(joints, "right", crouch.clip(0, 0.6) / 0.6, _on_knee("right"))
    return joints


def _on_knee(side: str) -> Poser:
    def poser(joints: np.ndarray, chest: np.ndarray, t: int) -> None:
        arm(joints, chest, side, np.array([0.22, -0.85, -0.75]), 0.45, 0.75)

    return poser


def _breathing(joints_m: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Small sway of the upper body, so that nobody stands like a statue."""
    result = joints_m.copy()
    for i, now in enumerate(t):
        sway = [0.015 * np.sin(1.7 * now), 0.012 * np.sin(1.1 * now + 1), 0.02 * np.sin(0.6 * now)]
        spine = about([1, 0, 0], sway[0]) @ about([0, 1, 0], sway[1]) @ about([0, 0, 1], sway[2])
        result[i] = turned(result[i], INDEX["spine"], spine)
    return result


def sitting(model: BodyModel, shape: Shape, stamps_s: np.ndarray) -> np.ndarray:
    """[T, 21, 3] somebody who sits down on a chair, turns and leans, and rises, facing -y + 0.5."""
    down = motion_synthesis.pulse(stamps_s, 0.4, 1.6, 4.6, 5.8)
    source = np.empty((len(stamps_s), 21, 3))
    for i, (now, share) in enumerate(zip(stamps_s, down)):
        lean = 0.05 + 1.9 * share * (1 - share) + 0.12 * share * np.sin(1.9 * now)
        joints, chest = trunk(lean, 0.0, 0.25 * share * np.sin(1.3 * now), about([1, 0, 0], 0.1))
        for side in ("right", "left"):
            arm(joints, chest, side, DOWN + [0.15, -0.75 * share, 0.0], 0.3, 0.3 + 0.8 * share)
            leg(joints, side, 0.03 + 1.5 * share, 0.05 + 0.1 * share, 0.1, 0.05 + 1.5 * share)
        source[i] = joints @ about([0, 0, 1], 0.5).T
    joints = motion_synthesis.on_body(model, shape, source)
    # the feet stay where they are; the pelvis moves
    feet = joints[:, [INDEX["right_ankle"], INDEX["left_ankle"]]].mean(axis=1)
    joints = joints - (feet - feet[0])[:, None] * [1.0, 1.0, 0.0]
    return motion_synthesis.locked(motion_synthesis.standing(joints, shape), 30.0, shape)
