"""Joints of single frames in, one person's continuous metric pose out."""

from __future__ import annotations

import secrets
import string
from typing import Final

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.config import FilterConfig, FitConfig
from vnect_ros.body import Q_NAMES, standing_height
from vnect_ros.fitting import inverse, observe
from vnect_ros.fitting.calibration import BoneCalibration
from vnect_ros.fitting.energy import (
    FRAME_S,
    Depth,
    InverseKinematics,
    Observation,
    Projection,
    Rest,
    Smoothness,
    Term,
    data_terms,
)
from vnect_ros.fitting.kinematics import NUM_ANGLES, ROOT_Q, Kinematics, body_transform
from vnect_ros.fitting.motion import Motion
from vnect_ros.fitting.output import Output
from vnect_ros.fitting.solver import Solution, minimise
from vnect_ros.records import Calibration, Joints, JointState, Pose, State
from vnect_ros.skeleton import NUM_JOINTS, PELVIS

_STALE_S: Final = 0.5
"""A frame older than the last by up to this came late; by more, the clock was set back."""
_MAX_PERIOD_S: Final = 2.0
"""Frames farther apart than this do not belong to one track."""
_START_ITERATIONS: Final = 40
_SUSPICIOUS: Final = 1.2
"""Mean energy of a seen joint above which the fit may sit in a wrong minimum."""
_BETTER: Final = 0.6
"""A fit from scratch replaces it if its energy is below this share."""
_STUCK_S: Final = 0.10
_STD_FACTOR: Final = 1.6
"""Errors of successive frames are alike, which the covariance does not know."""
_STD_FLOOR_M: Final = 0.012
_FADE_S: Final = 0.3
"""Confidence in unseen joints falls with this time constant [s]."""


class Fitter:
    """Fits the body to one person over time.

    Args:
        config: the energy's weights and the person's height.
        filters: the 1-Euro constants of the published pose.
    """

    def __init__(self, config: FitConfig | None = None, filters: FilterConfig | None = None) -> None:
        self._config = config or FitConfig()
        self._filters = filters or FilterConfig()
        self._bones = self._new_calibration()
        self._kinematics = Kinematics(self._bones.lengths_m)
        self._output = Output(self._kinematics, self._config, self._filters)
        self._checks = observe.Checks()
        self._drop()

    def update(self, stamp_s: float, joints: Joints | None, camera: Camera) -> Pose:
        """Take one frame into account.

        Args:
            stamp_s: time of the image [s].  Up to 0.5 s before the last one's, the
                frame came late and the last pose is returned once more, with its
                own stamp; earlier still, the clock was set back: all is reset.
            joints: as observed; confidence 0 means not seen; None: nobody seen.
            camera: that saw them.

        Returns:
            The pose; PREDICTED while the person is briefly not seen, LOST (NaN)
            before the first frame and after `predict_for_s` unseen.
        """
        dt_s = 0.0
        if self._stamp_s is not None:
            dt_s = stamp_s - self._stamp_s
            if dt_s < -_STALE_S:
                self.reset()
                dt_s = 0.0
            elif dt_s <= 0.0 and self._pose is not None:
                return self._pose
        self._stamp_s = stamp_s
        frame = observe.frame(joints, camera)
        with np.errstate(all="ignore"):
            try:
                self._pose = self._advance(stamp_s, dt_s, frame, joints, camera)
            except np.linalg.LinAlgError:
                self._drop()
                self._pose = self._lost(stamp_s)
        return self._pose

    def predicted_pixels(self, stamp_s: float, camera: Camera) -> np.ndarray | None:
        """Where the joints will be seen [21, 2] [px] (distorted), or None while LOST."""
        if self._motion is None or self._stamp_s is None:
            return None
        ahead_s = min(max(stamp_s - self._stamp_s, 0.0), _MAX_PERIOD_S)
        pixels = camera.project(self._kinematics.forward(self._motion.predicted_q(ahead_s)))
        return pixels if np.isfinite(pixels).all() else None

    def reset(self) -> None:
        """Forget the person and the bone lengths."""
        self._bones = self._new_calibration()
        self._kinematics.set_lengths(self._bones.lengths_m)
        self._drop()

    def recalibrate(self) -> None:
        """Measure the bone lengths anew; tracking goes on with the present ones."""
        lengths = self._bones.lengths_m
        self._bones = self._new_calibration()
        self._bones.lengths_m = lengths

    def configure(self, config: FitConfig, filters: FilterConfig | None = None) -> None:
        """Take other settings from the next frame on; tracking goes on.

        Another height of the person moves the track along the rays to where a
        person of that height is seen the same.
        """
        factor = config.person_height / self._config.person_height
        self._config, self._filters = config, filters or self._filters
        self._bones.resize(config.calibration_frames, config.person_height)
        self._output.configure(self._config, self._filters)
        if factor != 1.0:
            self._kinematics.set_lengths(self._bones.lengths_m)
            if self._motion is not None:
                self._motion.rescale(factor)
                self._last_points_m = self._last_points_m * factor
                self._output.rescale(factor)

    # --- one frame ----------------------------------------------------------------

    def _advance(
        self,
        stamp_s: float,
        dt_s: float,
        frame: observe.Frame | None,
        joints: Joints | None,
        camera: Camera,
    ) -> Pose:
        self._unseen_s = self._unseen_s + dt_s if self._motion is not None else 0.0
        patience = self._config.predict_for_s
        if frame is not None:
            # A slow camera's next frame is no absence.
            patience = max(patience, _MAX_PERIOD_S)
        if self._motion is not None and self._unseen_s > patience:
            self._drop()
        if self._motion is None:
            if frame is None or not self._start(frame):
                return self._lost(stamp_s)
            return self._measured(stamp_s, FRAME_S, frame, joints, camera)
        self._motion.predict(dt_s, self._config.weight_smooth)
        if frame is not None:
            observation = self._check(frame, dt_s)
            if observation is not None and self._fit(frame, observation, dt_s):
                self._unseen_s = 0.0
                return self._measured(stamp_s, dt_s, frame, joints, camera)
        return self._predicted(stamp_s, dt_s, joints, frame, camera)

    def _start(self, frame: observe.Frame) -> bool:
        """Begin a track from a single frame; whether that was possible."""
        observation = observe.unchecked(frame, self._kinematics.lengths_m)
        solution = self._from_scratch(observation)
        if solution is None:
            return False
        self._motion = Motion(self._kinematics, solution.q)
        prior = self._motion.root_information()
        self._motion.correct(self._with_prior(solution, prior), prior)
        self._last_points_m = solution.points_m
        self._observation, self._solution = observation, solution
        self._set_aside = np.zeros(NUM_JOINTS, dtype=bool)
        self._id = "".join(secrets.choice(string.ascii_lowercase) for _ in range(5))
        self._checks.reset()
        self._output.reset()
        self._unseen_s = self._stuck_s = 0.0
        self._confidence = np.where(frame.seen, frame.confidence, 0.0)
        return True

    def _with_prior(self, solution: Solution, prior: np.ndarray) -> Solution:
        import dataclasses

        return dataclasses.replace(
            solution, information=solution.information + prior.T @ prior
        )

    def _check(self, frame: observe.Frame, dt_s: float) -> Observation | None:
        """What of the frame to believe; None for none of it."""
        assert self._motion is not None
        points, moves = self._kinematics.jacobian(self._motion.q)
        std = np.sqrt(np.maximum(self._motion.joint_covariance(moves), 0.0))
        observation, self._set_aside = self._checks.observe(
            frame, self._kinematics.lengths_m, points, std, dt_s
        )
        if self._checks.restart:
            observation = observe.unchecked(frame, self._kinematics.lengths_m)
            self._set_aside = np.zeros(NUM_JOINTS, dtype=bool)
        believed = (observation.local_weight > 0.0) | (observation.ray_weight > 0.0)
        return observation if believed.sum() >= observe.MIN_SEEN else None

    def _fit(self, frame: observe.Frame, observation: Observation, dt_s: float) -> bool:
        """Solve the frame and correct the motion by it; False where the frame is unusable."""
        assert self._motion is not None
        motion, config = self._motion, self._config
        if self._checks.restart:
            self._checks.reset()
            return self._jump(observation)
        prior = motion.root_information()
        terms: list[Term] = [
            *data_terms(observation, config, self._distance(), min(1.0, dt_s / FRAME_S)),
            Smoothness(self._kinematics, motion.q, prior),
            Depth(self._last_points_m, config.weight_depth, dt_s),
            Rest(),
        ]
        start = motion.q
        if self._unseen_s > 1.5 * dt_s or dt_s > 0.15:
            # The prediction is old: the frame alone may know better where to begin.
            start = self._better_start(terms, start, observation)
        if self._unseen_s > 1.5 * dt_s:
            blend_from = True
        else:
            blend_from = False
        solution = minimise(self._kinematics, terms, start, config.max_iterations)
        motion.correct(solution, prior)
        if blend_from:
            self._output.blend(solution.q)
        self._last_points_m = solution.points_m
        self._observation, self._solution = observation, solution
        self._watch_minimum(observation, solution, dt_s)
        return True

    def _distance(self) -> float:
        assert self._motion is not None
        return max(float(self._motion.q[2]), 0.3)

    def _better_start(
        self, terms: list[Term], start: np.ndarray, observation: Observation
    ) -> np.ndarray:
        scratch = self._scratch_q(observation)
        if scratch is None:
            return start

        def energy(q: np.ndarray) -> float:
            points = self._kinematics.forward(q)
            return sum(t.cost(t.residual(q, points)) for t in terms)

        return scratch if energy(scratch) < energy(start) else start

    def _watch_minimum(self, observation: Observation, solution: Solution, dt_s: float) -> None:
        """Leave a minimum that a fit of the frame alone shows to be a wrong one."""
        seen = np.maximum(observation.local_weight, observation.ray_weight)
        cost = self._data_cost(observation, solution)
        if cost < _SUSPICIOUS * float(seen.sum()):
            self._stuck_s = 0.0
            return
        self._stuck_s += dt_s
        if self._stuck_s > _STUCK_S:
            scratch = self._from_scratch(observation)
            if scratch is not None and self._data_cost(observation, scratch) < _BETTER * cost:
                self._adopt(scratch, observation)
            self._stuck_s = 0.0

    def _data_cost(self, observation: Observation, solution: Solution) -> float:
        terms = data_terms(observation, self._config, max(float(solution.q[2]), 0.3))
        return sum(t.cost(t.residual(solution.q, solution.points_m)) for t in terms)

    def _jump(self, observation: Observation) -> bool:
        solution = self._from_scratch(observation)
        if solution is None:
            return False
        self._adopt(solution, observation)
        return True

    def _adopt(self, solution: Solution, observation: Observation) -> None:
        assert self._motion is not None
        self._motion.restart_at(solution.q)
        prior = self._motion.root_information()
        self._motion.correct(self._with_prior(solution, prior), prior)
        self._output.blend(solution.q)
        self._last_points_m = solution.points_m
        self._observation, self._solution = observation, solution

    def _scratch_q(self, observation: Observation) -> np.ndarray | None:
        weight = np.minimum(observation.local_weight, observation.ray_weight)
        position = observe.root_position(observation.local_m, observation.rays, weight)
        if position is None:
            return None
        q = inverse.configuration(observation.local_m)
        q[:3] = position
        return q

    def _from_scratch(self, observation: Observation) -> Solution | None:
        """Fit one frame with no past."""
        q = self._scratch_q(observation)
        if q is None:
            return None
        terms: list[Term] = [*data_terms(observation, self._config, float(q[2])), Rest()]
        return minimise(self._kinematics, terms, q, _START_ITERATIONS)

    # --- what is published ----------------------------------------------------------

    def _measured(
        self,
        stamp_s: float,
        dt_s: float,
        frame: observe.Frame,
        joints: Joints | None,
        camera: Camera,
    ) -> Pose:
        assert self._motion is not None and joints is not None
        limited = self._output.follow(self._motion.q, dt_s)
        agreement = self._agreement()
        seen = frame.seen & ~self._set_aside
        fresh = frame.confidence * agreement
        faded = self._confidence * np.exp(-dt_s / _FADE_S)
        self._confidence = np.where(seen, fresh, faded)
        states = np.where(seen, JointState.MEASURED, JointState.PREDICTED)
        states = np.where(self._set_aside | (seen & (agreement < 0.25)), JointState.REJECTED, states)
        states = np.where(limited, JointState.LIMITED, states).astype(np.uint8)
        pose = self._pose_of(stamp_s, State.MEASURED, joints, frame, states, camera)
        if self._bones.add(frame.local_m, self._solution.points_m, np.where(seen, fresh, 0.0)):
            self._kinematics.set_lengths(self._bones.lengths_m)
        return pose

    def _predicted(
        self,
        stamp_s: float,
        dt_s: float,
        joints: Joints | None,
        frame: observe.Frame | None,
        camera: Camera,
    ) -> Pose:
        assert self._motion is not None
        if self._unseen_s > self._config.predict_for_s:
            self._drop()
            return self._lost(stamp_s)
        self._last_points_m = self._kinematics.forward(self._motion.q)
        limited = self._output.follow(self._motion.q, dt_s)
        self._confidence = self._confidence * np.exp(-dt_s / _FADE_S)
        states = np.full(NUM_JOINTS, JointState.PREDICTED, dtype=np.uint8)
        if frame is not None:
            states[self._set_aside] = JointState.REJECTED
        states[limited] = JointState.LIMITED
        return self._pose_of(stamp_s, State.PREDICTED, joints, frame, states, camera)

    def _pose_of(
        self,
        stamp_s: float,
        state: State,
        joints: Joints | None,
        frame: observe.Frame | None,
        states: np.ndarray,
        camera: Camera,
    ) -> Pose:
        assert self._motion is not None and self._output.q is not None
        q = self._output.q
        points, moves = self._kinematics.jacobian(q)
        std = np.sqrt(np.maximum(self._motion.joint_covariance(moves), 0.0))
        std = np.sqrt((std * _STD_FACTOR) ** 2 + _STD_FLOOR_M**2)
        projected = camera.project(points)
        residual_px = float("nan")
        pixels = projected
        if joints is not None and frame is not None:
            seen = frame.seen
            pixels = np.where(seen[:, None], joints.pixels_px, projected)
            used = seen & ~self._set_aside
            if used.any():
                off = projected[used] - np.asarray(joints.pixels_px)[used]
                residual_px = float(np.sqrt(np.mean(np.sum(off**2, axis=1))))
        pose = Pose(
            stamp_s=stamp_s,
            id=self._id,
            state=state,
            joints_px=pixels,
            joints_raw_m=(
                np.full((NUM_JOINTS, 3), np.nan)
                if joints is None
                else np.asarray(joints.root_relative_m, dtype=np.float64)
            ),
            joints_camera_m=points,
            orientations_xyzw=self._kinematics.orientations_xyzw(q),
            velocities_mps=moves @ self._motion.v,
            confidence=self._confidence.copy(),
            std_m=np.sqrt(np.mean(std**2, axis=1)),
            joint_states=states,
            transform_camera_from_body=body_transform(q),
            q=q[ROOT_Q:].copy(),
            q_names=Q_NAMES,
            height_m=standing_height(self._kinematics.lengths_m),
            calibration=self._bones.state,
            bone_lengths_m=self._kinematics.lengths_m.copy(),
            residual_px=residual_px,
            std_axes_m=std,
        )
        if not (np.isfinite(points).all() and np.isfinite(std).all()):
            self._drop()
            return self._lost(stamp_s)
        return pose

    def _agreement(self) -> np.ndarray:
        """[21] how well each joint's observation agrees with the fit, 0 to 1."""
        local, rays = data_terms(self._observation, self._config, self._distance())
        q, points = self._solution.q, self._solution.points_m
        return np.minimum(
            local.agreement(local.residual(q, points)), rays.agreement(rays.residual(q, points))
        )

    def _lost(self, stamp_s: float) -> Pose:
        def nothing(*shape: int) -> np.ndarray:
            return np.full(shape, np.nan)

        return Pose(
            stamp_s=stamp_s,
            id=self._id,
            state=State.LOST,
            joints_px=nothing(NUM_JOINTS, 2),
            joints_raw_m=nothing(NUM_JOINTS, 3),
            joints_camera_m=nothing(NUM_JOINTS, 3),
            orientations_xyzw=nothing(NUM_JOINTS, 4),
            velocities_mps=nothing(NUM_JOINTS, 3),
            confidence=np.zeros(NUM_JOINTS),
            std_m=nothing(NUM_JOINTS),
            joint_states=np.full(NUM_JOINTS, JointState.PREDICTED, dtype=np.uint8),
            transform_camera_from_body=nothing(4, 4),
            q=nothing(NUM_ANGLES),
            q_names=Q_NAMES,
            height_m=self._config.person_height,
            calibration=self._bones.state,
            bone_lengths_m=self._kinematics.lengths_m.copy(),
            residual_px=float("nan"),
            std_axes_m=nothing(NUM_JOINTS, 3),
        )

    def _new_calibration(self) -> BoneCalibration:
        return BoneCalibration(self._config.calibration_frames, self._config.person_height)

    def _drop(self) -> None:
        """Stop tracking; what is known of the body stays."""
        self._motion: Motion | None = None
        self._stamp_s: float | None = getattr(self, "_stamp_s", None)
        self._pose: Pose | None = None
        self._id = getattr(self, "_id", "nobdy")
        self._unseen_s = self._stuck_s = 0.0
        self._output.reset()
        self._checks.reset()
