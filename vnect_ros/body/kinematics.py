"""Positions, orientations and Jacobians of the body, by Pinocchio.

The configuration q [7 + N] is the body frame's position in the camera frame
[m], its orientation as a quaternion (x, y, z, w), then the N joint angles in
the order of `urdf.Q_NAMES` [rad].  Its tangent [6 + N] is the body's linear
and angular velocity in the body's own axes, then the angles' rates, so the
root knows no singular orientation.  "World" for Pinocchio is the camera.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

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


class Kinematics:
    """The body of one person: bone lengths in, positions and Jacobians out.

    Pinocchio's model is built from the same segments as the URDF, with its joints in
    the order of `urdf.Q_NAMES` and one frame for each of the 21 joints.

    Args:
        lengths_m: [21] bone lengths [m].
    """

    def __init__(self, lengths_m: np.ndarray) -> None:
        import pinocchio as pin

        self._pin = pin
        model, self._joints = _template()
        self._model: pin.Model = model.copy()
        self._data = pin.Data(self._model)
        self._frames = {name: self._model.getFrameId(name) for name in JOINT_NAMES}
        self._placements = [self._data.oMf[i] for i in self._frames.values()]
        self._points = _in_one(self._placements)
        self.set_lengths(lengths_m)

    def set_lengths(self, lengths_m: np.ndarray) -> None:
        """Exchange the bone lengths [21] [m]; configurations keep their meaning."""
        self.lengths_m = np.array(lengths_m, dtype=np.float64)
        self.height_m = standing_height(self.lengths_m)
        """Of this body standing [m]."""
        model = self._model
        # At rest all axes are parallel, so a link lies off its joint by a mere translation.
        offsets_m = {ROOT: np.zeros(3)}
        for s in SEGMENTS:
            offset = offsets_m[s.parent]
            if s.bone is not None:
                offset = offset + REST_DIRECTIONS[s.bone] * self.lengths_m[s.bone]
            if s.axis is not None:
                model.jointPlacements[self._joints[s.link]].translation = offset
                offset = np.zeros(3)
            offsets_m[s.link] = offset
            if s.link in self._frames:
                model.frames[self._frames[s.link]].placement.translation = offset
        self._known: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def forward(self, q: np.ndarray) -> np.ndarray:
        """[21, 3] the joints in the camera frame [m]."""
        self._pin.framesForwardKinematics(self._model, self._data, q)
        return self._points.copy()

    def jacobian(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The joints [21, 3] [m] and their derivatives [21, 3, NV] by the tangent of q.

        The last ones are kept: the answers are not to be written to.
        """
        key = q.tobytes()
        if key in self._known:
            return self._known[key]
        pin, model, data = self._pin, self._model, self._data
        # Runs the forward kinematics of the joints as well.
        spatial = pin.computeJointJacobians(model, data, q)
        pin.updateFramePlacements(model, data)
        points = self._points.copy()
        # A point moves with the body's own axes: by the shift, and by turn x point.
        levers = (_SHIFT + points.dot(_TURN)).reshape(-1, 6)
        moves: np.ndarray = levers.dot(spatial).reshape(NUM_JOINTS, 3, NV)
        moves *= _SUPPORTS
        if len(self._known) == _KEPT:
            del self._known[next(iter(self._known))]
        self._known[key] = points, moves
        return points, moves

    def orientations_xyzw(self, q: np.ndarray) -> np.ndarray:
        """[21, 4] unit quaternions: each joint's axes seen from the camera frame."""
        pin = self._pin
        pin.framesForwardKinematics(self._model, self._data, q)
        return np.array([pin.SE3ToXYZQUAT(place) for place in self._placements])[:, 3:]

    def integrate(self, q: np.ndarray, tangent: np.ndarray) -> np.ndarray:
        """[NQ] q moved along a tangent [NV] (the root on its manifold)."""
        moved: np.ndarray = self._pin.integrate(self._model, q, tangent)
        return moved

    def difference(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """[NV] the tangent at start that `integrate` takes to end."""
        tangent: np.ndarray = self._pin.difference(self._model, start, end)
        return tangent

    def root_difference_jacobian(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """[6, 6] derivative of the root's part of `difference` by the tangent at end."""
        pin = self._pin
        full = pin.dDifference(self._model, start, end, pin.ArgumentPosition.ARG1)
        root: np.ndarray = full[:ROOT_V, :ROOT_V]
        return root


@functools.cache
def _template() -> tuple[Any, dict[str, int]]:
    """A pinocchio.Model with bones of no length, and the joint that carries each link."""
    import pinocchio as pin

    model, here = pin.Model(), pin.SE3.Identity()
    joints = {ROOT: model.addJoint(0, pin.JointModelFreeFlyer(), here, ROOT)}
    for s in SEGMENTS:
        joint = joints[s.parent]
        if s.axis is not None:
            axis = pin.JointModelRevoluteUnaligned(*s.axis)
            joint = model.addJoint(joint, axis, here, s.joint)
        joints[s.link] = joint
    for name in JOINT_NAMES:
        model.addFrame(pin.Frame(name, joints[name], 0, here, pin.FrameType.BODY))
    return model, joints


@functools.lru_cache(maxsize=1)
def shown_by() -> np.ndarray:
    """[21, N] 1.0 where an angle moves a joint, at all but singular configurations; else 0.0."""
    q = neutral()
    q[ROOT_Q:] += np.linspace(0.1, 0.3, NUM_ANGLES)
    _, moves = Kinematics(np.ones(NUM_JOINTS)).jacobian(q)
    shown = np.abs(moves[:, :, ROOT_V:]).max(axis=1) > 1e-9
    return shown.astype(np.float64)


def put_within_limits(q: np.ndarray) -> None:
    """Change the angles of q [NQ] that are past a limit to that limit."""
    angles = q[ROOT_Q:]
    np.minimum(np.maximum(angles, LOWER), UPPER, out=angles)


def neutral() -> np.ndarray:
    """[NQ] the body at rest in the camera's origin, its axes the camera's."""
    q = np.zeros(NQ)
    q[6] = 1.0
    q[ROOT_Q:] = REST
    return q


def joint_velocities(moves: np.ndarray, tangent: np.ndarray) -> np.ndarray:
    """[21, 3] how joints whose derivatives are moves [21, 3, NV] go with a tangent [NV]."""
    # As one matrix: NumPy would multiply joint by joint.
    return moves.reshape(-1, NV).dot(tangent).reshape(-1, 3)


def body_transform(q: np.ndarray) -> np.ndarray:
    """[4, 4] camera from body."""
    import pinocchio

    transform: np.ndarray = pinocchio.XYZQUATToSE3(q[:ROOT_Q]).homogeneous
    return transform


def _in_one(placements: Sequence[Any]) -> np.ndarray:
    """[N, 3] view of Pinocchio's memory: where it placed N frames, added one after the other."""
    first, second = (place.translation for place in placements[:2])
    step = second.ctypes.data - first.ctypes.data
    return np.lib.stride_tricks.as_strided(
        first, (len(placements), 3), (step, first.itemsize), writeable=False
    )


_KEPT: Final = 4
"""Jacobians that are kept: a frame's predicted, fitted and published configuration recur."""
_SHIFT: Final = np.hstack([np.eye(3), np.zeros((3, 3))]).ravel()
"""[18] of [3, 6]: how a spatial velocity (linear, angular) moves the origin, row by row."""
_TURN: Final = np.array(
    [
        [(0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 1), (0, 0, 0, 0, -1, 0)],
        [(0, 0, 0, 0, 0, -1), (0, 0, 0, 0, 0, 0), (0, 0, 0, 1, 0, 0)],
        [(0, 0, 0, 0, 1, 0), (0, 0, 0, -1, 0, 0), (0, 0, 0, 0, 0, 0)],
    ],
    dtype=np.float64,
).reshape(3, 18)
"""[3, 18] what each coordinate of a point adds to that: angular x point."""


def _supports() -> np.ndarray:
    """[21, NV] 1 where a component of the tangent moves a joint, else 0."""
    parents = {s.link: s for s in SEGMENTS}
    moves = np.zeros((NUM_JOINTS, NV))
    for j, name in enumerate(JOINT_NAMES):
        link = name
        while link != ROOT:
            segment = parents[link]
            if segment.axis is not None:
                moves[j, ROOT_V + Q_NAMES.index(segment.joint)] = 1.0
            link = segment.parent
    moves[:, :ROOT_V] = 1.0
    moves[PELVIS, 3:ROOT_V] = 0.0
    return moves


_SUPPORTS: Final = _supports()[:, None, :]


def quaternion_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """[4] unit quaternion (x, y, z, w) of a [3, 3] rotation."""
    import pinocchio

    return pinocchio.Quaternion(rotation).normalized().coeffs()


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
