"""Closed-form inverse kinematics: joint angles from the directions of the bones.

It needs no start, so it finds a pose anywhere: the fit begins here when it has
no past, and whenever its past led it into a worse minimum.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from vnect_ros.body.kinematics import (
    LOWER,
    NQ,
    ROOT_Q,
    UPPER,
    quaternion_from_rotation,
    rotation_from_quaternion,
)
from vnect_ros.body.urdf import MOVING, Q_NAMES, REST_DIRECTIONS
from vnect_ros.skeleton import INDEX, PARENTS

_PARENTS = np.array(PARENTS)
_AXES = {s.joint: np.array(s.axis) for s in MOVING}
_REST = {s.joint: s.rest for s in MOVING}
_STRAIGHT = math.sin(math.radians(12.0))
"""Below this sine of its bend a limb does not show the turn about its own axis."""


SHORTEST_M: Final = 1e-9
"""A bone shorter than this has no direction [m]."""
_ONES: Final = np.ones(3)


def bone_vectors(joints_m: np.ndarray) -> np.ndarray:
    """[21, 3] from each joint's parent to the joint; 0 for the pelvis."""
    between: np.ndarray = joints_m - joints_m.take(_PARENTS, axis=0)
    return between


def lengths(vectors: np.ndarray) -> np.ndarray:
    """[N] of vectors [N, 3]."""
    return np.sqrt((vectors * vectors).dot(_ONES))


def bone_directions(joints_m: np.ndarray) -> np.ndarray:
    """[21, 3] unit directions of the bones that end in each joint; 0 for the pelvis.

    Args:
        joints_m: [21, 3] positions, any origin and scale.
    """
    along = bone_vectors(joints_m)
    return along / np.maximum(lengths(along), SHORTEST_M)[:, None]


def configuration(joints_m: np.ndarray) -> np.ndarray:
    """The configuration whose bones point as those of the given joints.

    Angles past a limit are put on it; angles that the joints do not show rest.

    Args:
        joints_m: [21, 3] positions in camera axes, any origin and scale.

    Returns:
        q [NQ] with the root at the origin.
    """
    bones = bone_directions(joints_m)
    angles: dict[str, float] = {}
    left = _unit(joints_m[INDEX["left_hip"]] - joints_m[INDEX["right_hip"]], (1.0, 0.0, 0.0))
    up = bones[INDEX["spine"]]
    body = _frame(left, up)
    # In the body frame the lower spine can only lean sideways.
    lean = body.T @ up
    lumbar = angles["lumbar"] = _clip("lumbar", math.atan2(-lean[1], lean[2]))
    waist = body @ _rotation(_AXES["lumbar"], lumbar)

    across = joints_m[INDEX["left_shoulder"]] - joints_m[INDEX["right_shoulder"]]
    torso = _upright(bones[INDEX["neck"]], across, waist)
    m = waist.T @ torso
    angles["waist"] = math.atan2(m[0, 2], m[2, 2])
    angles["r_waist"] = math.asin(max(-1.0, min(1.0, -m[1, 2])))
    angles["y_waist"] = math.atan2(m[1, 0], m[1, 1])

    neck = torso @ _swing(angles, ("r_head", "p_head"), torso, "head", bones)
    nod = neck.T @ bones[INDEX["head_top"]]
    angles["nod"] = math.atan2(-nod[0], nod[2])
    for side, long in (("l_", "left_"), ("r_", "right_")):
        _arm(angles, side, long, torso, bones)
        _leg(angles, side, long, body, bones)
    q = np.zeros(NQ)
    q[3:7] = quaternion_from_rotation(body)
    given = np.array([angles.get(name, _REST[name]) for name in Q_NAMES])
    q[ROOT_Q:] = np.clip(given, LOWER, UPPER)
    return q


def _arm(
    angles: dict[str, float], side: str, long: str, torso: np.ndarray, bones: np.ndarray
) -> None:
    names = (side + "r_clavicle", side + "y_clavicle")
    clavicle = torso @ _swing(angles, names, torso, long + "shoulder", bones)
    names = (side + "p_shoulder", side + "y_shoulder")
    swung = clavicle @ _swing(angles, names, clavicle, long + "elbow", bones)
    forearm = swung.T @ bones[INDEX[long + "wrist"]]
    _hinge(angles, side + "r_shoulder", side + "elbow", forearm, 1.0)
    upper = swung @ _rotation(_AXES[side + "r_shoulder"], angles[side + "r_shoulder"])
    lower = upper @ _rotation(_AXES[side + "elbow"], angles[side + "elbow"])
    _swing(angles, (side + "p_wrist", side + "r_wrist"), lower, long + "hand", bones)


def _leg(
    angles: dict[str, float], side: str, long: str, body: np.ndarray, bones: np.ndarray
) -> None:
    names = (side + "r_hip", side + "p_hip")
    swung = body @ _swing(angles, names, body, long + "knee", bones)
    shin = swung.T @ bones[INDEX[long + "ankle"]]
    toe = swung.T @ bones[INDEX[long + "toe"]]
    _hinge(angles, side + "y_hip", side + "knee", shin, -1.0, hint=toe)
    upper = swung @ _rotation(_AXES[side + "y_hip"], angles[side + "y_hip"])
    lower = upper @ _rotation(_AXES[side + "knee"], angles[side + "knee"])
    _swing(angles, (side + "p_ankle", side + "y_ankle"), lower, long + "toe", bones)


def _swing(
    angles: dict[str, float],
    names: tuple[str, str],
    parent: np.ndarray,
    bone: str,
    bones: np.ndarray,
) -> np.ndarray:
    """Turn two axes so that the bone points as observed; [3, 3] of both.

    With a and b perpendicular and the resting bone d perpendicular to a, the
    second turn alone decides the bone's part along a.
    """
    a, b = _AXES[names[0]], _AXES[names[1]]
    d = REST_DIRECTIONS[INDEX[bone]]
    target = parent.T @ bones[INDEX[bone]]
    reach = float(a @ _cross(b, d))
    second = math.asin(max(-1.0, min(1.0, float(target @ a) / reach)))
    second = _clip(names[1], second)
    turned = _rotation(b, second) @ d
    level = float(target @ turned) - float(target @ a) * float(turned @ a)
    first = math.atan2(float(target @ _cross(a, turned)), level)
    angles[names[0]] = first = _clip(names[0], first)
    angles[names[1]] = second
    return _rotation(a, first) @ _rotation(b, second)


def _hinge(
    angles: dict[str, float],
    twist: str,
    hinge: str,
    lower: np.ndarray,
    sign: float,
    hint: np.ndarray | None = None,
) -> None:
    """Turn the upper bone about itself and bend the hinge so that the lower bone fits.

    Args:
        lower: direction of the lower bone in the upper bone's axes before its turn.
        sign: 1 where the joint bends forward (elbow), -1 where backward (knee).
        hint: a direction that lies forward when the limb is straight (the toes).
    """
    bend = math.hypot(lower[0], lower[1])
    s = -float(_AXES[twist][2])
    if bend > _STRAIGHT:
        angle = math.atan2(-s * sign * lower[1], sign * lower[0])
    elif hint is not None and math.hypot(hint[0], hint[1]) > _STRAIGHT:
        angle = math.atan2(-s * hint[1], hint[0])
    else:
        angle = _REST[twist]
    angle = angles[twist] = _clip(twist, angle)
    along = math.cos(angle) * lower[0] - s * math.sin(angle) * lower[1]
    # An angle past the back of the joint is a small negative bend.
    angles[hinge] = _clip(hinge, sign * math.atan2(sign * along, -lower[2]))


def _clip(name: str, angle: float) -> float:
    """The angle, or the limit next to it (going round the circle)."""
    i = Q_NAMES.index(name)
    low, high = float(LOWER[i]), float(UPPER[i])
    middle = (low + high) / 2.0
    angle = middle + (angle - middle + math.pi) % (2.0 * math.pi) - math.pi
    return min(max(angle, low), high)


def _upright(up: np.ndarray, across: np.ndarray, default: np.ndarray) -> np.ndarray:
    """[3, 3] frame with z exactly up and y as near `across` as may be."""
    z = _unit(up, default[:, 2])
    y = _unit(across - (across @ z) * z, default[:, 1])
    y = _unit(y - (y @ z) * z, _cross(z, default[:, 0]))
    return np.stack([_cross(y, z), y, z], axis=1)


def _frame(left: np.ndarray, up: np.ndarray) -> np.ndarray:
    """[3, 3] frame with y exactly left and z as near up as may be."""
    z = up - (up @ left) * left
    if float(z @ z) < 1e-6:
        other = np.eye(3)[int(np.argmin(np.abs(left)))]
        z = other - (other @ left) * left
    z = z / math.sqrt(float(z @ z))
    return np.stack([_cross(left, z), left, z], axis=1)


def _unit(v: np.ndarray, default: object) -> np.ndarray:
    norm = math.sqrt(float(v @ v))
    return v / norm if norm > 1e-6 else np.asarray(default, dtype=np.float64)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    half = math.sin(angle / 2.0)
    x, y, z = axis
    return rotation_from_quaternion((x * half, y * half, z * half, math.cos(angle / 2.0)))
