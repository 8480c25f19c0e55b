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

from vnect_ros import native
from vnect_ros.fitting import observe
from vnect_ros.fitting.observe import Measurement, Observation
from vnect_ros.skeleton import INDEX, KNEE_NECK_WEIGHTS, MIRROR, NUM_JOINTS, PELVIS

_ARMS: Final = [
    INDEX[s + p] for s in ("right_", "left_") for p in ("shoulder", "elbow", "wrist", "hand")
]
_LEGS: Final = [INDEX[s + p] for s in ("right_", "left_") for p in ("hip", "knee", "ankle", "toe")]
_LIMBS: Final = np.array([np.isin(np.arange(NUM_JOINTS), limbs) for limbs in (_ARMS, _LEGS)], float)
_MIRROR: Final = np.array(MIRROR, dtype=np.int64)

_GATE_M: Final = 0.25
"""A joint this far from its prediction is an outlier, if the prediction is sure [m]."""
_LOCAL_GATE_M: Final = 1.4 * _GATE_M
"""Likewise for a joint relative to the pelvis."""
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
_GATES: Final = np.array((_LOCAL_GATE_M, _GATE_M, _SIGMAS, _FLIP_M, _FLIP_GAIN))
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
        exchanged, local, off = _compared(measured, predicted)
        given, flipped = measured, _NONE
        if exchanged is None:
            self._flip_s = np.zeros(2)
        else:
            self._flip_s = np.where(exchanged.any(axis=0), self._flip_s + dt_s, 0.0)
            if self._flip_s.max() > _ACCEPT_FLIP_S:
                return self._refuted(given, predicted)
            measured, flipped = _with_sides_exchanged(measured, exchanged)
            _, local, off = _compared(measured, predicted)
        rejected, weights = self._rejected(off, measured.confidence, dt_s)
        if _root_jumps(measured.rays, weights[1], predicted):
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


def _root_jumps(rays: np.ndarray, weight: np.ndarray, predicted: Prediction) -> bool:
    """Whether the body as predicted is suddenly seen much larger or smaller."""
    points = predicted.points_m
    position = observe.root_position(points - points[PELVIS], rays, weight)
    depth_m = float(predicted.points_m[PELVIS, 2])
    std_m = math.sqrt(predicted.variance_m2[PELVIS, 2])
    gate_m = _ROOT_GATE_M + _SIGMAS * std_m + _ROOT_GATE_SHARE * depth_m
    return position is None or abs(float(position[2]) - depth_m) > gate_m


def _compared(
    measured: Measurement, predicted: Prediction
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """A frame beside its prediction; differences of rays count in metres at the body.

    Returns:
        [2, 2] bool: where a pair of limbs fits the prediction far better with left and right
        exchanged: joints in space and rays; arms, legs.  None: nowhere.
        [21, 3] the joints relative to the pelvis with the body's bone lengths [m].
        [2, 21] bool: those of them, and the rays, that are beyond their gates.
    """
    local, off = np.empty((NUM_JOINTS, 3)), np.empty((2, NUM_JOINTS), dtype=bool)
    exchanged = np.empty((2, 2), dtype=bool)
    any_exchanged = native.gate(
        measured.local_m, measured.rays, measured.confidence,
        predicted.points_m, predicted.variance_m2, predicted.lengths_m,
        PELVIS, observe.PARENTS, _MIRROR, _LIMBS, KNEE_NECK_WEIGHTS, _GATES,
        local, off, exchanged,
    )  # fmt: skip
    return exchanged if any_exchanged else None, local, off


def _with_sides_exchanged(
    measured: Measurement, exchanged: np.ndarray
) -> tuple[Measurement, np.ndarray]:
    """The measurement with these limbs' sides exchanged, and [21] bool: their joints."""
    flips = exchanged @ _LIMBS > 0.0
    local = np.where(flips[0, :, None], measured.local_m[_MIRROR], measured.local_m)
    rays = np.where(flips[1, :, None], measured.rays[_MIRROR], measured.rays)
    return Measurement(local, rays, measured.confidence, measured.guessed), flips.any(axis=0)
