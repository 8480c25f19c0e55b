"""One person through time: predict, gate what was seen, fit, and keep out of wrong minima."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vnect_ros import native
from vnect_ros.body.kinematics import Kinematics, neutral, shown_by
from vnect_ros.config import FitConfig
from vnect_ros.fitting import inverse, observe
from vnect_ros.fitting.energy import (
    FRAME_S,
    Smoothness,
    data_terms,
    depth_change,
    pelvis_distance,
    rest_weight,
)
from vnect_ros.fitting.motion import Motion
from vnect_ros.fitting.objective import Objective
from vnect_ros.fitting.observe import Measurement, Observation
from vnect_ros.fitting.outliers import OutlierGate, Prediction, Verdict
from vnect_ros.fitting.solver import Solution, minimise
from vnect_ros.skeleton import NORMALISED_KNEE_NECK_M, NUM_JOINTS, knee_neck_length

_START_ITERATIONS: Final = 40
_OLD_S: Final = 0.15
"""A prediction this far ahead is compared with a start from the frame alone."""
_SUSPICIOUS: Final = 0.4
"""Agreement of a seen joint below which the fit may sit in a wrong minimum."""
_BETTER: Final = 0.8
"""A fit of the frame alone replaces it if its energy is below this share."""
_STUCK_S: Final = 0.10
_SUDDEN_M: Final = 0.03
"""A body that the fit moves by more than this is no motion (mean over joints and axes) ..."""
_SUDDEN_ACCELERATION: Final = 40.0
"""... where it is no acceleration of the whole body either [m/s^2]."""
_NEAREST_M: Final = 0.3
_RANGE_STD: Final = 0.015
"""How well a frame's own scale shows the body's distance, parts of it."""
_SIZE_FRAMES: Final = (60, 300)
"""Frames that the expected body size of the network weighs, and after which old ones fade."""


@dataclass(frozen=True)
class Update:
    """What a frame did to a track."""

    measured: bool
    """Whether the fit followed it; else the prediction stands."""
    jumped: bool
    """Whether the fit moved by more than motion explains."""
    agreement: np.ndarray
    """[21] how well each joint's observation agrees with the fit, 0 to 1."""
    rejected: np.ndarray
    """[21] bool: joints that were seen but not followed."""


class Track:
    """The fit of one person through time; exists while the person is tracked."""

    def __init__(self, kinematics: Kinematics, solution: Solution) -> None:
        """Use `begin`."""
        self._kinematics = kinematics
        self._gate = OutlierGate()
        self._size = _expected_size(kinematics)
        self._size_frames = _SIZE_FRAMES[0]
        self._stuck_s = np.zeros(NUM_JOINTS)
        self._solution, self._last_points_m = solution, solution.points_m
        self._adopt(solution)
        self.unseen_s = 0.0
        """Since the last frame that was followed [s]."""

    @classmethod
    def begin(
        cls, kinematics: Kinematics, measured: Measurement, config: FitConfig
    ) -> Track | None:
        """Begin with a single frame; None where it does not show a person in front."""
        observation = observe.ungated(measured, kinematics.lengths_m)
        solution = _fit_alone(kinematics, observation, config, _expected_size(kinematics))
        return None if solution is None else cls(kinematics, solution)

    @property
    def q(self) -> np.ndarray:
        """[NQ] the pose."""
        return self._motion.q

    @property
    def v(self) -> np.ndarray:
        """[NV] its tangent velocity."""
        return self._motion.v

    @property
    def points_m(self) -> np.ndarray:
        """[21, 3] the joints where the last frame was fitted, camera frame [m]."""
        return self._solution.points_m

    def predicted_q(self, dt_s: float) -> np.ndarray:
        """[NQ] where the motion leads dt_s from now."""
        return self._motion.predicted_q(dt_s)

    @property
    def covariance(self) -> np.ndarray:
        """[NV, NV] of the pose, in its tangent."""
        return self._motion.covariance

    def rescale(self, factor: float) -> None:
        """The person's size was corrected: all is seen as before from farther away."""
        self._motion.rescale(factor)
        self._size *= factor
        points = self._solution.points_m * factor
        self._solution = dataclasses.replace(self._solution, q=self.q, points_m=points)
        self._last_points_m = self._last_points_m * factor

    def predict(self, dt_s: float, config: FitConfig) -> None:
        """Go on by dt_s [s] with nothing seen (yet)."""
        self._last_points_m = self._kinematics.forward(self.q)
        self._motion.predict(dt_s, config.weight_smooth)
        self.unseen_s += dt_s

    def update(
        self,
        measured: Measurement,
        dt_s: float,
        config: FitConfig,
        extra: Sequence[np.ndarray] = (),
    ) -> Update:
        """Fit the frame that `predict` led to.

        Args:
            extra: terms besides the usual, [*, VECTOR_SIZE] residual vectors each: what the floor
                or a depth image shows.
        """
        points, variance = self._kinematics.variance_m2(self.q, self._motion.covariance)
        predicted = Prediction(points, variance, self._kinematics.lengths_m)
        gated = self._gate.check(measured, predicted, dt_s)
        observation = gated.observation
        if gated.verdict is Verdict.REFUTED:
            return self._start_over(observation, config)
        if np.count_nonzero(observation.seen) < observe.MIN_SEEN:
            return Update(False, False, np.ones(NUM_JOINTS), gated.rejected)
        returned = self.unseen_s > 1.5 * dt_s
        corrected = gated.verdict is Verdict.CORRECTED
        if corrected:
            self._motion.inflate_covariance()
        uncertain = returned or corrected
        compare = uncertain or dt_s > _OLD_S
        agreement = self._fit(observation, dt_s, config, compare, extra)
        surprise_m = float(np.abs(self.points_m - points).sum()) / points.size
        sudden = surprise_m > _SUDDEN_M + _SUDDEN_ACCELERATION * dt_s**2 / 2.0
        self.unseen_s = 0.0
        if self._is_stuck(observation, agreement, dt_s) and self._leave(observation, config):
            return Update(True, True, np.ones(NUM_JOINTS), gated.rejected)
        return Update(True, uncertain or sudden, agreement, gated.rejected)

    def _fit(
        self,
        observation: Observation,
        dt_s: float,
        config: FitConfig,
        compare: bool,
        extra: Sequence[np.ndarray],
    ) -> np.ndarray:
        """Correct the motion by an observation.

        Args:
            compare: start from the frame alone where its energy is lower.

        Returns:
            [21] how well each joint's observation agrees with the fit.
        """
        prior = self._motion.information()
        position = _root_position(observation, self._size)
        terms = self._terms(observation, position, dt_s, config)
        objective = Objective(
            self._kinematics,
            [*terms, *extra],
            rest_weight(self._hidden(observation), dt_s),
            Smoothness(self.q, prior),
        )
        start = self.q
        if compare and position is not None:
            alone = _configuration(observation, position)
            costs = [
                objective.evaluate(q, self._kinematics.forward(q)).cost for q in (alone, start)
            ]
            if costs[0] < costs[1]:
                start = alone
        solution = minimise(objective, start, config.max_iterations)
        self._motion.correct(solution.q, solution.information, prior)
        self._solution = solution
        self._measure_size(observation)
        of_place, of_ray = solution.agreement[: 2 * NUM_JOINTS].reshape(2, NUM_JOINTS)
        agreement: np.ndarray = np.minimum(of_place, of_ray)
        return agreement

    def _terms(
        self,
        observation: Observation,
        position: np.ndarray | None,
        dt_s: float,
        config: FitConfig,
    ) -> list[np.ndarray]:
        """The terms of a frame that look at the joints, E_IK and E_proj first."""
        share = min(1.0, dt_s / FRAME_S)
        terms = [
            *data_terms(observation, config, _distance(self.q), share),
            depth_change(self._last_points_m, config.weight_depth, dt_s),
        ]
        if position is not None:
            terms.append(pelvis_distance(position[2], _RANGE_STD * position[2] / share**0.5))
        return terms

    def _hidden(self, observation: Observation) -> np.ndarray | None:
        """[N] bool: angles that move no joint seen in this frame; None: there is none."""
        if np.count_nonzero(observation.seen) == NUM_JOINTS:
            return None
        hidden: np.ndarray = observation.seen.dot(shown_by()) == 0.0
        return hidden

    def _measure_size(self, observation: Observation) -> None:
        """Compare the network's bones, along the fitted ones, with the body's."""
        along_m, body_m = native.length_along(
            observation.local_weight, observation.measurement.local_m, self.points_m,
            self._kinematics.lengths_m, observe.PARENTS,
        )  # fmt: skip
        if along_m > 0.2 * body_m:
            self._size_frames = min(self._size_frames + 1, _SIZE_FRAMES[1])
            self._size *= (body_m / (along_m * self._size)) ** (1.0 / self._size_frames)

    def _is_stuck(self, observation: Observation, agreement: np.ndarray, dt_s: float) -> bool:
        """Whether a well seen joint has disagreed with the fit for long."""
        doubtful = (observation.weight > 0.0) & (agreement < _SUSPICIOUS)
        if not np.count_nonzero(doubtful):
            self._stuck_s = np.zeros(NUM_JOINTS)
            return False
        self._stuck_s = np.where(doubtful, self._stuck_s + dt_s, 0.0)
        if not self._stuck_s.max() > _STUCK_S:
            return False
        self._stuck_s = np.zeros(NUM_JOINTS)
        return True

    def _leave(self, observation: Observation, config: FitConfig) -> bool:
        """Go to the fit of the frame alone where that shows this minimum to be a wrong one."""
        alone = _fit_alone(self._kinematics, observation, config, self._size)
        if alone is None:
            return False
        costs = [self._data_cost(observation, found, config) for found in (alone, self._solution)]
        if not costs[0] < _BETTER * costs[1]:
            return False
        self._adopt(alone)
        return True

    def _data_cost(self, observation: Observation, solution: Solution, config: FitConfig) -> float:
        """The energy of the data alone at a solution."""
        terms = data_terms(observation, config, _distance(solution.q))
        objective = Objective(self._kinematics, terms)
        return objective.evaluate(solution.q, solution.points_m).cost

    def _start_over(self, observation: Observation, config: FitConfig) -> Update:
        solution = _fit_alone(self._kinematics, observation, config, self._size)
        agreement = np.ones(NUM_JOINTS)
        if solution is None:
            return Update(False, False, agreement, observation.seen)
        self._adopt(solution)
        self.unseen_s = 0.0
        return Update(True, True, agreement, np.zeros(NUM_JOINTS, dtype=bool))

    def _adopt(self, solution: Solution) -> None:
        """Take a fit of one frame alone for the pose, whatever the past was."""
        self._motion = Motion(self._kinematics, solution.q)
        prior = self._motion.information()
        self._motion.correct(solution.q, solution.information + prior, prior)
        self._last_points_m = solution.points_m
        self._solution = solution


def _expected_size(kinematics: Kinematics) -> float:
    """The body's size over that of the body networks are trained on."""
    return float(knee_neck_length(kinematics.forward(neutral())) / NORMALISED_KNEE_NECK_M)


def _root_position(observation: Observation, size: float) -> np.ndarray | None:
    """[3] where the network's body, so much larger, is seen as it is; None where open."""
    measured = observation.measurement
    return observe.root_position(measured.local_m * size, measured.rays, observation.weight)


def _configuration(observation: Observation, position: np.ndarray) -> np.ndarray:
    """[NQ] the closed-form pose of a frame whose pelvis is at a position [3] [m]."""
    q = inverse.configuration(observation.local_m)
    q[:3] = position
    return q


def _fit_alone(
    kinematics: Kinematics, observation: Observation, config: FitConfig, size: float
) -> Solution | None:
    """Fit one frame with no past; None where its distance stays open."""
    position = _root_position(observation, size)
    if position is None:
        return None
    q = _configuration(observation, position)
    terms = [
        *data_terms(observation, config, _distance(q)),
        pelvis_distance(q[2], _RANGE_STD * q[2]),
    ]
    objective = Objective(kinematics, terms, rest_weight())
    return minimise(objective, q, _START_ITERATIONS, thorough=True)


def _distance(q: np.ndarray) -> float:
    return max(float(q[2]), _NEAREST_M)
