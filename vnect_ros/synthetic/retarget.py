"""From 21 joint positions to anny's bone rotations: directions count, lengths do not.

Both sides use the body axes of bodies.py (x left, y back, z up).  Elbows and
knees bend in the plane that the joints span; where a limb is nearly straight
the plane is unknown and the one carried over from the parent is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vnect_ros.skeleton import INDEX
from vnect_ros.synthetic.bodies import BodyModel, Shape

# Mean directions, in the chest's axes, of the mocap skeleton where its build
# differs from anny's: rotations are measured from these, not from anny's rest.
_SOURCE = {
    "right_shoulder": np.array([-0.96, 0.03, -0.28]),
    "left_shoulder": np.array([0.99, 0.03, -0.11]),
    "head": np.array([0.0, -0.08, 1.0]),
}
_FINGERS = ("finger2", "finger3", "finger4", "finger5")


@dataclass(frozen=True)
class Style:
    """What 21 points do not say of a pose; angles in radians."""

    head_yaw: float = 0.0
    head_pitch: float = 0.0
    pronation: tuple[float, float] = (0.0, 0.0)
    """Turn of the right and left hand about the forearm."""
    curl: tuple[float, float] = (0.3, 0.3)
    """Bend of each finger joint of the right and left hand."""


def unit(vector: np.ndarray) -> np.ndarray:
    """Scale [..., 3] vectors to length 1 (zero stays zero)."""
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)


def swing(source: np.ndarray, target: np.ndarray, limit_rad: float = np.pi) -> np.ndarray:
    """[3, 3] the shortest rotation of direction `source` onto `target`, at most `limit_rad`."""
    a, b = unit(source), unit(target)
    axis = np.cross(a, b)
    sine, cosine = np.linalg.norm(axis), float(a @ b)
    angle = np.arctan2(sine, cosine)
    if sine < 1e-9:
        if cosine > 0:
            return np.eye(3)
        axis = np.cross(a, [1.0, 0.0, 0.0] if abs(a[0]) < 0.9 else [0.0, 1.0, 0.0])
    return about(axis, min(angle, limit_rad))


def frame(up: np.ndarray, left: np.ndarray) -> np.ndarray:
    """[3, 3] axes (columns) with z along `up` and x as near `left` as may be."""
    z = unit(up)
    x = unit(left - (left @ z) * z)
    return np.stack([x, np.cross(z, x), z], axis=1)


def between(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """[3, 3] the rotation that lies `share` of the way from `a` to `b`."""
    step = a.T @ b
    axis = np.array([step[2, 1] - step[1, 2], step[0, 2] - step[2, 0], step[1, 0] - step[0, 1]])
    sine, cosine = float(np.sqrt(axis @ axis)) / 2.0, (step.trace() - 1.0) / 2.0
    if sine < 1e-9 and cosine > 0.0:
        return a.copy()
    if sine < 1e-4:  # near half a turn the axis must be found otherwise
        vector = Rotation.from_matrix(step).as_rotvec()
        return a @ about(vector, share * float(np.linalg.norm(vector)))
    return a @ about(axis, share * math.atan2(sine, cosine))


def about(axis: Sequence[float] | np.ndarray, angle_rad: float) -> np.ndarray:
    """[3, 3] rotation about a direction (Rodrigues' formula)."""
    x, y, z = (float(v) for v in axis)
    length = math.sqrt(x * x + y * y + z * z) or 1.0
    x, y, z = x / length, y / length, z / length
    s, c = math.sin(angle_rad), math.cos(angle_rad)
    v = 1.0 - c
    return np.array([
        [c + x * x * v, x * y * v - z * s, x * z * v + y * s],
        [y * x * v + z * s, c + y * y * v, y * z * v - x * s],
        [z * x * v - y * s, z * y * v + x * s, c + z * z * v],
    ])  # fmt: skip


def _limb(
    rest: Sequence[np.ndarray], target: Sequence[np.ndarray], parent: np.ndarray, sure_sine: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations of the two bones of an arm or a leg.

    Args:
        rest, target: ([3], [3]) directions of upper and lower bone.
        parent: [3, 3] rotation of the bone they hang from.
        sure_sine: sine of the bend from which on the joints' own plane is trusted.
    """
    (u0, f0), (u1, f1) = rest, target
    carried = swing(parent @ u0, u1) @ parent
    hinge_rest = unit(np.cross(u0, f0))
    default = carried @ hinge_rest
    own = np.cross(u1, f1)
    sine = np.linalg.norm(own)
    trust = np.clip((sine - 0.3 * sure_sine) / (0.7 * sure_sine), 0.0, 1.0)
    own = own / max(sine, 1e-9)
    # Against the carried plane only a clearly bent joint may turn the limb over.
    against = np.clip(0.5 - (own @ default) / 0.6, 0.0, 1.0)
    trust *= 1.0 - against * (1.0 - np.clip((sine - sure_sine) / 0.2, 0.0, 1.0))
    hinge = unit(trust * own + (1.0 - trust) * default + 1e-9 * default)

    def oriented(direction: np.ndarray, rest_direction: np.ndarray) -> np.ndarray:
        # frame() puts z on the bone exactly and x on the hinge as near as may be
        return frame(direction, hinge) @ frame(rest_direction, hinge_rest).T

    return carried, oriented(u1, u0), oriented(f1, f0)


def bone_rotations(
    model: BodyModel, shape: Shape, joints_m: np.ndarray, style: Style | None = None
) -> np.ndarray:
    """[B, 3, 3] anny's bone rotations that give the bone directions of a pose.

    Args:
        model: the rig.
        shape: the body that takes the pose.
        joints_m: [21, 3] joints of any body, body axes.
        style: what the joints leave open.
    """
    style = style or Style()
    rest, bone = shape.joints_m, model.bone
    result = np.tile(np.eye(3), (len(model.bones), 1, 1))

    def part(points: np.ndarray, a: str, b: str) -> np.ndarray:
        return points[INDEX[b]] - points[INDEX[a]]

    def put(rotation: np.ndarray, *labels: str) -> None:
        for label in labels:
            result[bone[label]] = rotation

    def both(a: str, b: str) -> tuple[np.ndarray, np.ndarray]:
        return part(rest, a, b), part(joints_m, a, b)

    def trunk(points: np.ndarray, low: str, high: str, side: str) -> np.ndarray:
        return frame(part(points, low, high), part(points, f"right_{side}", f"left_{side}"))

    pelvis = trunk(joints_m, "pelvis", "spine", "hip") @ trunk(rest, "pelvis", "spine", "hip").T
    chest_axes = trunk(joints_m, "spine", "neck", "shoulder")
    chest = chest_axes @ trunk(rest, "spine", "neck", "shoulder").T
    put(pelvis, "root", "pelvis.L", "pelvis.R", "spine05")
    put(between(pelvis, chest, 0.35), "spine04")
    put(between(pelvis, chest, 0.65), "spine03")
    put(chest, "spine02", "spine01")

    neck = swing(chest_axes @ _SOURCE["head"], part(joints_m, "neck", "head"), 0.8)
    nod = swing(part(joints_m, "neck", "head"), part(joints_m, "head", "head_top"), 0.5)
    turned = about([0, 0, 1], style.head_yaw) @ about([1, 0, 0], style.head_pitch)
    head = between(np.eye(3), nod, 0.5) @ neck @ chest @ turned
    put(between(chest, head, 0.4), "neck01")
    put(between(chest, head, 0.7), "neck02", "neck03")
    put(head, "head", "eye.L", "eye.R")

    for i, (side, mark) in enumerate((("right", "R"), ("left", "L"))):
        to_shoulder = part(joints_m, "neck", f"{side}_shoulder")
        shrug = swing(chest_axes @ _SOURCE[f"{side}_shoulder"], to_shoulder, 0.6) @ chest
        put(shrug, f"clavicle.{mark}", f"shoulder01.{mark}")
        upper = both(f"{side}_shoulder", f"{side}_elbow")
        lower = both(f"{side}_elbow", f"{side}_wrist")
        carried, arm, forearm = _limb(
            (upper[0], lower[0]), (upper[1], lower[1]), shrug, sure_sine=0.35
        )
        put(between(carried, arm, 0.5), f"upperarm01.{mark}")
        put(arm, f"upperarm02.{mark}")
        axis = part(joints_m, f"{side}_elbow", f"{side}_wrist")
        put(forearm, f"lowerarm01.{mark}")
        put(about(axis, 0.5 * style.pronation[i]) @ forearm, f"lowerarm02.{mark}")
        forearm = about(axis, style.pronation[i]) @ forearm
        rest_hand, hand_direction = both(f"{side}_wrist", f"{side}_hand")
        hand = swing(forearm @ rest_hand, hand_direction, 0.5) @ forearm
        curl_axis = np.cross(rest_hand, _palm(model, shape, mark))
        for k, label in enumerate(model.bones):
            if not label.endswith(f".{mark}"):
                continue
            if label.startswith(("wrist", "metacarpal", "finger1")):
                result[k] = hand
            elif label.startswith(_FINGERS):
                knuckle = int(label[8])
                result[k] = hand @ about(curl_axis, style.curl[i] * knuckle)

        thigh, shin = both(f"{side}_hip", f"{side}_knee"), both(f"{side}_knee", f"{side}_ankle")
        carried, upper_leg, lower_leg = _limb(
            (thigh[0], shin[0]), (thigh[1], shin[1]), pelvis, sure_sine=0.45
        )
        put(between(carried, upper_leg, 0.5), f"upperleg01.{mark}")
        put(upper_leg, f"upperleg02.{mark}")
        put(lower_leg, f"lowerleg01.{mark}", f"lowerleg02.{mark}")
        rest_foot, foot_direction = both(f"{side}_ankle", f"{side}_toe")
        foot = swing(lower_leg @ rest_foot, foot_direction, 0.9) @ lower_leg
        for k, label in enumerate(model.bones):
            if label.endswith(f".{mark}") and label.startswith(("foot", "toe")):
                result[k] = foot
    return result


def _palm(model: BodyModel, shape: Shape, mark: str) -> np.ndarray:
    """[3] direction out of the palm at rest: across the knuckles and along the hand."""
    heads, bone = shape.heads_m, model.bone
    along = heads[bone[f"finger3-1.{mark}"]] - heads[bone[f"wrist.{mark}"]]
    across = heads[bone[f"finger5-1.{mark}"]] - heads[bone[f"finger2-1.{mark}"]]
    normal = np.cross(along, across)
    return -normal if mark == "L" else normal
