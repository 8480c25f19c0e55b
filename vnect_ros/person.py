"""One person over time: where to look, what was seen, and the body that is fitted to it."""

from __future__ import annotations

import dataclasses
import secrets
import string
from typing import Final

import numpy as np

from vnect_ros.config import FilterConfig, PipelineConfig
from vnect_ros.fitting.fitter import Fitter
from vnect_ros.inference.bundles import Model
from vnect_ros.perception import decode
from vnect_ros.perception.crop import Window
from vnect_ros.perception.decode import Keypoints
from vnect_ros.perception.filters import OneEuro
from vnect_ros.records import Crop, Frame, Joints, Maps, Pose, State
from vnect_ros.skeleton import NUM_JOINTS

LOCAL_UNIT_M: Final = 0.1
"""What FilterConfig.local_beta counts speed in: decimetres."""
NO_FILTER_HZ: Final = 1e9
"""A cut-off that lets everything pass."""


class Person:
    """A person who is tracked, or a find that the next frame confirms or not."""

    def __init__(
        self, config: PipelineConfig, model: Model, points_px: np.ndarray, stamp_s: float
    ) -> None:
        """Begin with a find.

        Args:
            points_px: [N, 2] the joints that the search saw in the image.
            stamp_s: of that image [s].
        """
        self.id = new_id()
        self.pose: Pose | None = None
        """The last frame's; None before the find is confirmed."""
        self.observed_s = stamp_s
        """Stamp of the last image that the network saw of this person [s]."""
        self._config, self._model = config, model
        self._window = Window(config.crop, model.input_size, points_px, stamp_s)
        self._pixels_filter = OneEuro(*_pixels_constants(config.filter))
        self._local_filter = OneEuro(*_local_constants(config.filter))
        self._fitter = Fitter(config.fit, config.filter)
        self._expected_px: np.ndarray | None = None

    @property
    def crop(self) -> Crop:
        """The window in the last frame that was looked at."""
        return self._window.crop

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

    def expect(self, frame: Frame) -> Crop:
        """The window in which the person is expected; the find's, before it is confirmed."""
        self._expected_px = self._fitter.predicted_pixels(frame.stamp_s, frame.camera)
        if self._expected_px is None:
            return self._window.crop
        return self._window.follow(self._expected_px, frame.stamp_s)

    def read(self, frame: Frame, maps: Maps) -> Keypoints:
        """The joints that the window's maps show; of like maxima those that are expected."""
        return decode.read_keypoints(
            maps,
            self.crop,
            frame.image.shape,
            self._model.confidence_curve,
            self._config.decode,
            self._expected_px,
        )

    def observe(self, frame: Frame, maps: Maps, keypoints: Keypoints) -> Joints | None:
        """Smooth the keypoints, read the location maps there, smooth those.

        Joints that are not seen are taken to be where they are expected.

        Returns:
            The joints as observed, or None where too little is seen of the person.
        """
        pixels_px, confidence = keypoints
        unseen = confidence == 0.0
        config = self._config.decode
        few = NUM_JOINTS - unseen.sum() < config.min_joints
        if few or confidence.sum() < config.min_evidence:
            return None
        crop = self.crop
        if self._expected_px is not None:
            pixels_px = np.where(unseen[:, None], self._expected_px, pixels_px)
        pixels_px = self._pixels_filter.filter(frame.stamp_s, pixels_px, unit=crop.scale)
        local_m = decode.read_locations(maps, crop.input_from_image(pixels_px))
        if self._model.location_frame == "crop_ray":
            local_m = local_m @ frame.camera.rotation_camera_from_crop(crop.centre_px).T
        local_m = self._local_filter.filter(frame.stamp_s, local_m, unit=LOCAL_UNIT_M)
        return Joints(pixels_px, local_m, confidence)

    def update(self, frame: Frame, joints: Joints | None) -> Pose | None:
        """Fit the body to the frame's joints, or predict it where there are none.

        Returns:
            The pose; LOST in the frame in which a person ends who was tracked.
            None for a find that is not confirmed.
        """
        pose = self._fitter.update(frame.stamp_s, joints, frame.camera)
        if joints is not None:
            self.observed_s = frame.stamp_s
        if self.pose is None and pose.state is State.LOST:
            return None
        pose = dataclasses.replace(pose, id=self.id, crop=self.crop)
        self.pose = _with_network_std(pose, self._model.position_std_m)
        return self.pose


def new_id() -> str:
    """Five letters, as REP-155 wants, at random: never the id of another person."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(5))


def _with_network_std(pose: Pose, position_std_m: tuple[float, float]) -> Pose:
    """The pose with the network's lasting errors in its deviations, which no fit can know.

    Args:
        position_std_m: across and along the viewing direction [m].
    """
    if pose.std_axes_m is None:
        return pose
    across_m, along_m = position_std_m
    axes = np.hypot(pose.std_axes_m, (across_m, across_m, along_m))
    return dataclasses.replace(pose, std_axes_m=axes, std_m=np.sqrt(np.mean(axes**2, axis=1)))


def _pixels_constants(filters: FilterConfig) -> tuple[float, float]:
    if not filters.enabled:
        return NO_FILTER_HZ, 0.0
    return filters.pixels_min_cutoff_hz, filters.pixels_beta


def _local_constants(filters: FilterConfig) -> tuple[float, float]:
    if not filters.enabled:
        return NO_FILTER_HZ, 0.0
    return filters.local_min_cutoff_hz, filters.local_beta
