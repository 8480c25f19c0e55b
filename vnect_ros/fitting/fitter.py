"""Joints of single frames in, one person's continuous metric pose out."""

from __future__ import annotations

import secrets
import string
from typing import Final

import numpy as np

from vnect_ros.body.kinematics import (
    NUM_ANGLES,
    ROOT_Q,
    Kinematics,
    body_transform,
    joint_velocities,
)
from vnect_ros.body.urdf import Q_NAMES
from vnect_ros.camera import Camera
from vnect_ros.config import FilterConfig, FitConfig
from vnect_ros.fitting import observe
from vnect_ros.fitting.calibration import BoneCalibration
from vnect_ros.fitting.energy import FRAME_S
from vnect_ros.fitting.limiter import Output
from vnect_ros.fitting.track import Track
from vnect_ros.records import Joints, JointState, Pose, State
from vnect_ros.skeleton import NUM_JOINTS

_STALE_S: Final = 0.5
"""A frame older than the last by up to this came late; by more, the clock was set back."""
_MAX_PERIOD_S: Final = 2.0
"""Frames farther apart than this do not belong to one track."""
_STD_FACTOR: Final = 1.3
"""Errors of successive frames are alike, which the covariance does not know."""
_STD_FLOOR_M: Final = 0.012
_RANGE_STD: Final = 0.02
"""Error of the distance that no averaging removes, parts of it."""
_FADE_S: Final = 0.3
"""Confidence in unseen joints falls with this time constant [s]."""
_DISAGREES: Final = 0.25
"""An observation that the fit agrees with less than this was not followed."""


class Fitter:
    """Fits the body to one person over time."""

    def __init__(
        self, config: FitConfig | None = None, filters: FilterConfig | None = None
    ) -> None:
        """Start with nobody tracked.

        Args:
            config: the energy's weights and the person's height.
            filters: the 1-Euro constants of the published pose.
        """
        self._config = config or FitConfig()
        self._filters = filters or FilterConfig()
        self._bones = self._new_calibration()
        self._kinematics = Kinematics(self._bones.lengths_m)
        self._output = Output(self._kinematics, self._config, self._filters)
        self._track: Track | None = None
        self._stamp_s: float | None = None
        self._pose: Pose | None = None
        self._id = _new_id()
        self._confidence = np.zeros(NUM_JOINTS)

    def update(self, stamp_s: float, joints: Joints | None, camera: Camera) -> Pose:
        """Take one frame into account.

        Args:
            stamp_s: time of the image [s].  Up to 0.5 s before the last one's, the
                frame came late and the last pose is returned once more, with its
                own stamp; earlier still, the clock was set back: all is reset.
            joints: as observed; confidence 0 means not seen; None: nobody seen.
            camera: that saw them.

        Returns:
            The pose: MEASURED; PREDICTED while the person is briefly not seen or
            not believed; LOST (NaN) before the first frame and after
            `predict_for_s` of that.
        """
        dt_s = 0.0
        if self._stamp_s is not None and self._pose is not None:
            dt_s = stamp_s - self._stamp_s
            if -_STALE_S <= dt_s <= 0.0:
                return self._pose
            if dt_s < 0.0:
                self.reset()
        self._stamp_s = stamp_s
        try:
            with np.errstate(all="ignore"):
                frame = observe.frame(joints, camera)
                pose = self._step(stamp_s, dt_s, frame, joints, camera)
        except np.linalg.LinAlgError:
            pose = None
        if pose is None:
            self._track = None
            pose = self._lost(stamp_s)
        self._pose = pose
        return pose

    def predicted_pixels(self, stamp_s: float, camera: Camera) -> np.ndarray | None:
        """Where the joints will be seen [21, 2] [px] (distorted), or None while LOST."""
        if self._track is None or self._stamp_s is None:
            return None
        ahead_s = min(max(stamp_s - self._stamp_s, 0.0), _MAX_PERIOD_S)
        pixels = camera.project(self._kinematics.forward(self._track.predicted_q(ahead_s)))
        return pixels if np.isfinite(pixels).all() else None

    def reset(self) -> None:
        """Forget the person and the bone lengths."""
        self._bones = self._new_calibration()
        self._kinematics.set_lengths(self._bones.lengths_m)
        self._track = self._pose = self._stamp_s = None

    def lose(self, stamp_s: float) -> Pose:
        """Give the person up; the bone lengths stay.  Returns the LOST pose."""
        self._track = None
        self._pose = self._lost(stamp_s)
        return self._pose

    def inherit(self, other: Fitter) -> None:
        """Take over the bone lengths that another fitter measured of the same person."""
        self._bones = other._bones
        self._kinematics.set_lengths(self._bones.lengths_m)

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
            if self._track is not None:
                self._track.rescale(factor)
                self._output.rescale(factor)

    def _step(
        self,
        stamp_s: float,
        dt_s: float,
        frame: observe.Frame | None,
        joints: Joints | None,
        camera: Camera,
    ) -> Pose | None:
        """Predict, fit, publish; None where nobody is tracked (any more)."""
        # A slow camera's next frame is no absence.
        patience_s = self._config.predict_for_s
        if frame is not None:
            patience_s = max(patience_s, _MAX_PERIOD_S)
        if self._track is not None:
            self._track.advance(dt_s, self._config)
            if self._track.unseen_s > patience_s:
                self._track = None
        measured = False
        if self._track is not None:
            measured = frame is not None and self._track.take(frame, dt_s, self._config)
            if not measured and self._track.unseen_s > self._config.predict_for_s:
                return None
        elif frame is not None:
            self._track = Track.begin(self._kinematics, frame, self._config)
            measured = self._track is not None
            dt_s = FRAME_S
            self._output.reset()
            self._id = _new_id()
        if self._track is None:
            return None
        if self._track.jumped:
            self._output.blend(self._track.q)
        limited = self._output.follow(self._track.q, dt_s)
        states = self._judge(self._track, frame if measured else None, limited, dt_s)
        state = State.MEASURED if measured else State.PREDICTED
        pose = self._publish(stamp_s, self._track, state, states, frame, joints, camera)
        if measured and frame is not None:
            self._calibrate(self._track, frame, states)
        return pose

    def _judge(
        self, track: Track, frame: observe.Frame | None, limited: np.ndarray, dt_s: float
    ) -> np.ndarray:
        """[21] JointState of the pose at hand; updates the confidences."""
        states = np.full(NUM_JOINTS, JointState.PREDICTED, dtype=np.uint8)
        self._confidence = self._confidence * np.exp(-dt_s / _FADE_S)
        rejected = track.set_aside
        if frame is not None:
            agreement = track.agreement
            rejected = rejected | (frame.seen & (agreement < _DISAGREES))
            followed = frame.seen & ~rejected
            states[followed] = JointState.MEASURED
            self._confidence = np.where(followed, frame.confidence * agreement, self._confidence)
        states[rejected] = JointState.REJECTED
        states[limited] = JointState.LIMITED
        return states

    def _calibrate(self, track: Track, frame: observe.Frame, states: np.ndarray) -> None:
        confidence = np.where(states == JointState.MEASURED, frame.confidence, 0.0)
        if self._bones.add(frame.local_m, track.points_m, confidence):
            self._kinematics.set_lengths(self._bones.lengths_m)

    def _publish(
        self,
        stamp_s: float,
        track: Track,
        state: State,
        joint_states: np.ndarray,
        frame: observe.Frame | None,
        joints: Joints | None,
        camera: Camera,
    ) -> Pose | None:
        """The pose as it is published, all of it from one configuration; None if not finite."""
        q = self._output.q
        points, moves = self._kinematics.jacobian(q)
        std = np.hypot(track.std_m(moves) * _STD_FACTOR, _STD_FLOOR_M)
        std[:, 2] = np.hypot(std[:, 2], _RANGE_STD * np.abs(points[:, 2]))
        velocities = joint_velocities(moves, track.v)
        speed = np.sqrt((velocities**2).sum(axis=1, keepdims=True))
        velocities *= np.minimum(1.0, self._config.max_speed / np.maximum(speed, 1e-9))
        if not (np.isfinite(points).all() and np.isfinite(std).all()):
            return None
        raw_m = np.full((NUM_JOINTS, 3), np.nan)
        pixels_px = projected_px = camera.project(points)
        residual_px = float("nan")
        if joints is not None and frame is not None:
            raw_m = np.array(joints.root_relative_m, dtype=np.float64)
            pixels_px = np.where(frame.seen[:, None], joints.pixels_px, projected_px)
            off = ((projected_px - pixels_px) ** 2).sum(axis=1)[frame.seen & ~track.set_aside]
            residual_px = float(np.sqrt(off.mean())) if len(off) else float("nan")
        return Pose(
            stamp_s=stamp_s,
            id=self._id,
            state=state,
            joints_px=pixels_px,
            joints_raw_m=raw_m,
            joints_camera_m=points.copy(),
            orientations_xyzw=self._kinematics.orientations_xyzw(q),
            velocities_mps=velocities,
            confidence=self._confidence.copy(),
            std_m=np.sqrt((std**2).mean(axis=1)),
            joint_states=joint_states,
            transform_camera_from_body=body_transform(q),
            q=q[ROOT_Q:].copy(),
            q_names=Q_NAMES,
            height_m=self._kinematics.height_m,
            calibration=self._bones.state,
            bone_lengths_m=self._kinematics.lengths_m.copy(),
            residual_px=residual_px,
            std_axes_m=std,
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


def _new_id() -> str:
    """Five letters: what REP-155 wants, and never the name of another person."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(5))
