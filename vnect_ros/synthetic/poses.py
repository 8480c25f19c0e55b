"""Poses wide of what was captured: limbs from angles within human limits, by kind.

A pose is [21, 3] joints in body axes (x left, y back, z up) of a mean skeleton;
retarget.py takes only the directions from it.  Angles here are radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vnect_ros.skeleton import INDEX, NUM_JOINTS
from vnect_ros.synthetic.motion import mirrored, mixed, perturbed
from vnect_ros.synthetic.retarget import Style, about, swing, unit

DOWN = np.array([0.0, 0.0, -1.0])
X, Y, Z = np.eye(3)
_UPPER_ARM, _FOREARM, _HAND = 0.279, 0.190, 0.045
_THIGH, _SHIN, _FOOT = 0.428, 0.410, 0.185


@dataclass(frozen=True)
class Pose:
    """One pose to be put on a body."""

    joints_m: np.ndarray
    """[21, 3] body axes, z up in the world."""
    style: Style
    kind: str
    grounded: bool
    """Whether the lowest point stands on the floor (else the person is in the air)."""


def trunk(bend: float, lean: float, twist: float, nod: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints from the pelvis up without arms, and the chest's [3, 3] axes.

    Args:
        bend, lean, twist: of the chest against the pelvis: forward, to the right, to the left.
        nod: [3, 3] the head against the chest.
    """
    joints = np.zeros((NUM_JOINTS, 3))
    half = about(Z, 0.5 * twist) @ about(Y, 0.5 * lean) @ about(X, 0.5 * bend)
    low = about(Z, 0.3 * twist) @ about(Y, 0.3 * lean) @ about(X, 0.35 * bend)
    chest = half @ half
    joints[INDEX["spine"]] = low @ [0.0, 0.015, 0.217]
    joints[INDEX["neck"]] = joints[INDEX["spine"]] + chest @ [0.0, -0.010, 0.204]
    joints[INDEX["head"]] = joints[INDEX["neck"]] + chest @ nod @ [0.0, -0.007, 0.088]
    joints[INDEX["head_top"]] = joints[INDEX["head"]] + chest @ nod @ nod @ [0.0, 0.004, 0.092]
    for side, sign in (("right", -1.0), ("left", 1.0)):
        at = joints[INDEX["neck"]] + chest @ [sign * 0.197, 0.006, -0.040]
        joints[INDEX[f"{side}_shoulder"]] = at
    return joints, chest


def _sided(side: str, vector: np.ndarray) -> np.ndarray:
    """A vector given for the left side, on the side that is meant."""
    return vector * [-1.0, 1.0, 1.0] if side == "right" else vector


def arm(joints: np.ndarray, chest: np.ndarray, side: str, direction: np.ndarray,
        turn: float, bend: float, wrist: np.ndarray | None = None) -> None:  # fmt: skip
    """Place an arm by its angles.

    Args:
        joints: [21, 3] written to.
        direction: [3] of the upper arm in the chest's axes, as for the left arm.
        turn: of the upper arm about itself, inwards.
        bend: of the elbow, 0 straight.
        wrist: [3, 3] turn of the hand against the forearm.
    """
    direction = unit(direction)
    hinge = about(direction, turn) @ swing(DOWN, direction) @ -X
    fore = about(hinge, bend) @ direction
    hand = fore if wrist is None else wrist @ fore
    _arm_of(joints, side, *(chest @ _sided(side, v) for v in (direction, fore, hand)))


def _arm_of(
    joints: np.ndarray, side: str, upper: np.ndarray, fore: np.ndarray, hand: np.ndarray
) -> None:
    at = joints[INDEX[f"{side}_shoulder"]]
    joints[INDEX[f"{side}_elbow"]] = at = at + _UPPER_ARM * unit(upper)
    joints[INDEX[f"{side}_wrist"]] = at = at + _FOREARM * unit(fore)
    joints[INDEX[f"{side}_hand"]] = at + _HAND * unit(hand)


def reach(joints: np.ndarray, side: str, target: np.ndarray, pole: np.ndarray,
          hand: np.ndarray | None = None) -> None:  # fmt: skip
    """Place an arm so that the wrist comes to `target` [3], the elbow towards `pole` [3]."""
    shoulder = joints[INDEX[f"{side}_shoulder"]]
    line = target - shoulder
    far = np.clip(np.linalg.norm(line), 0.12, 0.995 * (_UPPER_ARM + _FOREARM))
    line = unit(line)
    along = (far**2 + _UPPER_ARM**2 - _FOREARM**2) / (2 * far)
    out = unit(pole - (pole @ line) * line)
    elbow = along * line + np.sqrt(max(_UPPER_ARM**2 - along**2, 0.0)) * out
    fore = far * line - elbow
    _arm_of(joints, side, elbow, fore, fore if hand is None else hand)


def leg(joints: np.ndarray, side: str, flex: float, out: float, turn: float, knee: float,
        ankle: float = 0.0) -> None:  # fmt: skip
    """Place a leg by its angles: hip forward, sideways, about itself outwards; knee; ankle down."""
    thigh = about(-X, flex) @ about(-Y, out) @ about(Z, turn)
    shin = thigh @ about(X, knee)
    foot = shin @ about(X, ankle) @ np.array([0.0, -0.96, -0.28])
    at = joints[INDEX["pelvis"]] + _sided(side, np.array([0.092, 0.0, 0.0]))
    joints[INDEX[f"{side}_hip"]] = at
    for name, length, direction in (
        ("knee", _THIGH, thigh @ DOWN), ("ankle", _SHIN, shin @ DOWN), ("toe", _FOOT, foot),
    ):  # fmt: skip
        at = at + length * _sided(side, direction)
        joints[INDEX[f"{side}_{name}"]] = at


def random_arm_direction(rng: np.random.Generator) -> np.ndarray:
    """[3] where a left upper arm may point, in the chest's axes."""
    while True:
        d = unit(rng.normal(size=3) + [0.25, -0.25, -0.2])
        behind = d[1] > 0 and (d[1] > 0.65 or d[0] < 0.05)
        across = d[0] < 0 and (d[1] > -0.5 or d[0] < -0.55)
        if not behind and not across:
            return d


_TARGETS = {
    # wrist in body axes of the left side, pole of the elbow; jitter is added
    "hips": ([0.17, -0.02, 0.06], [1.0, 0.5, 0.0]),
    "behind": ([0.02, 0.17, 0.06], [0.7, 0.7, -0.2]),
    "head": ([0.10, 0.02, 0.60], [1.0, 0.0, 0.2]),
    "face": ([0.07, -0.17, 0.50], [0.6, -0.2, -1.0]),
    "crossed": ([-0.09, -0.21, 0.27], [0.6, -0.3, -0.7]),
    "clasped": ([0.03, -0.28, 0.15], [0.8, 0.2, -0.6]),
    "belly": ([-0.02, -0.20, 0.12], [0.9, 0.2, -0.4]),
    "pocket": ([0.22, -0.04, -0.05], [0.6, 0.9, 0.0]),
    "chest": ([0.05, -0.20, 0.36], [0.8, 0.0, -0.8]),
    "phone": ([0.06, -0.30, 0.28], [0.6, 0.2, -0.8]),
}


def random_arms(joints: np.ndarray, chest: np.ndarray, rng: np.random.Generator) -> None:
    """Both arms: hanging, held at a place of the body, anywhere, or one of each."""
    together = rng.choice(
        ["hang", "place", "wide", "free", "mixed"], p=[0.14, 0.2, 0.14, 0.3, 0.22]
    )
    place = rng.choice(list(_TARGETS))
    wide = random_arm_direction(rng)
    for side in ("right", "left"):
        kind = together if together != "mixed" else rng.choice(["hang", "place", "free"])
        if together == "mixed":
            place = rng.choice(list(_TARGETS))
        wrist = about(rng.normal(size=3), rng.normal(0, 0.3))
        if kind == "hang":
            direction = DOWN + rng.normal(0, 0.16, 3) + [0.16, 0.0, 0.0]
            arm(joints, chest, side, direction, rng.normal(0.3, 0.3), abs(rng.normal(0.2, 0.3)),
                wrist)  # fmt: skip
        elif kind == "place":
            target, pole = (np.array(v) for v in _TARGETS[place])
            frame = chest if place not in ("hips", "pocket", "behind") else np.eye(3)
            base = joints[INDEX["spine"]] - chest @ [0, 0.015, 0.217] if frame is chest else 0.0
            target = base + frame @ _sided(side, target + rng.normal(0, 0.03, 3))
            reach(joints, side, target, frame @ _sided(side, pole + rng.normal(0, 0.25, 3)))
        else:
            direction = (
                wide + rng.normal(0, 0.1, 3) if kind == "wide" else random_arm_direction(rng)
            )
            bend = rng.choice([abs(rng.normal(0, 0.25)), rng.uniform(0.2, 2.5)], p=[0.4, 0.6])
            arm(joints, chest, side, direction, rng.uniform(-1.0, 1.3), bend, wrist)


def _legs(joints: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Legs of a kind of pose; returns the [3, 3] tilt of the whole body."""
    tilt = np.eye(3)
    u, n = rng.uniform, rng.normal
    shared = {key: n(mean, sd) for key, mean, sd in (("f", 0, 0.12), ("o", 0, 0.1), ("k", 0, 0.2))}
    for side in ("right", "left"):
        if kind == "stand":
            leg(joints, side, n(0.05, 0.15), abs(n(0.06, 0.12)), n(0.15, 0.2), abs(n(0.05, 0.15)))
        elif kind == "sit":
            leg(joints, side, u(1.2, 1.8) + shared["f"], u(-0.1, 0.5), u(-0.2, 0.4),
                np.clip(u(0.9, 2.0) + shared["k"], 0, 2.4), u(-0.3, 0.3))  # fmt: skip
        elif kind == "sit_floor":
            leg(joints, side, u(1.3, 1.9), u(0.0, 0.9), u(-0.2, 0.9), u(0.0, 2.2), u(0, 0.5))
        elif kind == "crouch":
            leg(joints, side, u(1.5, 2.2) + shared["f"], u(0.1, 0.6), u(0.0, 0.5),
                np.clip(u(1.7, 2.5) + shared["k"], 0, 2.6), u(-0.5, 0.1))  # fmt: skip
            tilt = about(X, u(0.0, 0.5))
        elif kind == "squat":
            flex = 1.1 + 3 * shared["f"]
            leg(
                joints,
                side,
                flex,
                u(0.1, 0.5),
                u(0.0, 0.5),
                np.clip(flex + u(0.0, 0.5), 0, 2),
                -0.3,
            )
            tilt = about(X, u(0.1, 0.6))
        elif kind == "kneel":
            leg(joints, side, u(-0.1, 0.5) + shared["f"], u(0, 0.3), u(-0.2, 0.2),
                np.clip(u(1.5, 2.4) + shared["k"], 1.3, 2.5), u(0.2, 1.0))  # fmt: skip
        elif kind == "half_kneel":
            front = (side == "left") == (shared["o"] > 0)
            if front:
                leg(joints, side, u(1.3, 1.8), u(0, 0.3), u(-0.1, 0.3), u(1.3, 1.9), u(-0.3, 0.2))
            else:
                leg(joints, side, u(-0.3, 0.3), u(0, 0.2), u(-0.2, 0.2), u(1.3, 2.0), u(0.2, 0.9))
        elif kind == "bend":
            leg(
                joints, side, u(0.3, 1.2) + shared["f"], u(0, 0.25), n(0.1, 0.2), abs(n(0.15, 0.25))
            )
            tilt = about(X, u(0.4, 1.1))
        elif kind == "lunge":
            front = (side == "left") == (shared["o"] > 0)
            if front:
                leg(joints, side, u(0.6, 1.5), u(0, 0.3), n(0.1, 0.2), u(0.4, 1.7), u(-0.3, 0.3))
            else:
                leg(joints, side, u(-0.5, 0.1), u(0, 0.3), n(0.1, 0.2), u(0.0, 1.2), u(0, 0.6))
        elif kind == "kick":
            front = (side == "left") == (shared["o"] > 0)
            if front:
                leg(joints, side, u(0.5, 1.9), u(-0.1, 1.0), u(-0.2, 0.5), u(0, 1.9), u(0, 0.8))
            else:
                leg(joints, side, n(0.0, 0.2), abs(n(0.05, 0.1)), n(0.1, 0.2), abs(n(0.1, 0.2)))
        else:  # free
            leg(joints, side, u(-0.4, 1.9), u(-0.1, 1.0), u(-0.3, 0.6), u(0, 2.2), u(-0.3, 0.9))
    return tilt


KINDS = {
    "stand": 0.38, "sit": 0.13, "sit_floor": 0.04, "crouch": 0.07, "squat": 0.07, "kneel": 0.04,
    "half_kneel": 0.05, "bend": 0.08, "lunge": 0.06, "kick": 0.05, "free": 0.03,
}  # fmt: skip
"""Share of each kind among the poses sampled from angles."""


def angled_pose(rng: np.random.Generator, kind: str) -> np.ndarray:
    """[21, 3] a pose of one of KINDS from angles within limits."""
    spread = 1.0 if kind == "stand" else 1.6
    bend = rng.normal(0.08, 0.12 * spread) + (rng.uniform(0.2, 0.7) if kind == "bend" else 0.0)
    nod = about(X, rng.normal(0, 0.22)) @ about(Y, rng.normal(0, 0.13))
    joints, chest = trunk(bend, rng.normal(0, 0.12 * spread), rng.normal(0, 0.22 * spread), nod)
    random_arms(joints, chest, rng)
    tilt = _legs(joints, kind, rng)
    return joints @ tilt.T


def sample_pose(rng: np.random.Generator, clips: dict[str, np.ndarray] | None = None) -> Pose:
    """A random pose: captured and varied when there are clips, else from angles.

    Args:
        clips: [T, 21, 3] motion in body axes; None or empty for angles alone.
    """
    kinds, shares = list(KINDS), np.array(list(KINDS.values()))
    source = rng.choice(
        ["captured", "mixed", "angles"], p=[0.34, 0.22, 0.44] if clips else [0, 0, 1]
    )
    kind = str(source)
    if source == "angles":
        kind = str(rng.choice(kinds, p=shares / shares.sum()))
        joints = angled_pose(rng, kind)
    else:
        joints = _captured(rng, clips)
        if source == "mixed":
            lower = _captured(rng, clips)
            choice = rng.random()
            if choice < 0.45:
                joints = mixed(angled_pose(rng, "stand"), lower)
            elif choice < 0.75:
                joints = mixed(joints, angled_pose(rng, str(rng.choice(kinds, p=shares))))
            else:
                joints = mixed(joints, lower)
        if rng.random() < 0.7:
            joints = perturbed(joints, rng, rng.uniform(0.03, 0.2))
    if rng.random() < 0.5:
        joints = mirrored(joints)
    grounded = True
    tumble = rng.random()
    if tumble < 0.04:
        joints = joints @ about(X, rng.choice([-1, 1]) * rng.uniform(1.2, 1.8)).T
        kind = "lying"
    elif tumble < 0.12:
        joints = joints @ about(rng.normal(size=3), rng.uniform(0.3, np.pi)).T
        grounded, kind = rng.random() < 0.3, "tumbling"
    elif tumble < 0.25:
        joints = joints @ about(rng.normal(size=3) * [1, 1, 0], abs(rng.normal(0, 0.25))).T
        grounded = rng.random() < 0.7
    joints = joints @ about(Z, rng.uniform(-np.pi, np.pi)).T
    return Pose(joints, sample_style(rng), kind, bool(grounded))


def sample_style(rng: np.random.Generator) -> Style:
    """What the joints leave open, at random."""
    return Style(
        head_yaw=float(np.clip(rng.normal(0, 0.35), -1.1, 1.1)),
        head_pitch=float(rng.normal(0, 0.1)),
        pronation=_two(np.clip(rng.normal(0, 0.5, 2), -1.2, 1.2)),
        curl=_two(rng.choice([0.05, 0.25, 0.5, 1.2], 2, p=[0.25, 0.35, 0.25, 0.15])),
    )


def _two(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _captured(rng: np.random.Generator, clips: dict[str, np.ndarray] | None) -> np.ndarray:
    """[21, 3] a frame of the clips; walking, which most clips show, is drawn less often."""
    assert clips
    names = sorted(clips)
    weights = np.array([0.35 if "walking" in n else 1.0 for n in names])
    weights *= np.sqrt([len(clips[n]) for n in names])
    clip = clips[names[int(rng.choice(len(names), p=weights / weights.sum()))]]
    return clip[int(rng.integers(len(clip)))]
