"""One person over time: where to look, what was seen, and the body that is fitted to it."""

from __future__ import annotations

import math
import secrets
import string
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from vnect_ros.config import FilterConfig, PipelineConfig
from vnect_ros.fitting.fitter import Fitter
from vnect_ros.fitting.scale import Surroundings
from vnect_ros.inference.model import Model
from vnect_ros.perception import appearance, assignment, decode
from vnect_ros.perception.crop import Window
from vnect_ros.perception.decode import Keypoints
from vnect_ros.perception.filters import OneEuro
from vnect_ros.records import Crop, Frame, Joints, JointState, Maps, Pose, State
from vnect_ros.skeleton import NUM_JOINTS

LOCAL_UNIT_M: Final = 0.1
"""What FilterConfig.local_beta counts speed in: decimetres."""
NO_FILTER_HZ: Final = 1e9
"""A cut-off that lets everything pass."""
MAX_RESIDUAL: Final = 0.12
"""A fit whose joints are this far from the detected ones, in parts of the window's edge,
does not explain what was seen."""
STILL_PRESENT: Final = 0.05
"""Presence below which the window of a person who is tracked does not show anybody: it is
stated as if nothing were known before, but who was there a frame ago is likely still there."""
MIN_EVIDENCE: Final = 4.5
"""Summed confidence of the joints below which a window shows nobody new, and of a network
without presence nobody at all."""
SLOWEST_PERIOD_S: Final = 2.0
"""Frames farther apart than this do not belong to one track."""
HIDDEN_S: Final = 0.12
"""Whoever is not seen for less is still taken to be where they are expected [s]."""
COLOURS_S: Final = 0.1
"""A person's colours are looked at once in this time [s]."""
COLOURS_SHARE: Final = 0.1
"""What each new look at a person's colours counts in their mean."""
LONGEST_HIDDEN_S: Final = 2.0
"""Somebody hidden is kept for so long [s]."""
NEARER: Final = 1.15
"""Who is not farther away by more than this may hide somebody: distances are not known better."""
NEAREST_M: Final = 0.1
"""A pelvis that is not this far in front of the camera is no pose of a person in the image."""


class Sighting(NamedTuple):
    """What the network shows of a person in one frame."""

    crop: Crop
    maps: Maps
    keypoints: Keypoints


class Person:
    """A person who is tracked, or a find that the next frame confirms or not."""

    def __init__(
        self, config: PipelineConfig, model: Model, found: Keypoints, stamp_s: float
    ) -> None:
        """Begin with a find.

        Args:
            found: the joints that the search saw in the image.
            stamp_s: of that image [s].
        """
        self.id = new_id()
        self.pose: Pose | None = None
        """The last frame's; None before the find is confirmed."""
        self.measured: Pose | None = None
        """The last one that rests on what was seen."""
        self.observed_s = stamp_s
        """Stamp of the last image that the network saw of this person [s]."""
        self.expected_px: np.ndarray | None = None
        """[21, 2] where the joints are expected in the frame at hand; None: not confirmed."""
        self.looked_s = stamp_s
        """Stamp of the last image in which the network looked for this person [s]."""
        self.hidden_s = 0.0
        """How long the person has been hidden behind others since last seen [s]."""
        self.is_missing = False
        """Whether the person was given up for the outside, and only expected to come out from
        behind somebody: not seen for `fit.predict_for_s`, but hidden for a part of that."""
        self._is_silent = False
        self.surveyed_s = -math.inf
        """Stamp of the last image whose window was searched for others too [s]."""
        self.apart_s = stamp_s
        """Stamp of the last frame in which nobody else was tracked at the same place [s]."""
        self.colours: np.ndarray | None = None
        """[5, 3] of body and clothes, see `appearance.colours`; None: not seen yet."""
        self._looks = 0
        self._coloured_s = -math.inf
        self._config, self._model = config, model
        self._found = found
        seen_px = found.pixels_px[found.confidence > 0.0]
        self._window = Window(config.crop, model.input_size, seen_px, stamp_s)
        self._pixels_filter = OneEuro(*_pixels_constants(config.filter))
        self._local_filter = OneEuro(*_local_constants(config.filter))
        self._fitter = Fitter(config.fit, config.filter, model.position_std_m)

    @property
    def crop(self) -> Crop:
        """The window in the last frame that was looked at."""
        return self._window.crop

    @property
    def joints_px(self) -> np.ndarray:
        """[21, 2] the joints in the last frame, or where the search saw them [px]."""
        return self._found.pixels_px if self.pose is None else self.pose.joints_px

    @property
    def shown(self) -> Pose | None:
        """What is published of the last frame: who is missing is LOST once, and then nobody."""
        if self.pose is None or self._is_silent:
            return None
        if self.is_missing:
            return self._fitter.lost(self.pose.stamp_s).changed(id=self.id)
        return self.pose

    @property
    def is_lost(self) -> bool:
        """Whether the last frame ended the track."""
        return self.pose is not None and self.pose.state is State.LOST

    @property
    def is_hidden(self) -> bool:
        """Whether the network looked for this person for a while and did not see it."""
        return self.looked_s > self.observed_s + HIDDEN_S

    @property
    def expected_or_found_px(self) -> np.ndarray:
        """[21, 2] the joints as expected in the frame at hand, or as the search saw them [px]."""
        return self.joints_px if self.expected_px is None else self.expected_px

    @property
    def sought_px(self) -> np.ndarray:
        """[21, 2] the joints as expected in the frame at hand; of a find those that the search saw.

        NaN where it saw none [px].
        """
        if self.expected_px is not None:
            return self.expected_px
        return np.where(self._found.confidence[:, None] > 0.0, self._found.pixels_px, np.nan)

    def is_in(self, crop: Crop) -> bool:
        """Whether a window shows a part of the box about the joints."""
        inside = crop.input_from_image(self.expected_or_found_px)
        return bool(
            (inside.max(axis=0) > 0.0).all() and (inside.min(axis=0) < crop.input_size).all()
        )

    def configure(self, config: PipelineConfig) -> None:
        """Take other settings from the next frame on, and go on tracking."""
        self._config = config
        self._window.config = config.crop
        self._fitter.configure(config.fit, config.filter)
        self._pixels_filter.configure(*_pixels_constants(config.filter))
        self._local_filter.configure(*_local_constants(config.filter))

    def recalibrate(self) -> None:
        """Measure the bone lengths anew, and go on tracking."""
        self._fitter.recalibrate()

    def inherit(self, former: Person) -> None:
        """Turn out to be a person who was lost or hidden: take that one's id and bone lengths."""
        self.id = former.id
        self._fitter.inherit(former._fitter)
        if former.colours is not None:
            self.colours = former.colours
        last = former.measured
        if self.pose is not None and last is not None:
            self.pose = self.measured = _resized(self.pose, last).changed(id=self.id)

    def lose(self, stamp_s: float) -> None:
        """Give the person up."""
        self.pose = self._fitter.lose(stamp_s).changed(id=self.id)
        self._is_silent, self.is_missing = self.is_missing, False

    def hide(self, by: Sequence[Person], period_s: float) -> None:
        """Do not expect to see the person while one of those covers the place.

        Args:
            by: people who are seen.
            period_s: since the last frame [s].
        """
        if self.pose is None or self.pose.state is not State.PREDICTED:
            return
        own_px, own_m = self.pose.joints_px, self._distance_m
        nearer = [p.joints_px for p in by if p is not self and p._distance_m < NEARER * own_m]
        if assignment.is_covered(own_px, nearer):
            self.hidden_s = min(self.hidden_s + period_s, LONGEST_HIDDEN_S)

    @property
    def _distance_m(self) -> float:
        return math.inf if self.pose is None else float(self.pose.transform_camera_from_body[2, 3])

    def expect(self, frame: Frame) -> Crop:
        """The window in which the person is expected; the find's, before it is confirmed."""
        self.expected_px = self._fitter.predicted_pixels(frame.stamp_s, frame.camera)
        if self.expected_px is None:
            return self._window.crop
        return self._window.follow(self.expected_px, frame.stamp_s)

    def read(self, frame: Frame, maps: Maps) -> Sighting:
        """The joints that the window's maps show; of like maxima those that are expected."""
        keypoints = decode.read_keypoints(
            maps,
            self.crop,
            frame.image.shape,
            self._model.confidence_curve,
            self._config.decode,
            self.expected_px,
        )
        return Sighting(self.crop, maps, keypoints)

    def may_see_colours(self, stamp_s: float) -> bool:
        """Whether the colours are worth another look."""
        return self.colours is None or stamp_s - self._coloured_s >= COLOURS_S

    def see_colours(self, new: np.ndarray, stamp_s: float) -> None:
        """Remember the colours [5, 3] of body and clothes, as a mean over about a second."""
        self._coloured_s = stamp_s
        self._looks += 1
        if self.colours is None:
            self.colours = new
            return
        mean = self.colours + max(COLOURS_SHARE, 1.0 / self._looks) * (new - self.colours)
        self.colours = np.where(np.isnan(mean), np.where(np.isnan(new), self.colours, new), mean)

    def colours_apart(self, colours: np.ndarray) -> float:
        """How much colours [5, 3] differ from this person's; 0 where nothing can be compared."""
        if self.colours is None:
            return 0.0
        apart = appearance.difference(self.colours, colours)
        return 0.0 if math.isnan(apart) else apart

    def observe(self, frame: Frame, sighting: Sighting) -> Joints | None:
        """Smooth the keypoints, read the location maps there, smooth those.

        Joints that are not seen are taken to be where they are expected.

        Returns:
            The joints as observed, or None where too little is seen of the person.
        """
        crop, maps, (pixels_px, confidence) = sighting
        unseen = confidence == 0.0
        few = NUM_JOINTS - unseen.sum() < self._config.decode.min_joints
        if few or not self._is_present(maps.presence, confidence):
            return None
        if self.expected_px is not None:
            pixels_px = np.where(unseen[:, None], self.expected_px, pixels_px)
        pixels_px = self._pixels_filter.filter(frame.stamp_s, pixels_px, unit=crop.scale)
        local_m = decode.read_locations(maps, crop.input_from_image(pixels_px))
        if self._model.location_frame == "crop_ray":
            local_m = local_m @ frame.camera.rotation_camera_from_crop(crop.centre_px).T
        local_m = self._local_filter.filter(frame.stamp_s, local_m, unit=LOCAL_UNIT_M)
        return Joints(pixels_px, local_m, confidence, self._model.guesses_hidden_joints)

    def _is_present(self, presence: float, confidence: np.ndarray) -> bool:
        """Whether the window shows a person; a find must be as sure as the search was."""
        evident = bool(confidence.sum() >= MIN_EVIDENCE)
        if math.isnan(presence):
            return evident
        if self.pose is None:
            return evident and presence >= self._model.presence_threshold
        return presence >= min(STILL_PRESENT, self._model.presence_threshold)

    def update(self, frame: Frame, joints: Joints | None) -> Pose | None:
        """Fit the body to the frame's joints, or predict it where there are none.

        Returns:
            The pose; LOST in the frame in which a person ends who was tracked.
            None for a find that is not confirmed.
        """
        unseen_s = frame.stamp_s - self.observed_s
        patience_s = self._config.fit.predict_for_s + self.hidden_s
        if self.pose is not None and frame.stamp_s - self.pose.stamp_s > SLOWEST_PERIOD_S:
            self.id = new_id()  # whoever is seen after so long a gap
        around = Surroundings(frame.floor, frame.depth_m)
        pose = self._fitter.update(frame.stamp_s, joints, frame.camera, around, self.hidden_s)
        if pose.state is State.MEASURED and not _explains(pose, self.crop):
            pose = _not_measured(pose)
            if unseen_s > patience_s or self.pose is None:
                pose = self._fitter.lose(frame.stamp_s)
        if pose.state is not State.LOST and not _is_in_front(pose):
            pose = self._fitter.lose(frame.stamp_s)
        if self.pose is None and pose.state is not State.MEASURED:
            return None
        is_measured = pose.state is State.MEASURED
        if is_measured:
            self.observed_s, self.hidden_s = frame.stamp_s, 0.0
        was_missing = self.is_missing
        self.is_missing = pose.state is State.PREDICTED and (
            frame.stamp_s - self.observed_s > self._config.fit.predict_for_s
        )
        self._is_silent = was_missing and (self.is_missing or pose.state is State.LOST)
        self.pose = pose.changed(
            id=self.id,
            crop=self.crop,
            observation_age_s=frame.stamp_s - self.observed_s,
        )
        if is_measured:
            self.measured = self.pose
        return self.pose


def new_id() -> str:
    """Five letters, as REP-155 wants, at random: never the id of another person."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(5))


def _explains(pose: Pose, crop: Crop) -> bool:
    """Whether a fit is near to the joints that were detected; a NaN residual is not."""
    return pose.residual_px < MAX_RESIDUAL * crop.size_px


def _is_in_front(pose: Pose) -> bool:
    return bool(pose.transform_camera_from_body[2, 3] > NEAREST_M)


def _resized(pose: Pose, known: Pose) -> Pose:
    """A pose as it is seen the same of a person of another pose's height and bones."""
    factor = known.height_m / pose.height_m
    transform = pose.transform_camera_from_body.copy()
    transform[:3, 3] *= factor
    return pose.changed(
        joints_camera_m=pose.joints_camera_m * factor,
        velocities_mps=pose.velocities_mps * factor,
        transform_camera_from_body=transform,
        height_m=known.height_m,
        height_std_m=known.height_std_m,
        calibration=known.calibration,
        bone_lengths_m=known.bone_lengths_m,
    )


def _not_measured(pose: Pose) -> Pose:
    """The pose where what was seen does not support it."""
    states = pose.joint_states.copy()
    states[states == JointState.MEASURED] = JointState.REJECTED
    return pose.changed(state=State.PREDICTED, joint_states=states)


def _pixels_constants(filters: FilterConfig) -> tuple[float, float]:
    if not filters.enabled:
        return NO_FILTER_HZ, 0.0
    return filters.pixels_min_cutoff_hz, filters.pixels_beta


def _local_constants(filters: FilterConfig) -> tuple[float, float]:
    if not filters.enabled:
        return NO_FILTER_HZ, 0.0
    return filters.local_min_cutoff_hz, filters.local_beta
