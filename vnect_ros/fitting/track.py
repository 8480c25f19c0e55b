"""One tracked person: predict, check what was seen, fit, and keep out of wrong minima."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np

from vnect_ros.body.kinematics import ROOT_V, Kinematics, neutral
from vnect_ros.config import FitConfig
from vnect_ros.fitting import inverse, observe
from vnect_ros.fitting.energy import (
    FRAME_S,
    Depth,
    Observation,
    Range,
    Rest,
    Smoothness,
    Term,
    data_terms,
)
from vnect_ros.fitting.motion import Motion
from vnect_ros.fitting.solver import Solution, minimise
from vnect_ros.skeleton import NORMALISED_KNEE_NECK_M, NUM_JOINTS, PARENTS, knee_neck_length

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
_PARENTS: Final = np.array(PARENTS)


class Track:
    """The fit of one person through time; exists while the person is tracked."""

    def __init__(
        self, kinematics: Kinematics, observation: Observation, solution: Solution
    ) -> None:
        """Use `begin`."""
        self._kinematics = kinematics
        self._checks = observe.Checks()
        self._motion = Motion(kinematics, solution.q)
        self._observation, self._solution = observation, solution
        self._last_points_m = solution.points_m
        self._agreement = np.ones(NUM_JOINTS)
        self._stuck_s = np.zeros(NUM_JOINTS)
        self._size = _expected_size(kinematics)
        self._size_frames = _SIZE_FRAMES[0]
        self._adopt(solution, observation)
        self.unseen_s = 0.0
        """Since the last frame that was believed [s]."""
        self.set_aside = np.zeros(NUM_JOINTS, dtype=bool)
        """[21] bool: joints that were seen in the last frame but not believed."""
        self.jumped = False
        """Whether the last frame moved the fit by more than motion explains."""

    @classmethod
    def begin(cls, kinematics: Kinematics, frame: observe.Frame, config: FitConfig) -> Track | None:
        """Begin with a single frame; None where it does not show a person in front."""
        observation = observe.unchecked(frame, kinematics.lengths_m)
        solution = _fit_alone(kinematics, observation, config, _expected_size(kinematics))
        return None if solution is None else cls(kinematics, observation, solution)

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

    def std_m(self, moves: np.ndarray) -> np.ndarray:
        """[21, 3] standard deviation of the joints along the camera's axes [m]."""
        return np.sqrt(np.maximum(self._motion.joint_variance(moves), 0.0))

    @property
    def agreement(self) -> np.ndarray:
        """[21] how well each joint's observation agrees with the fit, 0 to 1."""
        return self._agreement

    def rescale(self, factor: float) -> None:
        """The person's size was corrected: all is seen as before from farther away."""
        self._motion.rescale(factor)
        self._size *= factor
        points = self._solution.points_m * factor
        self._solution = dataclasses.replace(self._solution, q=self.q, points_m=points)
        self._last_points_m = self._last_points_m * factor

    def advance(self, dt_s: float, config: FitConfig) -> None:
        """Go on by dt_s [s] with nothing seen (yet)."""
        # The motion needs this pose's Jacobian anyway.
        self._last_points_m, _ = self._kinematics.jacobian(self._motion.q)
        self._motion.predict(dt_s, config.weight_smooth)
        self.unseen_s += dt_s
        self.set_aside = np.zeros(NUM_JOINTS, dtype=bool)
        self.jumped = False

    def take(self, frame: observe.Frame, dt_s: float, config: FitConfig) -> bool:
        """Fit a frame to which `advance` led; False where it is not believed."""
        points, moves = self._kinematics.jacobian(self.q)
        lengths = self._kinematics.lengths_m
        observation, self.set_aside = self._checks.observe(
            frame, lengths, points, self.std_m(moves), dt_s
        )
        if self._checks.restart:
            self._checks.reset()
            return self._start_over(observe.unchecked(frame, lengths), config)
        believed = (observation.local_weight > 0.0) | (observation.ray_weight > 0.0)
        if believed.sum() < observe.MIN_SEEN:
            return False
        if self._checks.yielded:
            self._motion.doubt()
        self._solve(observation, dt_s, config)
        self._leave_wrong_minimum(dt_s, config)
        self.unseen_s = 0.0
        return True

    def _solve(self, observation: Observation, dt_s: float, config: FitConfig) -> None:
        root = self._motion.root_information()
        share = min(1.0, dt_s / FRAME_S)
        data = data_terms(observation, config, _distance(self.q), share)
        terms: list[Term] = [
            *data,
            Smoothness(self._kinematics, self.q, root),
            Depth(self._last_points_m, config.weight_depth, dt_s),
            Rest(self._hidden(observation), dt_s),
        ]
        position = _root_position(observation, self._size)
        if position is not None:
            terms.append(Range(position[2], _RANGE_STD * position[2] / share**0.5))
        start = self.q
        returned = self.unseen_s > 1.5 * dt_s
        if returned or dt_s > _OLD_S or self._checks.yielded:
            alone = _configuration_alone(observation, self._size)
            if alone is not None and self._energy(terms, alone) < self._energy(terms, start):
                start = alone
        expected_m, _ = self._kinematics.jacobian(self.q)
        solution = minimise(self._kinematics, terms, start, config.max_iterations)
        self._motion.correct(solution, root)
        self._observation, self._solution = observation, solution
        agreements = [t.agreement(r) for t, r in zip(data, solution.residuals)]
        self._agreement = np.minimum(*agreements)
        self._measure_size(observation)
        surprise_m = float(np.abs(solution.points_m - expected_m).mean())
        sudden = surprise_m > _SUDDEN_M + _SUDDEN_ACCELERATION * dt_s**2 / 2.0
        self.jumped = returned or sudden or self._checks.yielded

    def _hidden(self, observation: Observation) -> np.ndarray:
        """[N] bool: angles that move no joint seen in this frame."""
        seen = (observation.local_weight > 0.0) | (observation.ray_weight > 0.0)
        _, moves = self._kinematics.jacobian(self.q)
        return np.abs(moves[seen, :, ROOT_V:]).sum(axis=(0, 1)) < 1e-9

    def _measure_size(self, observation: Observation) -> None:
        """Compare the network's bones, along the fitted ones, with the body's."""
        seen = (observation.local_weight > 0.0) & (observation.local_weight[_PARENTS] > 0.0)
        bones = observation.network_m - observation.network_m[_PARENTS]
        along = (bones * inverse.bone_directions(self.points_m)).sum(axis=1)[seen].sum()
        body = self._kinematics.lengths_m[seen].sum()
        if along > 0.2 * body:
            self._size_frames = min(self._size_frames + 1, _SIZE_FRAMES[1])
            self._size *= (body / (along * self._size)) ** (1.0 / self._size_frames)

    def _energy(self, terms: list[Term], q: np.ndarray) -> float:
        points = self._kinematics.forward(q)
        return sum(term.cost(term.residual(q, points)) for term in terms)

    def _leave_wrong_minimum(self, dt_s: float, config: FitConfig) -> None:
        """Where a fit of the frame alone shows this minimum to be a wrong one, go there."""
        observation = self._observation
        seen = np.minimum(observation.local_weight, observation.ray_weight) > 0.0
        doubtful = seen & (self._agreement < _SUSPICIOUS)
        self._stuck_s = np.where(doubtful, self._stuck_s + dt_s, 0.0)
        if self._stuck_s.max() > _STUCK_S:
            self._stuck_s = np.zeros(NUM_JOINTS)
            cost = self._data_cost(self._solution, config)
            alone = _fit_alone(self._kinematics, observation, config, self._size)
            if alone is not None and self._data_cost(alone, config) < _BETTER * cost:
                self._adopt(alone, observation)

    def _data_cost(self, solution: Solution, config: FitConfig) -> float:
        terms = data_terms(self._observation, config, _distance(solution.q))
        return sum(t.cost(t.residual(solution.q, solution.points_m)) for t in terms)

    def _start_over(self, observation: Observation, config: FitConfig) -> bool:
        solution = _fit_alone(self._kinematics, observation, config, self._size)
        if solution is None:
            return False
        self._adopt(solution, observation)
        self.set_aside = np.zeros(NUM_JOINTS, dtype=bool)
        self.unseen_s = 0.0
        return True

    def _adopt(self, solution: Solution, observation: Observation) -> None:
        """Take a fit of one frame alone for the pose; the past says no more of it."""
        self._motion = Motion(self._kinematics, solution.q)
        root = self._motion.root_information()
        information = solution.information + root.T @ root
        self._motion.correct(dataclasses.replace(solution, information=information), root)
        self._last_points_m = solution.points_m
        self._observation, self._solution = observation, solution
        self._agreement = np.ones(NUM_JOINTS)
        self.jumped = True


def _expected_size(kinematics: Kinematics) -> float:
    """The body's size over that of the body networks are trained on."""
    return float(knee_neck_length(kinematics.forward(neutral())) / NORMALISED_KNEE_NECK_M)


def _root_position(observation: Observation, size: float) -> np.ndarray | None:
    """[3] where the network's body, so much larger, is seen as it is; None where open."""
    weight = np.minimum(observation.local_weight, observation.ray_weight)
    return observe.root_position(observation.network_m * size, observation.rays, weight)


def _configuration_alone(observation: Observation, size: float) -> np.ndarray | None:
    """[NQ] the closed-form pose of a frame; None where its distance stays open."""
    position = _root_position(observation, size)
    if position is None:
        return None
    q = inverse.configuration(observation.local_m)
    q[:3] = position
    return q


def _fit_alone(
    kinematics: Kinematics, observation: Observation, config: FitConfig, size: float
) -> Solution | None:
    """Fit one frame with no past."""
    q = _configuration_alone(observation, size)
    if q is None:
        return None
    terms: list[Term] = [
        *data_terms(observation, config, _distance(q)),
        Range(q[2], _RANGE_STD * q[2]),
        Rest(),
    ]
    return minimise(kinematics, terms, q, _START_ITERATIONS, thorough=True)


def _distance(q: np.ndarray) -> float:
    return max(float(q[2]), _NEAREST_M)
