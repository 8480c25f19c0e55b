"""The data flow: crop, infer, decode, filter, fit.  `Pipeline.step` is the map of the program."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from vnect_ros.clock import Arrival, ClockGuard
from vnect_ros.config import PipelineConfig
from vnect_ros.errors import BackendError, VnectError
from vnect_ros.inference.base import Backend
from vnect_ros.perception import crop as cropping
from vnect_ros.perception import decode
from vnect_ros.perception.search import Find, PersonSearch
from vnect_ros.person import Person
from vnect_ros.records import Crop, Frame, Maps, Pose, State

SECOND_SCALE: Final = 0.7
"""The smaller of the two scales whose maps are averaged (paper, section 5)."""


class Pipeline:
    """Turns images into the poses of the people in them, and alone knows who is tracked."""

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
        self.clock = ClockGuard()
        self.people: list[Person] = []
        """Everybody who is tracked, and finds that are not confirmed yet."""
        self.timings_s: dict[str, float] = {}
        """Duration of each stage of the last step, and their "total" [s]."""
        self._search = PersonSearch(config, self.model.input_size)
        self._poses: list[Pose] = []
        self._watch = _Stopwatch(clock)

    def step(self, frame: Frame) -> list[Pose]:
        """Process one image.

        An image that is not newer than the last one gives the last poses again; by
        more than `clock.LATE_S`, the clock was set back, and all is reset.

        Returns:
            A pose for everybody who is tracked, MEASURED or PREDICTED.  A person who
            ends in this step is in it once more, LOST.

        Raises:
            BackendError: the network's runtime failed.
        """
        self._watch.start()
        if not self._is_new(frame):
            return self._poses
        crops = [person.expect(frame) for person in self.people]
        windows = self._windows(frame, crops)
        maps = self._infer(frame.image, crops + windows)
        finds = self._finds(frame, windows, maps[len(crops) :])
        self._poses = self._follow(frame, maps)
        self._admit(finds, frame.stamp_s)
        self.timings_s = self._watch.stop()
        return self._poses

    def reset(self) -> None:
        """Forget everybody."""
        self.people, self._poses = [], []
        self._search.reset()
        self.clock.reset()

    def recalibrate(self) -> None:
        """Measure everybody's bone lengths anew, and go on tracking."""
        for person in self.people:
            person.recalibrate()

    def configure(self, config: PipelineConfig) -> None:
        """Take other settings from the next step on, and go on tracking."""
        self.config = self._search.config = config
        for person in self.people:
            person.configure(config)

    def _is_new(self, frame: Frame) -> bool:
        """Whether the frame is newer than the last; resets if the clock was set back."""
        arrival = self.clock.judge(frame.stamp_s)
        if arrival is Arrival.SET_BACK:
            self.reset()
        elif arrival is not Arrival.NEW:
            return False
        self.clock.accept(frame.stamp_s)
        return True

    def _windows(self, frame: Frame, crops: Sequence[Crop]) -> list[Crop]:
        """The search's windows in this frame; none while nobody more may be tracked."""
        if len(self.people) >= self.config.max_people:
            return []
        height, width = frame.image.shape[:2]
        return self._search.windows(width, height, frame.stamp_s, crops)

    def _infer(self, image: np.ndarray, crops: Sequence[Crop]) -> list[Maps]:
        """The network's maps of every crop, averaged over two scales if so configured."""
        if not crops:
            return []
        cuts = [cropping.cut(image, crop) for crop in crops]
        if self.config.crop.multi_scale:
            cuts += [cropping.cut(image, cropping.wider(crop, SECOND_SCALE)) for crop in crops]
        self._watch.lap("crop")
        try:
            maps = self.backend.infer(cuts)
        except VnectError:
            raise
        except Exception as error:
            raise BackendError(f"{self.backend.name}: {error!r}") from error
        if self.config.crop.multi_scale:
            pairs = zip(maps[: len(crops)], maps[len(crops) :])
            maps = [decode.average_scales(full, wider, SECOND_SCALE) for full, wider in pairs]
        self._watch.lap("network")
        return maps

    def _finds(self, frame: Frame, windows: Sequence[Crop], maps: Sequence[Maps]) -> list[Find]:
        """The people that search windows show, the best first."""
        finds = []
        for window, its_maps in zip(windows, maps):
            keypoints = decode.read_keypoints(
                its_maps, window, frame.image.shape, self.model.confidence_curve, self.config.decode
            )
            find = self._search.judge(its_maps, keypoints, window)
            if find is not None:
                finds.append(find)
        self._watch.lap("decode")
        return sorted(finds, key=lambda find: -find.score)

    def _follow(self, frame: Frame, maps: Sequence[Maps]) -> list[Pose]:
        """Everybody's pose; people who are lost, and finds that are not confirmed, end."""
        poses, remaining = [], []
        for person, its_maps in zip(self.people, maps):
            keypoints = person.read(frame, its_maps)
            self._watch.lap("decode")
            joints = person.observe(frame, its_maps, keypoints)
            self._watch.lap("filter")
            pose = person.update(frame, joints)
            self._watch.lap("fit")
            if pose is not None:
                poses.append(pose)
            if pose is not None and pose.state is not State.LOST:
                remaining.append(person)
            elif pose is not None:
                self._search.restart(person.crop)
        self.people = remaining
        return poses

    def _admit(self, finds: Sequence[Find], stamp_s: float) -> None:
        """Let the best finds become people, whom the next frame confirms or not."""
        for find in finds[: self.config.max_people - len(self.people)]:
            self.people.append(Person(self.config, self.model, find.points_px, stamp_s))


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
