"""Joints of single frames in, one person's continuous metric pose out."""

from __future__ import annotations

import dataclasses
import math
from typing import Final, NamedTuple

import numpy as np

from vnect_ros import native
from vnect_ros.body.kinematics import NUM_ANGLES, ROOT_Q, Kinematics
from vnect_ros.body.urdf import Q_NAMES
from vnect_ros.camera import Camera
from vnect_ros.config import FilterConfig, FitConfig
from vnect_ros.fitting import observe
from vnect_ros.fitting.calibration import BoneCalibration
from vnect_ros.fitting.energy import FRAME_S
from vnect_ros.fitting.limiter import MotionLimiter
from vnect_ros.fitting.observe import Measurement
from vnect_ros.fitting.scale import Body, Scale, Surroundings
from vnect_ros.fitting.track import Track, Update
from vnect_ros.records import Calibration, Joints, JointState, Pose, State, nobody
from vnect_ros.skeleton import NUM_JOINTS

_MAX_PERIOD_S: Final = 2.0
"""Frames farther apart than this do not belong to one track."""
_STD_FACTOR: Final = 1.3
"""Errors of successive frames are alike, which the covariance does not know."""
_STD_FLOOR_M: Final = 0.012
_LASTING_DEPTH_STD: Final = 0.02
"""Error of the distance that no averaging removes, parts of it."""
_UNSEEN_STD_M: Final = 0.25
"""Of a joint that is not seen, in each direction, in the long run: what it is guessed from is as
far off in one frame as in the next, so that many frames do not improve it."""
_UNSEEN_S: Final = 1.0
"""Time constant with which an unseen joint comes to that [s]: at first its motion is known."""
_FADE_S: Final = 0.3
"""Confidence in unseen joints falls with this time constant [s]."""
_DISAGREES: Final = 0.25
"""An observation that the fit agrees with less than this was not followed."""
_NOTHING: Final = Surroundings()
_CONTACTS_KEPT_S: Final = 0.15
"""A foot that stood stands on while the person is not looked at for so long [s]."""
_RESIZE: Final = 2e-3
"""Share by which a measured height must differ from the body's for the body to take it over."""
# NumPy takes longer over members of an IntEnum than over numbers.
_MEASURED, _PREDICTED, _REJECTED, _LIMITED = (
    int(state)
    for state in (
        JointState.MEASURED,
        JointState.PREDICTED,
        JointState.REJECTED,
        JointState.LIMITED,
    )
)
_ALL_PREDICTED: Final = np.full(NUM_JOINTS, _PREDICTED, dtype=np.uint8)


class Fitter:
    """Fits the body to one person over time.

    Frames come in the order of their stamps (`clock.ClockGuard` sees to that).
    """

    def __init__(
        self,
        config: FitConfig | None = None,
        filters: FilterConfig | None = None,
        lasting_std_m: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Start before the person is seen.

        Args:
            config: the energy's weights and the person's height.
            filters: the 1-Euro constants of the published pose.
            lasting_std_m: the network's errors that last, which no fit can know: standard
                deviations across and along the viewing direction [m].
        """
        across_m, along_m = lasting_std_m
        self._lasting_m2 = _STD_FLOOR_M**2 + np.square((across_m, across_m, along_m))
        self._config = config or FitConfig()
        self._stated = self._new_stated()
        self._filters = filters or FilterConfig()
        self._scale = Scale(self._config.person_height)
        self._bones = self._new_calibration()
        self._kinematics = Kinematics(self._bones.lengths_m)
        self._limiter = MotionLimiter(self._kinematics, self._config, self._filters)
        self._track: Track | None = None
        self._stamp_s = 0.0
        self._confidence = np.zeros(NUM_JOINTS)
        self._unseen_s = np.zeros(NUM_JOINTS)

    def update(
        self,
        stamp_s: float,
        joints: Joints | None,
        camera: Camera,
        around: Surroundings = _NOTHING,
        hidden_s: float = 0.0,
    ) -> Pose:
        """Take one frame into account.

        Args:
            stamp_s: time of the image [s], after the last one's.
            joints: as observed; confidence 0 means not seen; None: the person is not seen.
            camera: that saw them.
            around: the floor and the depth image, where they are known.
            hidden_s: how long the person, since last seen, is known to be hidden, which does
                not count for `predict_for_s` [s].

        Returns:
            The pose, its id left empty: MEASURED; PREDICTED while the person is
            briefly not seen, or what is seen is rejected; LOST (NaN) before the
            first frame and after `predict_for_s` of that.
        """
        dt_s, self._stamp_s = stamp_s - self._stamp_s, stamp_s
        try:
            with np.errstate(all="ignore"):
                measured = observe.measurement(joints, camera)
                given = _Given(stamp_s, joints, camera, measured, around, hidden_s)
                pose = self._step(given, dt_s)
        except np.linalg.LinAlgError:
            pose = None
        if pose is None:
            self._track = None
            return self.lost(stamp_s)
        return pose

    def predicted_pixels(self, stamp_s: float, camera: Camera) -> np.ndarray | None:
        """Where the joints will be seen [21, 2] [px] (distorted), or None while LOST."""
        if self._track is None:
            return None
        ahead_s = min(max(stamp_s - self._stamp_s, 0.0), _MAX_PERIOD_S)
        points_m = self._kinematics.forward(self._track.predicted_q(ahead_s))
        pixels = camera.project(points_m)
        return pixels if np.isfinite(pixels).all() else None

    def lose(self, stamp_s: float) -> Pose:
        """Give the person up; the bone lengths stay.  Returns the LOST pose."""
        self._track = None
        return self.lost(stamp_s)

    def inherit(self, other: Fitter) -> None:
        """Take over what another fitter measured of the same person: bones and height.

        The track moves along the rays to where a person of that height is seen the same.
        """
        factor = other._kinematics.height_m / self._kinematics.height_m
        self._bones, self._scale = other._bones, other._scale
        self._scale.lose_contacts()
        self._kinematics.set_lengths(self._bones.lengths_m)
        if self._track is not None:
            self._track.rescale(factor)
            self._limiter.rescale(factor)

    def recalibrate(self) -> None:
        """Measure the bone lengths anew; tracking goes on with the present ones."""
        known_m = self._bones.lengths_m
        self._bones = self._new_calibration()
        self._bones.lengths_m = known_m

    def configure(self, config: FitConfig, filters: FilterConfig | None = None) -> None:
        """Take other settings from the next frame on; tracking goes on.

        Another height of the person moves the track along the rays to where a
        person of that height is seen the same.
        """
        changed = config.person_height != self._config.person_height
        self._config, self._filters = config, filters or self._filters
        self._limiter.configure(self._config, self._filters)
        self._stated = self._new_stated()
        if changed:
            self._scale = Scale(config.person_height)
            self._resize(config.person_height)
        else:
            self._bones.resize(config.calibration_frames, self._kinematics.height_m)

    def _step(self, given: _Given, dt_s: float) -> Pose | None:
        """Predict, fit, limit the motion; None where the person is not tracked (any more)."""
        if self._track is None:
            dt_s = gap_s = FRAME_S
            update = self._begin(given.measured)
        else:
            gap_s = self._track.unseen_s + dt_s
            update = self._follow(self._track, given, dt_s)
        track = self._track
        if track is None or update is None:
            return None
        if update.jumped:
            self._limiter.blend(track.q)
        limited = self._limiter.follow(track.q, dt_s)
        followed = given.measured if update.measured else None
        states = self._assess(update, followed, limited, dt_s)
        pose = self._pose(given, track, update, states)
        if followed is not None:
            self._calibrate(track, followed, states)
            self._measure_scale(given, track, states, gap_s)
        elif gap_s > _CONTACTS_KEPT_S:
            self._scale.lose_contacts()
        return pose

    def _begin(self, measured: Measurement | None) -> Update | None:
        """Begin a track with a frame; None where it does not show the person well enough."""
        if measured is not None:
            self._track = Track.begin(self._kinematics, measured, self._config)
            self._unseen_s = np.full(NUM_JOINTS, np.inf)
            self._limiter.reset()
        if self._track is None:
            return None
        return Update(True, False, np.ones(NUM_JOINTS), np.zeros(NUM_JOINTS, dtype=bool))

    def _follow(self, track: Track, given: _Given, dt_s: float) -> Update | None:
        """Predict the track and correct it by the frame; None where it ends."""
        measured = given.measured
        track.predict(dt_s, self._config)
        patience_s = self._config.predict_for_s + given.hidden_s
        # A slow camera's next frame is no absence.
        if track.unseen_s > max(patience_s, _MAX_PERIOD_S):
            return None
        if measured is None:
            update = Update(False, False, np.ones(NUM_JOINTS), np.zeros(NUM_JOINTS, dtype=bool))
        else:
            terms = self._metric_terms(given, track, track.unseen_s)
            update = track.update(measured, dt_s, self._config, terms)
        return update if update.measured or track.unseen_s <= patience_s else None

    def _body(self, given: _Given, points_m: np.ndarray, seen: np.ndarray) -> Body:
        """The person as `scale` looks at it."""
        assert given.joints is not None
        kinematics, pixels_px = self._kinematics, given.joints.pixels_px
        return Body(points_m, kinematics.lengths_m, kinematics.height_m, pixels_px, seen)

    def _metric_terms(self, given: _Given, track: Track, dt_s: float) -> list[np.ndarray]:
        """The terms that hold the fit to what is known in metres.

        Args:
            dt_s: since the last frame that was followed [s].
        """
        if given.around.unknown or given.measured is None:
            return []
        body = self._body(given, self._kinematics.forward(track.q), given.measured.seen)
        return self._scale.terms(body, given.around, self._config.weight_ground, dt_s)

    def _measure_scale(self, given: _Given, track: Track, states: np.ndarray, dt_s: float) -> None:
        """Measure the person's height, and take it over."""
        if given.around.unknown:
            return
        body = self._body(given, track.points_m, states == _MEASURED)
        self._scale.update(body, given.around, dt_s)
        size = self._scale.size
        if size is not None and abs(size.height_m / self._kinematics.height_m - 1.0) > _RESIZE:
            self._resize(size.height_m)

    def _resize(self, height_m: float) -> None:
        """Take the person for so tall: the track moves along the rays [m]."""
        factor = height_m / self._kinematics.height_m
        self._bones.resize(self._config.calibration_frames, height_m)
        self._kinematics.set_lengths(self._bones.lengths_m)
        if self._track is not None:
            self._track.rescale(factor)
            self._limiter.rescale(factor)
            self._scale.lose_contacts()

    def _assess(
        self, update: Update, followed: Measurement | None, limited: np.ndarray, dt_s: float
    ) -> np.ndarray:
        """[21] JointState of the pose at hand; updates the confidences.

        Args:
            followed: the frame, if the fit followed it.
            limited: [21] bool: joints whose motion was bounded.
        """
        states = _ALL_PREDICTED.copy()
        rejected = update.rejected
        self._confidence = self._confidence * math.exp(-dt_s / _FADE_S)
        if followed is not None:
            self._unseen_s += dt_s  # of a person who is not seen at all the motion model knows more
            rejected = rejected | (followed.seen & (update.agreement < _DISAGREES))
            agrees = followed.seen & ~rejected
            states[agrees] = _MEASURED
            trusted = followed.confidence * update.agreement
            np.copyto(self._confidence, trusted, where=agrees)
            self._unseen_s[agrees] = 0.0
        states[rejected] = _REJECTED
        states[limited] = _LIMITED
        return states

    def _calibrate(self, track: Track, followed: Measurement, states: np.ndarray) -> None:
        if self._bones.state is Calibration.DONE:
            return
        confidence = np.where(states == _MEASURED, followed.confidence, 0.0)
        if self._bones.add(followed.bones_m, track.points_m, confidence):
            self._kinematics.set_lengths(self._bones.lengths_m)

    def _pose(self, given: _Given, track: Track, update: Update, states: np.ndarray) -> Pose | None:
        """The pose as it is published, all of it from one configuration; None if not finite."""
        q, kinematics = self._limiter.q, self._kinematics
        found = kinematics.describe(q, track.v, track.covariance, self._unseen_s, self._stated)
        if found is None:
            return None
        shown = _shown(given, given.camera.project(found.points_m), update.rejected)
        size = self._scale.size
        return Pose(
            stamp_s=given.stamp_s,
            id="",
            state=State.MEASURED if update.measured else State.PREDICTED,
            joints_px=shown.pixels_px,
            joints_raw_m=shown.raw_m,
            joints_camera_m=found.points_m,
            orientations_xyzw=found.orientations_xyzw,
            velocities_mps=found.velocities_mps,
            confidence=self._confidence,
            std_m=found.std_m,
            joint_states=states,
            transform_camera_from_body=found.transform_camera_from_body,
            q=q[ROOT_Q:].copy(),
            q_names=Q_NAMES,
            height_m=kinematics.height_m,
            height_std_m=math.nan if size is None else size.std_m,
            calibration=self._bones.state,
            bone_lengths_m=kinematics.lengths_m.copy(),
            residual_px=shown.residual_px,
            std_axes_m=found.std_axes_m,
        )

    def lost(self, stamp_s: float) -> Pose:
        """The LOST pose of this person."""
        return dataclasses.replace(
            nobody(stamp_s),
            q=np.full(NUM_ANGLES, np.nan),
            q_names=Q_NAMES,
            height_m=self._kinematics.height_m,
            calibration=self._bones.state,
            bone_lengths_m=self._kinematics.lengths_m.copy(),
        )

    def _new_stated(self) -> np.ndarray:
        """[8] what `native.Body.describe` states of a pose."""
        lasting = (*self._lasting_m2, _LASTING_DEPTH_STD)
        unseen = (_UNSEEN_STD_M**2, _UNSEEN_S)
        return np.array((_STD_FACTOR**2, *lasting, *unseen, self._config.max_speed))

    def _new_calibration(self) -> BoneCalibration:
        size = self._scale.size
        height_m = self._config.person_height if size is None else size.height_m
        return BoneCalibration(self._config.calibration_frames, height_m)


class _Given(NamedTuple):
    """One frame as it is given to the fit."""

    stamp_s: float
    joints: Joints | None
    camera: Camera
    measured: Measurement | None
    """The joints in the fit's coordinates; None where too little is seen."""
    around: Surroundings
    hidden_s: float


class _Shown(NamedTuple):
    """What of a frame's joints goes into the pose."""

    pixels_px: np.ndarray
    raw_m: np.ndarray
    residual_px: float


def _shown(given: _Given, projected_px: np.ndarray, rejected: np.ndarray) -> _Shown:
    """The joints where they are seen, else where they are projected, and how far off those are.

    Args:
        projected_px: [21, 2] the fit in the image [px].
        rejected: [21] bool: joints that do not count for the residual.
    """
    if given.joints is None or given.measured is None:
        return _Shown(projected_px, np.full((NUM_JOINTS, 3), np.nan), math.nan)
    seen_px = np.ascontiguousarray(given.joints.pixels_px, dtype=np.float64)
    pixels_px = np.empty((NUM_JOINTS, 2))
    residual_px = native.residual(
        projected_px, seen_px, given.measured.confidence, rejected, pixels_px
    )
    raw_m = np.array(given.joints.root_relative_m, dtype=np.float64)
    return _Shown(pixels_px, raw_m, residual_px)
