"""Moving people with truth: the bundled clip and the small set of motion for tests.

`python -m vnect_ros.synthetic.demo_clip --motion MOTION.npz --assets assets`
renders assets/demo.mp4 and assets/demo_truth.npz; `--test-motion FILE` writes
the motion alone.  Both come from captured walking (free for all uses) and from
our own crouch and wave, on anny's body.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from vnect_ros.errors import ConfigError, describe
from vnect_ros.skeleton import INDEX, JOINT_NAMES, PELVIS
from vnect_ros.synthetic import motion_synthesis
from vnect_ros.synthetic.bodies import BodyModel, Shape, body_model
from vnect_ros.synthetic.cameras import intrinsics, look_at
from vnect_ros.synthetic.demo_scene import living_room
from vnect_ros.synthetic.filming import Take, film
from vnect_ros.synthetic.motion import heading, load_motion, turned
from vnect_ros.synthetic.poses import DOWN, arm, leg, trunk
from vnect_ros.synthetic.retarget import Style, about, between, frame, swing
from vnect_ros.synthetic.scene import View

Poser = Callable[[np.ndarray, np.ndarray, int], None]
"""Places an arm: (joints [21, 3] to write to, the chest's axes [3, 3], the frame)."""
WALK = "train__walking_extra__walking_33"
"""The captured walk that the clip's person walks."""


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
        poser(other, chest, t)
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


def walking_take(
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


def demo_take(motion: dict[str, np.ndarray], rate_hz: float = 30.0) -> Take:
    """The bundled clip's motion and camera: 640x480, 1.5 m high, 15.5 s."""
    model = body_model()
    shape = model.shape(_DEMO_BODY, 1.72)
    stamps = np.arange(int(15.5 * rate_hz)) / rate_hz
    x_y = path([
        (0.0, -1.45, 1.9), (1.0, -1.05, 0.9), (2.0, -0.35, -0.1), (3.0, -0.05, -0.6),
        (7.7, -0.05, -0.6), (8.7, 0.55, -0.5), (9.6, 1.25, 0.05), (10.5, 1.2, 1.0),
        (11.4, 0.45, 1.7), (12.3, -0.5, 1.4), (13.2, -0.75, 0.5), (14.1, -0.4, -0.15),
        (15.0, -0.15, -0.4), (15.6, -0.13, -0.42),
    ], stamps)  # fmt: skip
    wave = motion_synthesis.pulse(stamps, 3.1, 3.7, 5.0, 5.6)
    crouch = 0.52 * motion_synthesis.pulse(stamps, 5.4, 6.3, 6.7, 7.6)
    hold = motion_synthesis.pulse(stamps, 2.3, 3.1, 7.6, 8.5) + motion_synthesis.ease(
        (stamps - 14.0) / 0.8
    )
    joints = walking_take(model, shape, motion[WALK], x_y, rate_hz, crouch, wave, hold)
    transform = look_at(np.array([0.0, -3.9, 1.5]), np.array([0.0, 0.0, 0.95]))
    view = View(intrinsics(640, 480, np.deg2rad(41)), transform, 640, 480)
    return Take(shape, joints, rate_hz, view, Style(curl=(0.12, 0.2)))


_DEMO_BODY = {
    "age": 0.7, "gender": 0.75, "muscle": 0.55, "weight": 0.45, "height": 0.5,
    "proportions": 0.7, "african": 0.3, "asian": 0.4, "caucasian": 0.3,
}  # fmt: skip


def motion_for_tests(motion: dict[str, np.ndarray], rate_hz: float = 30.0) -> dict[str, np.ndarray]:
    """Four takes of 6 s on three bodies, for tests: arrays by name.

    Each NAME has joints_NAME [180, 21, 3] float32 in the camera's optical frame
    [m], k_NAME [3, 3] for 640x480, and height_NAME [m]; stamps_s serves all.
    """
    model = body_model()
    stamps = np.arange(180) / rate_hz
    result: dict[str, np.ndarray] = {
        "stamps_s": stamps, "joint_names": np.array(JOINT_NAMES), "image_size": np.array([640, 480])
    }  # fmt: skip
    k = intrinsics(640, 480, np.deg2rad(50))
    transform = look_at(np.array([0.0, -3.8, 1.4]), np.array([0.0, 0.0, 0.9]))
    view = View(k, transform, 640, 480)
    bodies = {
        "walk": ({"gender": 0.9, "age": 0.7}, 1.63), "wave_crouch": (_DEMO_BODY, 1.72),
        "signals": ({"gender": 0.1, "age": 0.8, "weight": 0.7}, 1.85),
        "sit": ({"gender": 0.2, "age": 0.7, "weight": 0.4}, 1.76),
    }  # fmt: skip
    for name, (phenotypes, height) in bodies.items():
        shape = model.shape(phenotypes, height)
        if name == "walk":
            x_y = path([(0, -1.0, 1.6), (1.5, -0.3, 0.3), (2.6, 0.6, 0.2), (3.6, 0.9, 1.1),
                        (4.8, 0.0, 1.7), (6, -0.8, 1.0)], stamps)  # fmt: skip
            joints = walking_take(model, shape, motion[WALK], x_y, rate_hz)
        elif name == "wave_crouch":
            x_y = path([(0, 0.3, 0.6), (0.6, 0.2, 0.2), (1.2, 0.15, 0.1), (6, 0.15, 0.1)], stamps)
            wave = motion_synthesis.pulse(stamps, 1.0, 1.5, 2.6, 3.2)
            crouch = 0.5 * motion_synthesis.pulse(stamps, 3.2, 4.1, 4.5, 5.4)
            hold = np.full(len(stamps), 0.6)
            joints = walking_take(model, shape, motion[WALK], x_y, rate_hz, crouch, wave, hold)
        elif name == "signals":
            source = motion["train__basketball_signal__basketball_signal_2"][120:300]
            source = source @ about([0, 0, 1], heading(source[0]) + 0.4)
            joints = motion_synthesis.walked(motion_synthesis.on_body(model, shape, source), shape)
            joints = motion_synthesis.locked(joints, rate_hz, shape)
        else:
            joints = sitting(model, shape, stamps)
        joints = motion_synthesis.settled(model, shape, joints)[1]
        result[f"joints_{name}"] = view.project(joints)[1].astype(np.float32)
        result[f"k_{name}"], result[f"height_{name}"] = k, np.float64(shape.height_m)
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


def main() -> None:
    """Write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--motion", type=Path, required=True, help="npz of captured clips")
    parser.add_argument("--assets", type=Path, help="folder for demo.mp4 and demo_truth.npz")
    parser.add_argument("--test-motion", type=Path, help="npz of motion for tests to write")
    args = parser.parse_args()
    motion = load_motion(args.motion)
    if WALK not in motion:
        raise ConfigError(describe("motion", str(args.motion), f"a set with {WALK}"))
    if args.test_motion:
        np.savez_compressed(args.test_motion, **motion_for_tests(motion))
    if args.assets:
        args.assets.mkdir(parents=True, exist_ok=True)
        video, truth = (args.assets / name for name in ("demo.mp4", "demo_truth.npz"))
        film(body_model(), demo_take(motion), living_room(), video, truth, 1.75, 22)


if __name__ == "__main__":
    main()
