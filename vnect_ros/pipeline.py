"""The way of the data: crop, infer, decode, filter, fit.  `Pipeline.step` is the map."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.config import PipelineConfig
from vnect_ros.errors import BackendError, ImageError, VnectError, describe
from vnect_ros.fitting.fitter import Fitter
from vnect_ros.inference.base import Backend
from vnect_ros.perception import crop as cropping
from vnect_ros.perception import decode
from vnect_ros.perception.crop import Search, Window
from vnect_ros.perception.filters import OneEuro
from vnect_ros.records import Crop, Joints, Maps, Pose, State
from vnect_ros.skeleton import NUM_JOINTS

SECOND_SCALE = 0.7
"""The smaller of the two scales whose maps are averaged (paper, section 5)."""
LOCAL_UNIT_M = 0.1
"""What FilterConfig.local_beta counts speed in: decimetres."""
LATE_S = 0.5
"""An image older than the last by up to this came late; by more, the clock was set back."""
NO_FILTER_HZ = 1e9
"""A cut-off that lets everything pass."""


class Pipeline:
    """Turns images into the pose of one person; remembers the last one."""

    def __init__(
        self,
        config: PipelineConfig,
        backend: Backend,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Start with nobody tracked.  The backend stays the caller's to close.

        Args:
            clock: that the stages are timed by [s].
        """
        self.config, self.backend, self.model = config, backend, backend.model
        self.timings_s: dict[str, float] = {}
        """Duration of each stage of the last step, and their "total" [s]."""
        self._window = Window(config.crop, self.model.input_size)
        self._search = Search(config.crop, self.model.input_size)
        self._pixels_filter = OneEuro(*_pixels_constants(config))
        self._local_filter = OneEuro(*_local_constants(config))
        self._fitter = Fitter(config.fit, config.filter)
        self._tracking = False
        self._stamp_s = -math.inf
        self._poses: list[Pose] = []
        self._watch = _Stopwatch(clock)

    def step(self, image: np.ndarray, camera: Camera, stamp_s: float) -> list[Pose]:
        """Process one image.

        Args:
            image: [H, W, 3] uint8 RGB, as the camera delivers it (distorted).
            camera: that delivered it.
            stamp_s: time of the image [s].  One that is not after the last step's
                came late and gives the last pose again; by more than LATE_S, the
                clock was set back, and all is reset.

        Returns:
            The one person's pose; LOST, with NaN for positions, while nobody is seen.

        Raises:
            ImageError: the image's shape or type is another, or not the camera's.
            BackendError: the network's runtime failed.
        """
        self._watch.start()
        if self._came_late(stamp_s):
            return self._poses
        now = self._expect(image, camera, stamp_s)
        crop = self._where(now)
        if crop is None:
            joints = None
            self._look_for_somebody(now)
        else:
            maps = self._infer(image, crop)
            found = self._find(maps, crop, image.shape, now.expected_px)
            joints = self._filter(found, maps, crop, now)
        self._poses = [self._fit(joints, crop, now)]
        self.timings_s = self._watch.stop()
        return self._poses

    def reset(self) -> None:
        """Forget the person, and the bone lengths measured."""
        self._fitter.reset()
        self._lose(None)
        self._search.restart()
        self._stamp_s = -math.inf

    def recalibrate(self) -> None:
        """Measure the bone lengths anew, and go on tracking."""
        self._fitter.recalibrate()

    def configure(self, config: PipelineConfig) -> None:
        """Take other settings from the next step on, and go on tracking."""
        self.config = config
        self._window.config = self._search.config = config.crop
        self._fitter.configure(config.fit, config.filter)
        self._pixels_filter.configure(*_pixels_constants(config))
        self._local_filter.configure(*_local_constants(config))

    def _came_late(self, stamp_s: float) -> bool:
        """Whether the image is not newer than the last; resets if the clock was set back."""
        if stamp_s < self._stamp_s - LATE_S:
            self.reset()
        late = stamp_s <= self._stamp_s
        self._stamp_s = max(stamp_s, self._stamp_s)
        return late

    def _expect(self, image: np.ndarray, camera: Camera, stamp_s: float) -> _Now:
        """The image, once it fits the camera, and where the last pose expects the joints."""
        shape = (camera.height, camera.width, 3)
        if image.shape != shape or image.dtype != np.uint8:
            raise ImageError(describe("image", f"{image.dtype} {image.shape}", f"uint8 {shape}"))
        return _Now(image, camera, stamp_s, self._fitter.predicted_pixels(stamp_s, camera))

    def _where(self, now: _Now) -> Crop | None:
        """The window of the tracked person, else what the search found, else None."""
        if now.expected_px is None:
            return self._window.crop
        return self._window.follow(now.expected_px, now.stamp_s)

    def _look_for_somebody(self, now: _Now) -> None:
        """Try a few windows; the best find, if it is a person, is looked at next time."""
        best, found_px = self.config.crop.min_evidence, None
        height, width = now.image.shape[:2]
        for window in self._search.next_windows(width, height):
            maps = self._infer(now.image, window)
            pixels_px, confidence = self._find(maps, window, now.image.shape, None)
            local_m = decode.read_locations(maps, window.input_from_image(pixels_px))
            agreement = decode.agreement(pixels_px, local_m, confidence)
            seen = confidence > 0.0
            score = float(confidence.sum()) * agreement
            enough = seen.sum() >= self.config.decode.min_joints
            if enough and agreement >= self.config.crop.min_agreement and score >= best:
                best, found_px = score, pixels_px[seen]
        if found_px is not None:
            self._window.start(found_px, now.stamp_s)

    def _infer(self, image: np.ndarray, crop: Crop) -> Maps:
        """Show the network the window, at two scales if so configured."""
        cut = cropping.cut(image, crop)
        self._watch.lap("crop")
        maps = self._maps(cut)
        if self.config.crop.multi_scale:
            wider = cropping.cut(image, cropping.wider(crop, SECOND_SCALE))
            maps = decode.average_scales(maps, self._maps(wider), SECOND_SCALE)
        self._watch.lap("network")
        return maps

    def _maps(self, cut: np.ndarray) -> Maps:
        """The network's maps; whatever else its runtime throws is a failure of the backend."""
        try:
            return self.backend.infer([cut])[0]
        except VnectError:
            raise
        except Exception as error:
            raise BackendError(f"{self.backend.name}: {error!r}") from error

    def _find(
        self, maps: Maps, crop: Crop, shape: tuple[int, ...], expected_px: np.ndarray | None
    ) -> _Found:
        """K and its confidence; of like maxima those near where the joints are expected.

        What the network makes of the black outside the image is no observation.
        """
        favoured = None
        if expected_px is not None:
            expected_px = crop.input_from_image(expected_px)
            favoured = decode.favour(maps, expected_px, self.config.decode.hysteresis)
        pixels_px, peaks = decode.find_joints(maps, favoured)
        confidence = decode.confidence(peaks, self.model.confidence_curve)
        confidence[confidence < self.config.decode.min_confidence] = 0.0
        pixels_px = crop.image_from_input(pixels_px)
        outside = cropping.outside(pixels_px, shape, maps.stride_px * crop.scale / 2.0)
        confidence[outside] = 0.0
        self._watch.lap("decode")
        return _Found(pixels_px, confidence)

    def _filter(self, found: _Found, maps: Maps, crop: Crop, now: _Now) -> Joints | None:
        """Smooth K, read P^L where it says, smooth that; None where too little is seen.

        The others are taken to be where they are expected.
        """
        pixels_px, confidence = found
        unseen = confidence == 0.0
        few = NUM_JOINTS - unseen.sum() < self.config.decode.min_joints
        if few or confidence.sum() < self.config.decode.min_evidence:
            return None
        if now.expected_px is not None:
            pixels_px = np.where(unseen[:, None], now.expected_px, pixels_px)
        pixels_px = self._pixels_filter.filter(now.stamp_s, pixels_px, unit=crop.scale)
        self._watch.lap("filter")
        local_m = decode.read_locations(maps, crop.input_from_image(pixels_px))
        if self.model.location_frame == "crop_ray":
            local_m = local_m @ now.camera.rotation_camera_from_crop(crop).T
        self._watch.lap("decode")
        local_m = self._local_filter.filter(now.stamp_s, local_m, unit=LOCAL_UNIT_M)
        self._watch.lap("filter")
        return Joints(pixels_px, local_m, confidence)

    def _fit(self, joints: Joints | None, crop: Crop | None, now: _Now) -> Pose:
        """The body model's pose; where it is given up, so is its window."""
        pose = self._fitter.update(now.stamp_s, joints, now.camera)
        if pose.state is not State.LOST:
            self._tracking = True
        elif crop is not None:
            self._lose(crop)
        self._watch.lap("fit")
        return _with_doubt(dataclasses.replace(pose, crop=crop), self.model.position_std_m)

    def _lose(self, crop: Crop | None) -> None:
        """Nobody is followed; the search begins where the person was, if one was tracked."""
        if self._tracking:
            self._search.restart(crop)
            self._pixels_filter.reset()
            self._local_filter.reset()
        self._tracking = False
        self._window.drop()


def _with_doubt(pose: Pose, position_std_m: tuple[float, float]) -> Pose:
    """The pose with the network's lasting errors in its deviations, which no fit can know."""
    if pose.std_axes_m is None:
        return pose
    across_m, along_m = position_std_m
    axes = np.hypot(pose.std_axes_m, (across_m, across_m, along_m))
    return dataclasses.replace(pose, std_axes_m=axes, std_m=np.sqrt(np.mean(axes**2, axis=1)))


class _Now(NamedTuple):
    """What a step begins with."""

    image: np.ndarray
    camera: Camera
    stamp_s: float
    expected_px: np.ndarray | None
    """[21, 2] where the last pose says the joints are now, in the image; None while LOST."""


class _Found(NamedTuple):
    """What the heatmaps say."""

    pixels_px: np.ndarray
    """[21, 2] in the image."""
    confidence: np.ndarray
    """[21]; 0 for a joint that is not seen."""


def _pixels_constants(config: PipelineConfig) -> tuple[float, float]:
    filters = config.filter
    if not filters.enabled:
        return NO_FILTER_HZ, 0.0
    return filters.pixels_min_cutoff_hz, filters.pixels_beta


def _local_constants(config: PipelineConfig) -> tuple[float, float]:
    filters = config.filter
    if not filters.enabled:
        return NO_FILTER_HZ, 0.0
    return filters.local_min_cutoff_hz, filters.local_beta


class _Stopwatch:
    """Adds up the time of each stage of a step."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def start(self) -> None:
        self._laps: dict[str, float] = dict.fromkeys(
            ("crop", "network", "decode", "filter", "fit"), 0.0
        )
        self._begin = self._last = self._clock()

    def lap(self, stage: str) -> None:
        """What passed since the last lap was spent on `stage`."""
        now = self._clock()
        self._laps[stage] += now - self._last
        self._last = now

    def stop(self) -> dict[str, float]:
        return {**self._laps, "total": self._last - self._begin}
