"""Positions, orientations and Jacobians of the body.

The configuration q [7 + N] is the body frame's position in the camera frame
[m], its orientation as a quaternion (x, y, z, w), then the N joint angles in
the order of `urdf.Q_NAMES` [rad].  Its tangent [6 + N] is the body's linear
and angular velocity in the body's own axes, then the angles' rates, so the
root knows no singular orientation.  The arithmetic is in C (`vnect_ros.native`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from vnect_ros import native
from vnect_ros.body.urdf import (
    MOVING,
    Q_NAMES,
    REST_DIRECTIONS,
    ROOT,
    SEGMENTS,
    standing_height,
)
from vnect_ros.skeleton import JOINT_NAMES, NUM_JOINTS, PELVIS

ROOT_Q: Final = 7
ROOT_V: Final = 6
NUM_ANGLES: Final = len(Q_NAMES)
NQ: Final = ROOT_Q + NUM_ANGLES
NV: Final = ROOT_V + NUM_ANGLES

LOWER: Final = np.array([s.low for s in MOVING])
"""[N] limits of the angles [rad]."""
UPPER: Final = np.array([s.high for s in MOVING])
REST: Final = np.array([s.rest for s in MOVING])
OBSERVED: Final = np.array([s.observed for s in MOVING])
"""[N] bool: False for angles that the 21 joints do not show; they stay at rest."""


class Description(NamedTuple):
    """A configuration as it is published."""

    points_m: np.ndarray
    """[21, 3] the joints in the camera frame [m]."""
    orientations_xyzw: np.ndarray
    """[21, 4] unit quaternions: each joint's axes seen from the camera frame."""
    transform_camera_from_body: np.ndarray
    """[4, 4]"""
    velocities_mps: np.ndarray
    """[21, 3] of the joints [m/s]."""
    std_axes_m: np.ndarray
    """[21, 3] standard deviations along the camera's axes [m]."""
    std_m: np.ndarray
    """[21] their root mean square [m]."""


class Kinematics:
    """The body of one person: bone lengths in, positions and Jacobians out.

    Built from the same segments as the URDF.  Configurations and tangents are float64.

    Args:
        lengths_m: [21] bone lengths [m].
    """

    def __init__(self, lengths_m: np.ndarray) -> None:
        links = {ROOT: -1}
        parents = []
        for s in SEGMENTS:
            if s.axis is None:
                links[s.link] = links[s.parent]
            else:
                parents.append(links[s.parent])
                links[s.link] = len(parents) - 1
        self.native = native.Body(
            parents,
            np.array([s.axis for s in MOVING]),
            LOWER,
            UPPER,
            [int(seen) for seen in OBSERVED],
            [links[name] for name in JOINT_NAMES],
            PELVIS,
        )
        """The same body for the C code of `fitting`."""
        self.set_lengths(lengths_m)

    def set_lengths(self, lengths_m: np.ndarray) -> None:
        """Exchange the bone lengths [21] [m]; configurations keep their meaning."""
        self.lengths_m = np.array(lengths_m, dtype=np.float64)
        self.height_m = standing_height(self.lengths_m)
        """Of this body standing [m]."""
        # At rest all axes are parallel, so a link lies off its joint by a mere translation.
        offsets_m, axes_m = {ROOT: np.zeros(3)}, []
        for s in SEGMENTS:
            offset = offsets_m[s.parent]
            if s.bone is not None:
                offset = offset + REST_DIRECTIONS[s.bone] * self.lengths_m[s.bone]
            if s.axis is not None:
                axes_m.append(offset)
                offset = np.zeros(3)
            offsets_m[s.link] = offset
        self.native.place(np.array(axes_m), np.array([offsets_m[name] for name in JOINT_NAMES]))

    def forward(self, q: np.ndarray) -> np.ndarray:
        """[21, 3] the joints in the camera frame [m]."""
        points = np.empty((NUM_JOINTS, 3))
        self.native.forward(q, points)
        return points

    def jacobian(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The joints [21, 3] [m] and their derivatives [21, 3, NV] by the tangent of q."""
        points, moves = np.empty((NUM_JOINTS, 3)), np.empty((NUM_JOINTS, 3, NV))
        self.native.jacobian(q, points, moves)
        return points, moves

    def integrate(self, q: np.ndarray, tangent: np.ndarray, *, limited: bool = False) -> np.ndarray:
        """[NQ] q moved along a tangent [NV] (the root on its manifold).

        Args:
            limited: put the angles that end beyond a limit on it.
        """
        moved = np.empty(NQ)
        self.native.integrate(q, tangent, limited, moved)
        return moved

    def difference(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """[NV] the tangent at start that `integrate` takes to end."""
        tangent = np.empty(NV)
        self.native.difference(start, end, tangent)
        return tangent

    def variance_m2(self, q: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The joints [21, 3] [m] and their variances [21, 3] along the camera's axes [m^2].

        Args:
            covariance: [NV, NV] of the configuration, in its tangent.
        """
        points, variance = np.empty((NUM_JOINTS, 3)), np.empty((NUM_JOINTS, 3))
        self.native.variance(q, covariance, points, variance)
        return points, variance

    def describe(
        self,
        q: np.ndarray,
        velocity: np.ndarray,
        covariance: np.ndarray,
        unseen_s: np.ndarray,
        stated: np.ndarray,
    ) -> Description | None:
        """What is published of a configuration; None where it is not finite.

        Args:
            velocity: [NV] the tangent's [m/s, rad/s].
            covariance: [NV, NV] of the configuration, in its tangent.
            unseen_s: [21] since each joint was last seen [s].
            stated: [8] see `native.Body.describe`.
        """
        of = Description(
            np.empty((NUM_JOINTS, 3)), np.empty((NUM_JOINTS, 4)), np.empty((4, 4)),
            np.empty((NUM_JOINTS, 3)), np.empty((NUM_JOINTS, 3)), np.empty(NUM_JOINTS),
        )  # fmt: skip
        finite = self.native.describe(q, velocity, covariance, unseen_s, stated, *of)
        return of if finite else None


@functools.lru_cache(maxsize=1)
def shown_by() -> np.ndarray:
    """[21, N] 1.0 where an angle moves a joint, at all but singular configurations; else 0.0."""
    q = neutral()
    q[ROOT_Q:] += np.linspace(0.1, 0.3, NUM_ANGLES)
    _, moves = Kinematics(np.ones(NUM_JOINTS)).jacobian(q)
    shown = np.abs(moves[:, :, ROOT_V:]).max(axis=1) > 1e-9
    return shown.astype(np.float64)


def neutral() -> np.ndarray:
    """[NQ] the body at rest in the camera's origin, its axes the camera's."""
    q = np.zeros(NQ)
    q[6] = 1.0
    q[ROOT_Q:] = REST
    return q


def body_transform(q: np.ndarray) -> np.ndarray:
    """[4, 4] camera from body."""
    transform = np.empty((4, 4))
    native.root_transform(q, transform)
    return transform


def quaternion_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """[4] unit quaternion (x, y, z, w) of a [3, 3] rotation."""
    quaternion = np.empty(4)
    native.quaternion(np.ascontiguousarray(rotation, dtype=np.float64), quaternion)
    return quaternion


def rotation_from_quaternion(quaternion_xyzw: Sequence[float] | np.ndarray) -> np.ndarray:
    """[3, 3] rotation of a unit quaternion (x, y, z, w)."""
    x, y, z, w = (float(c) for c in quaternion_xyzw)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
