"""What of a frame cannot be true is rejected here, before the fit.

Limbs whose left and right the network exchanged, joints and whole persons that
jump: the test is always against the predicted pose, with a gate as wide as the
prediction is unsure.  What is rejected and persists is accepted in the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from vnect_ros.fitting import observe
from vnect_ros.fitting.observe import Measurement, Observation
from vnect_ros.skeleton import INDEX, KNEE_NECK_WEIGHTS, MIRROR, NUM_JOINTS, PELVIS

_ARMS: Final = [
    INDEX[s + p] for s in ("right_", "left_") for p in ("shoulder", "elbow", "wrist", "hand")
]
_LEGS: Final = [INDEX[s + p] for s in ("right_", "left_") for p in ("hip", "knee", "ankle", "toe")]
_LIMBS: Final = np.array([np.isin(np.arange(NUM_JOINTS), limbs) for limbs in (_ARMS, _LEGS)], float)
_MIRROR: Final = np.array(MIRROR)
_ONES: Final = np.ones(NUM_JOINTS)
_VIEWS: Final = np.array([(1.0, 0.0)] * 3 + [(0.0, 1.0)] * 2)
"""[5, 2] which coordinates belong to the joints in space, and which to the rays."""
_GATED: Final = np.array([(1.0, 0.0, 0.0)] * 3 + [(0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
"""[5, 3] likewise, the rays' axes apart: each has a gate."""
_GATED_AXES: Final = np.array([(1.0, 1.0, 0.0), (1.0, 0.0, 1.0), (1.0, 0.0, 0.0)])
"""[3, 3] which axes of the prediction's variance widen these gates."""

_GATE_M: Final = 0.25
"""A joint this far from its prediction is an outlier, if the prediction is sure [m]."""
_LOCAL_GATE_M: Final = 1.4 * _GATE_M
"""Likewise for a joint relative to the pelvis."""
_GATES_M: Final = np.array((_LOCAL_GATE_M, _GATE_M, _GATE_M))
_ROOT_GATE_M: Final = 0.30
"""Likewise the body's distance."""
_ROOT_GATE_SHARE: Final = 0.04
"""What that gate grows by with the distance, parts of it."""
_SIGMAS: Final = 4.0
"""Gates widen by this many standard deviations of the prediction."""
_FLIP_M: Final = 0.10
"""A limb pair this near to its prediction as labelled is not flipped [m]."""
_FLIP_GAIN: Final = 0.5
"""Exchanged sides must fit at least this much better."""
_ACCEPT_JOINT_S: Final = 0.10
"""A joint that keeps disagreeing for so long is right after all [s]."""
_ACCEPT_ROOT_S: Final = 0.20
_ACCEPT_FLIP_S: Final = 0.60
_NEAREST_M: Final = 0.1
_NONE: Final = np.zeros(NUM_JOINTS, dtype=bool)


class Verdict(Enum):
    """What a frame makes of the prediction that it was held against."""

    CONFIRMED = "confirmed"
    """What is not rejected agrees."""
    CORRECTED = "corrected"
    """Some joint disagreed for so long that the prediction must be wrong there."""
    REFUTED = "refuted"
    """The whole person did: the fit must start over.  Nothing is rejected."""


@dataclass(frozen=True)
class Gated:
    """What of a frame the fit follows."""

    observation: Observation
    rejected: np.ndarray
    """[21] bool: joints that were seen, and something of them is not followed."""
    verdict: Verdict


@dataclass(frozen=True)
class Prediction:
    """The joints as predicted for a frame."""

    points_m: np.ndarray
    """[21, 3] in the camera frame [m]."""
    variance_m2: np.ndarray
    """[21, 3] their variances along its axes [m^2]."""
    lengths_m: np.ndarray
    """[21] bone lengths of the body [m]."""


class OutlierGate:
    """Holds frames against predictions; remembers for how long they disagree."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all disagreement."""
        self._joint_s = np.zeros((2, NUM_JOINTS))
        self._root_s = 0.0
        self._flip_s = np.zeros(2)

    def check(self, measured: Measurement, predicted: Prediction, dt_s: float) -> Gated:
        """Decide what of a frame to follow; dt_s is the time since the last one [s]."""
        points = predicted.points_m
        distance_m = max(float(points[PELVIS, 2]), _NEAREST_M)
        expected_m = points - points[PELVIS]
        expected_rays = points[:, :2] / np.maximum(points[:, 2:], _NEAREST_M)
        expected = _views(expected_m, expected_rays, distance_m)
        exchanged = _exchanged_sides(measured, predicted, expected, distance_m)
        given, flipped = measured, _NONE
        if exchanged is None:
            self._flip_s = np.zeros(2)
        else:
            self._flip_s = np.where(exchanged.any(axis=0), self._flip_s + dt_s, 0.0)
            if self._flip_s.max() > _ACCEPT_FLIP_S:
                return self._refuted(given, predicted)
            measured, flipped = _with_sides_exchanged(measured, exchanged)
        local = measured.with_lengths(predicted.lengths_m)
        off_m = _views(local, measured.rays, distance_m) - expected
        gates_m = _GATES_M + _SIGMAS * np.sqrt(predicted.variance_m2.dot(_GATED_AXES))
        beyond = np.sqrt((off_m * off_m).dot(_GATED)) > gates_m
        off = np.array((beyond[:, 0], beyond[:, 1] | beyond[:, 2])) & measured.seen
        rejected, weights = self._rejected(off, measured.confidence, dt_s)
        if _root_jumps(expected_m, measured.rays, weights[1], predicted):
            self._root_s += dt_s
            if self._root_s > _ACCEPT_ROOT_S:
                return self._refuted(given, predicted)
            weights, all_rejected = np.zeros_like(weights), measured.seen
        else:
            self._root_s = 0.0
            all_rejected = rejected[0] | rejected[1] | (flipped & measured.seen)
        corrected = np.count_nonzero(off) > np.count_nonzero(rejected)
        verdict = Verdict.CORRECTED if corrected else Verdict.CONFIRMED
        return Gated(Observation(measured, local, weights[0], weights[1]), all_rejected, verdict)

    def _refuted(self, measured: Measurement, predicted: Prediction) -> Gated:
        self.reset()
        return Gated(observe.ungated(measured, predicted.lengths_m), _NONE, Verdict.REFUTED)

    def _rejected(
        self, off: np.ndarray, confidence: np.ndarray, dt_s: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """[2, 21] bool: disagreements that have not lasted long enough to be right.

        Args:
            off: [2, 21] bool: where the frame and the prediction disagree.

        Returns:
            These, and [2, 21] the confidence without them.
        """
        if not np.count_nonzero(off):
            self._joint_s = np.zeros((2, NUM_JOINTS))
            return off, np.array((confidence, confidence))
        self._joint_s = np.where(off, self._joint_s + dt_s, 0.0)
        rejected = off & (self._joint_s <= _ACCEPT_JOINT_S + dt_s / 2.0)
        return rejected, np.where(rejected, 0.0, confidence)


def _root_jumps(
    expected_m: np.ndarray, rays: np.ndarray, weight: np.ndarray, predicted: Prediction
) -> bool:
    """Whether the body as predicted is suddenly seen much larger or smaller."""
    position = observe.root_position(expected_m, rays, weight)
    depth_m = float(predicted.points_m[PELVIS, 2])
    std_m = math.sqrt(predicted.variance_m2[PELVIS, 2])
    gate_m = _ROOT_GATE_M + _SIGMAS * std_m + _ROOT_GATE_SHARE * depth_m
    return position is None or abs(float(position[2]) - depth_m) > gate_m


def _exchanged_sides(
    measured: Measurement,
    predicted: Prediction,
    expected: np.ndarray,
    distance_m: float,
) -> np.ndarray | None:
    """Where a pair of limbs fits the prediction far better with left and right exchanged.

    Args:
        expected: [21, 5] `_views` of the joints as predicted [m].
        distance_m: of the body [m].

    Returns:
        [2, 2] bool: of the joints in space and of the rays; arms, legs.  None: nowhere.
    """
    weights = _LIMBS * np.minimum(measured.confidence, measured.confidence.take(_MIRROR))
    totals = np.maximum(weights.dot(_ONES), 1e-9)
    size = float(measured.bone_lengths_m.dot(KNEE_NECK_WEIGHTS))
    scale = float(predicted.lengths_m.dot(KNEE_NECK_WEIGHTS)) / size if size > 1e-3 else 1.0
    seen = _views(measured.local_m * scale, measured.rays, distance_m)
    kept = _distances(seen - expected, weights) / totals
    if kept.max() <= _FLIP_M:
        return None
    swapped = _distances(seen.take(_MIRROR, axis=0) - expected, weights) / totals
    exchanged: np.ndarray = (kept > _FLIP_M) & (swapped < _FLIP_GAIN * kept)
    return exchanged if exchanged.any() else None


def _distances(off: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[2, 2] sums of the lengths of off[:, :3] and off[:, 3:] with weights [2, 21]."""
    return weights.dot(np.sqrt((off * off).dot(_VIEWS))).T


def _views(local_m: np.ndarray, rays: np.ndarray, distance_m: float) -> np.ndarray:
    """[21, 5] joints relative to the pelvis, and their rays, both in metres at the body."""
    views = np.empty((NUM_JOINTS, 5))
    views[:, :3] = local_m
    np.multiply(rays, distance_m, out=views[:, 3:])
    return views


def _with_sides_exchanged(
    measured: Measurement, exchanged: np.ndarray
) -> tuple[Measurement, np.ndarray]:
    """The measurement with these limbs' sides exchanged, and [21] bool: their joints."""
    flips = exchanged @ _LIMBS > 0.0
    local = np.where(flips[0, :, None], measured.local_m[_MIRROR], measured.local_m)
    rays = np.where(flips[1, :, None], measured.rays[_MIRROR], measured.rays)
    return Measurement(local, rays, measured.confidence, measured.guessed), flips.any(axis=0)
