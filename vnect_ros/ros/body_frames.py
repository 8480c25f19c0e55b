"""Every link of the body's URDF, placed in its parent: what /tf carries.

What robot_state_publisher would say of the published URDF and joint states,
said by the node itself so that it carries the image's stamp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vnect_ros.body.kinematics import quaternion_from_rotation as quaternion
from vnect_ros.body.urdf import Q_NAMES, REST_DIRECTIONS, SEGMENTS

EDGES = tuple((s.parent, s.link) for s in SEGMENTS)
"""(parent, child) links without the suffix `_<id>`; each parent is `body` or stands before."""

_AXES = np.array([s.axis or (0.0, 0.0, 0.0) for s in SEGMENTS])
_ANGLE = np.array([Q_NAMES.index(s.joint) if s.axis else len(Q_NAMES) for s in SEGMENTS])
"""Index into q; one behind its end for fixed joints."""
_BONE = np.array([-1 if s.bone is None else s.bone for s in SEGMENTS])
_OFFSETS = np.where(_BONE[:, None] < 0, 0.0, REST_DIRECTIONS[_BONE])


@dataclass(frozen=True)
class Local:
    """The links in their parents, in the order of EDGES."""

    translations_m: np.ndarray
    """[L, 3] parent from child [m]."""
    quaternions_xyzw: np.ndarray
    """[L, 4] unit."""


def local(q: np.ndarray, bone_lengths_m: np.ndarray) -> Local:
    """Place every link in its parent.

    Args:
        q: [N] joint angles in the order of `urdf.Q_NAMES` [rad].
        bone_lengths_m: [21] as in the URDF [m].
    """
    half = np.concatenate([q, (0.0,)])[_ANGLE] / 2.0
    turns = np.concatenate([_AXES * np.sin(half)[:, None], np.cos(half)[:, None]], axis=1)
    return Local(_OFFSETS * bone_lengths_m[_BONE, None], turns)


def rotated(rotation: np.ndarray, quaternions_xyzw: np.ndarray) -> np.ndarray:
    """[N, 4]: the [3, 3] rotation after each of [N, 4] quaternions."""
    x, y, z, w = quaternion(rotation)
    # What a quaternion makes of those behind it is linear in them.
    left = np.array([(w, -z, y, x), (z, w, -x, y), (-y, x, w, z), (-x, -y, -z, w)])
    return quaternions_xyzw @ left.T
