"""One frame's joints made ready for the fit: undistorted, rescaled, checked.

What cannot be true is set aside here, before the fit: limbs whose left and
right the network exchanged, joints and whole persons that jump.  The test is
always against the predicted pose, with a gate as wide as the prediction is
unsure; what is set aside and persists is believed in the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.fitting.energy import Observation
from vnect_ros.fitting.inverse import with_lengths
from vnect_ros.records import Joints
from vnect_ros.skeleton import INDEX, MIRROR, NUM_JOINTS, PELVIS, knee_neck_length

_ARMS: Final = [
    INDEX[s + p] for s in ("right_", "left_") for p in ("shoulder", "elbow", "wrist", "hand")
]
_LEGS: Final = [INDEX[s + p] for s in ("right_", "left_") for p in ("hip", "knee", "ankle", "toe")]
_LIMBS: Final = np.array([np.isin(np.arange(NUM_JOINTS), limbs) for limbs in (_ARMS, _LEGS)], float)
_MIRROR: Final = np.array(MIRROR)

_GATE_M: Final = 0.25
"""A joint this far from its prediction is an outlier, if the prediction is sure [m]."""
_ROOT_GATE_M: Final = 0.30
"""Likewise the body's distance."""
_SIGMAS: Final = 4.0
"""Gates widen by this many standard deviations of the prediction."""
_FLIP_M: Final = 0.10
"""A limb pair this near to its prediction as labelled is not flipped [m]."""
_FLIP_GAIN: Final = 0.5
"""Exchanged sides must fit at least this much better."""
_BELIEVE_JOINT_S: Final = 0.10
"""A joint that keeps disagreeing for so long is right after all [s]."""
_BELIEVE_ROOT_S: Final = 0.20
_BELIEVE_FLIP_S: Final = 0.60
_SMALLEST_SPREAD: Final = 1e-12
"""Variance of the rays, on the plane z = 1, below which they do not show a distance."""
MIN_SEEN: Final = 4
"""Joints below which a frame says nothing of the whole body."""


@dataclass(frozen=True)
class Frame:
    """Joints of one frame, finite, in the fit's coordinates."""

    local_m: np.ndarray
    """[21, 3] root-relative, camera axes, the network's own body size [m]."""
    rays: np.ndarray
    """[21, 2] undistorted, on the plane z = 1."""
    confidence: np.ndarray
    """[21]; 0 is not seen."""

    @property
    def seen(self) -> np.ndarray:
        """[21] bool."""
        return self.confidence > 0.0


def frame(joints: Joints | None, camera: Camera) -> Frame | None:
    """The fit's view of the joints; None where too little is seen.

    Joints with anything that is not finite count as not seen.
    """
    if joints is None:
        return None
    pixels = np.asarray(joints.pixels_px, dtype=np.float64)
    local = np.asarray(joints.root_relative_m, dtype=np.float64)
    local = local - local[PELVIS]
    confidence = np.clip(np.nan_to_num(np.asarray(joints.confidence, dtype=np.float64)), 0.0, 1.0)
    centre, focal = np.array((camera.cx, camera.cy)), np.array((camera.fx, camera.fy))
    rays = (camera.undistort(pixels) - centre) / focal
    finite = (np.abs(np.concatenate([rays, local], axis=1)) < 50.0).all(axis=1)  # and not NaN
    confidence = np.where(finite, confidence, 0.0)
    if int((confidence > 0.0).sum()) < MIN_SEEN:
        return None
    return Frame(
        np.where(finite[:, None], local, 0.0), np.where(finite[:, None], rays, 0.0), confidence
    )


def root_position(local_m: np.ndarray, rays: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """Where the pelvis must be for root-relative joints to be seen along their rays.

    Each ray (u, v) gives two equations linear in the pelvis d: x + dx = u (z + dz),
    y + dy = v (z + dz).  Solved by weighted least squares, twice, the second time
    with less weight for what disagrees.

    Args:
        local_m: [21, 3] metric, camera axes.
        rays: [21, 2] on the plane z = 1.
        weight: [21], 0 where unseen.

    Returns:
        [3] in the camera frame [m], or None where the joints leave it open or
        put the body behind the camera.
    """
    across = rays * local_m[:, 2:] - local_m[:, :2]
    position = _meeting_point(rays, across, weight)
    if position is not None:
        off = position[:2] - position[2] * rays - across
        robust = weight / (1.0 + (off * off).sum(axis=1) / _GATE_M**2) ** 2
        position = _meeting_point(rays, across, robust)
    if position is None or not np.isfinite(position).all():
        return None
    if position[2] + local_m[weight > 0.0, 2].min() < 0.1 or position[2] > 1e3:
        return None
    return position


def _meeting_point(rays: np.ndarray, across: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """[3] the d of least squares in dxy - rays dz = across [21, 2]; None where it is open."""
    total = weight.sum()
    if not total > 0.0:
        return None
    # A straight line: -dz is its slope over the rays, dxy its height at ray 0.
    middle = weight @ rays / total
    lever = (rays - middle) * weight[:, None]
    spread = np.vdot(lever, rays)
    if not spread > _SMALLEST_SPREAD * total:
        return None
    dz = -np.vdot(lever, across) / spread
    x, y = weight @ across / total + dz * middle
    return np.array([x, y, dz])


def unchecked(frame: Frame, lengths_m: np.ndarray) -> Observation:
    """The observation of a frame with no past to hold it against."""
    local = with_lengths(frame.local_m, lengths_m)
    return Observation(local, frame.rays, frame.confidence, frame.confidence, frame.local_m)


class Checks:
    """Holds frames against predictions; remembers for how long they disagree."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all disagreement."""
        self._joint_s = np.zeros((2, NUM_JOINTS))
        self._root_s = 0.0
        self._flip_s = np.zeros(2)
        self.restart = False
        """Whether a disagreement lasted so long that the past must be wrong."""
        self.yielded = False
        """Whether some joint's did, so that the fit now moves to it."""

    def observe(
        self,
        frame: Frame,
        lengths_m: np.ndarray,
        predicted_m: np.ndarray,
        std_m: np.ndarray,
        dt_s: float,
    ) -> tuple[Observation, np.ndarray]:
        """What of a frame to believe.

        Args:
            frame: to check.
            lengths_m: [21] bone lengths of the fitted body [m].
            predicted_m: [21, 3] the joints as predicted, camera frame [m].
            std_m: [21, 3] how sure that is.
            dt_s: since the last frame [s].

        Returns:
            The observation, and [21] bool: joints of which something was set aside.
        """
        self.restart = False
        frame, flipped = self._unflip(frame, lengths_m, predicted_m, dt_s)
        local = with_lengths(frame.local_m, lengths_m)
        depth = float(predicted_m[PELVIS, 2])
        gate = _GATE_M + _SIGMAS * std_m
        expected = predicted_m - predicted_m[PELVIS]
        off_local = _length(local - expected) > 1.4 * _GATE_M + _SIGMAS * _length(std_m)
        ahead = np.maximum(predicted_m[:, 2:], 0.1)
        shift = np.abs(frame.rays - predicted_m[:, :2] / ahead) * depth
        off_ray = (shift > gate[:, :2]).any(axis=1)
        off = np.stack([off_local, off_ray]) & frame.seen
        set_aside = self._patience(off, dt_s)

        rays = np.where(set_aside[1], 0.0, frame.confidence)
        if self._root_jumps(expected, frame.rays, rays, predicted_m, std_m, dt_s):
            set_aside = np.ones_like(set_aside)
        weights = np.where(set_aside, 0.0, frame.confidence)
        observation = Observation(local, frame.rays, weights[0], weights[1], frame.local_m)
        return observation, (set_aside.any(axis=0) | flipped) & frame.seen

    def _patience(self, off: np.ndarray, dt_s: float) -> np.ndarray:
        """[2, 21] bool: which disagreements are still young enough to be set aside."""
        self._joint_s = np.where(off, self._joint_s + dt_s, 0.0)
        young = self._joint_s <= _BELIEVE_JOINT_S + dt_s / 2.0
        self.yielded = bool((off & ~young).any())
        return off & young

    def _root_jumps(
        self,
        expected_m: np.ndarray,
        rays: np.ndarray,
        weight: np.ndarray,
        predicted_m: np.ndarray,
        std_m: np.ndarray,
        dt_s: float,
    ) -> bool:
        """Whether the body as predicted is suddenly seen much larger or smaller."""
        position = root_position(expected_m, rays, weight)
        gate = _ROOT_GATE_M + _SIGMAS * std_m[PELVIS, 2] + 0.04 * predicted_m[PELVIS, 2]
        jumps = position is None or abs(position[2] - predicted_m[PELVIS, 2]) > gate
        self._root_s = self._root_s + dt_s if jumps else 0.0
        if self._root_s > _BELIEVE_ROOT_S:
            self.restart = True
        return jumps and not self.restart

    def _unflip(
        self, frame: Frame, lengths_m: np.ndarray, predicted_m: np.ndarray, dt_s: float
    ) -> tuple[Frame, np.ndarray]:
        """Exchange the sides of limbs that then fit the prediction far better."""
        both = np.minimum(frame.confidence, frame.confidence[_MIRROR])
        expected = predicted_m - predicted_m[PELVIS]
        size, wanted_size = knee_neck_length(np.array([frame.local_m, expected])).tolist()
        scale = wanted_size / size if size > 1e-3 else 1.0
        ahead = np.maximum(predicted_m[:, 2:], 0.1)
        # Two views, P^L and K, each in metres at the body.
        seen = np.zeros((2, NUM_JOINTS, 3))
        wanted = np.zeros((2, NUM_JOINTS, 3))
        seen[0], wanted[0] = frame.local_m * scale, expected
        seen[1, :, :2] = frame.rays * ahead[PELVIS]
        wanted[1, :, :2] = predicted_m[:, :2] / ahead * ahead[PELVIS]
        weights = _LIMBS * both
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        flipped = np.zeros(NUM_JOINTS, dtype=bool)
        kept = _length(seen - wanted) @ weights.T
        if not (kept > _FLIP_M).any():
            self._flip_s = np.zeros(2)
            return frame, flipped
        swapped = _length(seen[:, _MIRROR] - wanted) @ weights.T
        exchanged = (kept > _FLIP_M) & (swapped < _FLIP_GAIN * kept)
        groups = exchanged.any(axis=0)
        self._flip_s = np.where(groups, self._flip_s + dt_s, 0.0)
        if not groups.any():
            return frame, flipped
        arrays = (frame.local_m.copy(), frame.rays.copy())
        for group, limbs in enumerate((_ARMS, _LEGS)):
            if not groups[group]:
                continue
            if self._flip_s[group] > _BELIEVE_FLIP_S:
                self.restart = True
                continue
            for k, array in enumerate(arrays):
                if exchanged[k, group]:
                    array[limbs] = array[_MIRROR[limbs]]
            flipped[limbs] = True
        return Frame(*arrays, frame.confidence), flipped


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors))
